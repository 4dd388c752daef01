"""Runs that are stopped or killed: nothing half-made is left, what is finished stays, a resume goes on."""

import array
import fcntl
import os
import pty
import select
import signal
import subprocess
import termios
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.cli import STEMS, call, expect, list_files, make_command, make_environment, make_song
from tests.support.marks import mark_slow

# written straight into files with names, which can be seen
FLOAT = ("--bits", "32f")


def wait_for(condition: Callable[[], object]) -> None:
    """Wait until `condition` holds."""
    end_s = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end_s
        time.sleep(0.02)


@contextmanager
def stalled_run(*args: object) -> Iterator["subprocess.Popen[bytes]"]:
    """Run the command with a song on standard input that does not end."""
    process = subprocess.Popen(
        make_command(args),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=make_environment(),
    )
    assert process.stdin is not None
    song = make_song(Path("long.wav"), seconds=4).read_bytes()
    process.stdin.write(song[: len(song) * 3 // 4])
    process.stdin.flush()
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def parts() -> list[str]:
    """Return the temporary files of the song on standard input."""
    return [name for name in list_files(Path("separated")) if name.startswith("stdin/.")]


def count_waiting(pipe: Any) -> int:
    """Return how many bytes can be read from `pipe`; a full one holds some 64,000."""
    buffer = array.array("i", [0])
    fcntl.ioctl(pipe, termios.FIONREAD, buffer)
    return buffer[0]


def n_done() -> int:
    """Return how many songs are done by the journal."""
    records = Path("separated/.stemsplit").rglob("*.json")
    return sum('"is_done":true' in record.read_text() for record in records)


@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGINT, 130), mark_slow((signal.SIGTERM, 143)), mark_slow((signal.SIGHUP, 129))],
)
def test_a_signal_keeps_the_finished_and_removes_the_rest(
    model: Path, number: signal.Signals, code: int
) -> None:
    make_song(Path("a.wav"), seconds=0.2)
    make_song(Path("b.wav"), seconds=0.2)
    with stalled_run("a.wav", "-", "b.wav", "-m", model, "--jobs", "2", *FLOAT) as process:
        wait_for(lambda: n_done() == 2 and len(parts()) == len(STEMS))
        process.send_signal(number)
        assert process.wait(timeout=20) == code
        out, err = process.communicate()
    assert list_files(Path("separated")) == expect("a", "b")
    assert not Path("separated/stdin").exists()
    assert out.decode().splitlines() == [f"separated/{song}/{stem}.wav" for song in "ab" for stem in STEMS]
    assert err.decode().splitlines()[-1] == "3 songs: 2 done, 1 not finished"
    resumed = call("a.wav", "b.wav", "-m", model, "--resume", "--json", *FLOAT)
    assert [record["status"] for record in resumed.records] == ["skipped", "skipped"]


@pytest.mark.slow
def test_a_killed_run_is_resumed(model: Path) -> None:
    make_song(Path("a.wav"), seconds=0.2)
    make_song(Path("b.wav"), seconds=120, n_channels=1)
    process = subprocess.Popen(
        make_command(["a.wav", "b.wav", "-m", model, "-q", "--threads", "1", *FLOAT]),
        stdout=subprocess.DEVNULL,
        env=make_environment(),
    )
    wait_for(lambda: [name for name in list_files(Path("separated")) if name.startswith("b/.")])
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert not list(Path("separated/b").glob("*.wav"))
    resumed = call("a.wav", "b.wav", "-m", model, "--resume", "--json", *FLOAT, "-q")
    assert [record["status"] for record in resumed.records] == ["skipped", "done"]
    assert list_files(Path("separated")) == expect("a", "b")


def test_a_song_that_ends_because_all_was_stopped_has_not_failed(model: Path) -> None:
    # Ctrl-C reaches the program that feeds the pipe as well
    with stalled_run("-", "-m", model, *FLOAT) as process:
        wait_for(lambda: len(parts()) == len(STEMS))
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=20)
    assert process.returncode == 130
    assert "failed" not in err.decode()


@pytest.mark.slow
def test_a_terminal_that_is_closed_leaves_nothing(model: Path) -> None:
    make_song(Path("a.wav"), seconds=0.2)
    make_song(Path("b.wav"), seconds=600, n_channels=1)
    main, side = pty.openpty()
    process = subprocess.Popen(
        make_command(["a.wav", "b.wav", "-m", model, *FLOAT]),
        stdin=side,
        stdout=side,
        stderr=side,
        env=make_environment() | {"TERM": "xterm-256color"},
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # noqa: PLW1509 - no threads run here
    )
    os.close(side)
    wait_for(lambda: select.select([main], [], [], 0)[0] and os.read(main, 65536) and n_done() == 1)
    wait_for(lambda: [name for name in list_files(Path("separated")) if name.startswith("b/.")])
    os.close(main)
    assert process.wait(timeout=20) == 129
    assert list_files(Path("separated")) == expect("a")
    assert not Path("separated/b").exists()


@pytest.mark.slow
def test_nohup_goes_on(model: Path) -> None:
    process = subprocess.Popen(
        ["nohup", *make_command([make_song(Path("a.wav"), seconds=60), "-m", model, "-q", *FLOAT])],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        stdin=subprocess.DEVNULL,
        env=make_environment(),
    )
    wait_for(lambda: [name for name in list_files(Path("separated")) if name.startswith("a/.")])
    process.send_signal(signal.SIGHUP)
    assert process.wait(timeout=60) == 0
    assert "a/bass.wav" in list_files(Path("separated"))


def test_a_second_signal_ends_it_at_once(model: Path) -> None:
    # nobody reads the stem, so that the song cannot come to its end
    song = make_song(Path("a.wav"), seconds=4)
    process = subprocess.Popen(
        make_command([song, "-m", model, "-q", "-o", "-", "-s", "bass"]),
        stdout=subprocess.PIPE,
        env=make_environment(),
    )
    assert process.stdout is not None
    with process.stdout:
        wait_for(lambda: count_waiting(process.stdout) > 60_000)
        process.send_signal(signal.SIGINT)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(timeout=0.3)
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=5) == 130


@pytest.mark.slow
def test_a_terminal_gets_bars_and_the_paths(model: Path) -> None:
    make_song(Path("a.wav"), seconds=20)
    make_song(Path("b.wav"), seconds=0.2)
    main, side = pty.openpty()
    process = subprocess.Popen(
        make_command(["a.wav", "b.wav", "gone.wav", "-m", model, "-s", "bass"]),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=side,
        env=make_environment() | {"TERM": "xterm-256color", "COLUMNS": "100"},
    )
    os.close(side)
    out, _ = process.communicate(timeout=30)
    shown = _drain(main)
    assert process.returncode == 1
    assert out.decode().splitlines() == ["separated/a/bass.wav", "separated/b/bass.wav"]
    assert "x real time" in shown
    assert "3 songs" in shown
    assert "failed: gone.wav" in shown
    assert "\x1b[?25l" in shown  # the cursor is hidden while there are bars ...
    assert shown.rindex("\x1b[?25h") > shown.rindex("\x1b[?25l")  # ... and comes back


def _drain(terminal: int) -> str:
    data = b""
    while select.select([terminal], [], [], 0.2)[0]:
        try:
            data += os.read(terminal, 65536)
        except OSError:  # the other side is closed
            break
    os.close(terminal)
    return data.decode()
