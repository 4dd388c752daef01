"""The memory law: what a run needs does not grow with the song."""

import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from benchmarks.process import measure
from benchmarks.songs import make_song
from tests.foreign_models import WRITERS

SAMPLE_RATE = 22050
LIMIT_MB = 600


def _write_tones(path: Path, duration_s: int) -> Path:
    """A mono wav of three tones in noise."""
    rng = np.random.default_rng(0)
    time_s = np.arange(SAMPLE_RATE) / SAMPLE_RATE
    tones = np.sum([np.sin(2 * np.pi * hz * time_s) for hz in (110, 440, 3000)], axis=0)
    with soundfile.SoundFile(path, "w", SAMPLE_RATE, 1, subtype="PCM_16") as file:
        for _ in range(duration_s):
            file.write(0.1 * tones + 0.05 * rng.standard_normal(SAMPLE_RATE))
    return path


def _peak_mb(song: Path, output: Path, *options: str | Path) -> float:
    """Peak memory of the whole process that separates `song`, the lower of two runs.

    How full the allocator's arenas are depends on which thread came first, by a few per cent.
    """
    command = [sys.executable, "-m", "stemsplit", str(song), "-o", str(output), "--quiet", "--overwrite"]
    return min(measure([*command, *map(str, options)]).peak_mb for _ in range(2))


@pytest.mark.slow
@pytest.mark.parametrize("options", [(), ("--shifts", "2")], ids=" ".join)
def test_ten_minutes_need_no_more_memory_than_ten_seconds(
    tiny_model: Path, tmp_path: Path, options: tuple[str, ...]
) -> None:
    short_mb, long_mb = (
        _peak_mb(_write_tones(tmp_path / f"{length_s}.wav", length_s), tmp_path, "-m", tiny_model, *options)
        for length_s in (10, 600)
    )
    assert long_mb < 1.05 * short_mb


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["magnitude", "waveform"])
def test_foreign_models_obey_the_law_too(kind: str, tmp_path: Path) -> None:
    """Their chunks are long: it takes minutes until as many are on the way as ever will be, and until the
    allocator has met every order of events. Then it stays: 1200 s need what 600 s need.
    """
    model = WRITERS[kind](tmp_path)
    short_mb, long_mb = (
        _peak_mb(_write_tones(tmp_path / f"{length_s}.wav", length_s), tmp_path, "-m", model)
        for length_s in (600, 1200)
    )
    assert long_mb < 1.05 * short_mb


@pytest.mark.slow
def test_the_bundled_models_stay_below_the_limit_for_any_length(tmp_path: Path) -> None:
    short_mb, long_mb = (
        _peak_mb(make_song(tmp_path / f"{duration_s}.wav", duration_s), tmp_path) for duration_s in (300, 600)
    )
    assert long_mb < 1.05 * short_mb
    assert long_mb < LIMIT_MB
