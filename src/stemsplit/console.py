"""What the command shows: results on standard output, everything else on standard error."""

import os
import sys
from collections.abc import Sequence

from stemsplit.result import FileResult, Status


def warn(text: str) -> None:
    """Write one line to standard error."""
    print(text, file=sys.stderr, flush=True)  # noqa: T201 - this is the console


def clock(seconds: float) -> str:
    """Return minutes and seconds, hours in front where there are any.

    >>> clock(222.4), clock(3600)
    ('3:42', '1:00:00')
    """
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


class Results:
    """Writes results to standard output: paths, or lines of JSON.

    A reader that goes away (``| head``) loses the lines, not the songs.
    """

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json

    def write(self, result: FileResult) -> None:
        """Write the paths of a song that has its stems, or whatever came of it as JSON."""
        if self._as_json:
            self._write(result.to_json().encode() + b"\n")
        elif result.status is not Status.FAILED:
            lines = (os.fsencode(path) + b"\n" for path in result.outputs.values())
            self._write(b"".join(lines))

    def _write(self, data: bytes) -> None:
        try:
            sys.stdout.buffer.write(data)
            sys.stdout.buffer.flush()
        except BrokenPipeError:
            _drop_stdout()


def _drop_stdout() -> None:
    """Lead standard output nowhere: what its buffer still holds would fail again when the program ends."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


def describe(result: FileResult) -> str:
    """Return one line about a result, for a person."""
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


def summarise(results: Sequence[FileResult], n_jobs: int) -> str:
    """Return how many songs came to what."""
    counts = [
        f"{sum(result.status is status for result in results)} {status}"
        for status in Status
        if any(result.status is status for result in results)
    ]
    if len(results) < n_jobs:
        counts.append(f"{n_jobs - len(results)} not finished")
    return f"{n_jobs} {'song' if n_jobs == 1 else 'songs'}: {', '.join(counts)}"
