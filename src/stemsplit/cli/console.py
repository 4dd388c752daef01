"""Output of the command: results on standard output, everything else on standard error.

Either may be closed, full, or a pipe without a reader; songs are separated all the same.
"""

import contextlib
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TextIO

from stemsplit.errors import OutputError
from stemsplit.jobs.result import FileResult, Status


def open_missing_streams() -> None:
    """Connect streams that were closed before the program began (``>&-``) to the null device.

    Python has None for such a stream. Otherwise the next file opened would get the number of the stream,
    and receive what other libraries write there.
    """
    # the lowest free number is given first: in this order each stream gets its own
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            nowhere = Path(os.devnull).open(mode, encoding="utf-8", errors="backslashreplace")  # noqa: SIM115
            setattr(sys, name, nowhere)


def has_stdout() -> bool:
    """Return whether the program began with a standard output."""
    return sys.stdout.name != os.devnull


_reserved: TextIO | None = None


@contextlib.contextmanager
def reserving_stdout() -> Iterator[None]:
    """Keep standard output for results: what libraries print there goes to standard error."""
    global _reserved
    _reserved, sys.stdout = sys.stdout, sys.stderr
    try:
        yield
    finally:
        _reserved, sys.stdout = None, _reserved


def _get_stdout() -> TextIO:
    return sys.stdout if _reserved is None else _reserved


_print_above: Callable[[str], None] | None = None


@contextlib.contextmanager
def sharing_terminal(print_above: Callable[[str], None]) -> Iterator[None]:
    """Let a live display print, above itself, every line that would go to its terminal meanwhile."""
    global _print_above  # noqa: PLW0603 - there is one terminal
    _print_above = print_above
    try:
        yield
    finally:
        _print_above = None


def _shares_terminal() -> bool:
    """Tell whether standard output is the terminal of a live display, which is on standard error."""
    if _print_above is None or not _get_stdout().isatty():
        return False
    return os.fstat(_get_stdout().fileno()).st_rdev == os.fstat(sys.stderr.fileno()).st_rdev


def warn(text: str) -> None:
    """Write one line to standard error; a failure is ignored, since there is nowhere left to report it."""
    if _print_above is not None:
        _print_above(text)
        return
    try:
        print(text, file=sys.stderr, flush=True)  # noqa: T201 - this is the console
    except OSError:
        _drop(sys.stderr)


def show(*lines: str, encoding: str | None = None) -> None:
    """Write lines to standard output. A reader that goes away (``| head``) has seen enough.

    Parameters
    ----------
    lines
        Without their line ends.
    encoding
        Of the bytes; None for that of the stream.

    Raises
    ------
    OutputError
        If they cannot be written.
    """
    if _print_above is not None and _shares_terminal():
        for line in lines:
            _print_above(line)
        return
    data = _encode("".join(line + "\n" for line in lines), encoding or _get_stdout().encoding)
    with writing():
        _get_stdout().buffer.write(data)
        _get_stdout().buffer.flush()


def _encode(text: str, encoding: str) -> bytes:
    """Encode `text`: names keep their bytes, characters that `encoding` lacks are escaped."""
    try:
        return text.encode(encoding, "surrogateescape")
    except UnicodeEncodeError:
        return text.encode(encoding, "backslashreplace")


@contextlib.contextmanager
def writing() -> Iterator[None]:
    """Guard writing to standard output; after a failure it is connected to the null device."""
    try:
        yield
    except BrokenPipeError:
        _drop(_get_stdout())
    except OSError as error:
        _drop(_get_stdout())
        raise OutputError(f"stdout: cannot be written ({error.strerror}); send it elsewhere") from error


def _drop(stream: TextIO) -> None:
    """Connect a stream to the null device: its buffer would fail again when the program ends."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


def settle_stdout() -> None:
    """Flush standard output: at interpreter exit a failure would replace the exit code."""
    try:
        sys.stdout.flush()
    except OSError:
        _drop(sys.stdout)


def clock(seconds: float) -> str:
    """Format seconds as minutes and seconds, with hours if there are any.

    >>> clock(222.4), clock(3600)
    ('3:42', '1:00:00')
    """
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


class Results:
    """Writes results to standard output: paths, or lines of JSON.

    A failure to write does not stop the songs. A reader that closes the pipe (``| head``) is no failure; the
    reason of any other is kept as `problem`.
    """

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json
        self.problem: str | None = None

    def write(self, result: FileResult) -> None:
        """Write the paths of the stems of a song, or the whole result as JSON."""
        if self._as_json:
            self._show(result.to_json())
        elif result.status is not Status.FAILED:
            self._show(*result.locations.values())

    def _show(self, *lines: str) -> None:
        try:
            # paths keep the bytes of their names, whatever the terminal's encoding is
            show(*lines, encoding=sys.getfilesystemencoding())
        except OutputError as error:
            self.problem = str(error)


def describe(result: FileResult) -> str:
    """Describe a result in one line."""
    if result.status is Status.FAILED:
        error = result.error or ""
        return f"failed: {error if result.input in error else f'{result.input}: {error}'}"
    if result.status is Status.SKIPPED:
        return f"skipped: {result.input}: {result.note}"
    length = "" if result.duration_s is None else f" ({clock(result.duration_s)})"
    if result.status is Status.PLANNED:
        return f"would separate: {result.input}{length}"
    pace = ""
    if result.elapsed_s is not None and result.speed is not None:
        pace = f" in {result.elapsed_s:.1f} s, {result.speed:.1f} x real time"
    return f"done: {result.input}{length}{pace}{_describe_remarks(result)}"


def _describe_remarks(result: FileResult) -> str:
    remarks = []
    if result.gain is not None and result.gain != 1:
        remarks.append(f"all stems scaled by {result.gain:.4f} so that none clips")
    if result.clipped_samples:
        remarks.append(f"{result.clipped_samples} samples clipped; use --bits 32f")
    if result.note:
        remarks.append(result.note)
    return "".join(f"; {remark}" for remark in remarks)


def summarise(counts: Mapping[Status, int], n_songs: int) -> str:
    """Return the number of songs and how many have each status."""
    parts = [f"{counts[status]} {status}" for status in Status if counts[status]]
    n_finished = sum(counts.values())
    if n_finished < n_songs:
        parts.append(f"{n_songs - n_finished} not finished")
    return f"{n_songs} {'song' if n_songs == 1 else 'songs'}: {', '.join(parts) or 'none'}"
