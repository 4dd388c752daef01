"""What the accompaniment agrees on: the beat and the chords, read off the notes of a piece.

Chords are pitch classes (0 for C to 11 for B); a layer chooses its own octave for them.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stemsplit.training.studio.midi import Note, Part

_SHAPES = {"major": (0, 4, 7), "minor": (0, 3, 7), "suspended": (0, 5, 7), "minor seventh": (0, 3, 7, 10)}
_BEATS_S = np.linspace(0.36, 0.76, 81)


@dataclass(frozen=True)
class Pulse:
    """A steady beat: its length and the time of one of its beats, in seconds."""

    beat_s: float
    offset_s: float = 0.0

    def grid(self, step: float, length_s: float) -> list[float]:
        """Times from zero to `length_s`, `step` beats apart."""
        step_s = self.beat_s * step
        first_s = self.offset_s % step_s
        return [first_s + index * step_s for index in range(max(0, int((length_s - first_s) / step_s) + 1))]


@dataclass(frozen=True)
class Chord:
    """A harmony that holds for a while: its tones as pitch classes, the root first."""

    start_s: float
    length_s: float
    tones: tuple[int, ...]

    @property
    def root(self) -> int:
        """Pitch class of the root."""
        return self.tones[0]

    def voiced(self, lowest: int, n_notes: int) -> list[int]:
        """Its tones as MIDI pitches, going up from the first one at or above `lowest`."""
        found = [pitch for pitch in range(lowest, lowest + 12 * n_notes) if pitch % 12 in self.tones]
        return found[:n_notes]


def find_pulse(parts: Sequence[Part]) -> Pulse:
    """The beat on whose sixteenths most notes start; two beats a second where there are no notes."""
    starts = np.array([note.start_s for part in parts for note in part.notes][:800])
    if not starts.size:
        return Pulse(0.5)
    sixteenths = _BEATS_S / 4
    turns = np.exp(2j * np.pi * starts[None] / sixteenths[:, None]).mean(1)
    best = int(np.argmax(np.abs(turns)))
    offset_s = float(np.angle(turns[best])) / (2 * np.pi) * sixteenths[best]
    return Pulse(float(_BEATS_S[best]), offset_s % float(_BEATS_S[best]))


def find_chords(parts: Sequence[Part], pulse: Pulse, *, length_s: float, beats: int = 4) -> list[Chord]:
    """One chord for every `beats` beats, from what sounds then; silence keeps the chord before it."""
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
    """How long each pitch class sounds in a window."""
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
