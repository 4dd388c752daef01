"""Stopping a run cleanly: signals set a flag, and the work looks at it between two blocks.

An exception thrown into the main thread could land between two renames; a flag cannot.
"""

import contextlib
import os
import select
import signal
import sys
import threading
from collections.abc import Iterator
from types import FrameType
from typing import BinaryIO, cast

from stemsplit.jobs.result import ExitStatus

_POLL_S = 0.2
_SHOW_CURSOR = "\x1b[?25h"


class Cancelled(BaseException):
    """The run was asked to stop; no error, so that what handles errors lets it through."""


class Cancellation:
    """A request to stop that many threads share; `status` is the exit code it leads to."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self.status = ExitStatus.OK

    @property
    def requested(self) -> bool:
        """Whether somebody asked."""
        return self._event.is_set()

    def request(self, status: ExitStatus = ExitStatus.INTERRUPTED) -> None:
        """Ask all work to stop; the first to ask decides the exit code."""
        if not self.requested:
            self.status = status
            self._event.set()

    def abandon(self) -> None:
        """Do what cannot wait: somebody asked again, and the process ends at once."""

    def check(self) -> None:
        """Raise `Cancelled` if somebody asked."""
        if self.requested:
            raise Cancelled


class PatientPipe:
    """Reads a pipe that may have nothing to say for a long time, and can be asked to stop meanwhile."""

    def __init__(self, pipe: BinaryIO, cancellation: Cancellation) -> None:
        self._pipe = pipe
        self._cancellation = cancellation

    def read(self, size: int) -> bytes:
        """Return up to `size` bytes as soon as there are any; none at the end."""
        while not select.select([self._pipe], [], [], _POLL_S)[0]:
            self._cancellation.check()
        return self._pipe.read(size)


def read_stdin(cancellation: Cancellation) -> BinaryIO:
    """Return standard input, patient where the system can wait for a pipe with a time limit."""
    raw = getattr(sys.stdin.buffer, "raw", None)
    if raw is None or os.name == "nt":
        return sys.stdin.buffer
    return cast(BinaryIO, PatientPipe(raw, cancellation))


@contextlib.contextmanager
def catch_signals(cancellation: Cancellation) -> Iterator[None]:
    """Let Ctrl-C and SIGTERM ask `cancellation` to stop; a second one ends the process at once."""
    statuses = {signal.SIGINT: ExitStatus.INTERRUPTED, signal.SIGTERM: ExitStatus.TERMINATED}

    def stop(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 - the signature is given
        status = statuses[signal.Signals(number)]
        if cancellation.requested:
            cancellation.abandon()
            if sys.stderr.isatty():
                os.write(sys.stderr.fileno(), _SHOW_CURSOR.encode())
            os._exit(status)
        cancellation.request(status)

    previous = {number: signal.signal(number, stop) for number in statuses}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
