"""Blocks of a waveform: checked, cut anew, or kept until others arrive."""

from collections.abc import Iterable, Iterator
from typing import Final

import numpy as np

from stemsplit.errors import AudioError
from stemsplit.types import FloatArray

MAX_CHANNELS: Final = 1024  # as many as libsndfile reads
_FEW_CHANNELS: Final = 8  # of the usual layouts: a song of so many may have fewer samples than channels


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


def check_waveform(waveform: FloatArray) -> None:
    """Raise an `AudioError` if an array is not ``(channels, samples)``, or has its axes exchanged."""
    if waveform.ndim != 2:
        raise AudioError(f"the waveform has shape {waveform.shape}; it must be (channels, samples)")
    n_channels, n_samples = waveform.shape
    if n_channels > max(n_samples, _FEW_CHANNELS):
        raise AudioError(
            f"the waveform has shape {waveform.shape}, more channels than samples; "
            "it must be (channels, samples): give waveform.T"
        )


def check_blocks(blocks: Iterable[FloatArray], n_channels: int) -> Iterator[FloatArray]:
    """Yield `blocks`; raise an `AudioError` at the first that is not ``(n_channels, samples)``."""
    for block in blocks:
        if block.ndim != 2:
            raise AudioError(f"a block has shape {block.shape}; it must be (channels, samples)")
        if block.shape[0] != n_channels:
            raise AudioError(f"a block has {block.shape[0]} channels, not {n_channels}")
        yield block


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
