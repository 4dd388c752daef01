"""A group of commands with a default: ``stemsplit song.mp3`` means ``stemsplit separate song.mp3``."""

from collections.abc import Mapping
from itertools import takewhile
from types import MappingProxyType
from typing import Any

import typer
from typer.core import TyperGroup

from stemsplit.cli.configured import ConfiguredCommand
from stemsplit.cli.help import write_all_options, write_main_options
from stemsplit.cli.late_commands import LateCommands
from stemsplit.cli.mistyped import explain_mistyped


class _DefaultContext(typer.Context):
    """The context of the default command, whose name may be left out."""

    @property
    def command_path(self) -> str:
        """The path of the group."""
        assert self.parent is not None
        return self.parent.command_path


class DefaultCommand(ConfiguredCommand):
    """The default command; its help is that of its group."""

    context_class = _DefaultContext

    @property
    def section(self) -> str | None:
        """No table: the keys outside the tables are for the default command."""
        return None

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse; to show the settings needs no input."""
        options = [*takewhile(lambda word: word != "--", args)]
        return super().parse_args(ctx, [*args, "-"] if "--show-config" in options else args)

    def format_usage(self, ctx: Any, formatter: Any) -> None:
        """Write the usage of the group."""
        ctx.parent.command.format_usage(ctx.parent, formatter)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the help of the group."""
        ctx.parent.command.format_help(ctx.parent, formatter)


class DefaultGroup(TyperGroup):
    """A group whose default command may be left out: a first word that is no command is an input.

    The options of the group itself end the program, wherever among the inputs and their options they stand.
    """

    default = "separate"
    summaries: Mapping[str, str] = MappingProxyType({})  # of the commands that are made when they are wanted

    def __init__(self, *, commands: Mapping[str, Any], **settings: Any) -> None:
        super().__init__(**settings)
        self.commands = LateCommands(commands, self.summaries)

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002
        """Return the names of the commands, in order."""
        return list(self.commands)

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put the default command in front where none is named, but behind the options of the group."""
        own = {option for param in self.params for option in param.opts}
        if args and args[0].partition("=")[0] not in {*self.commands, *own, *ctx.help_option_names}:
            problem = explain_mistyped(args[0], [name for name in self.commands if name != self.default])
            if problem is not None:
                ctx.fail(problem)
            options = takewhile(lambda word: word != "--", args)
            args = [*(word for word in options if word in own), self.default, *args]
        return super().parse_args(ctx, args)

    def format_usage(self, ctx: Any, formatter: Any) -> None:
        """Show the default command as the command."""
        formatter.write_usage(ctx.command_path, "[OPTIONS] INPUTS...")

    def format_help_text(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002
        """Write what the program does right below the usage, so that the help fits a screen."""
        with formatter.indentation():
            formatter.write_text(self.help)

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write examples, the options that everybody needs, and the commands."""
        write_main_options(self, ctx, formatter)

    def get_full_help(self, ctx: Any) -> str:
        """Return the help with all options, panel by panel."""
        formatter = ctx.make_formatter()
        self.format_usage(ctx, formatter)
        self.format_help_text(ctx, formatter)
        write_all_options(self, ctx, formatter)
        return str(formatter.getvalue()).rstrip("\n")
