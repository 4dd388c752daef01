"""Blocks of a waveform: validation, regrouping to a fixed length, and a first-in, first-out buffer."""

from collections.abc import Iterable, Iterator
from typing import Final

import numpy as np

from stemsplit.errors import AudioError
from stemsplit.types import FloatArray

MAX_CHANNELS: Final = 1024  # the limit of libsndfile
_MAX_CHANNELS_OF_LAYOUTS: Final = 8  # up to 7.1: so many channels may be more than the samples of a song


class Fifo:
    """A first-in, first-out buffer of samples, ``(channels, samples)``."""

    def __init__(self, n_channels: int) -> None:
        self._samples = np.zeros((n_channels, 0), dtype=np.float32)

    def __len__(self) -> int:
        return self._samples.shape[-1]

    def append(self, samples: FloatArray) -> None:
        """Append ``(channels, samples)``."""
        self._samples = np.concatenate([self._samples, samples], axis=-1) if len(self) else samples

    def pop(self, n_samples: int) -> FloatArray:
        """Remove and return the first `n_samples`, padded with zeros if the buffer holds fewer."""
        popped, self._samples = self._samples[:, :n_samples], self._samples[:, n_samples:]
        n_missing = n_samples - popped.shape[-1]
        return np.pad(popped, ((0, 0), (0, n_missing))) if n_missing else popped


def check_waveform(waveform: FloatArray) -> None:
    """Check that an array is ``(channels, samples)``.

    Raises
    ------
    AudioError
        If it has another number of axes, or more channels than samples.
    """
    if waveform.ndim != 2:
        raise AudioError(f"the waveform has shape {waveform.shape}; it must be (channels, samples)")
    n_channels, n_samples = waveform.shape
    if n_channels > max(n_samples, _MAX_CHANNELS_OF_LAYOUTS):
        raise AudioError(
            f"the waveform has shape {waveform.shape}, more channels than samples; "
            "it must be (channels, samples): pass waveform.T"
        )


def check_blocks(blocks: Iterable[FloatArray], n_channels: int) -> Iterator[FloatArray]:
    """Yield `blocks` unchanged.

    Raises
    ------
    AudioError
        At the first block whose shape is not ``(n_channels, samples)``.
    """
    for block in blocks:
        if block.ndim != 2:
            raise AudioError(f"a block has shape {block.shape}; it must be (channels, samples)")
        if block.shape[0] != n_channels:
            raise AudioError(f"a block has {block.shape[0]} channels, not {n_channels}")
        yield block


def regroup(blocks: Iterable[FloatArray], n_samples: int) -> Iterator[FloatArray]:
    """Yield the samples of `blocks` in blocks of `n_samples`; the last block may be shorter."""
    pieces: list[FloatArray] = []
    n_buffered = 0
    for block in blocks:
        position = 0
        while position < block.shape[-1]:
            piece = block[..., position : position + n_samples - n_buffered]
            pieces.append(piece)
            position += piece.shape[-1]
            n_buffered += piece.shape[-1]
            if n_buffered == n_samples:
                yield np.concatenate(pieces, axis=-1)
                pieces, n_buffered = [], 0
    if n_buffered:
        yield np.concatenate(pieces, axis=-1)
