"""Track normalisation: a first pass over a song, for models that need its mean and standard deviation.

Demucs subtracts the mean of the mono mix of the whole track from its input and divides by its standard
deviation; both are measured here, for each group of channels that goes through the model together. A song
that can be read only once is kept in a temporary file for the second pass: memory does not grow with it.
"""

import contextlib
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from stemsplit.dsp.blocks import check_blocks
from stemsplit.dsp.resample import Resampler
from stemsplit.errors import OutputError
from stemsplit.types import FloatArray

_BLOCK_SAMPLES = 65536
_SAMPLE_BYTES = 4


@dataclass(frozen=True)
class Normalisation:
    """The mean and the standard deviation of the mono mix of a group of channels."""

    mean: float
    deviation: float


class TrackScan:
    """Measures the `Normalisation` of each group of channels, at the model's sample rate.

    Parameters
    ----------
    groups
        The channels of each group.
    sample_rate
        Of the song, in Hz.
    model_rate
        Of the model, in Hz.
    """

    def __init__(self, groups: Sequence[Sequence[int]], *, sample_rate: int, model_rate: int) -> None:
        self._groups = [list(group) for group in groups]
        self._resampler = Resampler(from_hz=sample_rate, to_hz=model_rate)
        self._sums = np.zeros((2, len(self._groups)))  # of the samples and of their squares
        self._n_samples = 0
        self._has_begun = False

    def process(self, mixture: FloatArray) -> None:
        """Add ``(channels, samples)``."""
        self._has_begun = True
        self._add(self._resampler.process(mixture))

    def finish(self) -> tuple[Normalisation, ...]:
        """Return the normalisation of each group."""
        if self._has_begun:
            # a short song may still be in the resampler completely
            self._add(self._resampler.flush())
        n_samples = self._n_samples
        mean, square = self._sums / max(1, n_samples)
        deviation = np.sqrt(np.maximum(0, square - mean**2) * n_samples / max(1, n_samples - 1))
        return tuple(map(Normalisation, mean.tolist(), (deviation + 1e-8).tolist()))

    def _add(self, waveform: FloatArray) -> None:
        self._n_samples += waveform.shape[-1]
        for index, group in enumerate(self._groups):
            mono = waveform[group].mean(axis=0, dtype=np.float64)
            self._sums[:, index] += mono.sum(), np.square(mono).sum()


@contextlib.contextmanager
def scan_blocks(
    blocks: Iterable[FloatArray], scans: Sequence[TrackScan], *, sample_rate: int, n_channels: int
) -> Iterator[Iterable[FloatArray]]:
    """Run `scans` over all `blocks`; within the ``with`` statement, the same samples can be read again.

    Without scans no block is read ahead.

    Raises
    ------
    AudioError
        As of `check_blocks`.
    OutputError
        If the temporary file cannot be written.
    """
    if not scans:
        yield blocks
        return
    with contextlib.ExitStack() as stack:
        copy = None if isinstance(blocks, Sequence) else stack.enter_context(_TemporaryBlocks(n_channels))
        for block in check_blocks(blocks, n_channels, sample_rate=sample_rate):
            for scan in scans:
                scan.process(block)
            if copy is not None:
                copy.write(block)
        yield blocks if copy is None else copy.read()


class _TemporaryBlocks:
    """Blocks in a temporary file, stored as ``(samples, channels)`` so that it can be read in any blocks."""

    def __init__(self, n_channels: int) -> None:
        self._n_channels = n_channels
        with _convert_os_errors():
            self._file = tempfile.TemporaryFile(prefix="stemsplit-")  # noqa: SIM115 - closed by __exit__

    def write(self, block: FloatArray) -> None:
        """Append ``(channels, samples)``."""
        with _convert_os_errors():
            self._file.write(np.ascontiguousarray(block.T, dtype=np.float32).data)

    def read(self) -> Iterator[FloatArray]:
        """Yield the samples from the beginning, in blocks of `_BLOCK_SAMPLES`."""
        n_bytes = _SAMPLE_BYTES * self._n_channels * _BLOCK_SAMPLES
        with _convert_os_errors():
            self._file.seek(0)
        while content := self._read(n_bytes):
            yield np.frombuffer(content, dtype=np.float32).reshape(-1, self._n_channels).T

    def _read(self, n_bytes: int) -> bytes:
        with _convert_os_errors():
            return self._file.read(n_bytes)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):  # closing flushes again, which fails again on a full disk
            self._file.close()


@contextlib.contextmanager
def _convert_os_errors() -> Iterator[None]:
    """Raise every `OSError` of the body as an `OutputError` that names the folder."""
    try:
        yield
    except OSError as error:
        raise OutputError(
            f"{tempfile.tempdir or 'a temporary file'}: the song cannot be kept there for a second pass: "
            f"{error.strerror or error}; free some space, or name another folder in TMPDIR"
        ) from error
