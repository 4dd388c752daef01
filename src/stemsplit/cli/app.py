"""The command line. Nothing heavy is imported before a command needs it: help comes at once."""

import inspect
import os
import sys
from collections.abc import Mapping
from contextlib import nullcontext
from types import MappingProxyType
from typing import Any

import typer
from typer.main import get_command

from stemsplit.cli.configured import find_source
from stemsplit.cli.console import open_missing_streams, settle_stdout, warn, writing
from stemsplit.cli.default_group import DefaultCommand, DefaultGroup
from stemsplit.cli.exit import run_command
from stemsplit.cli.help import MAX_COLUMNS
from stemsplit.cli.options.separation import SeparationOptions
from stemsplit.cli.program_options import program_options
from stemsplit.cli.settings_files import find_settings_files
from stemsplit.cli.shell_completion import SHELL, answer_shell
from stemsplit.errors import OutputError
from stemsplit.jobs.result import ExitStatus

_ABOUT = "Split songs into stems: vocals, drums, bass and other."


class Program(DefaultGroup):
    """All commands; in the modules of their names are those that are named."""

    summaries = MappingProxyType(
        {
            "serve": "Serve a web page and a REST interface.",
            "analyse": "Find tempo, beats, key and chords of songs.",
            "report": "Make one page about a song: pictures, analysis, excerpts.",
            "replace": "Replace the drums of songs by samples of a kit.",
            "unpack": "Write the parts of stem files (.stem.mp4) as files.",
            "evaluate": "Score models on a data set with true stems.",
            "plan": "Calculate what a run of many songs needs.",
            "doctor": "Check the installation, and show how to repair it.",
            "models": "List, show, fetch and check models.",
            "config": "Show, edit and explain your settings.",
        }
    )


app = typer.Typer(
    cls=Program,
    help=_ABOUT,
    rich_markup_mode=None,
    add_completion=False,
    no_args_is_help=True,
    context_settings={"help_option_names": ["--help", "-h"], "max_content_width": MAX_COLUMNS},
)


app.callback()(program_options)


def _separate(ctx: typer.Context, **given: Any) -> None:
    sources = {name: find_source(ctx, name) for name in given}

    def command() -> ExitStatus:
        if given["preset"] is None:
            return _run(given, sources)
        from stemsplit.cli.presets import apply_preset, naming_preset

        applied = apply_preset(given, _find_fixed(sources))
        changed = {name for name in given if applied[name] != given[name]}
        preset = f"preset {given['preset']!r}"
        with naming_preset(given, applied):
            return _run(applied, {**sources, **dict.fromkeys(changed, preset)})

    run_command(command)


def _find_fixed(sources: Mapping[str, str]) -> set[str]:
    """Return the options that override the preset: those that are set where it is named, or nearer."""
    order = ["default", *map(str, find_settings_files()), "command line"]
    return {name for name, source in sources.items() if order.index(source) >= order.index(sources["preset"])}


def _run(values: Mapping[str, Any], sources: Mapping[str, str]) -> ExitStatus:
    if values["show_config"]:
        from stemsplit.cli.show_config import show_config

        return show_config(values, sources, as_json=values["json"])
    options = SeparationOptions(**values)
    if sources["presets"] == "command line":  # a settings file may name one for the times it is needed
        options.check_presets()
    from stemsplit.cli.separate import separate

    return separate(options)


# the fields of SeparationOptions are the parameters of the command
_context = inspect.Parameter("ctx", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context)
_parameters = inspect.signature(SeparationOptions).parameters.values()
_separate.__signature__ = inspect.Signature([_context, *_parameters])  # type: ignore[attr-defined]
_separate.__annotations__ = {"ctx": typer.Context, **{each.name: each.annotation for each in _parameters}}
app.command(DefaultGroup.default, cls=DefaultCommand, hidden=True, help=_ABOUT)(_separate)


def main() -> None:
    """Run the program."""
    open_missing_streams()
    # written by typer, not by our console, which says in one line why it could not
    is_help = not {"--help", "-h"}.isdisjoint(sys.argv)
    try:
        if SHELL in os.environ:
            answer_shell(get_command(app))
        with writing() if is_help else nullcontext():
            app(prog_name="stemsplit" if sys.argv[0].endswith("__main__.py") else None)
    except OutputError as error:
        warn(f"stemsplit: {error}")
        sys.exit(ExitStatus.FAILED)
    finally:
        settle_stdout()
