"""Blocks of a waveform: validation, regrouping to a fixed length, and a first-in, first-out buffer."""

from collections.abc import Iterable, Iterator
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from stemsplit.errors import AudioError
from stemsplit.types import LOUDEST, FloatArray

# what a song may come as
AudioArray: TypeAlias = NDArray[np.floating[Any] | np.integer[Any]]

# the zero and the full scale of integers
_FULL_SCALES: Final = {"uint8": (128, 128), "int16": (0, 2**15), "int32": (0, 2**31)}

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


def scale_to_float(waveform: AudioArray) -> FloatArray:
    """Return a waveform as float32 with full scale at 1.

    Parameters
    ----------
    waveform
        Floating point, which is taken to have its full scale at 1; or int16, int32 or uint8, which are scaled
        by the range of their type. uint8 has its zero at 128, as in a wav.

    Raises
    ------
    AudioError
        If it is of another type: of the int64 of a list of numbers nobody knows the full scale.

    Examples
    --------
    >>> scale_to_float(np.array([[-32768, 16384]], dtype=np.int16))
    array([[-1. ,  0.5]], dtype=float32)
    """
    array: NDArray[Any] = np.asarray(waveform)
    if array.dtype.kind == "f":
        return array.astype(np.float32, copy=False)
    if array.dtype.name not in _FULL_SCALES:
        raise AudioError(
            f"a waveform of {array.dtype} has no known full scale; pass floating point with full scale at 1, "
            "or int16, int32 or uint8"
        )
    zero, full_scale = _FULL_SCALES[array.dtype.name]
    return ((array.astype(np.float64) - zero) / full_scale).astype(np.float32)


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


def check_song(*, sample_rate: int, n_channels: int) -> None:
    """Check that a song can have a sample rate in Hz and a number of channels.

    Raises
    ------
    AudioError
        If one is below 1, or there are more than `MAX_CHANNELS`.
    """
    if sample_rate < 1 or n_channels < 1:
        raise AudioError(f"{n_channels} channels at {sample_rate} Hz are not audio; both must be 1 or more")
    if n_channels > MAX_CHANNELS:
        raise AudioError(f"a song of {n_channels} channels cannot be separated; the limit is {MAX_CHANNELS}")


def check_blocks(
    blocks: Iterable[NDArray[np.floating[Any]]], n_channels: int, *, sample_rate: int
) -> Iterator[FloatArray]:
    """Yield `blocks` as float32.

    Parameters
    ----------
    blocks
        Of one song from its start, floating point of any width, with full scale at 1.
    n_channels
        Of every block.
    sample_rate
        Of the song, in Hz.

    Raises
    ------
    AudioError
        At the first block that is not floating point, whose shape is not ``(n_channels, samples)``, or that
        holds NaN, infinity or a sample beyond `stemsplit.types.LOUDEST`.
    """
    n_samples = 0
    for block in blocks:
        _check_shape(block, n_channels)
        if block.size:
            _check_values(block, start=n_samples, sample_rate=sample_rate)
        n_samples += block.shape[1]
        yield block.astype(np.float32, copy=False)


def _check_shape(block: NDArray[Any], n_channels: int) -> None:
    if block.dtype.kind != "f":
        raise AudioError(f"a block is of {block.dtype}; it must be floating point, with full scale at 1")
    if block.ndim != 2:
        raise AudioError(f"a block has shape {block.shape}; it must be (channels, samples)")
    if block.shape[0] != n_channels:
        raise AudioError(f"a block has {block.shape[0]} channels, not {n_channels}")


def _check_values(block: NDArray[np.floating[Any]], *, start: int, sample_rate: int) -> None:
    # Python's floats: float16 has no number as large. NaN fails too, every comparison with it is false.
    if float(block.min()) >= -LOUDEST and float(block.max()) <= LOUDEST:
        return
    sample, channel = np.argwhere(~(np.abs(block.astype(np.float64)) <= LOUDEST).T)[0]
    raise AudioError(
        f"the sample at {(start + sample) / sample_rate:.1f} s (channel {channel + 1}) of the mixture is "
        f"{block[channel, sample]:g}, not audio; repair it first"
    )


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
