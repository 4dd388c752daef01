"""Completion: what the program offers, and what the real shells make of it."""

import contextlib
import fcntl
import os
import pty
import resource
import select
import shutil
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from pathlib import Path

import pyte
import pytest
from typer.main import get_command

from stemsplit.cli.app import app
from stemsplit.cli.shell_completion import FILES, SCRIPTS, find_candidates, install
from tests.support.cli import make_environment


def offered(*words: str) -> list[str]:
    """Return what may stand in the place of the last of `words`."""
    return [value for value, _ in find_candidates(get_command(app), words[:-1], words[-1])]


def test_commands_and_files_stand_side_by_side_at_the_first_word() -> None:
    assert {"models", "serve", "config", "doctor", FILES} <= set(offered(""))
    assert "separate" not in offered("")
    assert offered("do") == ["doctor", FILES]
    assert offered("song.wav", "") == [FILES]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("song.wav", "--sk"), ["--skip-existing"]),
        (("--device", "cu"), ["cuda"]),
        (("--device=cu",), ["--device=cuda"]),
        (("-f", "o"), ["ogg", "opus"]),
        (("--preset", ""), ["fast", "best", "finest"]),
        (("--model", "ban"), ["band", FILES]),
        (("--output", ""), [FILES]),
        (("-s", "vocals,d"), ["vocals,drums"]),
        (("models", "inf"), ["info"]),
        (("models", "info", "ban"), ["band", FILES]),
        (("serve", "--po"), ["--port"]),
        (("--", "--sk"), [FILES]),
        (("--recursive", "--rec"), []),
    ],
)
def test_values_options_and_names_are_offered(words: tuple[str, ...], expected: list[str]) -> None:
    assert offered(*words) == expected


def test_every_long_option_is_offered_from_its_first_letters() -> None:
    group = get_command(app)
    names = {name for param in group.commands["separate"].params for name in param.opts}  # type: ignore[attr-defined]
    assert {name for name in names if name.startswith("--")} <= set(offered("--"))


def test_installing_twice_changes_nothing(tmp_path: Path) -> None:
    (tmp_path / ".bashrc").write_text("alias ll='ls -l'")
    for shell in SCRIPTS:
        script = install(shell, tmp_path)
        assert script.read_text() == SCRIPTS[shell]
    before = (tmp_path / ".bashrc").read_text()
    install("bash", tmp_path)
    assert (tmp_path / ".bashrc").read_text() == before
    assert before.splitlines() == ["alias ll='ls -l'", f"source '{tmp_path}/.bash_completions/stemsplit.sh'"]


def test_a_start_up_file_in_any_encoding_is_only_added_to(tmp_path: Path) -> None:
    start = tmp_path / "dotfiles"
    start.write_bytes(b"# caf\xe9\r\nalias ll='ls -l'\n\n")
    (tmp_path / ".bashrc").symlink_to(start)
    script = install("bash", tmp_path)
    assert (tmp_path / ".bashrc").is_symlink()
    assert start.read_bytes() == b"# caf\xe9\r\nalias ll='ls -l'\n\n" + f"source '{script}'\n".encode()


def test_a_disk_that_is_full_costs_no_start_up_file(tmp_path: Path) -> None:
    before = b"# a line\n" * 2000
    (tmp_path / ".bashrc").write_bytes(before)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 10, limits[1]))
    try:
        with pytest.raises(OSError, match="No space"):
            install("bash", tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert (tmp_path / ".bashrc").read_bytes() == before


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_a_home_may_have_any_name(tmp_path: Path) -> None:
    home = tmp_path / "Zoë's $HOME"
    home.mkdir()
    install("bash", home)
    command = 'source "$1/.bashrc" && complete -p stemsplit'
    ran = subprocess.run(
        ["bash", "-c", command, "bash", str(home)], capture_output=True, text=True, check=False
    )
    assert (ran.stdout, ran.stderr) == ("complete -F _stemsplit stemsplit\n", "")


class Shell:
    """A real shell in a pseudo-terminal, with the completion of its start-up files."""

    def __init__(self, command: list[str], folder: Path, environment: dict[str, str]) -> None:
        self.screen = pyte.Screen(120, 40)
        self._stream = pyte.ByteStream(self.screen)
        self._main, side = pty.openpty()
        self.process = subprocess.Popen(
            command,
            stdin=side,
            stdout=side,
            stderr=side,
            cwd=folder,
            env=environment,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # noqa: PLW1509 - fish needs it
        )
        os.close(side)

    def type(self, text: str) -> None:
        """Press keys."""
        os.write(self._main, text.encode())

    def wait_for(self, *texts: str) -> str:
        """Wait until all `texts` are on the screen; return it."""
        end_s = time.monotonic() + 60
        while True:
            shown = "\n".join(line.rstrip() for line in self.screen.display)
            if all(text in shown for text in texts):
                return shown
            assert time.monotonic() < end_s, f"{texts} not in:\n{shown}"
            if select.select([self._main], [], [], 0.2)[0]:
                data = os.read(self._main, 65536)
                self._stream.feed(data)
                if b"\x1b[c" in data or b"\x1b[0c" in data:  # fish asks what the terminal is
                    os.write(self._main, b"\x1b[?1;2c")

    def close(self) -> None:
        """End the shell."""
        self.process.kill()
        self.process.wait()
        os.close(self._main)


COMMANDS = {
    "bash": ["bash", "--noprofile", "-i"],
    "zsh": ["zsh", "-i"],
    "fish": ["fish", "-i"],
}


@pytest.fixture(params=COMMANDS)
def shell(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Shell]:
    """Each shell that is installed, in a folder with a song."""
    name: str = request.param
    if shutil.which(name) is None:
        pytest.skip(f"{name} is not installed")
    home, work, binaries = (tmp_path / each for each in ("home", "work", "bin"))
    for folder in (home, work / "doremi", binaries):
        folder.mkdir(parents=True)
    (work / "domino.wav").touch()
    (binaries / "stemsplit").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m stemsplit "$@"\n')
    (binaries / "stemsplit").chmod(0o755)
    (home / ".bashrc").write_text("PS1='ready> '\n")
    (home / ".zshrc").write_text("PS1='ready> '\n")
    (home / ".config" / "fish").mkdir(parents=True)
    (home / ".config" / "fish" / "config.fish").write_text("function fish_prompt; echo 'ready> '; end\n")
    install(name, home)
    if name == "zsh":  # compinit would ask about the folders of another user
        rc = (home / ".zshrc").read_text().replace("; compinit", "; compinit -u")
        (home / ".zshrc").write_text(rc)
    environment = make_environment() | {
        "HOME": str(home),
        "ZDOTDIR": str(home),
        "XDG_CONFIG_HOME": str(home / ".config"),
        "XDG_DATA_HOME": str(home / ".local"),
        "PATH": f"{binaries}{os.pathsep}{os.environ['PATH']}",
        "TERM": "xterm",
    }
    opened = Shell(COMMANDS[name], work, environment)
    with contextlib.closing(opened):
        opened.wait_for("ready>")
        yield opened


@pytest.mark.slow
def test_real_shells_complete_commands_files_options_and_values(shell: Shell) -> None:
    shell.type("stemsplit do\t\t")
    shell.wait_for("doctor", "domino.wav", "doremi")
    shell.type("\x15")
    shell.type("stemsplit domino.wav --skip-e\t")
    shell.wait_for("--skip-existing")
    shell.type("\x15")
    shell.type("stemsplit --stems vocals,dr\t")
    shell.wait_for("--stems vocals,drums")
    shell.type("\x15")
    shell.type("stemsplit --device=cu\t")
    shell.wait_for("--device=cuda")
    shell.type("\x15")
    shell.type("stemsplit models ver\t")
    shell.wait_for("models verify")
