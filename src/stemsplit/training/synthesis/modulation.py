"""Effects that vary over time: vibrato, bends, tremolo, wah, rotary loudspeakers, tape wow."""

from collections.abc import Sequence

import numpy as np
import pedalboard as pb
from numpy.random import Generator
from numpy.typing import NDArray
from scipy.signal import lfilter

from stemsplit.training import SAMPLE_RATE
from stemsplit.training.synthesis.midi import Note
from stemsplit.types import FloatArray

_RETURN_S = 0.004
_BLOCK_SAMPLES = 256


def apply_delay_curve(waveform: FloatArray, delay_samples: NDArray[np.float64]) -> FloatArray:
    """Delay each sample by `delay_samples`; a delay that changes changes the pitch."""
    places = np.arange(waveform.shape[1]) - delay_samples
    known = np.arange(waveform.shape[1])
    return np.stack([np.interp(places, known, row) for row in waveform]).astype(np.float32)


def bend_to_curve(waveform: FloatArray, semitones: NDArray[np.float64], notes: Sequence[Note]) -> FloatArray:
    """Bend the pitch by a curve of semitones around zero.

    The time that a bend loses stays lost until the next note starts, where the sound is cross-faded back into
    time. Catching up earlier would make the bent note sharp.
    """
    n_samples = waveform.shape[1]
    lost = np.cumsum(1 - 2 ** (semitones / 12))
    starts = np.unique([0, *(round(note.start_s * SAMPLE_RATE) for note in notes)])
    starts = starts[starts < n_samples]
    lag = lost - np.repeat(lost[starts], np.diff(starts, append=n_samples))
    to_next = np.repeat(np.append(starts[1:], 2 * n_samples), np.diff(starts, append=n_samples))
    share = np.minimum(1, (to_next - np.arange(n_samples)) / (_RETURN_S * SAMPLE_RATE))
    return np.asarray(share * apply_delay_curve(waveform, lag) + (1 - share) * waveform, np.float32)


def vibrato_curve(
    notes: Sequence[Note], n_samples: int, rng: Generator, *, depth: float = 0.35
) -> NDArray[np.float64]:
    """Return a curve in semitones: a vibrato whose depth rises during every longer note."""
    curve = np.zeros(n_samples)
    for note in notes:
        start, stop = (round(s * SAMPLE_RATE) for s in (note.start_s, note.start_s + note.length_s))
        time_s = np.arange(max(0, min(stop, n_samples) - start)) / SAMPLE_RATE
        if note.length_s > 0.25 and time_s.size:
            swing = np.sin(2 * np.pi * (rng.uniform(4.5, 6.8) * time_s + rng.random()))
            curve[start : start + time_s.size] = (
                rng.uniform(0.3, 1) * depth * swing * np.minimum(1, 2 * time_s)
            )
    return curve


def bend_notes(waveform: FloatArray, notes: Sequence[Note], rng: Generator) -> FloatArray:
    """Add vibrato to long notes and bend some notes up from one or two semitones below."""
    curve = vibrato_curve(notes, waveform.shape[1], rng, depth=float(rng.uniform(0.2, 0.6)))
    for note in notes:
        if note.length_s > 0.2 and rng.random() < 0.3:
            start = round(note.start_s * SAMPLE_RATE)
            n_bend = round(min(0.6 * note.length_s, rng.uniform(0.06, 0.3)) * SAMPLE_RATE)
            rise = -rng.choice([1.0, 2.0]) * np.cos(np.linspace(0, np.pi / 2, n_bend)) ** 2
            stop = min(curve.size, start + n_bend)
            curve[start:stop] += rise[: max(0, stop - start)]
    return bend_to_curve(waveform, curve, notes)


def apply_tremolo(rng: Generator, waveform: FloatArray) -> FloatArray:
    """Modulate the level 3.5 to 8 times per second, sometimes in opposite phase on the two sides."""
    time_s = np.arange(waveform.shape[1]) / SAMPLE_RATE
    depth, rate_hz = rng.uniform(0.2, 0.8), rng.uniform(3.5, 8)
    lag = 0.5 if waveform.shape[0] == 2 and rng.random() < 0.4 else 0.0
    turns = [rate_hz * time_s + lag * channel for channel in range(waveform.shape[0])]
    gains = [1 - depth * (0.5 + 0.5 * np.sin(2 * np.pi * turn)) for turn in turns]
    return np.asarray(waveform * np.stack(gains), np.float32)


def apply_wah(
    waveform: FloatArray, rate_hz: float, *, low_hz: float = 400.0, high_hz: float = 2200.0
) -> FloatArray:
    """Sweep a resonant band-pass filter up and down, as a wah pedal that is played evenly."""
    ladder = pb.LadderFilter(pb.LadderFilter.BPF12, low_hz, 0.6)
    out = np.empty_like(waveform, np.float32)
    for start in range(0, waveform.shape[1], _BLOCK_SAMPLES):
        turn = 2 * np.pi * rate_hz * start / SAMPLE_RATE
        ladder.cutoff_hz = low_hz * (high_hz / low_hz) ** (0.5 - 0.5 * float(np.cos(turn)))
        block = np.ascontiguousarray(waveform[:, start : start + _BLOCK_SAMPLES], np.float32)
        out[:, start : start + _BLOCK_SAMPLES] = ladder.process(block, SAMPLE_RATE, reset=False)
    return out + 0.3 * waveform


def apply_rotary(rng: Generator, waveform: FloatArray) -> FloatArray:
    """Simulate a rotary loudspeaker.

    Level, pitch and position of the horn rotate, slowly or fast, in stereo.
    """
    n_samples = waveform.shape[1]
    slow_hz, fast_hz = rng.uniform(0.6, 1.0), rng.uniform(5.5, 7.2)
    is_fast = np.repeat(rng.random(n_samples // (4 * SAMPLE_RATE) + 1) < 0.5, 4 * SAMPLE_RATE)[:n_samples]
    target_hz = np.where(is_fast, fast_hz, slow_hz)
    ramp = float(np.exp(-1 / (0.5 * SAMPLE_RATE)))
    rate_hz = lfilter([1 - ramp], [1, -ramp], target_hz)
    turn = 2 * np.pi * np.cumsum(rate_hz) / SAMPLE_RATE
    mono = waveform.mean(0, keepdims=True)
    depth, swing = rng.uniform(8, 22), rng.uniform(0.15, 0.4)
    sides = [
        apply_delay_curve(mono, 30 + depth * np.sin(turn + angle)) * (1 + swing * np.cos(turn + angle))
        for angle in (0.0, rng.uniform(1.2, 2.4))
    ]
    return np.concatenate(sides).astype(np.float32)


def apply_wow(rng: Generator, waveform: FloatArray) -> FloatArray:
    """Simulate the uneven speed of a tape or a record."""
    time_s = np.arange(waveform.shape[1]) / SAMPLE_RATE
    slow = rng.uniform(20, 120) * np.sin(2 * np.pi * (rng.uniform(0.3, 1.2) * time_s + rng.random()))
    flutter = rng.uniform(0.5, 4) * np.sin(2 * np.pi * (rng.uniform(5, 10) * time_s + rng.random()))
    return apply_delay_curve(waveform, 130 + slow + flutter)
