"""A first pass over a song, for models that want to know all of it before they hear any of it.

The pass measures each group of channels that the network hears together: mean and standard deviation of
their sum over their number, as Demucs has it. A song that can be read once only is kept in a temporary file
meanwhile, so that memory does not grow with it.
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


@dataclass(frozen=True)
class Level:
    """Mean and standard deviation of a group of channels."""

    mean: float
    deviation: float


class Scan:
    """Blocks of the mixture in, the level of each group of channels out, at the rate of the model."""

    def __init__(self, groups: Sequence[Sequence[int]], *, sample_rate: int, model_rate: int) -> None:
        self._groups = [list(group) for group in groups]
        self._resampler = Resampler(from_hz=sample_rate, to_hz=model_rate)
        self._sums = np.zeros((2, len(self._groups)))
        self._n_samples = 0
        self._has_begun = False

    def process(self, mixture: FloatArray) -> None:
        """Take ``(channels, samples)``."""
        self._has_begun = True
        self._add(self._resampler.process(mixture))

    def finish(self) -> tuple[Level, ...]:
        """Return the level of each group."""
        if self._has_begun:
            # all of a short song may still be in the resampler
            self._add(self._resampler.flush())
        n_samples = self._n_samples
        mean, square = self._sums / max(1, n_samples)
        deviation = np.sqrt(np.maximum(0, square - mean**2) * n_samples / max(1, n_samples - 1))
        return tuple(map(Level, mean.tolist(), (deviation + 1e-8).tolist()))

    def _add(self, waveform: FloatArray) -> None:
        self._n_samples += waveform.shape[-1]
        for place, group in enumerate(self._groups):
            mono = waveform[group].mean(axis=0, dtype=np.float64)
            self._sums[:, place] += mono.sum(), np.square(mono).sum()


@contextlib.contextmanager
def scan_blocks(
    blocks: Iterable[FloatArray], scans: Sequence[Scan], *, n_channels: int
) -> Iterator[Iterable[FloatArray]]:
    """Give all of `blocks` to `scans`, and within the ``with`` the same blocks again.

    Without scans nothing is read ahead.

    Raises
    ------
    AudioError
        If a block has not `n_channels` channels.
    OutputError
        If the temporary file cannot be written.
    """
    if not scans:
        yield blocks
        return
    with contextlib.ExitStack() as stack:
        kept = None if isinstance(blocks, Sequence) else stack.enter_context(_TemporaryBlocks(n_channels))
        for block in check_blocks(blocks, n_channels):
            for scan in scans:
                scan.process(block)
            if kept is not None:
                kept.write(block)
        yield blocks if kept is None else kept.read()


class _TemporaryBlocks:
    """Blocks in a temporary file, ``(samples, channels)``, so that it can be cut anywhere."""

    def __init__(self, n_channels: int) -> None:
        self._n_channels = n_channels
        with _explaining():
            self._file = tempfile.TemporaryFile(prefix="stemsplit-")  # noqa: SIM115 - closed by __exit__

    def write(self, block: FloatArray) -> None:
        """Append ``(channels, samples)``."""
        with _explaining():
            self._file.write(np.ascontiguousarray(block.T, dtype=np.float32).data)

    def read(self) -> Iterator[FloatArray]:
        """Yield what was written, in other blocks."""
        n_bytes = 4 * self._n_channels * _BLOCK_SAMPLES
        with _explaining():
            self._file.seek(0)
        while content := self._read(n_bytes):
            yield np.frombuffer(content, dtype=np.float32).reshape(-1, self._n_channels).T

    def _read(self, n_bytes: int) -> bytes:
        with _explaining():
            return self._file.read(n_bytes)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):  # what a full disk did not take is written once more, for nothing
            self._file.close()


@contextlib.contextmanager
def _explaining() -> Iterator[None]:
    """Raise every `OSError` of the body as an `OutputError` that names the folder."""
    try:
        yield
    except OSError as error:
        raise OutputError(
            f"{tempfile.tempdir or 'a temporary file'}: the song cannot be kept there for a second pass: "
            f"{error.strerror or error}; free some space, or name another folder in TMPDIR"
        ) from error
