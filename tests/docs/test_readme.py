"""The README, held against the program: ``python -m tests.docs.test_readme`` rewrites its generated parts."""

import dataclasses
import math
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import soundfile
from typer.main import get_command

from benchmarks.report import load, markdown
from benchmarks.songs import EXAMPLE, make_loop
from stemsplit.cli.app import DefaultGroup, app
from stemsplit.jobs.result import ExitStatus, FileResult
from tests.docs.test_examples import ARGUMENTS
from tests.support import ROOT
from tests.support.cli import make_environment

README = ROOT / "README.md"
CARD = ROOT / "models" / "band.md"
QUALITY = ("uSDR", "improvement", "SI-SDR", "baseline", "oracle mask")

EXIT_CODES = {
    ExitStatus.OK: "everything is done",
    ExitStatus.FAILED: "some or all songs failed, or a model, a device or standard output cannot be used",
    ExitStatus.USAGE: "a mistake in the call; nothing was written",
    ExitStatus.INTERRUPTED: "stopped by Ctrl-C; finished songs are kept, nothing unfinished is left",
    ExitStatus.TERMINATED: "stopped by SIGTERM, likewise",
}

JSON_FIELDS = {
    "input": "the song, as it was named",
    "status": "`done`, `skipped`, `planned` (dry run) or `failed`",
    "outputs": "path of each stem",
    "levels_db": "energy of each stem over that of the song, in dB; null for digital silence",
    "expected_sdr_db": "SDR in dB that the masks promise for each stem; null for silence or without masks",
    "sample_rate": "in Hz",
    "n_channels": "of the song and of each stem",
    "n_samples": "length in samples, of the song and of each stem",
    "duration_s": "length in seconds",
    "elapsed_s": "seconds that the song took",
    "speed": "seconds of music a second",
    "device": "where the networks ran",
    "models": "name, version, SHA-256, licence and `commercial` (true, false, `unknown`) of each model",
    "settings": "what decides the content of the stems",
    "gain": "the factor that all stems share; below 1 if one would have clipped",
    "clipped_samples": "samples that lie outside full scale all the same",
    "note": "a remark, such as why the song was skipped",
    "error": "what happened and what to do",
    "error_type": "the class of the error",
}


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def make_options() -> str:
    """The options of the command, in the program's own words."""
    return _table_of(_options())


def make_serve() -> str:
    """The options of the service."""
    return _table_of(_options_of("serve"))


def _table_of(params: Iterable[Any]) -> str:
    rows = []
    for param in params:
        names = ", ".join(f"`{name}`" for name in sorted(param.opts, key=len))
        value = "" if param.is_flag else f" {param.metavar}"
        rows.append((names + value, _describe(param)))
    return _table(("option", "meaning"), rows)


def _options() -> Iterator[Any]:
    group: Any = get_command(app)
    yield from _options_of(DefaultGroup.default)
    yield from (param for param in group.params if param.param_type_name == "option")


def _options_of(name: str) -> Iterator[Any]:
    group: Any = get_command(app)
    yield from (param for param in group.commands[name].params if param.param_type_name == "option")


def _describe(param: Any) -> str:
    shown = isinstance(param.default, int | str) and not param.is_flag
    return f"{param.help} Default: `{param.default}`." if shown else str(param.help)


def make_exit_codes() -> str:
    """The exit codes of the command."""
    return _table(("code", "meaning"), [(str(int(code)), text) for code, text in EXIT_CODES.items()])


def make_json() -> str:
    """The fields of a result."""
    return _table(("field", "meaning"), [(f"`{name}`", text) for name, text in JSON_FIELDS.items()])


def _figures() -> list[dict[str, str]]:
    """The card's table of figures, a row for each source and target, then the means."""
    card = CARD.read_text(encoding="utf-8")
    table = re.search(r"^\| source \| target \| excerpts \|.*?\n\n", card, flags=re.MULTILINE | re.DOTALL)
    assert table is not None, "the card has no table"
    head, _, *rows = [
        [cell.strip("* ") for cell in line.strip("|").split("|")] for line in table[0].strip().splitlines()
    ]
    return [dict(zip(head, row, strict=True)) for row in rows]


def make_quality() -> str:
    """How long the model was trained, and its means over real validation songs, from its card."""
    card = CARD.read_text(encoding="utf-8")
    training = re.search(r"^- (\d+) minutes, (\d+) steps", card, flags=re.MULTILINE)
    assert training is not None, "the card does not say how long the training took"
    real = [row for row in _figures() if row["source"] == "mean of real sources"]
    rows = [(row["target"], *(row[column] for column in QUALITY)) for row in real]
    table = _table(("target", *(f"{column}, dB" for column in QUALITY)), rows)
    start = ", from the weights of the version before" if "` were the start" in card else ""
    start += ", and averaged with them" if "the mean of the run's weights" in card else ""
    return f"Trained for {training[1]} minutes ({training[2]} steps) on two CPU cores{start}.\n\n{table}"


def make_overhead() -> str:
    """What a run spends outside the network, from the benchmark's result."""
    (row,) = load("overhead")["rows"]
    return (
        f"Outside the network a four-stem run spends {row['cpu_share_outside']:.0%} of its CPU time "
        "(start-up, decoding, transforms,\n"
        f"writing). For {row['wall_share_outside']:.0%} of the wall time no network is busy."
    )


PARTS: dict[str, Callable[[], str]] = {
    "options": make_options,
    "exit codes": make_exit_codes,
    "json": make_json,
    "serve": make_serve,
    "quality": make_quality,
    "overhead": make_overhead,
    **{name: lambda name=name: markdown(name) for name in ("speed", "memory", "startup")},  # type: ignore[misc]
}


def _split(text: str, name: str) -> tuple[str, str, str]:
    """Text before, in and after a generated part."""
    start, end = f"<!-- {name} -->\n", f"<!-- /{name} -->"
    before, _, rest = text.partition(start)
    inside, found, after = rest.partition(end)
    assert found, f"the README has no part {name!r}"
    return before + start, inside, end + after


def _read() -> str:
    return README.read_text(encoding="utf-8")


def _blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", _read(), flags=re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("name", PARTS)
def test_generated_parts_are_up_to_date(name: str) -> None:
    assert _split(_read(), name)[1].strip() == PARTS[name](), "run python -m tests.docs.test_readme"


def test_every_exit_code_and_field_is_described() -> None:
    assert set(EXIT_CODES) == set(ExitStatus)
    assert list(JSON_FIELDS) == [field.name for field in dataclasses.fields(FileResult)]


def test_every_option_that_is_mentioned_exists() -> None:
    group: Any = get_command(app)
    managing = [param for command in group.commands["models"].commands.values() for param in command.params]
    params = [*_options(), *_options_of("serve"), *managing]
    known = {name for param in params for name in param.opts} | {"--help"}
    code = " ".join([*re.findall(r"`([^`\n]+)`", _read()), *_blocks("sh"), *_blocks("console")])
    mentioned = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", code))
    assert mentioned <= known


def test_expected_figures_are_as_near_to_the_true_ones_as_is_said() -> None:
    away_db: dict[str, list[float]] = {"album": [], "others": []}
    for row in _figures():
        if not row["source"].startswith("mean") and row["expected"] != "-":
            column = away_db["album" if row["source"] == "album" else "others"]
            column.append(float(row["expected"]) - float(row["uSDR"]))
    least, most = round(min(away_db["album"])), round(max(away_db["album"]))
    furthest = math.ceil(10 * max(map(abs, away_db["others"]))) / 10
    said = (
        f"one band it is {least} to {most} dB too hopeful, elsewhere at most {furthest} dB away on the mean."
    )
    assert said in " ".join(_read().split())


def test_the_set_up_line_is_the_one_that_is_tested() -> None:
    assert any(f"pip install . && .venv/bin/stemsplit {ARGUMENTS}\n" in block for block in _blocks("bash"))


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the songs that the README speaks of, and the command on the path."""
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


@pytest.mark.slow
def test_shell_examples_run(workplace: Path) -> None:
    lines = [line for block in _blocks("sh") for line in block.splitlines()]
    assert len(lines) > 10
    for line in lines:
        run = _run(line, workplace)
        assert run.returncode == 0, f"{line}\n{run.stderr}"


def _without_numbers(text: str) -> list[str]:
    """Lines in order of the alphabet: the two streams of a process have no common order."""
    return sorted(re.sub(r"\d+(\.\d+)?", "N", line) for line in text.splitlines())


def _dialogues() -> Iterator[tuple[str, str]]:
    for block in _blocks("console"):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, output = part.partition("\n")
            yield command, output


def test_what_two_models_and_two_passes_bring_is_that_of_their_table() -> None:
    table = (CARD.parent / "best.md").read_text(encoding="utf-8")
    rows = [line.split(" | ") for line in table.splitlines() if line.startswith(("| band", "| both"))]
    one, shifted, both, best = (row[5] for row in rows)
    figures = {(row["source"], row["target"]): row["uSDR"] for row in _figures()}
    assert one == figures["mean of real sources", "mean"]
    said = " ".join(README.read_text(encoding="utf-8").split())
    told = f"is {one} dB with `band`, {shifted} with two shifts, {both} with both models and {best} with both"
    assert told in said and float(best) > max(map(float, (one, shifted, both)))


@pytest.mark.slow
def test_outputs_are_real(workplace: Path) -> None:
    for command, output in _dialogues():
        run = _run(command, workplace)
        assert _without_numbers(run.stdout + run.stderr) == _without_numbers(output), command


@pytest.mark.slow
@pytest.mark.usefixtures("workplace")
def test_python_examples_run() -> None:
    blocks = _blocks("python")
    assert blocks
    for block in blocks:
        exec(compile(block, str(README), "exec"), {})


def _anchors(path: Path) -> set[str]:
    heads = re.findall(r"^#+ (.*)$", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {re.sub(r"[^\w -]", "", head.lower()).replace(" ", "-") for head in heads}


@pytest.mark.parametrize("page", ["README.md", "examples/README.md", "benchmarks/README.md"])
def test_links_lead_somewhere(page: str) -> None:
    links = re.findall(r"\]\(([^)\s]+)\)", (ROOT / page).read_text(encoding="utf-8"))
    assert links
    for link in links:
        if link.startswith("https://"):
            continue
        target, _, anchor = link.partition("#")
        path = (ROOT / page).parent / target if target else ROOT / page
        assert path.exists(), link
        assert not anchor or anchor in _anchors(path), link


def test_every_guarantee_names_tests_that_exist() -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", _read())
    assert len(named) > 10
    for file, function in named:
        assert f"def {function}(" in (ROOT / file).read_text(encoding="utf-8"), f"{file}::{function}"


def rewrite() -> None:
    """Bring the generated parts up to date."""
    text = _read()
    for name, make in PARTS.items():
        before, _, after = _split(text, name)
        text = f"{before}{make()}\n{after}"
    README.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    rewrite()
