"""The man page, from the same declarations as the help: ``python -m docs.generate.man_page`` rewrites it."""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import typer
from typer.main import get_command

from docs.generate.tables import EXIT_CODES
from stemsplit import __version__
from stemsplit.cli.app import app
from stemsplit.cli.help import EXAMPLES, get_panel, iter_options
from stemsplit.cli.options.panels import Panel

PAGE = Path(__file__).parents[1] / "man" / "stemsplit.1"

_DESCRIPTION = (
    "stemsplit splits songs into stems such as vocals, drums, bass and other. Songs are streamed: memory "
    "does not grow with their length. Stems keep the sample rate, the channels and the length of the "
    "song, and sum to it. Paths of stems are written to standard output, everything else to standard error."
)
_FILES = (
    ("config.toml", "Defaults for any option, in the folder that `stemsplit config` names."),
    (".stemsplit.toml", "Defaults for a folder and those below it."),
    ("presets.toml", "Presets of your own, beside config.toml."),
    (".stemsplit-journal.jsonl", "What --resume knows, in the output folder."),
)
_ENVIRONMENT = (
    ("STEMSPLIT_MODELS", "Folder of your models."),
    ("STEMSPLIT_OFFLINE", "Set to 1, no server is ever contacted."),
    ("NO_COLOR", "Set, nothing is coloured."),
)


def make_man_page() -> str:
    """Return the page in the macros of man(7)."""
    group: Any = get_command(app)
    ctx = typer.Context(group, info_name="stemsplit")
    lines = [
        f'.TH STEMSPLIT 1 "" "stemsplit {__version__}"',
        *_section("NAME", ["stemsplit \\- split songs into stems"]),
        *_section(
            "SYNOPSIS", [".B stemsplit", "[OPTIONS] INPUTS...", ".br", ".B stemsplit", "COMMAND [ARGS]..."]
        ),
        *_section("DESCRIPTION", [_escape(_DESCRIPTION)]),
        *_section("EXAMPLES", _list((command, meaning.capitalize() + ".") for command, meaning in EXAMPLES)),
        ".SH OPTIONS",
    ]
    params = list(iter_options(group, ctx))
    for panel in Panel:
        lines += [f".SS {panel}", *_options(ctx, (each for each in params if get_panel(each) is panel))]
    lines.append(".SH COMMANDS")
    for name, command in _commands(group):
        lines += [f".SS stemsplit {name}", _escape(command.help or ""), *_options(ctx, command.params)]
    lines += _section("EXIT STATUS", _list((str(int(code)), text) for code, text in EXIT_CODES.items()))
    lines += _section("FILES", _list(_FILES))
    lines += _section("ENVIRONMENT", _list(_ENVIRONMENT))
    return "\n".join(lines) + "\n"


def _commands(group: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, command in group.commands.items():
        if not command.hidden:
            yield prefix + name, command
            yield from _commands(command, f"{prefix}{name} ") if hasattr(command, "commands") else ()


def _options(ctx: typer.Context, params: Iterable[Any]) -> list[str]:
    options = (param for param in params if param.param_type_name == "option")
    return _list(record for param in options if (record := param.get_help_record(ctx)))


def _section(title: str, lines: Iterable[str]) -> list[str]:
    return [f".SH {title}", *lines]


def _list(records: Iterable[tuple[str, str]]) -> list[str]:
    """Terms in bold, each with its text below."""
    return [line for term, text in records for line in (".TP", f"\\fB{_escape(term)}\\fR", _escape(text))]


def _escape(text: str) -> str:
    escaped = " ".join(text.split()).replace("\\", "\\e").replace("-", "\\-")
    return re.sub(r"^([.'])", r"\\&\1", escaped)


def rewrite() -> None:
    """Bring the page up to date."""
    PAGE.write_text(make_man_page(), encoding="utf-8")


if __name__ == "__main__":
    rewrite()
