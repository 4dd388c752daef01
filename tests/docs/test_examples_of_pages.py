"""The examples of README and docs run, and print what the pages say."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import soundfile

from benchmarks.songs import EXAMPLE, make_loop
from tests.docs.pages import EXECUTED, blocks
from tests.support.cli import make_environment

pytestmark = pytest.mark.slow


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the songs that the pages speak of, and the command on the path."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "examples").mkdir()
    (tmp_path / "examples" / EXAMPLE.name).symlink_to(EXAMPLE)
    (tmp_path / "Music" / "Album").mkdir(parents=True)
    samples = make_loop()[: 2 * 44100]
    for song in ("song.mp3", "song.wav", "Music/one.mp3", "Music/Album/two.mp3"):
        soundfile.write(tmp_path / song, samples, 44100)
    command = tmp_path / "bin" / "stemsplit"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m stemsplit "$@"\n', encoding="utf-8")
    command.chmod(0o755)
    return tmp_path


def _run(line: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run one line of shell as a reader would."""
    path = f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        ["bash", "-o", "pipefail", "-c", line],
        cwd=folder,
        env=make_environment() | {"PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )


def _pages_with(language: str) -> list[str]:
    return [page for page in EXECUTED if blocks(page, language)]


@pytest.mark.parametrize("page", _pages_with("sh"))
def test_shell_examples_run(page: str, workplace: Path) -> None:
    for line in (line for block in blocks(page, "sh") for line in block.splitlines()):
        run = _run(line, workplace)
        assert run.returncode == 0, f"{line}\n{run.stderr}"


def _without_numbers(text: str) -> list[str]:
    """Lines in order of the alphabet: the two streams of a process have no common order.

    Lines of progress, which a slow machine prints every ten seconds, are left out.
    """
    lines = (line for line in text.splitlines() if not re.search(r"%.* spent", line))
    return sorted(re.sub(r"\d+(\.\d+)?", "N", line) for line in lines)


def test_lines_of_progress_are_no_part_of_an_example() -> None:
    progress = "a.wav: 40%, 2.1 x real time, 0:10 spent, 0:15 left"
    done = "done: a.wav (0:27) in 12.0 s, 2.2 x real time"
    assert _without_numbers(f"{progress}\n{done}") == _without_numbers(done.replace("12.0", "1.0"))


def _dialogues(page: str) -> Iterator[tuple[str, str]]:
    for block in blocks(page, "console"):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, output = part.partition("\n")
            yield command, output


@pytest.mark.parametrize("page", _pages_with("console"))
def test_outputs_are_real(page: str, workplace: Path) -> None:
    for command, output in _dialogues(page):
        run = _run(command, workplace)
        assert _without_numbers(run.stdout + run.stderr) == _without_numbers(output), command


@pytest.mark.parametrize("page", _pages_with("python"))
@pytest.mark.usefixtures("workplace")
def test_python_examples_run(page: str) -> None:
    for block in blocks(page, "python"):
        exec(compile(block, page, "exec"), {})
