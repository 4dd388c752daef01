"""Synthesised tones: saws, squares, sub basses, FM, pads."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from scipy.signal import lfilter

from stemsplit.training import SAMPLE_RATE
from stemsplit.training.midi import Note
from stemsplit.training.sampler import add_at
from stemsplit.types import FloatArray

SHAPES = ("saw", "square", "sine", "fm", "triangle")


@dataclass(frozen=True)
class Voice:
    """One synthesiser sound.

    Parameters
    ----------
    shape : str
        One of `SHAPES`.
    n_voices : int
        Detuned copies, spread over the stereo image.
    detune : float
        Semitones from the lowest to the highest copy.
    attack_s, decay_s, release_s : float
        Times of the envelope; a decay of 0 sustains.
    cutoff : float
        Cutoff of the low-pass filter, in multiples of the pitch.
    glide_s : float
        Time to slide from the previous pitch.
    """

    shape: str
    n_voices: int = 1
    detune: float = 0.0
    attack_s: float = 0.005
    decay_s: float = 0.0
    release_s: float = 0.08
    cutoff: float = 12.0
    glide_s: float = 0.0


def draw_voice(rng: Generator, role: str) -> Voice:
    """A random sound for a role: "bass", "sub", "pad", "lead" or "pluck"."""
    if role == "sub":
        return Voice("sine" if rng.random() < 0.6 else "triangle", cutoff=8, glide_s=rng.choice([0.0, 0.06]))
    if role == "bass":
        shape = str(rng.choice(["saw", "square", "fm", "triangle"]))
        n_voices = int(rng.integers(1, 4))
        decay_s = float(rng.choice([0.0, 0.25, 0.6]))
        return Voice(
            shape, n_voices, 0.15, 0.004, decay_s, 0.05, rng.uniform(3, 16), float(rng.choice([0.0, 0.05]))
        )
    if role == "pad":
        shape = str(rng.choice(["saw", "square", "triangle"]))
        return Voice(
            shape, int(rng.integers(3, 6)), 0.3, rng.uniform(0.05, 0.6), 0.0, 0.5, rng.uniform(2, 10)
        )
    if role == "lead":
        shape = str(rng.choice(["saw", "square", "fm", "triangle"]))
        return Voice(
            shape, int(rng.integers(1, 5)), 0.2, 0.01, 0.0, 0.1, rng.uniform(5, 25), rng.choice([0.0, 0.07])
        )
    shape = str(rng.choice(["saw", "square", "fm"]))
    return Voice(shape, int(rng.integers(1, 4)), 0.15, 0.002, rng.uniform(0.1, 0.5), 0.1, rng.uniform(4, 20))


def play_voice(voice: Voice, notes: Sequence[Note], *, length_s: float, rng: Generator) -> FloatArray:
    """Play notes on a synthesiser, dry, ``(2, samples)``."""
    out = np.zeros((2, round(length_s * SAMPLE_RATE)), np.float32)
    previous = notes[0].pitch if notes else 60
    for note in notes:
        sound = _tone(voice, note, previous, rng) * (note.velocity / 127) ** 1.2
        add_at(out, sound, round(note.start_s * SAMPLE_RATE))
        previous = note.pitch
    return out


def _tone(voice: Voice, note: Note, previous: int, rng: Generator) -> FloatArray:
    n_samples = round((note.length_s + voice.release_s) * SAMPLE_RATE)
    pitch = np.full(n_samples, float(note.pitch))
    n_glide = min(n_samples, round(voice.glide_s * SAMPLE_RATE))
    if n_glide and abs(previous - note.pitch) <= 12:
        pitch[:n_glide] = np.linspace(previous, note.pitch, n_glide)
    sound = np.zeros((2, n_samples))
    for index in range(voice.n_voices):
        place = index / max(1, voice.n_voices - 1) - 0.5 if voice.n_voices > 1 else 0.0
        frequency = 440 * 2 ** ((pitch + place * voice.detune - 69) / 12)
        phase = rng.random() + np.cumsum(frequency) / SAMPLE_RATE
        wave = _wave(voice.shape, phase, frequency / SAMPLE_RATE)
        pan = np.pi / 4 * (1 + 1.4 * place)
        sound += np.outer([np.cos(pan), np.sin(pan)], wave)
    sound *= _envelope(voice, note.length_s, n_samples) / voice.n_voices**0.5
    cutoff_hz = min(0.45 * SAMPLE_RATE, voice.cutoff * 440 * 2 ** ((note.pitch - 69) / 12))
    keep = float(np.exp(-2 * np.pi * cutoff_hz / SAMPLE_RATE))
    filtered = lfilter([1 - keep], [1, -keep], sound, axis=1)
    return np.asarray(lfilter([1 - keep], [1, -keep], filtered, axis=1), np.float32)


def _wave(shape: str, phase: NDArray[np.float64], step: NDArray[np.float64]) -> FloatArray:
    """One period per unit of phase; corners rounded against aliasing (PolyBLEP)."""
    turn = phase % 1
    if shape == "sine":
        wave = np.sin(2 * np.pi * turn)
    elif shape == "triangle":
        wave = 4 * np.abs(turn - 0.5) - 1
    elif shape == "fm":
        wave = np.sin(2 * np.pi * turn + 1.6 * np.sin(4 * np.pi * turn))
    elif shape == "square":
        wave = _saw(turn, step) - _saw((turn + 0.5) % 1, step)
    else:
        wave = _saw(turn, step)
    return np.asarray(wave, np.float32)


def _saw(turn: NDArray[np.float64], step: NDArray[np.float64]) -> FloatArray:
    wave = 2 * turn - 1
    low, high = turn < step, turn > 1 - step
    near = np.where(low, turn / step, np.where(high, (turn - 1) / step, 0.0))
    correction = np.where(low, 2 * near - near**2 - 1, np.where(high, near**2 + 2 * near + 1, 0.0))
    return np.asarray(wave - correction, np.float32)


def _envelope(voice: Voice, length_s: float, n_samples: int) -> FloatArray:
    time_s = np.arange(n_samples) / SAMPLE_RATE
    level = np.minimum(1.0, time_s / max(1e-3, voice.attack_s))
    if voice.decay_s:
        level *= np.exp(-time_s / voice.decay_s)
    level *= np.clip(1 - (time_s - length_s) / max(1e-3, voice.release_s), 0, 1)
    return np.asarray(level, np.float32)
