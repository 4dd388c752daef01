"""Where drums play: songs that are made here, with drums and without."""

import numpy as np
import pytest

from stemsplit.music.drum_presence import DrumPresence, join_intervals
from stemsplit.music.loudness import LoudnessMeter
from stemsplit.types import FloatArray
from tests.music.test_analysis import MAJOR, MINOR, SAMPLE_RATE, analyse, make_chords, make_drums

CHORDS = make_chords([(60, MAJOR), (57, MINOR), (65, MAJOR), (67, MAJOR)], 2.5)  # 10 s


def find(mixture: FloatArray, drums: FloatArray | None, *, block: int = 65_536) -> list[tuple[float, float]]:
    presence, meters = DrumPresence(SAMPLE_RATE), [LoudnessMeter(SAMPLE_RATE, 2) for _ in range(2)]
    for start in range(0, mixture.shape[1], block):
        part = slice(start, start + block)
        presence.process(mixture[:, part])
        meters[0].process(mixture[:, part])
        meters[1].process((mixture if drums is None else drums)[:, part])
    presence.flush()
    song, stem = (meter.powers for meter in meters)
    return presence.intervals_s(song, None if drums is None else stem)


@pytest.mark.slow
def test_rendered_drums_are_found_where_they_play() -> None:
    drums = 0.5 * make_drums(110, 10)
    assert analyse({"drums": drums, "other": CHORDS}).to_dict()["drums_s"] == [[0.0, 10.0]]
    drums[:, : 5 * SAMPLE_RATE] = 0
    ((start, stop),) = find(drums + CHORDS, drums)
    assert start == pytest.approx(5, abs=1.0) and stop == pytest.approx(10, abs=0.2)


def test_music_without_drums_has_none_whatever_the_separation_takes_for_drums() -> None:
    for leaked in (0 * CHORDS, 0.3 * CHORDS):
        assert find(CHORDS, leaked) == []
    assert find(CHORDS, None) == []


def test_drums_that_are_not_in_their_stem_are_not_found() -> None:
    drums = make_drums(110, 10)
    assert find(drums, drums) == find(drums, None) == [(0.0, 10.0)]
    assert find(drums, 0.1 * drums) == []


@pytest.mark.parametrize("duration_s", [0.0, 0.05, 1.0, 20.0])
def test_silence_has_no_drums(duration_s: float) -> None:
    silence = np.zeros((2, round(duration_s * SAMPLE_RATE)), dtype=np.float32)
    assert find(silence, silence) == find(silence, None) == []


@pytest.mark.slow
def test_a_second_is_too_short_to_tell() -> None:
    drums = make_drums(110, 1)
    assert find(drums, drums) == []
    assert analyse({"drums": drums}).to_dict()["drums_s"] == []


def test_neither_blocks_nor_the_sample_rate_matter() -> None:
    drums = make_drums(100, 6)
    assert find(drums, drums, block=10_007) == find(drums, drums, block=10**9)
    presence = DrumPresence(2 * SAMPLE_RATE)
    presence.process(np.repeat(drums, 2, axis=1))
    presence.flush()
    ((start, stop),) = presence.intervals_s(np.ones(60))
    assert (start, stop) == pytest.approx((0, 6), abs=0.21)


def test_short_gaps_do_not_count_nor_do_short_drums() -> None:
    flags = np.zeros(120, dtype=np.bool_)
    flags[10:40] = flags[55:80] = flags[110:115] = True
    assert join_intervals(flags) == [(1.0, 8.1)]
    flags[40:62] = False
    assert join_intervals(flags) == [(1.0, 4.1)]
