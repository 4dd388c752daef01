"""Cooperative cancellation: signals set a flag, which the workers check between two blocks.

An exception raised in the main thread could interrupt the renames of a song's stems; a flag cannot.
"""

import contextlib
import os
import select
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import BinaryIO, cast

from stemsplit.jobs.result import ExitStatus

_POLL_S = 0.2
_SHOW_CURSOR = "\x1b[?25h"


class Cancelled(BaseException):
    """The run was cancelled; not an `Exception`, so that error handlers do not catch it."""


class Cancellation:
    """A request to stop, shared by all threads of a run; `status` is the exit code that results."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self.status = ExitStatus.OK

    @property
    def requested(self) -> bool:
        """Whether the run is to stop."""
        return self._event.is_set()

    def request(self, status: ExitStatus = ExitStatus.INTERRUPTED) -> None:
        """Request that all jobs stop; the first request determines the exit code."""
        if not self.requested:
            self.status = status
            self._event.set()

    def abandon(self) -> None:
        """Clean up what must not outlive the process, which ends at once after a second request."""

    def check(self) -> None:
        """Raise `Cancelled` if the run is to stop."""
        if self.requested:
            raise Cancelled


class InterruptiblePipe:
    """Reads a pipe, and checks a cancellation while it waits for data."""

    def __init__(self, pipe: BinaryIO, cancellation: Cancellation) -> None:
        self._pipe = pipe
        self._cancellation = cancellation

    def read(self, size: int) -> bytes:
        """Return up to `size` bytes as soon as there are any, and none at the end of the stream."""
        while not select.select([self._pipe], [], [], _POLL_S)[0]:
            self._cancellation.check()
        return self._pipe.read(size)


def read_stdin(cancellation: Cancellation) -> BinaryIO:
    """Return standard input; reads can be cancelled where the system can wait for a pipe with a timeout."""
    raw = getattr(sys.stdin.buffer, "raw", None)
    if raw is None or os.name == "nt":
        return sys.stdin.buffer
    return cast(BinaryIO, InterruptiblePipe(raw, cancellation))


@contextlib.contextmanager
def open_fifo(path: Path, cancellation: Cancellation) -> Iterator[BinaryIO]:
    """Open a named pipe whose reads can be cancelled while they wait for its writer."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    os.set_blocking(descriptor, True)
    with os.fdopen(descriptor, "rb", buffering=0) as pipe:
        yield cast(BinaryIO, InterruptiblePipe(pipe, cancellation))


@contextlib.contextmanager
def catch_signals(cancellation: Cancellation) -> Iterator[None]:
    """Make the signals that end a program request a stop; a second signal ends the process at once.

    They are SIGINT (Ctrl-C), SIGTERM, and SIGHUP (a terminal that is closed) unless it is ignored, as under
    ``nohup``.
    """

    def stop(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 - of signal handlers
        status = statuses[signal.Signals(number)]
        if cancellation.requested:
            cancellation.abandon()
            with contextlib.suppress(OSError):  # of a terminal that is closed
                if sys.stderr.isatty():
                    os.write(sys.stderr.fileno(), _SHOW_CURSOR.encode())
            os._exit(status)
        cancellation.request(status)

    statuses = _find_signals()
    previous = {number: signal.signal(number, stop) for number in statuses}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _find_signals() -> dict[signal.Signals, ExitStatus]:
    """Return the signals that stop a run, with their exit codes."""
    found = {signal.SIGINT: ExitStatus.INTERRUPTED, signal.SIGTERM: ExitStatus.TERMINATED}
    if sys.platform != "win32" and signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        found[signal.SIGHUP] = ExitStatus.HANGUP
    return found
