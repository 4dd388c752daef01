"""The command line. Nothing heavy is imported before a command needs it: help comes at once."""

import inspect
import sys
from collections.abc import Mapping
from contextlib import nullcontext
from itertools import takewhile
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from stemsplit import __version__
from stemsplit.cli.console import open_missing_streams, settle_stdout, show, warn, writing
from stemsplit.cli.exit import run_command
from stemsplit.cli.models import Json, models
from stemsplit.cli.options import Options
from stemsplit.cli.serve import ABOUT, EPILOG, serve
from stemsplit.errors import OutputError
from stemsplit.jobs.result import ExitStatus

_ABOUT = "Split songs into stems: stemsplit song.mp3 --stems vocals,drums"


class DefaultGroup(TyperGroup):
    """A group whose first word may be left out: what is no subcommand is a song.

    Its own options end the program, wherever among songs and their options they stand.
    """

    default = "separate"

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put the default subcommand in front where none is named, and behind options of the group."""
        own = {option for param in self.params for option in param.opts}
        if args and args[0].partition("=")[0] not in {*self.commands, *own, *ctx.help_option_names}:
            options = takewhile(lambda word: word != "--", args)
            args = [*(word for word in options if word in own), self.default, *args]
        return super().parse_args(ctx, args)

    def format_usage(self, ctx: Any, formatter: Any) -> None:
        """Show that songs can follow at once."""
        formatter.write_usage(ctx.command_path, "[OPTIONS] INPUTS...")
        formatter.write_usage(ctx.command_path, "COMMAND [ARGS]...", prefix="       ")

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """List the options of the default subcommand with the group's own."""
        command = self.commands[self.default]
        params = [*command.params, *self.get_params(ctx)]
        arguments = [param for param in params if param.param_type_name == "argument"]
        options = [param for param in params if param.param_type_name == "option"]
        with formatter.section("Arguments"):
            formatter.write_dl([(f"{param.metavar}...", getattr(param, "help", "")) for param in arguments])
        with formatter.section("Options"):
            formatter.write_dl([record for param in options if (record := param.get_help_record(ctx))])
        self.format_commands(ctx, formatter)


app = typer.Typer(
    cls=DefaultGroup,
    help=_ABOUT,
    epilog="A song called like a command is named with its folder: ./models. "
    "Exit codes: 0 all done, 1 a song failed, 2 a mistake in the call, 130 interrupted.",
    rich_markup_mode=None,
    no_args_is_help=True,
    context_settings={"help_option_names": ["--help", "-h"]},
)


def _show_version(wanted: bool) -> None:
    def command() -> ExitStatus:
        show(f"stemsplit {__version__}")
        return ExitStatus.OK

    if wanted:
        run_command(command)


@app.callback()
def _group(
    version: Annotated[
        bool,
        typer.Option("--version", help="Show the version and exit.", is_eager=True, callback=_show_version),
    ] = False,
) -> None:
    """Options of the program itself."""


def _separate(ctx: typer.Context, **given: Any) -> None:
    typed = {name for name in given if getattr(ctx.get_parameter_source(name), "name", "") == "COMMANDLINE"}

    def command() -> ExitStatus:
        if given["preset"] is None:
            return _run(given)
        from stemsplit.cli.presets import apply_preset, naming_preset

        applied = apply_preset(given, typed)
        with naming_preset(given, applied):
            return _run(applied)

    run_command(command)


def _run(values: Mapping[str, Any]) -> ExitStatus:
    options = Options(**values)
    from stemsplit.cli.separate import separate

    return separate(options)


# the fields of Options are the parameters of the command: neither is written twice
_context = inspect.Parameter("ctx", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context)
_separate.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
    [_context, *inspect.signature(Options).parameters.values()]
)
_separate.__annotations__ = {"ctx": typer.Context, **Options.__annotations__}
app.command(DefaultGroup.default, hidden=True, help=_ABOUT)(_separate)


app.add_typer(models, name="models")
app.command("serve", help=ABOUT, epilog=EPILOG)(serve)


@app.command("doctor", help="Check the installation and say what to do where something is missing.")
def _doctor(json: Json = False) -> None:
    def command() -> ExitStatus:
        from stemsplit.cli.doctor import run_doctor

        return run_doctor(as_json=json)

    run_command(command)


def main() -> None:
    """Run the program."""
    open_missing_streams()
    # written by typer, not by our console, which says in one line why it could not
    is_help = not {"--help", "-h", "--show-completion"}.isdisjoint(sys.argv)
    try:
        with writing() if is_help else nullcontext():
            app(prog_name="stemsplit" if sys.argv[0].endswith("__main__.py") else None)
    except OutputError as error:
        warn(f"stemsplit: {error}")
        sys.exit(ExitStatus.FAILED)
    finally:
        settle_stdout()
