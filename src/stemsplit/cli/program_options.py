"""The options of the program itself: its version, all of its help, and the completion of the shell."""

from pathlib import Path
from typing import Annotated

import typer

from stemsplit import __version__
from stemsplit.cli.console import show, writing
from stemsplit.cli.default_group import DefaultGroup
from stemsplit.cli.exit import run_command
from stemsplit.cli.options.panels import Panel
from stemsplit.cli.shell_completion import SCRIPTS, install
from stemsplit.errors import SettingsError
from stemsplit.files.atomic import explaining
from stemsplit.jobs.result import ExitStatus


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
    """Return the name of the shell that runs the program.

    Raises
    ------
    SettingsError
        If there is no completion for it.
    """
    import shellingham

    try:
        shell = str(shellingham.detect_shell()[0])
    except shellingham.ShellDetectionFailure:
        shell = "unknown"
    if shell not in SCRIPTS:
        raise SettingsError(
            f"there is no completion for the shell {shell!r}; there is for {', '.join(SCRIPTS)}"
        )
    return shell


def _show_completion(wanted: bool) -> None:
    def command() -> ExitStatus:
        show(SCRIPTS[_detect_shell()].rstrip("\n"))
        return ExitStatus.OK

    if wanted:
        run_command(command)


def _install_completion(wanted: bool) -> None:
    def command() -> ExitStatus:
        shell, home = _detect_shell(), Path.home()
        with explaining(home):
            path = install(shell, home)
        show(f"{shell} completion is in {path}; it works in new terminals")
        return ExitStatus.OK

    if wanted:
        run_command(command)


def program_options(
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
    """Take the options of the program itself; each of them ends it."""
