"""A part of a file that reads as a file of its own."""

import io
import os
from pathlib import Path


class FilePart(io.RawIOBase):
    """The bytes of a file from `start` up to, not including, `end`."""

    def __init__(self, path: Path, start: int, end: int | None = None) -> None:
        self._file = path.open("rb")
        self._start = start
        size = os.fstat(self._file.fileno()).st_size
        self._n_bytes = max(0, (size if end is None else min(end, size)) - start)
        self._position = 0

    def readable(self) -> bool:
        """Say yes."""
        return True

    def seekable(self) -> bool:
        """Say yes."""
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Fill a buffer as far as the part goes."""
        n_bytes = min(len(buffer), self._n_bytes - self._position)
        if n_bytes <= 0:
            return 0
        self._file.seek(self._start + self._position)
        n_read = self._file.readinto(memoryview(buffer)[:n_bytes])
        self._position += n_read
        return n_read

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to a place of the part."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._n_bytes}[whence]
        self._position = max(0, base + offset)
        return self._position

    def close(self) -> None:
        """Close the file."""
        self._file.close()
        super().close()
