"""Synthesised basses: one voice with glides, a moving filter and saturation."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pedalboard as pb
from numpy.random import Generator
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter1d

from stemsplit.training import SAMPLE_RATE
from stemsplit.training.synthesis.effects import apply_plugins, double_sides, normalise_peak, saturate
from stemsplit.training.synthesis.ladder import apply_ladder_filter
from stemsplit.training.synthesis.midi import Note
from stemsplit.types import FloatArray

Samples = NDArray[np.float64]
_GROWLS = ((1, 1), (1, 2), (1, 3), (2, 1))
_CORNER = 90  # samples over which the corners of a gate are rounded


@dataclass(frozen=True)
class ControlLine:
    """A melody as control signals, one value per sample.

    Parameters
    ----------
    pitch : array
        MIDI pitch, glides included.
    gate : array
        Level by velocity while a note is held, 0 between notes.
    age_s : array
        Seconds since the start of the note.
    """

    pitch: Samples
    gate: Samples
    age_s: Samples

    def turns(self, semitones: float = 0.0) -> Samples:
        """Return the phase in periods since the beginning, detuned by some semitones."""
        return np.cumsum(self.steps(semitones))

    def steps(self, semitones: float = 0.0) -> Samples:
        """Return the periods per sample."""
        return np.asarray(440 * 2 ** ((self.pitch + semitones - 69) / 12) / SAMPLE_RATE)

    def decay(self, time_s: float) -> Samples:
        """Return an exponential envelope that restarts with every note."""
        return np.exp(-self.age_s / time_s)


def control_line(notes: Sequence[Note], *, length_s: float, glide_s: float, release_s: float) -> ControlLine:
    """Return the control signals of notes that do not overlap."""
    n_samples = round(length_s * SAMPLE_RATE)
    pitch = np.full(n_samples, float(notes[0].pitch) if notes else 36.0)
    gate, age_s = np.zeros(n_samples), np.full(n_samples, 60.0)
    before = float(notes[0].pitch) if notes else 36.0
    for note, following in zip(notes, [*notes[1:], None], strict=True):
        first = min(n_samples, max(0, round(note.start_s * SAMPLE_RATE)))
        last = n_samples if following is None else min(n_samples, round(following.start_s * SAMPLE_RATE))
        if last <= first:
            continue
        time_s = np.arange(last - first) / SAMPLE_RATE
        pitch[first:] = note.pitch
        pitch[first:last] += (before - note.pitch) * np.clip(1 - time_s / max(glide_s, 1e-4), 0, 1)
        before = pitch[last - 1]
        gate[first:last] = np.clip(time_s / 0.003, 0, 1)
        gate[first:last] *= np.clip(1 - (time_s - note.length_s) / release_s, 0, 1)
        fall, end = (max(first, last - early) for early in (130 + _CORNER, _CORNER))
        gate[fall:end] *= np.linspace(1, 0, end - fall)
        gate[end:last] = 0
        gate[first:last] *= note.velocity / 104
        age_s[first:last] = time_s
    # Rounded corners do not click; the gate is closed where the next note starts and the envelope jumps.
    return ControlLine(
        pitch, uniform_filter1d(gate, _CORNER, origin=_CORNER // 2 - 1, mode="constant"), age_s
    )


def synth_bass(rng: Generator, notes: Sequence[Note], *, length_s: float, kind: str) -> FloatArray:
    """Play a line on a synthesiser.

    Parameters
    ----------
    rng : Generator
        Random generator of the settings.
    notes : sequence of Note
        Notes that do not overlap, in order.
    length_s : float
        Length in seconds.
    kind : str
        One of `KINDS`.

    Returns
    -------
    FloatArray, shape (2, samples)
        Both channels are the same below about 150 Hz.
    """
    glide_s = (
        float(rng.choice([0.004, rng.uniform(0.03, 0.15)]))
        if kind != "808"
        else float(rng.uniform(0.03, 0.2))
    )
    line = control_line(notes, length_s=length_s, glide_s=glide_s, release_s=float(rng.uniform(0.02, 0.12)))
    falling = line.decay(float(np.exp(rng.uniform(np.log(0.12), np.log(1.2))))) if rng.random() < 0.4 else 1
    mono = np.asarray((KINDS[kind](rng, line) * falling)[None], np.float32)
    out = saturate(normalise_peak(mono, 0.8), float(rng.uniform(0, 14)))
    out = np.repeat(out, 2, axis=0)
    return widen_highs(rng, out) if rng.random() < 0.45 else out


def widen_highs(rng: Generator, waveform: FloatArray) -> FloatArray:
    """Double the waveform left and right above some 150 Hz; the lows stay in the middle."""
    low = apply_plugins(waveform, [pb.LowpassFilter(float(rng.uniform(120, 250)))] * 2)
    share = float(np.exp(rng.uniform(np.log(0.02), 0)))
    return np.asarray(waveform + share * (double_sides(rng, waveform - low) - (waveform - low)), np.float32)


def _saw(line: ControlLine, semitones: float, phase: float) -> Samples:
    """Return a sawtooth whose corners are rounded against aliasing (PolyBLEP)."""
    step = line.steps(semitones)
    turn = (np.cumsum(step) + phase) % 1
    wave: Samples = 2 * turn - 1
    low, high = turn < step, turn > 1 - step
    near = turn[low] / step[low]
    wave[low] -= 2 * near - near**2 - 1
    near = (turn[high] - 1) / step[high]
    wave[high] -= near**2 + 2 * near + 1
    return wave


def _square(line: ControlLine, semitones: float, phase: float) -> Samples:
    return np.asarray(0.7 * (_saw(line, semitones, phase) - _saw(line, semitones, phase + 0.5)))


def _sine(line: ControlLine, semitones: float = 0.0) -> Samples:
    return np.asarray(np.sin(2 * np.pi * line.turns(semitones)))


def _filter(wave: Samples, cutoff_hz: Samples, resonance: float) -> Samples:
    # a four-pole filter attenuates the fundamental unless its cutoff is at about twice the frequency
    out = apply_ladder_filter(np.asarray(0.5 * wave[None], np.float32), cutoff_hz, resonance=resonance)
    return np.asarray(2 * out[0], np.float64)


def _hz(line: ControlLine) -> Samples:
    return line.steps() * SAMPLE_RATE


def _eight_oh_eight(rng: Generator, line: ControlLine) -> Samples:
    drop = 1 + rng.uniform(0, 12) * np.exp(-line.age_s / 0.02) / 12
    tone = np.sin(2 * np.pi * np.cumsum(line.steps() * drop)) * line.decay(float(rng.uniform(0.5, 2.5)))
    drive = float(np.exp(rng.uniform(np.log(1.2), np.log(12))))
    return np.asarray(np.tanh(drive * tone + rng.uniform(0, 0.3)) * line.gate)


def _reese(rng: Generator, line: ControlLine) -> Samples:
    detune = float(rng.uniform(0.08, 0.35))
    saws = sum(_saw(line, place * detune, float(rng.random())) for place in (-1.0, 0.1, 1.0))
    slow_hz, depth = float(rng.uniform(0.1, 1.5)), float(rng.uniform(0.5, 1.5))
    wave = np.sin(2 * np.pi * slow_hz * np.arange(line.pitch.size) / SAMPLE_RATE)
    cutoff_hz = float(rng.uniform(300, 1200)) * 2 ** (depth * wave)
    return np.asarray((_filter(np.asarray(saws) / 2, cutoff_hz, 0.25) + 0.5 * _sine(line)) * line.gate)


def _growl(rng: Generator, line: ControlLine) -> Samples:
    # Whole ratios: a half would lower the note by an octave.
    carrier, modulator = _GROWLS[int(rng.integers(len(_GROWLS)))]
    depth = float(rng.uniform(1, 5)) * (0.3 + line.decay(float(rng.uniform(0.1, 0.6))))
    if rng.random() < 0.5:  # a wobble, as in dubstep
        depth = depth * (1 + np.sin(2 * np.pi * float(rng.uniform(2, 8)) * line.age_s))
    turns = line.turns()
    swing = depth * np.sin(2 * np.pi * modulator * turns)
    return np.asarray(np.sin(2 * np.pi * carrier * turns + swing) * line.gate)


def _acid(rng: Generator, line: ControlLine) -> Samples:
    wave = _saw(line, 0, 0) if rng.random() < 0.6 else _square(line, 0, 0)
    sweep = float(rng.uniform(2, 12)) * line.decay(float(rng.uniform(0.06, 0.4)))
    slow = 1 + 0.5 * np.sin(2 * np.pi * float(rng.uniform(0.03, 0.1)) * np.arange(wave.size) / SAMPLE_RATE)
    cutoff_hz = _hz(line) * (float(rng.uniform(1.5, 4)) + sweep * slow)
    return _filter(wave, cutoff_hz, float(rng.uniform(0.4, 0.85))) * line.gate


def _sub(rng: Generator, line: ControlLine) -> Samples:
    overtones = sum(rng.uniform(0, 0.5) / k * _sine(line, 12 * float(np.log2(k))) for k in (2, 3, 4))
    return np.asarray((_sine(line) + overtones) * line.gate)


def _square_sub(rng: Generator, line: ControlLine) -> Samples:
    cutoff_hz = _hz(line) * float(rng.uniform(2, 9))
    return _filter(_square(line, 0, 0), cutoff_hz, 0.1) * line.gate


def _pluck(rng: Generator, line: ControlLine) -> Samples:
    wave = _square(line, 0, 0) if rng.random() < 0.5 else _saw(line, 0, 0) + 0.5 * _square(line, 0.08, 0.3)
    cutoff_hz = _hz(line) * (1.5 + float(rng.uniform(4, 16)) * line.decay(float(rng.uniform(0.04, 0.15))))
    return _filter(wave, cutoff_hz, 0.2) * line.gate * line.decay(float(rng.uniform(0.2, 0.8)))


def _stack(rng: Generator, line: ControlLine) -> Samples:
    """Stack sawtooths an octave apart, as in synth pop."""
    saws = _saw(line, 0, 0) + rng.uniform(0.2, 0.8) * _saw(line, 12.05, 0.4) + 0.5 * _saw(line, -0.08, 0.2)
    cutoff_hz = _hz(line) * (float(rng.uniform(3, 10)) + 4 * line.decay(0.15))
    return (_filter(saws / 2, cutoff_hz, float(rng.uniform(0, 0.3))) + 0.4 * _sine(line)) * line.gate


KINDS: dict[str, Callable[[Generator, ControlLine], Samples]] = {
    "808": _eight_oh_eight,
    "reese": _reese,
    "growl": _growl,
    "acid": _acid,
    "sub": _sub,
    "square": _square_sub,
    "pluck": _pluck,
    "stack": _stack,
}
