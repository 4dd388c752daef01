"""What the parity tests share: a song, descriptions, and a separation."""

from pathlib import Path
from typing import Any

import numpy as np

from stemsplit import Separator
from stemsplit.types import FloatArray

SAMPLE_RATE = 44100


def make_song(n_samples: int, *, seed: int = 0) -> FloatArray:
    """Chords and hits over noise that falls off like music does, stereo, at about -15 dBFS."""
    rng = np.random.default_rng(seed)
    time_s = np.arange(n_samples) / SAMPLE_RATE
    spectrum = np.fft.rfft(rng.standard_normal((2, n_samples)))
    noise = np.fft.irfft(spectrum / (1 + np.arange(spectrum.shape[1]) / 40), n_samples)
    song = 0.3 * noise / noise.std()
    for hz in (82.4, 220.0, 277.2, 329.6, 1318.5, 5274.0):
        places = rng.random((2, 1))
        song += places * np.sin(2 * np.pi * hz * time_s) * np.exp(-((time_s * 1.7) % 1) * 3)
    hits = rng.standard_normal((2, n_samples)) * np.exp(-((time_s * 2.1) % 1) * 40)
    return np.asarray(0.1 * (song + 2 * hits), dtype=np.float32)


def describe(folder: Path, *lines: str) -> Path:
    """Write a description; return its path."""
    path = folder / "model.toml"
    path.write_text("\n".join(['name = "peer"', *lines, ""]), encoding="utf-8")
    return path


def separate(description: Path, song: FloatArray, **settings: Any) -> dict[str, FloatArray]:
    """Separate a song at 44,100 Hz with one external model."""
    with Separator(models=[description], device="cpu", threads=1, **settings) as separator:
        return separator(song, SAMPLE_RATE)
