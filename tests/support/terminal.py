"""A terminal for the command: a pseudo-terminal whose screen is kept, with all that scrolled out of it."""

import fcntl
import os
import pty
import struct
import subprocess
import termios
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyte

from tests.support.cli import make_environment

_ROWS = 24


@dataclass(frozen=True)
class Shown:
    """What a terminal showed: `rows` at the end, and every version of a row that was `seen` on the way."""

    code: int
    columns: int
    rows: list[str]
    seen: set[str]

    def has_line(self, line: str) -> bool:
        """Whether `line` begins a row and is whole, though the terminal may have broken it into several."""
        n_rows = -(-len(line) // self.columns)
        joined = ("".join(self.rows[start : start + n_rows]).rstrip() for start in range(len(self.rows)))
        return line in joined


def run_in_terminal(
    command: Sequence[str],
    *,
    columns: int,
    environment: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> Shown:
    """Run a command with all three streams on one terminal of `columns` and 24 rows."""
    main, side = pty.openpty()
    fcntl.ioctl(side, termios.TIOCSWINSZ, struct.pack("HHHH", _ROWS, columns, 0, 0))
    variables = {key: value for key, value in make_environment().items() if key not in {"COLUMNS", "LINES"}}
    process = subprocess.Popen(
        command,
        stdin=side,
        stdout=side,
        stderr=side,
        env=variables | {"TERM": "xterm-256color"} | dict(environment or {}),
        cwd=cwd,
        start_new_session=True,
    )
    os.close(side)
    screen = pyte.HistoryScreen(columns, _ROWS, history=100_000, ratio=0.5)
    stream = pyte.ByteStream(screen)
    seen: set[str] = set()
    while data := _read(main):
        stream.feed(data)
        seen.update(screen.display)
    os.close(main)
    scrolled = ["".join(row[column].data for column in range(columns)) for row in screen.history.top]
    return Shown(process.wait(), columns, [*scrolled, *screen.display], seen)


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:  # the other side is closed
        return b""
