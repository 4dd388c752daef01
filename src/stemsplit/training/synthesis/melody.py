"""Melodies for a voice: phrases with rests, and the pitch curve."""

from collections.abc import Sequence

import numpy as np
from numpy.random import Generator
from scipy.ndimage import gaussian_filter1d

from stemsplit.training.synthesis.midi import Note
from stemsplit.training.synthesis.singing import FRAME_S
from stemsplit.types import FloatArray

_SHORTEST_S = 0.09
_MAJOR = (0, 2, 4, 5, 7, 9, 11)


def make_monophonic(notes: Sequence[Note], middle: float) -> list[Note]:
    """Reduce a melody to one note at a time and transpose it by octaves to the middle of a voice's range.

    Notes are held until the next one where it is near. Pitches 12 or more semitones from the middle are
    folded back.
    """
    if not notes:
        return []
    octaves = 12 * round((middle - float(np.median([note.pitch for note in notes]))) / 12)
    starts = [note.start_s for note in notes]
    out: list[Note] = []
    for note in sorted(notes, key=lambda each: (each.start_s, -each.pitch)):
        if out and note.start_s < out[-1].start_s + _SHORTEST_S:
            continue
        later = min((s for s in starts if s >= note.start_s + _SHORTEST_S), default=note.start_s + 1)
        gap_s = later - note.start_s
        length_s = gap_s if gap_s < 0.6 else min(max(note.length_s, 0.3), gap_s, 4.0)
        pitch = note.pitch + octaves
        if abs(pitch - middle) > 11:
            pitch = round(middle) + (pitch - round(middle) + 6) % 12 - 6
        out.append(Note(note.start_s, length_s, pitch, note.velocity))
    return out


def split_phrases(notes: Sequence[Note], beat_s: float, rng: Generator) -> list[list[Note]]:
    """Split a melody into phrases of 4 to 16 notes with rests between them, from half a beat to some bars.

    Notes within a rest are dropped; the length of a rest is a number of beats.
    """
    out: list[list[Note]] = []
    resumed_s, remaining = 0.0, 0
    for note in notes:
        if note.start_s < resumed_s:
            continue
        is_rest = bool(out) and note.start_s > out[-1][-1].start_s + out[-1][-1].length_s + 0.25
        if remaining <= 0 or is_rest:
            out.append([])
            remaining = int(rng.integers(4, 17))
        out[-1].append(note)
        remaining -= 1
        if remaining == 0:
            rest_beats = float(rng.choice([0.5, 1, 2, 4, 8, 20], p=[0.2, 0.22, 0.28, 0.18, 0.08, 0.04]))
            resumed_s = note.start_s + note.length_s + rest_beats * beat_s
    return out


def pitch_curve(
    notes: Sequence[Note],
    n_frames: int,
    *,
    glide_s: float,
    scoop: float,
    vibrato: "tuple[float, float, float]",
    drift_cents: float,
    rng: Generator,
) -> FloatArray:
    """Return the MIDI pitch per frame of notes that are sung one after another.

    Parameters
    ----------
    notes : sequence of Note
        Notes that do not overlap, in order.
    n_frames : int
        Length of the curve.
    glide_s : float
        Duration of the glide from one note to the next.
    scoop : float
        Semitones below the first note from which the voice slides up to it.
    vibrato : tuple of float
        Rate in Hz, depth in cents (peak), and the delay in seconds before it sets in.
    drift_cents : float
        Standard deviation of the slow drift; a fifth of it is added as fast drift.
    rng : Generator
        Random generator of the drift.
    """
    time = np.arange(n_frames) * FRAME_S
    starts = np.array([note.start_s for note in notes])
    index = np.clip(np.searchsorted(starts, time + glide_s / 2, side="right") - 1, 0, None)
    pitch = gaussian_filter1d(np.array([float(n.pitch) for n in notes])[index], glide_s / FRAME_S / 4 + 0.1)
    pitch -= scoop * np.exp(-np.maximum(time - starts[0], 0) / 0.05)
    rate_hz, depth_cents, delay_s = vibrato
    within_s = time - starts[np.clip(np.searchsorted(starts, time, side="right") - 1, 0, None)]
    onset = gaussian_filter1d(np.clip((within_s - delay_s) / 0.3, 0, 1), 4)
    phase = 2 * np.pi * np.cumsum(rate_hz * (1 + 0.05 * _drift(rng, n_frames, 60))) * FRAME_S
    pitch += onset * depth_cents / 100 * np.sin(phase)
    pitch += drift_cents / 100 * (_drift(rng, n_frames, 50) + 0.2 * _drift(rng, n_frames, 2))
    return np.asarray(pitch, np.float32)


def find_scale(pitches: FloatArray, weights: FloatArray | None = None) -> frozenset[int]:
    """Return the major scale, as pitch classes, that contains most of these MIDI pitches."""
    counts = np.bincount(np.rint(pitches).astype(int) % 12, weights, minlength=12)
    best = max(range(12), key=lambda root: sum(counts[(root + step) % 12] for step in _MAJOR))
    return frozenset((best + step) % 12 for step in _MAJOR)


def quantise_pitch(pitch: FloatArray, scale: frozenset[int]) -> FloatArray:
    """Round each pitch to the nearest note of a scale."""
    notes = np.array([each for each in range(128) if each % 12 in scale])
    return np.asarray(notes[np.abs(pitch[:, None] - notes).argmin(1)], np.float32)


def scale_intervals(pitch: FloatArray, scale: frozenset[int], steps: int) -> FloatArray:
    """Return the semitones from each pitch to the note `steps` further up the scale; an octave is 7 steps."""
    notes = np.array([each for each in range(-24, 152) if each % 12 in scale])
    nearest = np.abs(pitch[:, None] - notes).argmin(1)
    there = np.clip(nearest + steps, 0, notes.size - 1)
    return np.asarray(gaussian_filter1d((notes[there] - notes[nearest]).astype(float), 4), np.float32)


def _drift(rng: Generator, n_frames: int, smoothness: float) -> FloatArray:
    """Return smooth noise of unit variance."""
    noise = gaussian_filter1d(rng.normal(size=n_frames + 1), smoothness, mode="wrap")
    return np.asarray(noise[:n_frames] * np.sqrt(2 * np.sqrt(np.pi) * smoothness), np.float32)
