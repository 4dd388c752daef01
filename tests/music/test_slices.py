"""Slices and loops: put together they are the stem, and what samplers read of them is right."""

import struct
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import soundfile

from stemsplit.errors import SettingsError
from stemsplit.music.analysis import SongAnalysis
from stemsplit.music.cuts import find_cuts, find_loop, find_onsets
from stemsplit.music.key import Key
from stemsplit.music.slices import make_sfz, write_loop, write_slices
from stemsplit.music.tempo import Beats
from stemsplit.types import FloatArray
from tests.music.test_analysis import SAMPLE_RATE, hit, make_drums

BPM = 120.0


def know(duration_s: float, *, bars: FloatArray | None = None, first_s: float = 0.4) -> SongAnalysis:
    """What an analysis would find of a song of 120 bpm in A minor."""
    times_s = np.arange(first_s, duration_s, 60 / BPM)
    beats = Beats(BPM, times_s, times_s[1::4])
    known = np.zeros((0, 0), np.float32) if bars is None else bars
    return SongAnalysis(duration_s, -12.0, beats, Key(9, "minor", 1.0), 0.0, bars=known)


def write(path: Path, waveform: FloatArray, subtype: str = "PCM_16") -> Path:
    soundfile.write(path, waveform.T, SAMPLE_RATE, subtype=subtype)
    return path


@pytest.fixture(scope="module")
def drums() -> FloatArray:
    return 0.5 * make_drums(BPM, 9.3, first_s=0.4)


@pytest.mark.parametrize(
    ("kind", "ending", "subtype"),
    [
        ("beats", "wav", "PCM_16"),
        ("bars", "flac", "PCM_24"),
        ("onsets", "wav", "FLOAT"),
        ("1", "wav", "PCM_32"),
        ("7", "aiff", "PCM_24"),
    ],
)
def test_slices_together_are_the_stem(
    tmp_path: Path, drums: FloatArray, kind: str, ending: str, subtype: str
) -> None:
    path = write(tmp_path / f"drums.{ending}", drums, subtype)
    slices = write_slices(path, tmp_path / "slices", know(9.3), kind)
    assert [each.name for each in slices] == sorted(each.name for each in slices)
    dtype = "float32" if subtype == "FLOAT" else "int32"
    joined = np.concatenate([soundfile.read(each, dtype=dtype)[0] for each in slices])
    assert np.array_equal(joined, soundfile.read(path, dtype=dtype)[0])
    assert {soundfile.info(each).subtype for each in slices} == {subtype}


def test_slices_are_named_by_their_place(tmp_path: Path, drums: FloatArray) -> None:
    path = write(tmp_path / "drums.wav", drums)
    bars = [cut.name for cut in find_cuts(path, know(9.3), "bars")]
    assert bars == ["bar 000", "bar 001", "bar 002", "bar 003", "bar 004", "bar 005"][: len(bars)]
    beats = [cut.name for cut in find_cuts(path, know(9.3), "beats")]
    assert beats[:4] == ["bar 000 beat 0", "bar 000 beat 4", "bar 001 beat 1", "bar 001 beat 2"]
    assert [cut.name for cut in find_cuts(path, know(9.3), "3")] == ["part 1", "part 2", "part 3"]


def test_cuts_are_near_the_beats_and_quiet(tmp_path: Path, drums: FloatArray) -> None:
    hum = 0.1 * np.sin(2 * np.pi * 220 * np.arange(drums.shape[1]) / SAMPLE_RATE).astype(np.float32)
    path = write(tmp_path / "drums.wav", drums + hum, "FLOAT")
    known = know(9.3)
    assert known.beats is not None
    cuts = [cut.sample for cut in find_cuts(path, known, "beats")][1:]
    distances = [np.abs(known.beats.times_s - cut / SAMPLE_RATE).min() for cut in cuts]
    assert max(distances) <= 0.0021
    played, _ = soundfile.read(path, dtype="float32")
    steps = [np.abs(played[cut - 1 : cut + 1]).max() for cut in cuts]
    assert max(steps) < 0.02  # the hum alone has 0.1


def test_onsets_are_cut_before_their_attacks(tmp_path: Path) -> None:
    times_s = [0.5, 1.1, 1.35, 2.4]
    waveform = np.zeros((1, 3 * SAMPLE_RATE), np.float32)
    for number, time_s in enumerate(times_s):
        start = round(time_s * SAMPLE_RATE)
        drum = hit(180, 0.3, noise=0.5, seed=number)
        waveform[0, start : start + len(drum)] += 0.5 * drum
    path = write(tmp_path / "hits.wav", waveform)
    cuts = find_cuts(path, know(3), "onsets")
    assert [cut.sample / SAMPLE_RATE for cut in cuts[1:]] == pytest.approx(times_s, abs=0.005)
    assert cuts[1].name == f"0001 at {cuts[1].sample / SAMPLE_RATE:07.3f} s"


def test_silence_and_songs_without_beat_have_no_slices(tmp_path: Path) -> None:
    path = write(tmp_path / "silence.wav", np.zeros((2, SAMPLE_RATE), np.float32))
    without = SongAnalysis(1.0, None, None, None, None)
    for kind in ("beats", "bars", "onsets"):
        assert write_slices(path, tmp_path / "slices", without, kind) == []
    assert not write_loop(path, tmp_path / "loop.wav", without, 4)
    assert [each.name for each in tmp_path.iterdir()] == ["silence.wav"]
    with soundfile.SoundFile(path) as file:
        assert len(find_onsets(file)) == 0


def read_chunks(path: Path) -> dict[bytes, bytes]:
    data = path.read_bytes()
    assert int.from_bytes(data[4:8], "little") == len(data) - 8
    found, place = {}, 12
    while place < len(data):
        size = int.from_bytes(data[place + 4 : place + 8], "little")
        found[data[place : place + 4]] = data[place + 8 : place + 8 + size]
        place += 8 + size + size % 2
    return found


def test_bars_are_loops_for_samplers(tmp_path: Path, drums: FloatArray) -> None:
    path = write(tmp_path / "drums.wav", drums)
    second = write_slices(path, tmp_path / "bars", know(9.3), "bars")[1]
    n_samples = soundfile.info(second).frames
    chunks = read_chunks(second)
    sampler = struct.unpack("<15I", chunks[b"smpl"])
    assert sampler[2] == round(1e9 / SAMPLE_RATE) and sampler[3] == 69  # A
    assert sampler[7] == 1 and sampler[11:13] == (0, n_samples - 1)
    flags, root, _, _, n_beats, denominator, numerator, bpm = struct.unpack("<IHHfIHHf", chunks[b"acid"])
    assert (flags & 1, root, n_beats, denominator, numerator) == (0, 69, 4, 4, 4)
    assert bpm == pytest.approx(4 * 60 * SAMPLE_RATE / n_samples)
    assert abs(bpm - BPM) < 0.5
    count, *points = struct.unpack(f"<I{'2I4s3I' * 4}", chunks[b"cue "])
    assert count == 4
    assert np.diff(points[1::6]) == pytest.approx(SAMPLE_RATE / 2, abs=100)


def test_one_shots_come_with_an_instrument(tmp_path: Path, drums: FloatArray) -> None:
    path = write(tmp_path / "drums.wav", drums)
    slices = write_slices(path, tmp_path / "hits", know(9.3), "onsets")
    lines = (tmp_path / "hits" / "slices.sfz").read_text().splitlines()
    assert lines[0] == "<group> loop_mode=one_shot"
    assert lines[1:] == [f"<region> sample={each.name} key={36 + n}" for n, each in enumerate(slices)]
    (flags,) = struct.unpack("<I", read_chunks(slices[1])[b"acid"][:4])
    assert flags & 1 and read_chunks(slices[1])[b"smpl"][28:32] == bytes(4)
    assert make_sfz([f"{n}.wav" for n in range(200)]).count("key=") == 128


def test_fades_are_at_both_ends_only(tmp_path: Path) -> None:
    path = write(tmp_path / "tone.wav", np.full((2, SAMPLE_RATE), 0.5, np.float32), "FLOAT")
    for each in write_slices(path, tmp_path / "parts", know(1), "2", fade_ms=10):
        samples, _ = soundfile.read(each, dtype="float32")
        n_fade = SAMPLE_RATE // 100
        assert samples[0, 0] == samples[-1, 0] == 0
        assert np.all(np.diff(samples[: n_fade + 1, 0]) > 0) and np.all(samples[n_fade:-n_fade] == 0.5)


def test_the_loop_is_where_bars_come_back(tmp_path: Path, drums: FloatArray) -> None:
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((9, 56)).astype(np.float32)
    rows[6:8] = rows[4:6]  # of all pairs of bars only the fifth and sixth come back
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    known = know(20, bars=rows)
    assert known.beats is not None
    assert find_loop(known, 2) == tuple(known.beats.downbeats_s[[4, 6]])
    assert find_loop(known, 30) is None
    path = write(tmp_path / "long.wav", np.tile(drums, 3))
    assert write_loop(path, tmp_path / "loop.wav", known, 2)
    (n_beats,) = struct.unpack("<I", read_chunks(tmp_path / "loop.wav")[b"acid"][12:16])
    assert n_beats == 8
    assert soundfile.info(tmp_path / "loop.wav").duration == pytest.approx(4.0, abs=0.005)


@pytest.mark.parametrize("kind", ["0", "beat", "-1", "10000", "1.5", ""])
def test_other_kinds_are_refused(kind: str) -> None:
    from stemsplit.music.cuts import check_kind

    with pytest.raises(SettingsError, match="beats, bars, onsets"):
        check_kind(kind)


def test_parts_are_of_one_length(tmp_path: Path, drums: FloatArray) -> None:
    path = write(tmp_path / "drums.wav", drums)
    bounds = [*(cut.sample for cut in find_cuts(path, know(9.3), "6")), drums.shape[1]]
    lengths = [stop - start for start, stop in pairwise(bounds)]
    assert max(lengths) - min(lengths) <= 4 * 0.002 * SAMPLE_RATE
