"""A first pass over a song, for models that want to know all of it before they hear any of it.

The pass measures each group of channels that the network hears together: mean and standard deviation of
their sum over their number, as Demucs has it. A song that can be read once only is kept in a temporary file
meanwhile, so that memory does not grow with it.
"""

import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO

import numpy as np

from stemsplit.blocks import check_blocks
from stemsplit.resample import Resampler
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

    def process(self, mixture: FloatArray) -> None:
        """Take ``(channels, samples)``."""
        self._add(self._resampler.process(mixture))

    def finish(self) -> tuple[Level, ...]:
        """Return the level of each group."""
        if self._n_samples:
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


@contextmanager
def scan_blocks(
    blocks: Iterable[FloatArray], scans: Sequence[Scan], *, n_channels: int
) -> Iterator[Iterable[FloatArray]]:
    """Give all of `blocks` to `scans`, and within the ``with`` the same blocks again.

    Without scans nothing is read ahead.

    Raises
    ------
    OSError
        If the temporary file cannot be written.
    """
    if not scans:
        yield blocks
        return
    with tempfile.TemporaryFile(prefix="stemsplit-") as file:
        can_repeat = isinstance(blocks, Sequence)
        for block in check_blocks(blocks, n_channels):
            for scan in scans:
                scan.process(block)
            if not can_repeat:
                # (samples, channels) in the file, so that it can be cut anywhere
                file.write(np.ascontiguousarray(block.T, dtype=np.float32).data)
        file.seek(0)
        yield blocks if can_repeat else _read_back(file, n_channels)


def _read_back(file: IO[bytes], n_channels: int) -> Iterator[FloatArray]:
    n_bytes = 4 * n_channels * _BLOCK_SAMPLES
    while content := file.read(n_bytes):
        yield np.frombuffer(content, dtype=np.float32).reshape(-1, n_channels).T
