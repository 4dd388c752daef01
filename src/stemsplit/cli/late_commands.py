"""Commands that are made when they are wanted, since their modules and parameters take time."""

from collections.abc import Iterator, Mapping, MutableMapping
from importlib import import_module
from typing import Any

import typer
from typer.main import get_command

from stemsplit.cli.configured import ConfiguredCommand


class LateCommands(MutableMapping[str, Any]):
    """The commands of a group by name.

    Parameters
    ----------
    made
        Those that are there already.
    summaries
        What each of the others does, in a line, by its name; see `make_command`.
    """

    def __init__(self, made: Mapping[str, Any], summaries: Mapping[str, str]) -> None:
        self._made: dict[str, Any] = {**made, **dict.fromkeys(summaries)}
        self._summaries = summaries

    def __getitem__(self, name: str) -> Any:
        command = self._made[name]
        if command is None:
            command = self._made[name] = make_command(name, self._summaries[name])
        return command

    def __setitem__(self, name: str, command: Any) -> None:
        self._made[name] = command

    def __delitem__(self, name: str) -> None:
        del self._made[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._made)

    def __len__(self) -> int:
        return len(self._made)


def make_command(name: str, summary: str) -> Any:
    """Make the command of ``stemsplit.cli.NAME``: a `typer.Typer` or a function of this name."""
    module = import_module(f"stemsplit.cli.{name}")
    found = getattr(module, name)
    if not isinstance(found, typer.Typer):
        program = typer.Typer(rich_markup_mode=None, add_completion=False)
        epilog = getattr(module, "EPILOG", None)
        program.command(name, cls=ConfiguredCommand, short_help=summary, epilog=epilog)(found)
        found = program
    command = get_command(found)
    command.name = name
    return command
