"""Pieces of any length, handed out in blocks."""

from collections.abc import Iterator

import numpy as np

from stemsplit.types import FloatArray


class BlockBuffer:
    """Regroups what decoders yield; holds no more than a block and a piece.

    Parameters
    ----------
    pieces : iterator of array of float32, shape (channels, samples)
    """

    def __init__(self, pieces: Iterator[FloatArray]) -> None:
        self._pieces = pieces
        self._held: list[FloatArray] = []
        self._n_held = 0

    def read(self, n_samples: int, n_channels: int) -> FloatArray:
        """Return the next `n_samples`; fewer, down to none, only where the pieces end."""
        while self._n_held < n_samples and (piece := next(self._pieces, None)) is not None:
            self._held.append(piece)
            self._n_held += piece.shape[1]
        if not self._held:
            return np.empty((n_channels, 0), np.float32)
        joined = np.concatenate(self._held, axis=1)
        block, rest = joined[:, :n_samples], joined[:, n_samples:]
        self._held, self._n_held = [rest], rest.shape[1]
        return np.ascontiguousarray(block)
