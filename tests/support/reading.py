"""Reading a file to its end, in the tests: its blocks, its refusal, its notes; and a pipe."""

import io
from pathlib import Path

import numpy as np
import pytest

from stemsplit.audio.info import AudioInfo
from stemsplit.audio.reader import open_audio
from stemsplit.errors import AudioError
from stemsplit.types import FloatArray


def read_blocks(source: Path | io.RawIOBase, block_samples: int = 65536) -> tuple[AudioInfo, FloatArray]:
    with open_audio(source, block_samples=block_samples) as reader:  # type: ignore[arg-type]
        blocks = list(reader.blocks())
        assert all(block.dtype == np.float32 and block.flags.c_contiguous for block in blocks)
        assert all(0 < block.shape[1] <= block_samples for block in blocks)
        return reader.info, np.concatenate(blocks, axis=1)


def refused(source: Path | io.RawIOBase, *words: str) -> str:
    """Read a song that must fail; the message must hold the words, and the file's name."""
    with pytest.raises(AudioError) as caught:
        read_blocks(source)
    message = str(caught.value)
    assert (str(source) if isinstance(source, Path) else "stdin") in message
    for word in words:
        assert word in message
    return message


def noted(path: Path, n_samples: int) -> tuple[str, ...]:
    """Read a file that has `n_samples` samples, and return what was noted about it."""
    with open_audio(path) as reader:
        assert sum(block.shape[1] for block in reader.blocks()) == n_samples
        return reader.notes


class Pipe(io.RawIOBase):
    """A stream that cannot seek and hands out a few bytes at a time."""

    def __init__(self, data: bytes, most: int = 1000) -> None:
        self._data = data
        self._most = most

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray) -> int:  # type: ignore[override]
        piece = self._data[: min(self._most, len(buffer))]
        self._data = self._data[len(piece) :]
        buffer[: len(piece)] = piece
        return len(piece)
