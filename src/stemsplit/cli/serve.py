"""The ``serve`` command. Nothing heavy is imported before it runs."""

from importlib.util import find_spec
from typing import Annotated

import typer

from stemsplit.cli.exit import run_command
from stemsplit.cli.options.shared import Device, Models, ModelsFolder, Threads
from stemsplit.errors import StemsplitError
from stemsplit.jobs.result import ExitStatus

EPILOG = (
    "If other devices can reach it, as with --host 0.0.0.0, the service asks for a password, which is part "
    "of the printed address; --insecure switches this off. Songs and stems are kept in a temporary folder, "
    "which is removed at the end."
)

# the packages of the extra `serve`, as they are imported
EXTRA = ("starlette", "uvicorn", "python_multipart", "cryptography", "segno")


class MissingExtraError(StemsplitError):
    """A package that only one command needs is not installed."""


def serve(  # noqa: PLR0917 - as they are typed
    host: Annotated[
        str, typer.Option("--host", metavar="HOST", help="Address to listen at; 0.0.0.0 is all networks.")
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option("--port", metavar="N", min=0, max=65535, help="Port; 0 takes a free one.")
    ] = 8000,
    password: Annotated[
        str | None,
        typer.Option(
            "--password",
            metavar="TEXT",
            help="Password of the page. Default: a random one where other devices reach it, else none.",
        ),
    ] = None,
    tls: Annotated[
        bool,
        typer.Option("--tls", help="Encrypt, with a new certificate; browsers ask about it once."),
    ] = False,
    cert: Annotated[
        str | None,
        typer.Option("--cert", metavar="PEM", help="Encrypt, with this certificate; needs --key."),
    ] = None,
    key: Annotated[
        str | None, typer.Option("--key", metavar="PEM", help="Private key of --cert.", show_default=False)
    ] = None,
    insecure: Annotated[
        bool, typer.Option("--insecure", help="Let everyone in the network in, without a password.")
    ] = False,
    device: Device = "auto",
    model: Models = None,
    models_dir: ModelsFolder = None,
    threads: Threads = None,
    max_mb: Annotated[
        int, typer.Option("--max-mb", metavar="MB", min=1, help="Megabytes that a song may have.")
    ] = 500,
    keep_minutes: Annotated[
        int,
        typer.Option("--keep-minutes", metavar="N", min=1, help="Minutes that finished songs are kept."),
    ] = 60,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Only the address and failures.")] = False,
) -> None:
    """Serve a web page and a REST interface that split songs, until Ctrl-C."""

    def command() -> ExitStatus:
        _check_extra()
        from stemsplit.cli.door import Door
        from stemsplit.cli.server import serve
        from stemsplit.jobs.request import SeparationRequest
        from stemsplit.service.limits import ServiceLimits

        defaults = SeparationRequest(
            device=device, models=tuple(model or ()), models_dir=models_dir, threads=threads
        )
        limits = ServiceLimits(max_mb * 1_000_000, keep_minutes * 60.0)
        door = Door(host, port, password, tls=tls, cert=cert, key=key, insecure=insecure)
        return serve(defaults, door, limits, quiet=quiet)

    run_command(command)


def _check_extra() -> None:
    missing = [name for name in EXTRA if find_spec(name) is None]
    if missing:
        raise MissingExtraError(
            f"serve needs {' and '.join(missing)}: pip install '.[serve]' (in your clone of stemsplit)"
        )
