"""The live display of a terminal: a row for each song that runs, and one for the whole batch.

Everything that is written to the terminal meanwhile goes through one console, under one lock: the rows are
erased, the line is printed, the rows are drawn again. `rich` guards its parts one by one, which is not
enough when several threads print while the number of rows changes.
"""

import contextlib
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import IO, Any, Final, Self, TypeAlias, cast

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn, TransferSpeedColumn
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from stemsplit.audio.info import AudioInfo
from stemsplit.audio.read_settings import ReadSettings
from stemsplit.cli.console import clock, describe, sharing_terminal
from stemsplit.cli.run_progress import BatchProgress, RunProgress, SongProgress
from stemsplit.errors import StemsplitError
from stemsplit.jobs.inputs import SongInput
from stemsplit.jobs.plan import Job
from stemsplit.jobs.result import FileResult, Status

_REFRESH_S: Final = 0.1
_NARROW: Final = 60  # columns; below there is no bar
_WIDE: Final = 100  # columns; from there on there is room for the pace


class _Stderr:
    """Standard error for a display; a terminal that is closed meanwhile disturbs no song."""

    def write(self, text: str) -> int:
        with contextlib.suppress(OSError):
            sys.stderr.write(text)
        return len(text)

    def flush(self) -> None:
        with contextlib.suppress(OSError):
            sys.stderr.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(sys.stderr, name)


class Screen:
    """Rows at the bottom of the terminal, drawn ten times a second, and lines printed above them.

    Parameters
    ----------
    draw
        Returns the rows for a terminal of so many columns.
    """

    def __init__(self, draw: Callable[[int], RenderableType]) -> None:
        self._draw = draw
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._keep_drawing, daemon=True)
        self._console = Console(file=cast(IO[str], _Stderr()))
        self._live = Live(
            console=self._console,
            get_renderable=lambda: self._draw(self._console.width),
            auto_refresh=False,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._sharing = contextlib.ExitStack()

    def __enter__(self) -> Self:
        self._live.start()
        self._sharing.enter_context(sharing_terminal(self.print))
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._stop.set()
        self._thread.join()
        self._sharing.close()
        with self._lock:
            self._live.stop()

    def print(self, line: str) -> None:
        """Print a line above the rows; the terminal breaks it where it is too long."""
        with self._lock:
            self._console.print(line, markup=False, highlight=False, emoji=False, soft_wrap=True)

    def _keep_drawing(self) -> None:
        while not self._stop.wait(_REFRESH_S):
            with self._lock:
                self._live.refresh()


class LiveProgress:
    """A row for each song that runs; for several songs one more, which counts seconds of music.

    Parameters
    ----------
    jobs
        The songs.
    reading
        Which part of them is read.
    """

    def __init__(self, jobs: Sequence[Job], reading: ReadSettings) -> None:
        self._jobs = jobs
        self._reading = reading
        self._songs: dict[SongInput, tuple[str, SongProgress]] = {}
        self._batch = BatchProgress(len(jobs))
        self._lock = threading.Lock()
        self._spinner = Spinner("dots")
        self._screen = Screen(self._draw)
        self._reader = threading.Thread(target=self._read_lengths, daemon=True)
        self._over = threading.Event()

    def __enter__(self) -> Self:
        self._screen.__enter__()
        if len(self._jobs) > 1:
            self._reader.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._over.set()
        self._screen.__exit__(*error)

    def start(self, job: Job, info: AudioInfo) -> None:
        """Add a row for the song."""
        with self._lock:
            self._songs[job.source] = job.source.track, SongProgress(info)
            self._batch.know(job.source, info.duration_s)

    def advance(self, job: Job, n_samples: int) -> None:
        """Move the song and the batch on."""
        with self._lock:
            _, song = self._songs[job.source]
            before_s = song.done_s
            song.advance(n_samples)
            self._batch.advance(job.source, song.done_s - before_s)

    def finish(self, job: Job, result: FileResult) -> None:
        """Put a line in the place of the song's row; failures are left to the summary."""
        with self._lock:
            self._songs.pop(job.source, None)
            self._batch.finish(job.source)
        if result.status is not Status.FAILED:
            self._screen.print(describe(result))

    def _read_lengths(self) -> None:
        """Read the headers of the songs that wait, so that the batch is counted in seconds from the start."""
        from stemsplit.audio.reader import open_audio

        for job in self._jobs:
            path = job.source.path
            # to open a named pipe would take from it what the song needs
            if self._over.is_set() or job.result is not None or path is None or not path.is_file():
                continue
            with (
                contextlib.suppress(StemsplitError, OSError),
                open_audio(path, settings=self._reading) as reader,
                self._lock,
            ):
                self._batch.know(job.source, reader.info.duration_s)

    def _draw(self, columns: int) -> RenderableType:
        with self._lock:
            rows = [self._draw_row(name, song, columns) for name, song in self._songs.values()]
            if self._batch.n_songs > 1:
                rows.append(
                    self._draw_row(self._batch.describe(short=columns < _NARROW), self._batch, columns)
                )
            return Group(*rows)

    def _draw_row(self, name: str, progress: RunProgress, columns: int) -> RenderableType:
        cells = _make_narrow(progress, columns) if columns < _NARROW else _make_wide(progress, columns)
        row = Table.grid(padding=(0, 1, 0, 0))
        row.add_column(width=1)
        row.add_column(
            width=columns - 4 - sum(width + 1 for _, width in cells), no_wrap=True, overflow="ellipsis"
        )
        for _, width in cells:
            row.add_column(width=width, no_wrap=True)
        row.add_row(self._spinner, Text(name), *(cell for cell, _ in cells))
        return row


Cell: TypeAlias = tuple[RenderableType, int]


def _make_narrow(progress: RunProgress, columns: int) -> Sequence[Cell]:
    """The cells behind the name where there is little room: the amount, and the time left or else spent."""
    left_s = progress.left_s
    time = clock(progress.spent_s) if left_s is None else f"{clock(left_s)} left"
    return [(Text(progress.amount, justify="right"), 9), (Text(time, justify="right"), 12)][: columns // 16]


def _make_wide(progress: RunProgress, columns: int) -> Sequence[Cell]:
    """The cells behind the name: a bar, the amount, the pace if there is room, the times."""
    words = [f"{clock(progress.spent_s)} spent"]
    if progress.left_s is not None:
        words.append(f"{clock(progress.left_s)} left")
    if columns >= _WIDE and progress.pace is not None:
        words.insert(0, f"{progress.pace:.1f} x real time")
    n_bar = columns // 8
    bar = ProgressBar(total=progress.total_s, completed=progress.done_s, width=n_bar)
    times = Text(", ".join(words))
    return [
        (bar, n_bar),
        (Text(progress.amount, justify="right"), 9),
        (times, 45 if columns >= _WIDE else 27),
    ]


@contextlib.contextmanager
def showing_bars() -> Iterator[Callable[[str, int, int | None], None]]:
    """Give a function that shows a bar for each file that is fetched."""
    columns = BarColumn(), DownloadColumn(), TransferSpeedColumn()
    tasks: dict[str, TaskID] = {}
    console = Console(file=cast(IO[str], _Stderr()))
    with Progress(
        TextColumn("{task.description}", markup=False), *columns, console=console, transient=True
    ) as bars:

        def show(name: str, done: int, whole: int | None) -> None:
            if name not in tasks:
                tasks[name] = bars.add_task(name, total=whole)
            bars.update(tasks[name], completed=done, total=whole)

        yield show
