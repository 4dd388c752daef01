"""Memory: the peak of a run does not grow with the length of the song."""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from benchmarks.process import measure
from benchmarks.songs import make_song
from tests.support import ROOT
from tests.support.external_models import WRITERS

SAMPLE_RATE = 22050
LIMIT_MB = 400
LIMIT_OF_BEST_MB = 650  # four passes are at work at a time


def _write_tones(path: Path, duration_s: int) -> Path:
    """Write a mono wav of three tones in noise."""
    rng = np.random.default_rng(0)
    time_s = np.arange(SAMPLE_RATE) / SAMPLE_RATE
    tones = np.sum([np.sin(2 * np.pi * hz * time_s) for hz in (110, 440, 3000)], axis=0)
    with soundfile.SoundFile(path, "w", SAMPLE_RATE, 1, subtype="PCM_16") as file:
        for _ in range(duration_s):
            file.write(0.1 * tones + 0.05 * rng.standard_normal(SAMPLE_RATE))
    return path


def _peaks_mb(song: Path, *, share: float, **settings: Any) -> tuple[float, float]:
    """Return the peak memory of a process that separates `song`, after a `share` of it and at its end.

    Both are of one run, since the fragmentation of the allocator differs by a few per cent between runs.
    """
    probe = ROOT / "tests" / "support" / "memory_probe.py"
    figure = song.with_suffix(".mb")
    arguments = [str(song), str(song.parent), str(share), str(figure), json.dumps(settings)]
    usage = measure([sys.executable, str(probe), *arguments])
    return float(figure.read_text()), usage.peak_mb


@pytest.mark.slow
@pytest.mark.parametrize("passes", [{}, {"shifts": 2}, {"transpositions": 2}])
def test_memory_for_ten_minutes_equals_that_for_one(
    tiny_model: Path, tmp_path: Path, passes: dict[str, int]
) -> None:
    song = _write_tones(tmp_path / "song.wav", 600)
    early_mb, peak_mb = _peaks_mb(song, share=0.1, models=[str(tiny_model)], **passes)
    assert peak_mb < 1.05 * early_mb


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["magnitude", "waveform"])
def test_memory_of_external_models_stops_growing(kind: str, tmp_path: Path) -> None:
    """1200 s need what 600 s need: chunks are long, and the allocator takes minutes to settle."""
    model = WRITERS[kind](tmp_path)
    song = _write_tones(tmp_path / "song.wav", 1200)
    early_mb, peak_mb = _peaks_mb(song, share=0.5, models=[str(model)])
    assert peak_mb < 1.05 * early_mb


@pytest.mark.slow
@pytest.mark.parametrize("int8", [False, True])
def test_the_bundled_models_stay_below_the_limit_for_any_length(tmp_path: Path, int8: bool) -> None:
    """The fragmentation of the allocator moves the peak by up to a block of all stems, once, at any time."""
    song = make_song(tmp_path / "song.wav", 600)
    second_half_of_mixture_mb = 300 * 44100 * 2 * 4 / 1e6
    early_mb, peak_mb = _peaks_mb(song, share=0.5, int8=int8)
    assert peak_mb - early_mb < 0.5 * second_half_of_mixture_mb
    assert peak_mb < LIMIT_MB


@pytest.mark.slow
def test_the_preset_best_stays_below_its_limit(tmp_path: Path) -> None:
    song = make_song(tmp_path / "song.wav", 120)
    _, peak_mb = _peaks_mb(song, share=0.5, transpositions=4, int8=True)
    assert peak_mb < LIMIT_OF_BEST_MB
