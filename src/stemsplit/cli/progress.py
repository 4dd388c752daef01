"""Progress on standard error: a live display on a terminal, lines in a log, or nothing.

A display is a context manager and a `stemsplit.jobs.progress.ProgressListener`; each song reports from a
thread of its own.
"""

import contextlib
import os
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from typing import Protocol, Self

from stemsplit.audio.info import AudioInfo
from stemsplit.audio.read_settings import ReadSettings
from stemsplit.cli.console import clock, describe, warn
from stemsplit.cli.run_progress import SongProgress
from stemsplit.jobs.inputs import SongInput
from stemsplit.jobs.plan import Job
from stemsplit.jobs.result import FileResult, Status

_LINE_EVERY_S = 10.0
_WHOLE_SONG = ReadSettings()


class Display(Protocol):
    """What all displays can do."""

    def __enter__(self) -> Self: ...
    def __exit__(self, *error: object) -> None: ...
    def start(self, job: Job, info: AudioInfo) -> None:
        """`job` has been opened."""

    def advance(self, job: Job, n_samples: int) -> None:
        """`n_samples` more samples are finished."""

    def finish(self, job: Job, result: FileResult) -> None:
        """`job` is over."""


def make_display(jobs: Sequence[Job] | None, *, quiet: bool, reading: ReadSettings = _WHOLE_SONG) -> Display:
    """Return the display that fits standard error.

    Parameters
    ----------
    jobs
        The songs; None if they are not known in advance.
    quiet
        Show nothing.
    reading
        Which part of the songs is read.
    """
    if quiet:
        return Quiet()
    if jobs is None or not _is_terminal():
        return Lines(None if jobs is None else len(jobs))
    from stemsplit.cli.live_progress import LiveProgress

    return LiveProgress(jobs, reading)


def import_display(*, quiet: bool) -> None:
    """Import what the display of a terminal needs, ahead of it, since that takes a while."""
    if not quiet and _is_terminal():
        import_module("stemsplit.cli.live_progress")


def _is_terminal() -> bool:
    return sys.stderr.isatty() and os.environ.get("TERM") != "dumb"


class Quiet:
    """No progress at all."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def start(self, job: Job, info: AudioInfo) -> None:
        """Show nothing."""

    def advance(self, job: Job, n_samples: int) -> None:
        """Show nothing."""

    def finish(self, job: Job, result: FileResult) -> None:
        """Show nothing."""


class Lines(Quiet):
    """Plain lines, for logs: one when a song begins, one every ten seconds, one at its end."""

    def __init__(self, n_songs: int | None) -> None:
        self._n_songs = n_songs
        self._n_finished = 0
        self._lock = threading.Lock()
        self._songs: dict[SongInput, SongProgress] = {}
        self._reported_s: dict[SongInput, float] = {}

    def start(self, job: Job, info: AudioInfo) -> None:
        """Announce the song."""
        self._songs[job.source] = SongProgress(info)
        self._reported_s[job.source] = 0.0
        length = "" if info.duration_s is None else f" ({clock(info.duration_s)})"
        warn(f"separating: {job.source.label}{length}")

    def advance(self, job: Job, n_samples: int) -> None:
        """Report how far the song is, if the last report is long enough ago."""
        song = self._songs[job.source]
        song.advance(n_samples)
        if song.spent_s - self._reported_s[job.source] >= _LINE_EVERY_S:
            self._reported_s[job.source] = song.spent_s
            warn(f"{job.source.label}: {song}")

    def finish(self, job: Job, result: FileResult) -> None:
        """Report the result of the song; a single failure is left to the summary."""
        with self._lock:
            self._n_finished += 1
            self._songs.pop(job.source, None)
            self._reported_s.pop(job.source, None)
            if self._n_songs is None:
                warn(f"[{self._n_finished}] {describe(result)}")
            elif self._n_songs > 1:
                warn(f"[{self._n_finished}/{self._n_songs}] {describe(result)}")
            elif result.status is not Status.FAILED:
                warn(describe(result))


@contextlib.contextmanager
def showing_downloads() -> Iterator[Callable[[str, int, int | None], None]]:
    """Give a function that takes a file's name, the bytes so far, and the size of the whole file or None.

    On a terminal there is a bar for each file, elsewhere nothing is shown.
    """
    if not _is_terminal():
        yield lambda _name, _done, _whole: None
        return
    from stemsplit.cli.live_progress import showing_bars

    with showing_bars() as show:
        yield show
