"""Songs and calls for the tests of the command."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import soundfile
from typer.testing import CliRunner

from stemsplit.cli.app import app
from tests.conftest import make_noise
from tests.support import ROOT

SOURCE = ROOT / "src"
STEMS = ("vocals", "drums", "bass", "other")


@dataclass(frozen=True)
class Call:
    """The exit code and the output of a call of the command."""

    code: int
    stdout: bytes
    stderr: str

    @property
    def text(self) -> str:
        """Standard output as text."""
        return self.stdout.decode()

    @property
    def lines(self) -> list[str]:
        """Standard output line by line."""
        return self.text.splitlines()

    @property
    def records(self) -> list[dict[str, Any]]:
        """Standard output as lines of JSON."""
        return [json.loads(line) for line in self.lines]


def call(*args: object, stdin: bytes | None = None, columns: int = 80) -> Call:
    """Run the command in this process, on a terminal of `columns`."""
    environment = {"COLUMNS": str(columns)}
    result = CliRunner().invoke(
        app, [str(arg) for arg in args], input=stdin, env=environment, prog_name="stemsplit"
    )
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return Call(result.exit_code, result.stdout_bytes, result.stderr)


def make_command(args: Sequence[object]) -> list[str]:
    """Return the command line of a process of its own."""
    return [sys.executable, "-m", "stemsplit", *map(str, args)]


def make_environment() -> dict[str, str]:
    """Return an environment in which a new process finds this source."""
    return os.environ | {"PYTHONPATH": str(SOURCE)}


def call_process(*args: object, stdin: bytes | None = None, cwd: Path | None = None) -> Call:
    """Run the command in a process of its own."""
    done = subprocess.run(
        make_command(args),
        input=stdin or b"",
        capture_output=True,
        cwd=cwd,
        env=make_environment(),
        check=False,
    )
    return Call(done.returncode, done.stdout, done.stderr.decode())


def make_song(
    path: Path, *, seconds: float = 1.0, sample_rate: int = 44100, n_channels: int = 2, seed: int = 0
) -> Path:
    """Write noise as a song; the name decides the format."""
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = make_noise(n_channels, round(seconds * sample_rate), seed=seed)
    soundfile.write(path, noise.T, sample_rate)
    return path


def list_files(folder: Path) -> list[str]:
    """Return the files below `folder` but the journal, as text."""
    found = (path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    return sorted(name for name in found if not name.startswith(".stemsplit/"))


def expect(*songs: str) -> list[str]:
    """Return the files that whole songs become."""
    return sorted(f"{song}/{stem}.wav" for song in songs for stem in STEMS)


def names_here() -> list[str]:
    """Return the names in the working folder."""
    return sorted(path.name for path in Path().iterdir())
