"""Beat and chords of a piece, estimated from its notes and shared by all of its layers.

Chords are pitch classes (0 for C to 11 for B); every layer chooses its own octave for them.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stemsplit.training.synthesis.midi import MidiPart, Note

_SHAPES = {"major": (0, 4, 7), "minor": (0, 3, 7), "suspended": (0, 5, 7), "minor seventh": (0, 3, 7, 10)}
_SHORTEST_S, _LONGEST_S = 0.36, 0.76  # shortest and longest beat
_LEVELS = (0.25, 0.5, 1.0, 2.0, 4.0)  # levels of the metrical grid, in beats
_MOST_ONSETS = 500


@dataclass(frozen=True)
class Pulse:
    """A steady beat: its length and the time of the first bar line, in seconds."""

    beat_s: float
    offset_s: float = 0.0

    def grid(self, step: float, length_s: float) -> list[float]:
        """Return times from zero to `length_s`, `step` beats apart."""
        step_s = self.beat_s * step
        first_s = self.offset_s % step_s
        return [first_s + index * step_s for index in range(max(0, int((length_s - first_s) / step_s) + 1))]


@dataclass(frozen=True)
class Chord:
    """A chord with its start and length; `tones` are pitch classes, the root first."""

    start_s: float
    length_s: float
    tones: tuple[int, ...]

    @property
    def root(self) -> int:
        """Pitch class of the root."""
        return self.tones[0]

    def voicing(self, lowest: int, n_notes: int) -> list[int]:
        """Return `n_notes` of its tones as ascending MIDI pitches, all of them at or above `lowest`."""
        found = [pitch for pitch in range(lowest, lowest + 12 * n_notes) if pitch % 12 in self.tones]
        return found[:n_notes]


def find_pulse(parts: Sequence[MidiPart]) -> Pulse:
    """Estimate the beat whose sixteenths most notes start on; without notes it is two beats per second.

    Of beats that fit equally well, the one with more notes on its eighths and quarters wins.
    """
    starts = onset_times(parts)
    if not starts.size:
        return Pulse(0.5)
    # Steps are so fine that the last note is off by less than an eighth of a sixteenth.
    step_hz = 1 / (32 * max(2.0, float(np.ptp(starts))))
    coarse_hz = _best_rate(starts, np.arange(1 / _LONGEST_S, 1 / _SHORTEST_S, step_hz))
    rate_hz = _best_rate(starts, coarse_hz + step_hz * np.linspace(-1, 1, 41))
    return Pulse(1 / rate_hz, find_bar_line(parts, 1 / rate_hz))


def onset_times(parts: Sequence[MidiPart]) -> NDArray[np.float64]:
    """Return the distinct onsets of some parts in order, evenly thinned out to some hundred."""
    starts = np.unique([round(note.start_s, 3) for part in parts for note in part.notes])
    return starts[:: max(1, starts.size // _MOST_ONSETS)]


def coherence(starts: NDArray[np.float64], step_s: float) -> float:
    """Measure how well times fit a grid of any phase.

    1 if all lie on it, near 0 if they are unrelated to it.
    """
    return float(np.abs(np.exp(2j * np.pi * starts / step_s).mean())) if starts.size else 0.0


def find_bar_line(parts: Sequence[MidiPart], beat_s: float) -> float:
    """Estimate the first bar line of a 4/4 bar.

    The sixteenth on which the most and the longest notes start.
    """
    pitched = [note for part in parts if not part.is_drums for note in part.notes]
    notes = pitched or [note for part in parts for note in part.notes]
    starts = np.array([note.start_s for note in notes])
    weights = np.array([min(note.length_s, 4 * beat_s) for note in notes])
    turns = [np.sum(weights * np.exp(2j * np.pi * starts / (level * beat_s))) for level in _LEVELS]
    first_s = float(np.angle(turns[0])) / (2 * np.pi) * beat_s / 4
    places_s = first_s + beat_s / 4 * np.arange(16)
    support = np.zeros(16)
    for level, turn in zip(_LEVELS, turns, strict=True):
        support += (turn * np.exp(-2j * np.pi * places_s / (level * beat_s))).real
    return float(places_s[int(np.argmax(support))] % (4 * beat_s))


def _best_rate(starts: NDArray[np.float64], rates_hz: NDArray[np.float64]) -> float:
    """Return the rate in Hz whose grid of quarters, eighths and sixteenths fits the onsets best."""
    quarters = np.exp(2j * np.pi * rates_hz[:, None] * starts)
    eighths = np.square(quarters)
    quarter, eighth, sixteenth = (np.abs(each.mean(1)) for each in (quarters, eighths, np.square(eighths)))
    return float(rates_hz[int(np.argmax(sixteenth + 0.5 * eighth + 0.25 * quarter))])


def find_chords(parts: Sequence[MidiPart], pulse: Pulse, *, length_s: float, beats: int = 4) -> list[Chord]:
    """Estimate one chord for every `beats` beats from the notes that sound then.

    Silence keeps the last chord.
    """
    step_s = pulse.beat_s * beats
    notes = [note for part in parts for note in part.notes]
    chords: list[Chord] = []
    tones: tuple[int, ...] = (0, 4, 7)
    for start_s in pulse.grid(beats, length_s):
        weights = _weights(notes, start_s, start_s + step_s)
        tones = _nearest_shape(weights) if weights.any() else tones
        chords.append(Chord(start_s, step_s, tones))
    return chords


def _weights(notes: Sequence[Note], start_s: float, end_s: float) -> NDArray[np.float64]:
    """Return how long each pitch class sounds in a window."""
    weights = np.zeros(12)
    for note in notes:
        shared_s = min(note.start_s + note.length_s, end_s) - max(note.start_s, start_s)
        if shared_s > 0:
            weights[note.pitch % 12] += min(shared_s, 1.0)
    return weights


def _nearest_shape(weights: NDArray[np.float64]) -> tuple[int, ...]:
    def fit(root: int, shape: tuple[int, ...]) -> float:
        inside = sum(weights[(root + up) % 12] for up in shape)
        return float(inside + 0.5 * weights[root] - 0.12 * len(shape) * weights.sum() / 3)

    candidates = [(root, shape) for root in range(12) for shape in _SHAPES.values()]
    root, shape = max(candidates, key=lambda each: fit(*each))
    return tuple((root + up) % 12 for up in shape)
