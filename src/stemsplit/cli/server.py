"""The ``serve`` command: a socket, a folder, a worker, and a server until somebody says stop."""

import contextlib
import errno
import ipaddress
import logging
import os
import shutil
import socket
from collections.abc import Collection, Iterator
from contextlib import closing
from pathlib import Path

import uvicorn
from starlette.types import ASGIApp

from stemsplit.cli.console import ConsoleHandler, warn
from stemsplit.cli.separate import check_licences, print_device
from stemsplit.errors import SettingsError, StemsplitError
from stemsplit.jobs.cancellation import Cancellation, catch_signals
from stemsplit.jobs.request import SeparationRequest
from stemsplit.jobs.result import ExitStatus
from stemsplit.service.app import Service
from stemsplit.service.guard import LOCAL_NAMES
from stemsplit.service.limits import ServiceLimits
from stemsplit.service.queue import SongQueue
from stemsplit.service.temp_folder import private_folder
from stemsplit.service.worker import Separators, Worker

# for answers that are on their way when the service is stopped
_GRACE_S = 1
_WIDE = "everyone who reaches this address can use it, without a password; it is meant for networks you trust"


class AddressError(StemsplitError):
    """The service cannot listen where it should."""


class _Server(uvicorn.Server):
    """Leaves the signals to whoever runs it."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class _Stop(Cancellation):
    """A request to stop that a server hears; the songs are removed also if there is no time for more."""

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


def serve(
    defaults: SeparationRequest, host: str, port: int, limits: ServiceLimits, *, quiet: bool = False
) -> ExitStatus:
    """Serve until Ctrl-C or SIGTERM; the songs are gone then.

    Raises
    ------
    SettingsError
        If `host` is no address of this computer, or what `defaults` ask for is not possible.
    AddressError
        If the port is in use or not allowed.
    ModelError, DeviceError
        If the models cannot be opened.
    """
    stop = _Stop()
    logging.getLogger("stemsplit.service").addHandler(ConsoleHandler())
    with closing(listen(host, port)) as listener, catch_signals(stop), private_folder() as folder:
        stop.folder = folder
        queue = SongQueue(folder, max_waiting=limits.max_waiting, keep_s=limits.keep_s)
        separators = Separators()
        separator = separators.open(defaults)
        check_licences(separator, commercial_only=False, quiet=quiet)
        print_device(separator, defaults, quiet=quiet)
        app = Service(queue, separator, defaults, limits).make_app(find_names(listener, host))
        with Worker(queue, separators):
            if not stop.requested:
                _tell_address(listener, host, quiet=quiet)
                _run(app, listener, stop)
    return stop.status


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens.

    Raises
    ------
    SettingsError
        If `host` is no address of this computer.
    AddressError
        If the port is in use or not allowed.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, protocol, _, address = found[0]
        listener = socket.socket(family, kind, protocol)
    except (OSError, UnicodeError) as error:
        raise SettingsError(f"--host {host!r} is unknown; try 127.0.0.1") from error
    try:
        if os.name != "nt":  # there it would share a port that is in use
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(128)
    except OSError as error:
        listener.close()
        raise _explain(error, host, port) from error
    return listener


def _explain(error: OSError, host: str, port: int) -> StemsplitError:
    if error.errno == errno.EADDRINUSE:
        return AddressError(
            f"port {port} of {host} is in use; choose another with --port, or 0 for a free one"
        )
    if error.errno == errno.EADDRNOTAVAIL:
        return SettingsError(f"--host {host!r} is no address of this computer; try 127.0.0.1")
    return AddressError(
        f"port {port} of {host} cannot be used ({error.strerror}); choose another with --port"
    )


def is_local(listener: socket.socket) -> bool:
    """Tell whether only this computer can reach a socket."""
    return ipaddress.ip_address(listener.getsockname()[0]).is_loopback


def find_names(listener: socket.socket, host: str) -> Collection[str] | None:
    """Return the names that requests may be sent to; None for all, in a network."""
    return {*LOCAL_NAMES, host} if is_local(listener) else None


def _tell_address(listener: socket.socket, host: str, *, quiet: bool) -> None:
    name = f"[{host}]" if ":" in host else host
    warn(f"serving: http://{name}:{listener.getsockname()[1]}/ (Ctrl-C stops it)")
    if not quiet and not is_local(listener):
        warn(_WIDE)


def _run(app: ASGIApp, listener: socket.socket, stop: _Stop) -> None:
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
    )
    stop.server = _Server(config)
    stop.server.should_exit = stop.requested
    stop.server.run(sockets=[listener])
