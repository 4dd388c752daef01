"""Writing into files for encoders in C, which lose the errors of the operating system."""

import contextlib
import errno
import os
from collections.abc import Iterator
from typing import BinaryIO


def write_all(file: BinaryIO, data: bytes | memoryview) -> None:
    """Write every byte to an unbuffered file, which may take fewer at a time."""
    view = memoryview(data)
    while view:
        n_written = file.write(view)
        if not n_written:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        view = view[n_written:]


class FileSink:
    """A file object for encoders that remembers the first error instead of raising it in a C callback."""

    def __init__(self, file: BinaryIO) -> None:
        self._file: BinaryIO | None = file
        self.error: OSError | None = None

    def detach(self) -> None:
        """Touch the file no more, whatever the encoder still wants to write."""
        self._file = None

    @contextlib.contextmanager
    def raising(self, *failures: type[Exception]) -> Iterator[None]:
        """Raise as `OSError` what went wrong in the file, or else what the encoder says.

        Parameters
        ----------
        failures
            What the encoder raises.
        """
        try:
            yield
        except failures as error:
            # of libsndfile without the object that it wrote to
            reason = getattr(error, "error_string", error)
            raise self.error or OSError(f"the encoder failed ({reason}); choose another format") from error
        if self.error is not None:
            raise self.error

    def write(self, data: bytes) -> int:
        """Write all, or remember why not."""
        if self._file is not None and self.error is None:
            try:
                write_all(self._file, data)
            except OSError as error:
                self.error = error
        # Saying that all went well keeps the encoder from a second error of its own.
        return len(data)

    def read(self, n_bytes: int) -> bytes:
        """Read back what was written."""
        return b"" if self._file is None else self._file.read(n_bytes)

    def seek(self, offset: int, whence: int = 0) -> int:
        """Go to a place."""
        return 0 if self._file is None else self._file.seek(offset, whence)

    def tell(self) -> int:
        """Return the place."""
        return 0 if self._file is None else self._file.tell()
