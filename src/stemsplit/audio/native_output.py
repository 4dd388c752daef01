"""Suppression of messages that C libraries write to the terminal."""

import contextlib
import os
import sys
import threading
from collections.abc import Iterator
from typing import Final

_STDERR: Final = 2
_lock = threading.Lock()


@contextlib.contextmanager
def without_native_output() -> Iterator[None]:
    """Throw away what the body writes to file descriptor 2; it belongs around calls into C only.

    The descriptor is one for all threads, and their own messages go through it, too: one body at a time has
    it, and it must be short.
    """
    with _lock:
        if sys.stderr is not None:
            with contextlib.suppress(OSError, ValueError):
                sys.stderr.flush()
        try:
            kept = os.dup(_STDERR)
        except OSError:  # closed: nothing can be written
            yield
            return
        try:
            with open(os.devnull, "wb") as nowhere:  # noqa: PTH123 - a device
                os.dup2(nowhere.fileno(), _STDERR)
            yield
        finally:
            os.dup2(kept, _STDERR)
            os.close(kept)
