"""The preview: the same excerpt of every stem, where they sound."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from stemsplit.music.analysis import SongAnalysis, StemAnalysis
from stemsplit.music.preview import find_excerpt, write_preview
from tests.music.test_analysis import SAMPLE_RATE
from tests.music.test_slices import read_chunks


def know(**intervals_s: list[tuple[float, float]]) -> SongAnalysis:
    stems = {name: StemAnalysis(-20.0, each) for name, each in intervals_s.items()}
    return SongAnalysis(10.0, -20.0, None, None, None, (), stems)


def test_the_excerpt_is_where_most_stems_sound() -> None:
    found = know(vocals=[(5.0, 8.0)], drums=[(0.0, 10.0)], bass=[(6.0, 10.0)])
    start_s = find_excerpt(found, 2.0)
    assert start_s == 6.0
    assert find_excerpt(found, 30.0) == 0.0
    assert find_excerpt(know(vocals=[]), 2.0) is None


@pytest.mark.parametrize("length_s", [2.0, 60.0])
def test_stems_follow_each_other(tmp_path: Path, length_s: float) -> None:
    levels = {"vocals": 0.25, "drums": 0.5}
    stems = {}
    for stem, level in levels.items():
        stems[stem] = tmp_path / f"{stem}.wav"
        soundfile.write(stems[stem], np.full((10 * SAMPLE_RATE, 2), level), SAMPLE_RATE, subtype="PCM_24")
    path = tmp_path / "preview.wav"
    assert write_preview(path, stems, know(vocals=[(4.0, 9.0)], drums=[(0.0, 10.0)]), length_s)
    played, _ = soundfile.read(path, always_2d=True)
    assert soundfile.info(path).subtype == "PCM_24"
    n_each, pause = round(min(length_s, 10) * SAMPLE_RATE), SAMPLE_RATE // 2
    assert len(played) == 2 * n_each + pause
    assert np.allclose(played[1000 : n_each - 1000], 0.25, atol=1e-6)
    assert not played[n_each : n_each + pause].any() and played[0, 0] == played[-1, 0] == 0
    assert np.allclose(played[n_each + pause + 1000 : -1000], 0.5, atol=1e-6)
    assert int.from_bytes(read_chunks(path)[b"cue "][:4], "little") == 2


def test_silence_has_no_preview(tmp_path: Path) -> None:
    assert not write_preview(tmp_path / "preview.wav", {}, know(vocals=[]), 5)
    assert not (tmp_path / "preview.wav").exists()
