"""Exit codes: the status or the error with which a command ends."""

from collections.abc import Callable

import typer

from stemsplit.cli.console import warn
from stemsplit.errors import SettingsError, StemsplitError
from stemsplit.jobs.result import ExitStatus


def run_command(command: Callable[[], ExitStatus]) -> None:
    """Run a command; invalid usage exits with 2, any other error with 1."""
    try:
        status = command()
    except SettingsError as error:
        _fail(error, ExitStatus.USAGE)
    except StemsplitError as error:
        _fail(error, ExitStatus.FAILED)
    except KeyboardInterrupt:
        _fail("interrupted", ExitStatus.INTERRUPTED)
    else:
        raise typer.Exit(int(status))


def _fail(error: object, status: ExitStatus) -> None:
    warn(f"stemsplit: {error}")
    raise typer.Exit(int(status))
