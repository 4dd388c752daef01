"""Samples that wait in a nameless file until it is known how to encode them; a killed run leaves nothing."""

import errno
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final

import numpy as np

from stemsplit.audio.file_sink import write_all
from stemsplit.types import FloatArray

_BLOCK_SAMPLES: Final = 65536


def open_spill(folder: Path) -> BinaryIO:
    """Open a file without a name on the disk of `folder`."""
    return tempfile.TemporaryFile(dir=folder, buffering=0)


def write_spill(file: BinaryIO, samples: FloatArray) -> None:
    """Append samples, float32 ``(samples, channels)``."""
    write_all(file, samples.reshape(-1).view(np.uint8).data)


def read_spill(file: BinaryIO, n_samples: int, n_channels: int) -> Iterator[FloatArray]:
    """Yield what was written from the start, in blocks ``(samples, channels)`` that share one buffer."""
    file.seek(0)
    buffer = np.empty((_BLOCK_SAMPLES, n_channels), np.float32)
    for start in range(0, n_samples, _BLOCK_SAMPLES):
        samples = buffer[: min(n_samples - start, _BLOCK_SAMPLES)]
        _read_exactly(file, samples.reshape(-1).view(np.uint8).data)
        yield samples


def _read_exactly(file: BinaryIO, view: memoryview) -> None:
    while view:
        n_read = file.readinto(view)  # type: ignore[attr-defined]
        if not n_read:
            raise OSError(errno.EIO, "the temporary file became shorter")
        view = view[n_read:]
