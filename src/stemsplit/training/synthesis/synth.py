"""Synthesised tones: saws, squares, sub basses, FM, bells, pads, plucks with a resonant filter."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from scipy.signal import lfilter

from stemsplit.training import SAMPLE_RATE
from stemsplit.training.synthesis.ladder import apply_ladder_filter
from stemsplit.training.synthesis.midi import Note
from stemsplit.training.synthesis.sampler import add_at
from stemsplit.types import FloatArray

SHAPES = ("saw", "square", "sine", "fm", "triangle", "bell")


@dataclass(frozen=True)
class SynthVoice:
    """One synthesiser sound.

    Parameters
    ----------
    shape : str
        One of `SHAPES`.
    n_voices : int
        Number of detuned copies, spread across the stereo image.
    detune : float
        Semitones from the lowest to the highest copy.
    attack_s, decay_s, release_s : float
        Times of the envelope in seconds; a decay of 0 sustains.
    cutoff : float
        Cutoff of the low-pass filter, in multiples of the pitch.
    glide_s : float
        Time in seconds to glide from the previous pitch.
    resonance : float
        Resonance of the filter, 0 to 0.9.
    sweep : float
        Octaves by which the cutoff is raised at the attack; it falls within `decay_s` or half a second.
    vibrato : float
        Depth in semitones, which grows during a note.
    """

    shape: str
    n_voices: int = 1
    detune: float = 0.0
    attack_s: float = 0.005
    decay_s: float = 0.0
    release_s: float = 0.08
    cutoff: float = 12.0
    glide_s: float = 0.0
    resonance: float = 0.0
    sweep: float = 0.0
    vibrato: float = 0.0


def _pad(rng: Generator) -> SynthVoice:
    shape, n_voices = str(rng.choice(["saw", "square", "triangle"])), int(rng.integers(3, 6))
    return SynthVoice(shape, n_voices, 0.3, rng.uniform(0.05, 0.6), 0.0, 0.5, rng.uniform(2, 10))


def _lead(rng: Generator) -> SynthVoice:
    shape = str(rng.choice(["saw", "square", "fm", "triangle"]))
    glide_s, vibrato = float(rng.choice([0.0, 0.05, 0.12])), float(rng.choice([0.0, 0.15, 0.35, 0.6]))
    n_voices, cutoff = int(rng.integers(1, 5)), rng.uniform(5, 25)
    return SynthVoice(shape, n_voices, 0.2, 0.01, 0.0, 0.1, cutoff, glide_s, vibrato=vibrato)


def _supersaw(rng: Generator) -> SynthVoice:
    n_voices, detune, release_s = int(rng.integers(5, 8)), rng.uniform(0.2, 0.6), rng.uniform(0.05, 0.3)
    return SynthVoice("saw", n_voices, detune, 0.004, 0.0, release_s, rng.uniform(8, 40))


def _pluck(rng: Generator) -> SynthVoice:
    shape, n_voices = str(rng.choice(["saw", "saw", "square", "fm"])), int(rng.integers(1, 5))
    decay_s, cutoff = rng.uniform(0.08, 0.5), rng.uniform(1.5, 10)
    resonance, sweep = rng.uniform(0, 0.8), rng.uniform(0.5, 4)
    return SynthVoice(shape, n_voices, 0.2, 0.002, decay_s, 0.1, cutoff, resonance=resonance, sweep=sweep)


def _chip(rng: Generator) -> SynthVoice:
    return SynthVoice("square", 1, 0.0, 0.002, rng.choice([0.0, 0.1, 0.3]), 0.02, 60)


def _bell(rng: Generator) -> SynthVoice:
    return SynthVoice("bell", 1, 0.0, 0.001, rng.uniform(0.3, 1.5), 0.5, 40)


SYNTH_ROLES: dict[str, Callable[[Generator], SynthVoice]] = {
    "pad": _pad,
    "lead": _lead,
    "supersaw": _supersaw,
    "pluck": _pluck,
    "chip": _chip,
    "bell": _bell,
}


def play_synth(voice: SynthVoice, notes: Sequence[Note], *, length_s: float, rng: Generator) -> FloatArray:
    """Play notes on a synthesiser, dry, ``(2, samples)``."""
    out = np.zeros((2, round(length_s * SAMPLE_RATE)), np.float32)
    previous = notes[0].pitch if notes else 60
    tones: dict[tuple[int, float, int], FloatArray] = {}
    for note in notes:
        glide_from = previous if voice.glide_s else note.pitch
        key = (note.pitch, round(note.length_s, 2), glide_from)
        if key not in tones:
            tones[key] = _synthesise_tone(voice, note, glide_from, rng)
        add_at(out, tones[key] * (note.velocity / 127) ** 1.2, round(note.start_s * SAMPLE_RATE))
        previous = note.pitch
    return out


def _synthesise_tone(voice: SynthVoice, note: Note, previous: int, rng: Generator) -> FloatArray:
    n_samples = round((note.length_s + voice.release_s) * SAMPLE_RATE)
    pitch = np.full(n_samples, float(note.pitch))
    n_glide = min(n_samples, round(voice.glide_s * SAMPLE_RATE))
    if n_glide and abs(previous - note.pitch) <= 12:
        pitch[:n_glide] = np.linspace(previous, note.pitch, n_glide)
    if voice.vibrato:
        time_s = np.arange(n_samples) / SAMPLE_RATE
        swing = np.sin(2 * np.pi * rng.uniform(4.5, 6.5) * time_s)
        pitch += voice.vibrato * np.minimum(1, 2.5 * time_s) * swing
    sound = np.zeros((2, n_samples))
    for index in range(voice.n_voices):
        place = index / max(1, voice.n_voices - 1) - 0.5 if voice.n_voices > 1 else 0.0
        frequency = 440 * 2 ** ((pitch + place * voice.detune - 69) / 12)
        phase = rng.random() + np.cumsum(frequency) / SAMPLE_RATE
        wave = _wave(voice.shape, phase, frequency / SAMPLE_RATE)
        pan = np.pi / 4 * (1 + 1.4 * place)
        sound += np.outer([np.cos(pan), np.sin(pan)], wave)
    sound *= _envelope(voice, note.length_s, n_samples) / voice.n_voices**0.5
    return _filter(voice, sound, 440 * 2 ** ((note.pitch - 69) / 12))


def _filter(voice: SynthVoice, sound: NDArray[np.float64], pitch_hz: float) -> FloatArray:
    """Apply the low-pass filter: static and gentle, or a resonant ladder that closes after the attack."""
    cutoff_hz = min(0.45 * SAMPLE_RATE, voice.cutoff * pitch_hz)
    if not voice.sweep and not voice.resonance:
        keep = float(np.exp(-2 * np.pi * cutoff_hz / SAMPLE_RATE))
        filtered = lfilter([1 - keep], [1, -keep], sound, axis=1)
        return np.asarray(lfilter([1 - keep], [1, -keep], filtered, axis=1), np.float32)
    opened = voice.sweep * np.exp(-np.arange(sound.shape[1]) / SAMPLE_RATE / (voice.decay_s or 0.5))
    return apply_ladder_filter(sound.astype(np.float32), cutoff_hz * 2**opened, resonance=voice.resonance)


def _wave(shape: str, phase: NDArray[np.float64], step: NDArray[np.float64]) -> FloatArray:
    """Return one period per unit of phase; corners are rounded against aliasing (PolyBLEP)."""
    turn = phase % 1
    if shape == "sine":
        wave = np.sin(2 * np.pi * turn)
    elif shape == "triangle":
        wave = 4 * np.abs(turn - 0.5) - 1
    elif shape == "fm":
        wave = np.sin(2 * np.pi * turn + 1.6 * np.sin(4 * np.pi * turn))
    elif shape == "bell":
        wave = np.sin(2 * np.pi * turn + 1.2 * np.sin(7 * np.pi * phase))
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


def _envelope(voice: SynthVoice, length_s: float, n_samples: int) -> FloatArray:
    time_s = np.arange(n_samples) / SAMPLE_RATE
    level = np.minimum(1.0, time_s / max(1e-3, voice.attack_s))
    if voice.decay_s:
        level *= np.exp(-time_s / voice.decay_s)
    level *= np.clip(1 - (time_s - length_s) / max(1e-3, voice.release_s), 0, 1)
    return np.asarray(level, np.float32)
