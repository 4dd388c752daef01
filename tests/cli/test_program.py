"""The program itself: its help, its version, its commands and what resembles them."""

import re
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from stemsplit import __version__
from stemsplit.cli.app import Program, app
from stemsplit.cli.options.panels import MAIN_COMMANDS, MAIN_OPTIONS, Panel
from stemsplit.cli.options.separation import SeparationOptions
from tests.support.cli import (
    STEMS,
    call,
    call_process,
    list_files,
    make_song,
)

# exit codes


def test_no_arguments_show_the_help_and_are_2() -> None:
    done = call()
    assert done.code == 2
    assert "INPUTS" in done.stderr


def test_the_help_fits_a_screen() -> None:
    for args in (["--help"], ["-h"], ["separate", "--help"]):
        shown = call(*args, columns=80)
        assert shown.code == 0
        assert shown.lines[0] == "Usage: stemsplit [OPTIONS] INPUTS..."
        assert len(shown.lines) <= 24 and max(map(len, shown.lines)) <= 80
    assert sum(line.startswith("  stemsplit ") for line in shown.lines) == 3
    for name in (*MAIN_OPTIONS, "help-all"):
        assert f"--{name}" in shown.text
    for command in MAIN_COMMANDS:
        assert f"\n  {command} " in shown.text
    commands: Any = get_command(app)
    named = set(re.findall(r"\w+", shown.text.partition("Commands:")[2]))
    assert {name for name, command in commands.commands.items() if not command.hidden} <= named


def test_the_whole_help_names_every_option_in_its_panel() -> None:
    shown = call("--help-all", columns=100)
    assert shown.code == 0
    assert max(map(len, shown.lines)) <= 100
    titles = [line for line in shown.lines if line.endswith(":") and not line.startswith(" ")]
    assert titles == ["Arguments:", *(f"{panel}:" for panel in Panel), "Commands:"]
    for field in SeparationOptions.__dataclass_fields__:
        assert field == "inputs" or f"--{field.replace('_', '-')}" in shown.text
    assert call("--help-all", "a.wav").lines[0] == shown.lines[0]


def test_a_usage_error_names_the_command_as_it_is_called(model: Path) -> None:
    done = call("a.wav", "--nonsense")
    assert done.stderr.splitlines()[0] == "Usage: stemsplit [OPTIONS] INPUTS..."
    assert "separate" not in done.stderr


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("serv", "serve"),
        ("doctr", "doctor"),
        ("Models", "models"),
        ("list", "models list"),
        ("version", "--version"),
        ("help", "--help"),
    ],
)
def test_a_mistyped_command_is_a_mistyped_command(model: Path, word: str, meant: str) -> None:
    done = call(word, "--json")
    assert done.code == 2
    assert f"there is no command and no file {word!r}; did you mean 'stemsplit {meant}'?" in done.stderr
    make_song(Path("song.wav")).rename(word)
    assert call(word, "-m", model, "-s", "bass").lines == [f"separated/{word}/bass.wav"]


def test_a_word_like_no_command_is_a_song_that_is_missing(model: Path) -> None:
    for name in ("song", "serve.mp3", "./serv"):
        done = call(name, "-m", model)
        assert done.code == 1
        assert f"failed: {name}: no such file" in done.stderr


def test_the_version() -> None:
    for args in (["--version"], ["a.wav", "--version"], ["a.wav", "-o", "b", "--version", "-q"]):
        assert call(*args).lines == [f"stemsplit {__version__}"]
    assert "--version: no such file" in call("--dry-run", "--", "--version").stderr


def test_separate_may_be_named_and_options_may_come_first(model: Path) -> None:
    make_song(Path("a.wav"))
    assert call("separate", "a.wav", "-m", model, "-s", "bass").code == 0
    assert call("--stems", "drums", "-m", model, "a.wav").code == 0
    assert list_files(Path("separated")) == ["a/bass.wav", "a/drums.wav"]


def test_a_song_called_like_a_command(model: Path) -> None:
    make_song(Path("song.wav")).rename("models")
    done = call("./models", "-m", model, "-s", "bass")
    assert done.lines == ["separated/models/bass.wav"]


def test_models_are_listed(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("cli.models_list", "registry.installed"):
        monkeypatch.setattr(f"stemsplit.{module}.bundled_models", lambda: [tiny_model])
        monkeypatch.setattr(f"stemsplit.{module}.work_models", lambda: {})
    shown = call("models")
    assert shown.code == 0
    assert shown.lines[0].split() == ["NAME", "VERSION", "STEMS", "RATE", "SIZE", "LICENCE", "SHA256"]
    assert "vocals,drums,bass,other" in shown.lines[1]
    record, without_network = call("models", "list", "--json").records
    assert without_network["name"] == "hpss"
    assert record == call("models", "info", "tiny", "--json").records[0]
    assert record == call("models", "info", tiny_model, "--json").records[0]
    assert record["targets"] == list(STEMS)
    assert record["size_bytes"] == tiny_model.stat().st_size
    wrong = call("models", "info", "tinny")
    assert wrong.code == 2
    assert "did you mean 'tiny'" in wrong.stderr


@pytest.mark.parametrize("option", [["--models-dir", "mine"], ["--json"]])
def test_an_option_of_the_list_is_not_ignored_before_another_command(option: list[str]) -> None:
    for command in (["list"], ["remove", "tiny"]):
        refused = call("models", *option, *command)
        assert refused.code == 2
        assert f"behind the command: stemsplit models {command[0]} {option[0]}" in refused.stderr
        assert refused.stdout == b""


def test_a_model_that_is_not_there_is_the_same_mistake_everywhere(model: Path) -> None:
    make_song(Path("a.wav"))
    for name, code in (("./gone", 1), ("gone", 2), ("gone.onnx", 1)):
        shown, used = call("models", "info", name), call("a.wav", "-d", "cpu", "-m", name)
        assert (shown.code, shown.stderr) == (used.code, used.stderr)
        assert shown.code == code


def test_it_runs_as_a_module() -> None:
    assert call_process("--version").lines == [f"stemsplit {__version__}"]
    assert call_process("-x").code == 2


def test_the_summary_of_a_command_is_that_of_its_own_help() -> None:
    group: Any = get_command(app)
    assert {name: group.commands[name].get_short_help_str(100) for name in Program.summaries} == dict(
        Program.summaries
    )
