"""Blocks of a waveform: cut anew, or kept until others arrive."""

from collections.abc import Iterable, Iterator

import numpy as np

from stemsplit.types import FloatArray


class Fifo:
    """Samples waiting for others: ``(channels, samples)`` in, the same in the same order out."""

    def __init__(self, n_channels: int) -> None:
        self._samples = np.zeros((n_channels, 0), dtype=np.float32)

    def __len__(self) -> int:
        return self._samples.shape[-1]

    def put(self, samples: FloatArray) -> None:
        """Append samples."""
        self._samples = np.concatenate([self._samples, samples], axis=-1) if len(self) else samples

    def take(self, n_samples: int) -> FloatArray:
        """Remove and return the first `n_samples`; silence stands in for what was never put."""
        taken, self._samples = self._samples[:, :n_samples], self._samples[:, n_samples:]
        missing = n_samples - taken.shape[-1]
        return np.pad(taken, ((0, 0), (0, missing))) if missing else taken


def regroup(blocks: Iterable[FloatArray], n_samples: int) -> Iterator[FloatArray]:
    """Yield the same samples in blocks of `n_samples`, the last one shorter."""
    waiting: list[FloatArray] = []
    n_waiting = 0
    for block in blocks:
        position = 0
        while position < block.shape[-1]:
            part = block[..., position : position + n_samples - n_waiting]
            waiting.append(part)
            position += part.shape[-1]
            n_waiting += part.shape[-1]
            if n_waiting == n_samples:
                yield np.concatenate(waiting, axis=-1)
                waiting, n_waiting = [], 0
    if n_waiting:
        yield np.concatenate(waiting, axis=-1)
