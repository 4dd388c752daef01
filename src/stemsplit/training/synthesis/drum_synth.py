"""Drums made of oscillators and noise, for drum machines and for pieces that the library lacks.

Every sound is mono, ``(1, samples)``, has a peak of one and starts immediately.
"""

from collections.abc import Callable

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from scipy.signal import butter, sosfilt

from stemsplit.training import SAMPLE_RATE
from stemsplit.types import FloatArray

Samples = NDArray[np.float64]


def synthesise_hit(piece: str, rng: Generator) -> FloatArray:
    """Synthesise one hit of a piece named as in `kits.PIECE_OF_PITCH`; an unknown piece is a short knock."""
    sound = _RECIPES.get(piece, _knock)(rng)
    return np.asarray(sound[None] / (np.abs(sound).max() + 1e-9), np.float32)


def _time(length_s: float) -> Samples:
    return np.arange(round(length_s * SAMPLE_RATE)) / SAMPLE_RATE


def _noise(rng: Generator, length_s: float, low_hz: float, high_hz: float) -> Samples:
    sos = butter(2, [low_hz, high_hz], "bandpass", fs=SAMPLE_RATE, output="sos")
    noise: Samples = sosfilt(sos, rng.normal(size=round(length_s * SAMPLE_RATE)))
    return np.asarray(noise / (np.abs(noise).max(initial=0.0) + 1e-9), np.float64)


def _sweep(low_hz: float, high_hz: float, fall_s: float, time_s: Samples) -> Samples:
    """Return a sine that falls from `high_hz` to `low_hz`."""
    frequency_hz = low_hz + (high_hz - low_hz) * np.exp(-time_s / fall_s)
    swept: Samples = np.sin(2 * np.pi * np.cumsum(frequency_hz) / SAMPLE_RATE)
    return swept


def _kick(rng: Generator) -> Samples:
    decay_s = float(np.exp(rng.uniform(np.log(0.08), np.log(0.5))))
    time_s = _time(min(2.0, 5 * decay_s))
    fall_s = float(rng.uniform(0.01, 0.05))
    body = _sweep(float(rng.uniform(40, 65)), float(rng.uniform(150, 900)), fall_s, time_s)
    body = np.tanh(body * rng.uniform(1, 4)) * np.exp(-time_s / decay_s)
    click = _noise(rng, 0.01, 1500, 9000) * np.linspace(1, 0, round(0.01 * SAMPLE_RATE))
    body[: click.size] += rng.uniform(0, 0.8) * click
    return body


def _snare(rng: Generator) -> Samples:
    time_s = _time(0.6)
    body_hz = float(rng.uniform(150, 260))
    body = _sweep(body_hz, 1.8 * body_hz, 0.02, time_s) * np.exp(-time_s / rng.uniform(0.04, 0.12))
    wires = _noise(rng, 0.6, float(rng.uniform(500, 2500)), float(rng.uniform(7000, 16000)))
    return rng.uniform(0.3, 1) * body + rng.uniform(0.5, 1.2) * wires * np.exp(
        -time_s / rng.uniform(0.05, 0.16)
    )


def _clap(rng: Generator) -> Samples:
    time_s = _time(0.5)
    spacing_s = float(rng.uniform(0.008, 0.014))
    level = np.exp(-np.clip(time_s - 3 * spacing_s, 0, None) / rng.uniform(0.04, 0.14))
    level *= np.where(time_s < 3 * spacing_s, np.exp(-(time_s % spacing_s) / 0.003), 1.0)
    return level * _noise(rng, 0.5, float(rng.uniform(600, 1100)), float(rng.uniform(2500, 9000)))


def _metal(rng: Generator, length_s: float, decay_s: float) -> Samples:
    """Mix six squares at inharmonic pitches with noise, as analogue cymbals do."""
    time_s = _time(length_s)
    partials = rng.uniform(200, 900, 6) * rng.uniform(0.9, 1.6)
    squares = np.sign(np.sin(2 * np.pi * np.outer(partials, time_s) + rng.uniform(0, 6, (6, 1)))).sum(0)
    sos = butter(3, float(rng.uniform(4000, 8000)), "highpass", fs=SAMPLE_RATE, output="sos")
    ringing: Samples = sosfilt(sos, squares / 6 * rng.uniform(0.2, 1) + 0.4 * rng.normal(size=time_s.size))
    return ringing * np.exp(-time_s / decay_s)


def _tom(rng: Generator) -> Samples:
    time_s = _time(0.8)
    low_hz = float(rng.uniform(70, 140))
    return _sweep(low_hz, low_hz * rng.uniform(1.2, 2.2), 0.06, time_s) * np.exp(
        -time_s / rng.uniform(0.1, 0.25)
    )


def _grains(rng: Generator, length_s: float, low_hz: float, high_hz: float) -> Samples:
    """Return noise that swells and falls, as beans in a shaker or brushes on a drumhead."""
    time_s = _time(length_s)
    rise_s = length_s * float(rng.uniform(0.1, 0.35))
    level = np.minimum(1, time_s / rise_s) * np.exp(-np.clip(time_s - rise_s, 0, None) / (0.25 * length_s))
    return level * _noise(rng, length_s, low_hz, high_hz)


def _tambourine(rng: Generator) -> Samples:
    sound = _grains(rng, float(rng.uniform(0.1, 0.25)), 5000, 16000)
    ring = np.sin(2 * np.pi * np.outer(rng.uniform(6000, 11000, 5), np.arange(sound.size) / SAMPLE_RATE))
    return np.asarray(sound * (1 + 0.5 * ring.sum(0)), np.float64)


def _knock(rng: Generator) -> Samples:
    time_s = _time(0.15)
    frequency_hz = float(rng.uniform(400, 1800))
    return np.sin(2 * np.pi * frequency_hz * time_s) * np.exp(-time_s / rng.uniform(0.01, 0.05))


_RECIPES: dict[str, Callable[[Generator], Samples]] = {
    "kick": _kick,
    "snare": _snare,
    "clap": _clap,
    "tom": _tom,
    "conga": _tom,
    "hihat_closed": lambda rng: _metal(rng, 0.3, float(rng.uniform(0.015, 0.07))),
    "hihat_open": lambda rng: _metal(rng, 1.5, float(rng.uniform(0.15, 0.5))),
    "ride": lambda rng: _metal(rng, 2.5, float(rng.uniform(0.4, 0.8))),
    "ride_bell": lambda rng: _metal(rng, 2.5, float(rng.uniform(0.1, 0.3))),
    "crash": lambda rng: _metal(rng, 3.5, float(rng.uniform(0.6, 1.2))),
    "shaker": lambda rng: _grains(rng, float(rng.uniform(0.06, 0.14)), 3500, 14000),
    "brush": lambda rng: _grains(rng, float(rng.uniform(0.15, 0.4)), 700, 9000),
    "tambourine": _tambourine,
}
