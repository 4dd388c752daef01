"""The command line. Nothing heavy is imported before a command needs it: help comes at once."""

import inspect
import os
import sys
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.main import get_command

from stemsplit import __version__
from stemsplit.cli.analyse import ABOUT as ANALYSE_ABOUT
from stemsplit.cli.analyse import EPILOG as ANALYSE_EPILOG
from stemsplit.cli.analyse import analyse
from stemsplit.cli.config import config
from stemsplit.cli.configured import ConfiguredCommand, find_source
from stemsplit.cli.console import open_missing_streams, settle_stdout, show, warn, writing
from stemsplit.cli.default_group import DefaultCommand, DefaultGroup
from stemsplit.cli.evaluate import ABOUT as EVALUATE_ABOUT
from stemsplit.cli.evaluate import EPILOG as EVALUATE_EPILOG
from stemsplit.cli.evaluate import evaluate
from stemsplit.cli.exit import run_command
from stemsplit.cli.help import MAX_COLUMNS
from stemsplit.cli.models import Json, models
from stemsplit.cli.options import Options, Panel
from stemsplit.cli.serve import ABOUT, EPILOG, serve
from stemsplit.cli.settings_files import find_settings_files
from stemsplit.cli.shell_completion import SCRIPTS, SHELL, answer_shell, install
from stemsplit.errors import OutputError, SettingsError
from stemsplit.files.atomic import explaining
from stemsplit.jobs.result import ExitStatus

_ABOUT = "Split songs into stems: vocals, drums, bass and other."


app = typer.Typer(
    cls=DefaultGroup,
    help=_ABOUT,
    rich_markup_mode=None,
    add_completion=False,
    no_args_is_help=True,
    context_settings={"help_option_names": ["--help", "-h"], "max_content_width": MAX_COLUMNS},
)


def _show_version(wanted: bool) -> None:
    def command() -> ExitStatus:
        show(f"stemsplit {__version__}")
        return ExitStatus.OK

    if wanted:
        run_command(command)


def _show_all(ctx: typer.Context, wanted: bool) -> None:
    if wanted and isinstance(ctx.command, DefaultGroup):
        with writing():
            typer.echo(ctx.command.get_full_help(ctx))
        raise typer.Exit


def _detect_shell() -> str:
    import shellingham

    try:
        return str(shellingham.detect_shell()[0])
    except shellingham.ShellDetectionFailure:
        return "unknown"


def _show_completion(wanted: bool) -> None:
    def command() -> ExitStatus:
        shell = _detect_shell()
        if shell not in SCRIPTS:
            raise SettingsError(
                f"there is no completion for the shell {shell!r}; there is for {', '.join(SCRIPTS)}"
            )
        show(SCRIPTS[shell].rstrip("\n"))
        return ExitStatus.OK

    if wanted:
        run_command(command)


def _install_completion(wanted: bool) -> None:
    def command() -> ExitStatus:
        shell = _detect_shell()
        if shell not in SCRIPTS:
            raise SettingsError(
                f"there is no completion for the shell {shell!r}; there is for {', '.join(SCRIPTS)}"
            )
        home = Path.home()
        with explaining(home):
            path = install(shell, home)
        show(f"{shell} completion is in {path}; it works in new terminals")
        return ExitStatus.OK

    if wanted:
        run_command(command)


@app.callback()
def _group(
    help_all: Annotated[
        bool,
        typer.Option(
            "--help-all",
            help="Show all options and exit.",
            is_eager=True,
            callback=_show_all,
            rich_help_panel=Panel.OTHER,
        ),
    ] = False,
    version: Annotated[
        bool,
        typer.Option(
            "--version",
            help="Show the version and exit.",
            is_eager=True,
            callback=_show_version,
            rich_help_panel=Panel.OTHER,
        ),
    ] = False,
    install_completion: Annotated[
        bool,
        typer.Option(
            "--install-completion",
            help="Install completion for your shell (bash, zsh or fish) and exit.",
            is_eager=True,
            callback=_install_completion,
            rich_help_panel=Panel.OTHER,
        ),
    ] = False,
    show_completion: Annotated[
        bool,
        typer.Option(
            "--show-completion",
            help="Print the completion script of your shell and exit.",
            is_eager=True,
            callback=_show_completion,
            rich_help_panel=Panel.OTHER,
        ),
    ] = False,
) -> None:
    """Take the options of the program itself."""


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
    options = Options(**values)
    from stemsplit.cli.separate import separate

    return separate(options)


# the fields of Options are the parameters of the command: neither is written twice
_context = inspect.Parameter("ctx", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context)
_separate.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
    [_context, *inspect.signature(Options).parameters.values()]
)
_separate.__annotations__ = {"ctx": typer.Context, **Options.__annotations__}
app.command(DefaultGroup.default, cls=DefaultCommand, hidden=True, help=_ABOUT)(_separate)


app.add_typer(models, name="models")
app.add_typer(config, name="config")
app.command(
    "serve",
    cls=ConfiguredCommand,
    help=ABOUT,
    short_help="Serve a web page and a REST interface.",
    epilog=EPILOG,
)(serve)
app.command(
    "analyse",
    cls=ConfiguredCommand,
    help=ANALYSE_ABOUT,
    short_help="Find tempo, beats, key and chords of songs.",
    epilog=ANALYSE_EPILOG,
)(analyse)
app.command(
    "evaluate",
    cls=ConfiguredCommand,
    help=EVALUATE_ABOUT,
    short_help="Score models on a data set with true stems.",
    epilog=EVALUATE_EPILOG,
)(evaluate)


@app.command("doctor", help="Check the installation, and show how to repair it.")
def _doctor(json: Json = False) -> None:
    def command() -> ExitStatus:
        from stemsplit.cli.doctor import run_doctor

        return run_doctor(as_json=json)

    run_command(command)


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
