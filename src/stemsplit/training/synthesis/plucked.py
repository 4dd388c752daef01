"""Plucked strings by the Karplus-Strong algorithm: a noise burst in a delay line that loses its highs.

Karplus and Strong, "Digital synthesis of plucked-string and drum timbres", Computer Music Journal, 1983.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from stemsplit.training import SAMPLE_RATE
from stemsplit.training.examples.augment import change_speed
from stemsplit.training.synthesis.midi import Note
from stemsplit.training.synthesis.sampler import add_at
from stemsplit.types import FloatArray

_OVERSAMPLING = 2


@dataclass(frozen=True)
class PluckedString:
    """A kind of string.

    Parameters
    ----------
    brightness : float
        0 for a dark pluck (finger, neck pickup) to 1 for a bright one (plectrum, bridge pickup).
    ring_s : float
        Time in which the A below middle C decays by 60 dB.
    position : float
        Position of pluck and pickup as a share of the string: 0.05 at the bridge to 0.5 in the middle.
    damping : float
        How fast the highs decay: 0.02 for a new steel string, 0.5 for nylon or a palm mute.
    """

    brightness: float = 0.7
    ring_s: float = 4.0
    position: float = 0.15
    damping: float = 0.1


def draw_string(rng: Generator, kind: str) -> PluckedString:
    """Draw a random string: "electric", "steel", "nylon" or "muted"."""
    position = float(rng.uniform(0.06, 0.35))
    if kind == "muted":
        return PluckedString(rng.uniform(0.3, 0.7), rng.uniform(0.15, 0.4), position, rng.uniform(0.2, 0.5))
    if kind == "nylon":
        return PluckedString(rng.uniform(0.1, 0.4), rng.uniform(1.5, 3), position, rng.uniform(0.2, 0.45))
    if kind == "steel":
        return PluckedString(rng.uniform(0.6, 1.0), rng.uniform(2, 5), position, rng.uniform(0.03, 0.12))
    return PluckedString(rng.uniform(0.4, 0.9), rng.uniform(4, 9), position, rng.uniform(0.02, 0.15))


def pluck(string: PluckedString, pitch: int, *, length_s: float, rng: Generator) -> FloatArray:
    """Synthesise one note, mono ``(1, samples)``, with a peak of one."""
    frequency_hz = 440 * 2 ** ((pitch - 69) / 12)
    period = SAMPLE_RATE * _OVERSAMPLING / frequency_hz
    n_period = max(4, round(period))
    burst = _burst(string, n_period, rng)
    n_rounds = int(length_s * frequency_hz) + 2
    keep = 10 ** (-3 / (string.ring_s * 220 * (frequency_hz / 220) ** 0.6))
    rounds = np.empty((n_rounds, n_period))
    for index in range(n_rounds):
        rounds[index] = burst
        burst = keep * ((1 - string.damping) * burst + string.damping * np.roll(burst, 1))
    # Damping lengthens the loop by `damping` samples; the playback speed corrects this and the rounding.
    speed = _OVERSAMPLING * (n_period + string.damping) / period
    sound = change_speed(rounds.reshape(1, -1).astype(np.float32), speed)[:, : round(length_s * SAMPLE_RATE)]
    return sound / max(1e-6, float(np.abs(sound).max(initial=0.0)))


def play_plucked(
    string: PluckedString,
    notes: Sequence[Note],
    *,
    length_s: float,
    rng: Generator,
    muted: PluckedString | None = None,
) -> FloatArray:
    """Play notes on strings, dry, mono ``(1, samples)``.

    Short notes are played on `muted` where it is given.
    """
    out = np.zeros((1, round(length_s * SAMPLE_RATE)), np.float32)
    sounds: dict[tuple[int, bool], FloatArray] = {}
    for note in notes:
        is_muted = muted is not None and note.length_s < 0.13
        key = (note.pitch, is_muted)
        if key not in sounds:
            kind = muted if muted is not None and is_muted else string
            sounds[key] = pluck(kind, note.pitch, length_s=0.5 if is_muted else 3.0, rng=rng)
        sound = sounds[key][:, : round((note.length_s + 0.06) * SAMPLE_RATE)].copy()
        n_fade = min(sound.shape[1], round(0.05 * SAMPLE_RATE))
        sound[:, sound.shape[1] - n_fade :] *= np.linspace(1, 0, n_fade, dtype=np.float32)
        add_at(out, sound * (note.velocity / 127) ** 1.5, round(note.start_s * SAMPLE_RATE))
    return out


def _burst(string: PluckedString, n_period: int, rng: Generator) -> FloatArray:
    """Return one period of the string at the pluck.

    Darkened noise without the partials that have a node there.
    """
    spectrum = np.fft.rfft(rng.uniform(-1, 1, n_period))
    partials = np.arange(spectrum.size)
    slope = 1.6 - 1.4 * string.brightness
    spectrum *= np.sin(np.pi * string.position * partials) / np.maximum(1, partials) ** slope
    return np.asarray(np.fft.irfft(spectrum, n_period))
