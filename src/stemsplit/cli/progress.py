"""Progress on standard error: bars on a terminal, lines in a log, or nothing.

A display is a context manager and a `stemsplit.jobs.worker.ProgressListener`; each song reports from its own
thread.
"""

import contextlib
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Protocol, Self

from stemsplit.audio.info import AudioInfo
from stemsplit.cli.console import Results, clock, describe, warn
from stemsplit.jobs.plan import Job
from stemsplit.jobs.result import FileResult, Status

if TYPE_CHECKING:
    from rich.progress import Progress, ProgressColumn, TaskID

_LINE_EVERY_S = 10.0


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

    def show(self, results: Results, result: FileResult) -> None:
        """Write `result` to standard output without disturbing the display."""


def make_display(n_songs: int, *, quiet: bool) -> Display:
    """Return the display that fits standard error."""
    if quiet:
        return Quiet()
    return Bars(n_songs) if _is_terminal() else Lines(n_songs)


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

    def show(self, results: Results, result: FileResult) -> None:
        """Write `result`."""
        results.write(result)


class _Meter:
    """How far one song is, and how fast."""

    def __init__(self, info: AudioInfo) -> None:
        self._info = info
        self._n_samples = 0
        self._began_s = self._said_s = time.monotonic()

    def advance(self, n_samples: int) -> None:
        self._n_samples += n_samples

    @property
    def done_s(self) -> float:
        return self._n_samples / self._info.sample_rate

    @property
    def speed(self) -> float:
        return self.done_s / max(time.monotonic() - self._began_s, 1e-3)

    def is_due(self) -> bool:
        """Tell whether the last line is long enough ago."""
        now_s = time.monotonic()
        if now_s - self._said_s < _LINE_EVERY_S:
            return False
        self._said_s = now_s
        return True

    def __str__(self) -> str:
        pace = f"{self.speed:.1f} x real time"
        duration_s = self._info.duration_s
        if not duration_s:
            return f"{clock(self.done_s)} done, {pace}"
        left_s = max(duration_s - self.done_s, 0) / max(self.speed, 1e-3)
        return f"{self.done_s / duration_s:.0%}, {pace}, {clock(left_s)} left"


class Lines(Quiet):
    """Plain lines, for logs: one when a song begins, one every ten seconds, one at its end."""

    def __init__(self, n_songs: int) -> None:
        self._n_songs = n_songs
        self._n_finished = 0
        self._lock = threading.Lock()
        self._meters: dict[str, _Meter] = {}

    def start(self, job: Job, info: AudioInfo) -> None:
        """Announce the song."""
        self._meters[job.source.label] = _Meter(info)
        length = "" if info.duration_s is None else f" ({clock(info.duration_s)})"
        warn(f"separating: {job.source.label}{length}")

    def advance(self, job: Job, n_samples: int) -> None:
        """Say how far the song is, if it is time to."""
        meter = self._meters[job.source.label]
        meter.advance(n_samples)
        if meter.is_due():
            warn(f"{job.source.label}: {meter}")

    def finish(self, job: Job, result: FileResult) -> None:  # noqa: ARG002 - the signature is given
        """Say what came of the song; a single failure is told by the summary."""
        with self._lock:
            self._n_finished += 1
            if self._n_songs > 1:
                warn(f"[{self._n_finished}/{self._n_songs}] {describe(result)}")
            elif result.status is not Status.FAILED:
                warn(describe(result))


class Bars(Quiet):
    """Bars on a terminal: one for each song in work, one for all of them."""

    def __init__(self, n_songs: int) -> None:
        self._progress = _make_song_progress()
        self._all = self._progress.add_task(f"{n_songs} songs", total=n_songs, pace="", visible=n_songs > 1)
        self._songs: dict[str, tuple[TaskID, _Meter]] = {}

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._progress.stop()

    def start(self, job: Job, info: AudioInfo) -> None:
        """Add a bar for the song."""
        from rich.markup import escape

        task = self._progress.add_task(escape(job.source.track), total=info.n_samples, pace="")
        self._songs[job.source.label] = task, _Meter(info)

    def advance(self, job: Job, n_samples: int) -> None:
        """Move the song's bar on."""
        task, meter = self._songs[job.source.label]
        meter.advance(n_samples)
        self._progress.update(task, advance=n_samples, pace=f"{meter.speed:.1f} x real time")

    def finish(self, job: Job, result: FileResult) -> None:
        """Put a line in the place of the song's bar; failures are told by the summary."""
        if job.source.label in self._songs:
            self._progress.remove_task(self._songs.pop(job.source.label)[0])
        self._progress.advance(self._all)
        if result.status is not Status.FAILED:
            self._progress.console.print(describe(result), markup=False, highlight=False, soft_wrap=True)

    def show(self, results: Results, result: FileResult) -> None:
        """Write `result`, out of the way of the bars if it goes to the same terminal."""
        if not sys.stdout.isatty():
            results.write(result)
            return
        self._progress.stop()
        results.write(result)
        self._progress.start()


def _make_song_progress() -> "Progress":
    from rich.progress import TaskProgressColumn, TextColumn, TimeRemainingColumn

    pace = TextColumn("{task.fields[pace]}")
    return _make_progress(TaskProgressColumn(), pace, TimeRemainingColumn(compact=True))


def _make_progress(*columns: "ProgressColumn") -> "Progress":
    """Bars on standard error; `columns` stand behind a task's name and its bar."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        *columns,
        console=Console(stderr=True),
        transient=True,
        # what goes to standard output must not be led to standard error, where the bars are
        redirect_stdout=False,
        redirect_stderr=False,
    )


@contextlib.contextmanager
def showing_downloads() -> Iterator[Callable[[str, int, int | None], None]]:
    """Give a function that takes a file's name, the bytes so far, and those of the whole or None.

    On a terminal there is a bar for each file, elsewhere nothing is shown.
    """
    if not _is_terminal():
        yield lambda _name, _done, _whole: None
        return
    from rich.markup import escape
    from rich.progress import DownloadColumn, TransferSpeedColumn

    tasks: dict[str, TaskID] = {}
    with _make_progress(DownloadColumn(), TransferSpeedColumn()) as bars:

        def show(name: str, done: int, whole: int | None) -> None:
            if name not in tasks:
                tasks[name] = bars.add_task(escape(name), total=whole)
            bars.update(tasks[name], completed=done, total=whole)

        yield show
