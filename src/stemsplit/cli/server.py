"""The ``serve`` command: a socket, a folder, a worker, and a server until somebody says stop."""

import contextlib
import io
import logging
import shutil
import socket
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import segno
import uvicorn
from starlette.types import ASGIApp

from stemsplit.cli.certificate import Certificate
from stemsplit.cli.console import warn
from stemsplit.cli.door import Door, Entrance
from stemsplit.cli.song_run import check_licences, print_device
from stemsplit.jobs.cancellation import Cancellation, catch_signals
from stemsplit.jobs.request import SeparationRequest
from stemsplit.jobs.result import ExitStatus
from stemsplit.service.app import Service
from stemsplit.service.limits import ServiceLimits
from stemsplit.service.queue import SongQueue
from stemsplit.service.record import read_songs
from stemsplit.service.temp_folder import private_folder
from stemsplit.service.worker import Separators, Worker

# for answers that are on their way when the service is stopped
_GRACE_S = 1


class _Server(uvicorn.Server):
    """Leaves the signals to whoever runs it."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class _Stop(Cancellation):
    """A request to stop that ends the server; songs are removed even if there is time for nothing else."""

    def __init__(self) -> None:
        super().__init__()
        self.server: _Server | None = None
        self.folder: Path | None = None

    def request(self, status: ExitStatus = ExitStatus.INTERRUPTED) -> None:
        """Ask the server, too, if there is one already."""
        super().request(status)
        if self.server is not None:
            self.server.should_exit = True

    def abandon(self) -> None:
        """Remove the songs."""
        if self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)


class _ConsoleHandler(logging.Handler):
    """Writes what the library logs to standard error, a line a record."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record."""
        warn(f"stemsplit: {record.getMessage()}")


def serve(
    defaults: SeparationRequest, door: Door, limits: ServiceLimits, *, quiet: bool = False
) -> ExitStatus:
    """Serve until Ctrl-C or SIGTERM; the songs are gone then.

    Raises
    ------
    SettingsError
        If the host is no address of this computer, or what `defaults` ask for is not possible.
    AddressError
        If the port is in use or not allowed.
    ModelError, DeviceError
        If the models cannot be opened.
    """
    stop = _Stop()
    logging.getLogger("stemsplit.service").addHandler(_ConsoleHandler())
    with closing(door.listen()) as listener, catch_signals(stop), private_folder() as folder:
        stop.folder = folder
        entrance = door.open(listener, folder)
        queue = SongQueue(folder, max_waiting=limits.max_waiting, keep_s=limits.keep_s)
        queue.adopt(read_songs(folder))
        separators = Separators()
        separator = separators.open(defaults)
        check_licences(separator, commercial_only=False, quiet=quiet)
        print_device(separator, defaults, quiet=quiet)
        service = Service(queue, separator, defaults, limits, address=entrance.shared_address)
        app = service.make_app(entrance.names, entrance.password)
        with Worker(queue, separators):
            if not stop.requested:
                _show_address(entrance, quiet=quiet)
                _run(app, listener, entrance.certificate, stop)
    return stop.status


def _show_address(entrance: Entrance, *, quiet: bool) -> None:
    warn(f"serving: {entrance.address} (Ctrl-C stops it)")
    if quiet:
        return
    for line in entrance.warnings:
        warn(line)
    if entrance.shared_address is not None and sys.stderr.isatty():
        drawing = io.StringIO()
        segno.make(entrance.shared_address, error="l").terminal(drawing, compact=True)
        for line in drawing.getvalue().splitlines():
            warn(line)


def _run(app: ASGIApp, listener: socket.socket, certificate: Certificate | None, stop: _Stop) -> None:
    config = uvicorn.Config(
        app,
        loop="asyncio",
        http="h11",
        ws="none",
        lifespan="on",
        log_config=None,
        log_level="critical",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=_GRACE_S,
        ssl_certfile=None if certificate is None else certificate.certificate,
        ssl_keyfile=None if certificate is None else certificate.key,
    )
    stop.server = _Server(config)
    stop.server.should_exit = stop.requested
    stop.server.run(sockets=[listener])
