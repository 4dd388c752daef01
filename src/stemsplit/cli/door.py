"""Access to the service: address, password and certificate."""

import contextlib
import errno
import ipaddress
import os
import socket
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

from stemsplit.cli.certificate import Certificate, make_certificate
from stemsplit.errors import SettingsError, StemsplitError
from stemsplit.service.guard import LOCAL_NAMES
from stemsplit.service.password import PARAMETER, make_password

_OPEN = "everyone who reaches this address can use it, without a password; it is meant for networks you trust"
_PLAIN = "songs and the password travel unencrypted; --tls encrypts them"
# a documentation address: nothing is sent, but the system chooses the local address for it
_ELSEWHERE = ("192.0.2.1", 9)


class AddressError(StemsplitError):
    """The service cannot listen at its address."""


@dataclass(frozen=True)
class Entrance:
    """How a running service is reached.

    Parameters
    ----------
    address
        Address for a browser, with the password.
    shared_address
        Address for other devices in the network; None if they cannot reach the service.
    names
        Host names that requests may use; None for all.
    password
        None if none is needed.
    certificate
        None without encryption.
    warnings
        Warnings for the user who started the service.
    """

    address: str
    shared_address: str | None
    names: Collection[str] | None
    password: str | None
    certificate: Certificate | None
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class Door:
    """The options of ``serve`` on its address and on access to it.

    Raises
    ------
    SettingsError
        If two of them contradict each other.
    """

    host: str
    port: int
    password: str | None = field(default=None, repr=False)
    tls: bool = False
    cert: str | None = None
    key: str | None = None
    insecure: bool = False

    def __post_init__(self) -> None:
        if self.password is not None and self.insecure:
            raise SettingsError("--password and --insecure exclude each other; leave one of them out")
        if self.password == "":
            raise SettingsError("--password is empty; name one, or leave it out for a random one")
        if (self.cert is None) != (self.key is None):
            raise SettingsError("--cert and --key belong together; name both, or --tls for a new certificate")

    def listen(self) -> socket.socket:
        """Return a socket that listens, see `listen`."""
        return listen(self.host, self.port)

    def open(self, listener: socket.socket, folder: Path) -> Entrance:
        """Return how the service at `listener` is reached; a new certificate is written to `folder`.

        Raises
        ------
        SettingsError
            If the certificate cannot be used.
        """
        is_shared = not is_local(listener)
        host = find_lan_address(listener) if is_shared else self.host
        password = self.password or (make_password() if is_shared and not self.insecure else None)
        certificate = self._find_certificate(folder, host)
        address = write_address(
            host, listener.getsockname()[1], password, is_encrypted=certificate is not None
        )
        return Entrance(
            address,
            address if is_shared else None,
            find_names(listener, self.host),
            password,
            certificate,
            tuple(self._find_warnings(certificate, is_shared=is_shared)),
        )

    def _find_certificate(self, folder: Path, host: str) -> Certificate | None:
        if self.cert is not None and self.key is not None:
            certificate = Certificate(Path(self.cert), Path(self.key))
            certificate.check()
            return certificate
        if not self.tls:
            return None
        return make_certificate(folder, sorted({*LOCAL_NAMES, host, socket.gethostname()}))

    def _find_warnings(self, certificate: Certificate | None, *, is_shared: bool) -> list[str]:
        warnings = []
        if is_shared and self.insecure:
            warnings.append(_OPEN)
        elif is_shared and certificate is None:
            warnings.append(_PLAIN)
        if certificate is not None and self.cert is None:
            warnings.append(f"certificate: SHA-256 {certificate.fingerprint} (browsers ask about it once)")
        return warnings


def write_address(host: str, port: int, password: str | None, *, is_encrypted: bool) -> str:
    """Return the address of the page.

    >>> write_address("::1", 8000, None, is_encrypted=False)
    'http://[::1]:8000/'
    >>> write_address("192.168.1.2", 8000, "a b", is_encrypted=True)
    'https://192.168.1.2:8000/?key=a%20b'
    """
    name = f"[{host}]" if ":" in host else host
    query = "" if password is None else f"?{PARAMETER}={quote(password, safe='')}"
    return f"{'https' if is_encrypted else 'http'}://{name}:{port}/{query}"


def find_lan_address(listener: socket.socket) -> str:
    """Return the address of a socket for other devices in the network."""
    bound = str(listener.getsockname()[0])
    if not ipaddress.ip_address(bound).is_unspecified:
        return bound
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(_ELSEWHERE)
        return str(probe.getsockname()[0])
    return socket.gethostname()


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens.

    Raises
    ------
    SettingsError
        If `host` is not an address of this computer.
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
        if os.name != "nt":  # on Windows, the option would share a port that is in use
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
        return SettingsError(f"--host {host!r} is not an address of this computer; try 127.0.0.1")
    return AddressError(
        f"port {port} of {host} cannot be used ({error.strerror}); choose another with --port"
    )


def is_local(listener: socket.socket) -> bool:
    """Tell whether only this computer can reach a socket."""
    return ipaddress.ip_address(listener.getsockname()[0]).is_loopback


def find_names(listener: socket.socket, host: str) -> Collection[str] | None:
    """Return the host names that requests may use; None for all, if the network can reach the service."""
    return {*LOCAL_NAMES, host} if is_local(listener) else None
