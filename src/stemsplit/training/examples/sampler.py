"""Weighted sampling of songs."""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from numpy.random import Generator

from stemsplit.training.data.songs import TrainingSong


class WeightedSampler:
    """Draws songs: renders uniformly, real songs with weights that balance their makers.

    The weight of a maker is the square root of the total duration of their songs; within a maker, songs are
    weighted by duration.

    Parameters
    ----------
    songs : sequence of TrainingSong
        Renders and recordings.
    maker : float
        Largest probability of one maker, if there are renders to draw instead.
    """

    def __init__(self, songs: Sequence[TrainingSong], maker: float = 1.0) -> None:
        self._rendered = [song for song in songs if song.kind == "render"]
        self._real = [song for song in songs if song.kind != "render"]
        lengths: dict[str, int] = defaultdict(int)
        for song in self._real:
            lengths[_maker(song)] += song.n_samples
        weights = np.array([song.n_samples / lengths[_maker(song)] ** 0.5 for song in self._real])
        self._steps = np.cumsum(weights) / max(1e-9, weights.sum())
        roots = [length**0.5 for length in lengths.values()]
        self._most_real = maker * sum(roots) / max(roots, default=1.0)

    def __bool__(self) -> bool:
        return bool(self._real or self._rendered)

    def draw(self, rng: Generator, real: float = 1.0) -> TrainingSong:
        """Draw a song: a recording with probability `real`, or less if its makers are few, else a render."""
        if self._real and (not self._rendered or rng.random() < min(real, self._most_real)):
            return self._real[min(len(self._real) - 1, int(np.searchsorted(self._steps, rng.random())))]
        return self._rendered[int(rng.integers(len(self._rendered)))]


def _maker(song: TrainingSong) -> str:
    return song.maker or song.path.stem
