"""Standard streams that are closed, full, or read by nobody: the work is done all the same."""

import subprocess
from pathlib import Path

import pytest

from tests.support.cli import Call, expect, list_files, make_command, make_environment, make_song
from tests.support.marks import slow_but
from tests.support.tiny_models import make_spec, write_model

FULL = "stemsplit: stdout: cannot be written (No space left on device)"

pytestmark = pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a shell and /dev/full")


@pytest.fixture
def model(model: Path) -> Path:
    """A model, and a folder to work in with two songs."""
    for name in "ab":
        make_song(Path(f"{name}.wav"), seconds=0.2)
    return model


def call_shell(*args: object, then: str) -> Call:
    """Run the command in a shell that does something to its streams."""
    # an unbuffered standard output would have nothing left to fail with at the end
    environment = {name: value for name, value in make_environment().items() if name != "PYTHONUNBUFFERED"}
    shell = ["bash", "-c", f'set -o pipefail; "$@" {then}', "bash"]
    done = subprocess.run(
        [*shell, *make_command(args)], input=b"", capture_output=True, env=environment, check=False
    )
    return Call(done.returncode, done.stdout, done.stderr.decode())


@pytest.mark.slow
def test_results_that_cannot_be_written_stop_no_song(model: Path) -> None:
    for args in ([], ["--overwrite", "--json"]):
        done = call_shell("a.wav", "b.wav", "-m", model, "-d", "cpu", "-q", *args, then=">/dev/full")
        assert done.code == 1
        (line,) = done.stderr.splitlines()
        assert line.startswith(FULL)
    assert list_files(Path("separated")) == expect("a", "b")


def test_a_closed_standard_output_is_nowhere(model: Path) -> None:
    done = call_shell("a.wav", "-m", model, "-d", "cpu", "-q", then=">&-")
    assert (done.code, done.stderr) == (0, "")
    assert list_files(Path("separated")) == expect("a")


def test_a_stem_needs_a_standard_output(model: Path) -> None:
    closed = call_shell("a.wav", "-m", model, "-s", "bass", "-o", "-", then=">&-")
    assert closed.code == 2
    assert closed.stderr == "stemsplit: --output - writes a wav into a pipe, but standard output is closed\n"
    full = call_shell("a.wav", "-m", model, "-s", "bass", "-o", "-", "-q", then=">/dev/full")
    assert full.code == 1
    assert full.stderr == "failed: a.wav: stdout: cannot be written (No space left on device)\n"


def test_a_closed_standard_input_holds_no_song(model: Path) -> None:
    done = call_shell("-", "-m", model, "-q", then="<&-")
    assert done.code == 1
    assert done.stderr == "failed: -: stdin: no audio arrived; pipe a wav stream into it\n"


@pytest.mark.slow
@pytest.mark.parametrize("then", ["2>&-", "2>/dev/full"])
def test_no_standard_error_is_no_reason_to_stop(model: Path, then: str) -> None:
    done = call_shell("a.wav", "b.wav", "-m", model, then=then)
    assert done.code == 0
    assert len(done.lines) == 8
    assert list_files(Path("separated")) == expect("a", "b")


@pytest.mark.slow
def test_what_is_meant_for_standard_error_never_gets_into_a_stem(model: Path) -> None:
    silent = call_shell("a.wav", "-m", model, "-s", "bass", "-o", "-", then="2>&-")
    heard = call_shell("a.wav", "-m", model, "-s", "bass", "-o", "-", then="")
    assert silent.code == heard.code == 0
    assert silent.stdout == heard.stdout
    assert "device: " in heard.stderr


@pytest.mark.slow
def test_signs_that_standard_output_has_not_are_escaped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    named = write_model(tmp_path / "named.onnx", make_spec(attribution="é 日"))
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    for command in ("info", "licence"):
        done = call_shell("models", command, named, then="")
        assert (done.code, done.stderr) == (0, "")
        assert any(line.endswith(r"\xe9 \u65e5") for line in done.lines)


@pytest.mark.slow
@pytest.mark.parametrize("args", [["models"], ["doctor", "--json"], ["--version"]])
def test_lists(args: list[str]) -> None:
    full = call_shell(*args, then=">/dev/full")
    assert full.code == 1
    assert full.stderr == f"{FULL}; send it elsewhere\n"
    unread = call_shell(*args, then="| true")
    assert (unread.code, unread.stderr) == (0, "")
    closed = call_shell(*args, then=">&-")
    assert (closed.code, closed.stderr) == (0, "")


@pytest.mark.parametrize("args", slow_but([["--help"]], [["--help"], ["models", "pull", "-h"]]))
def test_help(args: list[str]) -> None:
    full = call_shell(*args, then=">/dev/full")
    assert (full.code, full.stderr) == (1, f"{FULL}; send it elsewhere\n")
    closed = call_shell(*args, then=">&-")
    assert (closed.code, closed.stderr) == (0, "")


def test_ctrl_c_while_modules_are_being_read_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "typer.py").write_text("raise KeyboardInterrupt\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)  # where python -m looks first
    done = call_shell("song.mp3", then="")
    assert (done.code, done.stderr) == (130, "stemsplit: interrupted\n")
    untold = call_shell("song.mp3", then="2>&-")
    assert (untold.code, untold.stdout) == (130, b"")
