"""What each bar of a song sounds like, so that bars can be compared."""

from itertools import pairwise
from typing import Final

import numpy as np

from stemsplit.music.features import CHROMA_HOP, ONSET_HOP, SAMPLE_RATE
from stemsplit.music.tempo import Beats
from stemsplit.types import FloatArray

_STEPS: Final = 16  # of the pattern of onsets
_CHORDS: Final = 2  # of the harmony


def describe_bars(
    strength: FloatArray, low: FloatArray, chroma: FloatArray, beats: Beats | None
) -> FloatArray:
    """Return the harmony and the pattern of onsets of every bar, ``(bars, features)``.

    The product of two bars is 1 if they are alike; the last bar, whose end is not known, is left out.

    Parameters
    ----------
    strength, low
        Onset strength ``(frames,)``, see `stemsplit.music.features.OnsetFeatures`.
    chroma
        Energy by pitch class, ``(12, frames)``.
    beats
        None for a song without bars.
    """
    n_features = 12 * _CHORDS + 2 * _STEPS
    if beats is None or len(beats.downbeats_s) < 2:
        return np.zeros((0, n_features), dtype=np.float32)
    onsets = np.stack([strength, low])
    rows = []
    for start_s, stop_s in pairwise(beats.downbeats_s):
        pattern = _pool(onsets, start_s, stop_s, ONSET_HOP, _STEPS)
        harmony = _pool(chroma, start_s, stop_s, CHROMA_HOP, _CHORDS)
        rows.append(np.concatenate([_unit(each) for each in (harmony, *pattern)]))
    weights = np.repeat([0.5, 0.25, 0.25], [12 * _CHORDS, _STEPS, _STEPS])
    return np.asarray(np.stack(rows) * np.sqrt(weights), dtype=np.float32)


def _pool(features: FloatArray, start_s: float, stop_s: float, hop: int, n_steps: int) -> FloatArray:
    """Return the mean of ``(rows, frames)`` in equal steps of a time, ``(rows, n_steps)``."""
    bounds = np.linspace(start_s, stop_s, n_steps + 1) * SAMPLE_RATE / hop
    places = np.clip(np.rint(bounds).astype(int), 0, features.shape[1] - 1)
    parts = [features[:, start : max(stop, start + 1)] for start, stop in pairwise(places)]
    return np.stack([part.mean(axis=1) for part in parts], axis=1)


def _unit(values: FloatArray) -> FloatArray:
    return np.asarray(values.ravel() / max(float(np.linalg.norm(values)), 1e-9))
