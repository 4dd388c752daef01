"""Commands whose options take their defaults from settings files."""

from collections.abc import Collection
from typing import Any, Final

import typer
from typer.core import TyperCommand

from stemsplit.cli.exit import run_command
from stemsplit.cli.settings_files import FileSetting, list_options, read_settings
from stemsplit.jobs.result import ExitStatus

_META: Final = "stemsplit.settings"


class ConfiguredCommand(TyperCommand):
    """A command with a table of its name in the settings files."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Take the defaults from the settings files, then parse."""
        if not ctx.resilient_parsing:
            ctx.meta[_META] = self._read_settings(ctx)
            ctx.default_map = {name: setting.value for name, setting in ctx.meta[_META].items()}
        return super().parse_args(ctx, args)

    @property
    def section(self) -> str | None:
        """The table of the command."""
        return self.name

    def list_other_keys(self, _: Any) -> Collection[str]:
        """Return the keys of other commands with the same table."""
        return ()

    def _read_settings(self, ctx: Any) -> dict[str, FileSetting]:
        found: dict[str, FileSetting] = {}

        def command() -> ExitStatus:
            found.update(read_settings(self, ctx, self.section, others=self.list_other_keys(ctx)))
            return ExitStatus.OK

        try:
            run_command(command)
        except typer.Exit as ended:
            if ended.exit_code != ExitStatus.OK:
                raise
        return found


class RegistryCommand(ConfiguredCommand):
    """A command below ``models``; all of them share one table."""

    @property
    def section(self) -> str | None:
        """The table of the group."""
        return "models"

    def list_other_keys(self, ctx: Any) -> Collection[str]:
        """Return the keys of all commands of the group."""
        return {key for command in ctx.parent.command.commands.values() for key in list_options(command)}


def get_settings(ctx: typer.Context) -> dict[str, FileSetting]:
    """Return what the settings files set for the command of `ctx`."""
    settings: dict[str, FileSetting] = ctx.meta.get(_META, {})
    return settings


def find_source(ctx: typer.Context, name: str) -> str:
    """Return where the value of an option comes from: ``command line``, a file, or ``default``."""
    source = getattr(ctx.get_parameter_source(name), "name", "")
    if source == "COMMANDLINE":
        return "command line"
    return str(get_settings(ctx)[name].path) if source == "DEFAULT_MAP" else "default"
