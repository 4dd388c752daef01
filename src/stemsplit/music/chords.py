"""Chords: major and minor triads for each beat, by templates and a hidden Markov model."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from stemsplit.music.features import CHROMA_HOP, SAMPLE_RATE
from stemsplit.music.key import PITCH_CLASSES
from stemsplit.types import FloatArray

NO_CHORD: Final = "N"
_QUALITIES: Final = {"maj": (0, 4, 7), "min": (0, 3, 7)}
_LABELS: Final = (NO_CHORD, *(f"{root}:{quality}" for quality in _QUALITIES for root in PITCH_CLASSES))
_STAY: Final = 0.85  # chance that the chord of one beat is that of the next
_SHARPNESS: Final = 14.0  # how much a better fit counts
_NO_CHORD_FIT: Final = 0.62  # fit of "no chord": a flat spectrum fits a triad about so well
_SLOW_BEAT_S: Final = 0.7
_STEP_S: Final = 0.5  # where there are no beats


@dataclass(frozen=True)
class Chord:
    """A chord from `start_s` to `stop_s`, named like ``C:maj``, ``A:min`` or ``N`` (Harte 2005)."""

    start_s: float
    stop_s: float
    name: str


def estimate_chords(
    chroma: FloatArray, beats_s: NDArray[np.float64] | None, duration_s: float
) -> list[Chord]:
    """Return the chords of a song, one after the other, without gaps.

    Parameters
    ----------
    chroma
        Energy by pitch class, ``(12, frames)``.
    beats_s
        Times of the beats; None for steps of half a second.
    duration_s
        Of the song; where the last chord stops.
    """
    if not chroma.shape[1] or not chroma.any():
        return []
    inner = np.arange(_STEP_S, duration_s, _STEP_S) if beats_s is None else _divide(beats_s)
    bounds_s = np.concatenate([[0.0], inner[(inner > 0.05) & (inner < duration_s - 0.05)], [duration_s]])
    by_step = _mean_between(chroma, bounds_s)
    return _merge(bounds_s, [_LABELS[state] for state in _decode(by_step)])


def _divide(beats_s: NDArray[np.float64]) -> NDArray[np.float64]:
    """Put a bound in the middle of each beat where beats are slow: chords change on half beats there."""
    if np.median(np.diff(beats_s)) < _SLOW_BEAT_S:
        return beats_s
    return np.sort(np.concatenate([beats_s, (beats_s[1:] + beats_s[:-1]) / 2]))


def _mean_between(chroma: FloatArray, bounds_s: NDArray[np.float64]) -> FloatArray:
    """Mean chroma ``(12, steps)`` of the frames between two bounds each, of the nearest frame at least."""
    places = np.clip(np.rint(bounds_s * SAMPLE_RATE / CHROMA_HOP).astype(int), 0, chroma.shape[1] - 1)
    parts = [chroma[:, start : max(stop, start + 1)] for start, stop in pairwise(places)]
    return np.stack([part.mean(axis=1) for part in parts], axis=1)


def _decode(chroma: FloatArray) -> Sequence[int]:
    """The likeliest sequence of states for ``(12, steps)``, by the Viterbi algorithm."""
    import librosa

    fits = _templates() @ (chroma / np.maximum(np.linalg.norm(chroma, axis=0), 1e-9))
    silent = chroma.sum(axis=0) < 0.02 * max(float(chroma.sum(axis=0).max()), 1e-9)
    none = np.where(silent, 1.5, _NO_CHORD_FIT)
    chances = np.exp(_SHARPNESS * np.vstack([none, fits]))
    chances /= chances.sum(axis=0)
    transition = librosa.sequence.transition_loop(len(_LABELS), _STAY)
    return [int(state) for state in librosa.sequence.viterbi_discriminative(chances, transition)]


def _templates() -> NDArray[np.float64]:
    """Unit templates ``(chords, 12)``: the notes of each triad, and the loudest partials of each note."""
    rows = []
    for notes in _QUALITIES.values():
        template = np.zeros(12)
        for note in notes:
            # partials 1, 2 and 4 are the note itself, the third is a fifth above, the fifth a major third
            template[note] += 1.0
            template[(note + 7) % 12] += 0.2
            template[(note + 4) % 12] += 0.1
        rows += [np.roll(template, root) for root in range(12)]
    stacked = np.stack(rows)
    return np.asarray(stacked / np.linalg.norm(stacked, axis=1, keepdims=True))


def _merge(bounds_s: NDArray[np.float64], names: Sequence[str]) -> list[Chord]:
    """Join steps of the same chord."""
    changes = [0, *(place for place in range(1, len(names)) if names[place] != names[place - 1]), len(names)]
    return [
        Chord(round(float(bounds_s[start]), 3), round(float(bounds_s[stop]), 3), names[start])
        for start, stop in pairwise(changes)
    ]


def format_lab(chords: Sequence[Chord]) -> str:
    """Return chords as the lines of a ``.lab`` file: start, stop, name.

    >>> format_lab([Chord(0.0, 1.5, "C:maj")])
    '0.000\\t1.500\\tC:maj\\n'
    """
    return "".join(f"{chord.start_s:.3f}\t{chord.stop_s:.3f}\t{chord.name}\n" for chord in chords)
