"""The connection to a service: requests over HTTP, answers that are whole, and what goes wrong with them."""

import contextlib
import json
import ssl
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from http.client import HTTPException, HTTPResponse
from http.cookiejar import CookieJar
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import parse_qs, urlencode, urlsplit

from stemsplit.errors import StemsplitError
from stemsplit.files.atomic import explaining, whole_file

_BLOCK_BYTES: Final = 65536


class ServiceError(StemsplitError):
    """The service refused a request, or could not be reached.

    Attributes
    ----------
    status : int or None
        Of HTTP; None if there was no answer.
    kind : str
        The service's name for the error, such as ``AudioError``.
    """

    def __init__(self, message: str, *, status: int | None = None, kind: str = "ServiceError") -> None:
        super().__init__(message)
        self.status = status
        self.kind = kind


class Connection:
    """A connection to a service; a context manager. `stemsplit.client.Client` describes the parameters.

    Raises
    ------
    ServiceError
        From every method: if the service cannot be reached, refuses a request, or its answer breaks off.
    """

    def __init__(
        self,
        address: str,
        *,
        password: str | None = None,
        timeout_s: float = 60.0,
        certificate: str | Path | None = None,
    ) -> None:
        parts = urlsplit(address)
        self._base = f"{parts.scheme}://{parts.netloc}"
        self._password = password or parse_qs(parts.query).get("key", [None])[0]
        self._timeout_s = timeout_s
        context = ssl.create_default_context(cafile=None if certificate is None else str(certificate))
        self._opener = urllib.request.build_opener(
            urllib.request.HTTPSHandler(context=context), urllib.request.HTTPCookieProcessor(CookieJar())
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._opener.close()

    def save(self, address: str, path: str | Path, query: Mapping[str, str | None]) -> Path:
        """Download a file of the service to `path`, which appears when it is whole.

        Raises
        ------
        ServiceError
            If it is refused, or breaks off.
        OutputError
            If it cannot be written.
        """
        path = Path(path)
        with self._open("GET", address, query) as response, explaining(path), whole_file(path) as file:
            for data in _read_body(response):
                file.write(data)
        return path

    def ask(
        self,
        method: str,
        address: str,
        query: Mapping[str, str | None] | None = None,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
    ) -> Any:
        """Send a request that is answered in JSON; None for an empty answer."""
        with self._open(method, address, query, body, headers) as response:
            content = b"".join(_read_body(response))
        try:
            return json.loads(content) if content else None
        except ValueError as error:
            raise ServiceError(f"{self._base} does not answer in JSON; is it stemsplit serve?") from error

    def read_lines(self, address: str, query: Mapping[str, str | None]) -> Iterator[bytes]:
        """Yield the lines of an answer as they come.

        Raises
        ------
        ServiceError
            If it is refused, or breaks off in a way that can be seen.
        """
        with self._open("GET", address, query) as response, _explaining_break():
            yield from response

    def _open(
        self,
        method: str,
        address: str,
        query: Mapping[str, str | None] | None = None,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
    ) -> HTTPResponse:
        given = {name: value for name, value in (query or {}).items() if value is not None}
        url = self._base + address + (f"?{urlencode(given)}" if given else "")
        request = urllib.request.Request(url, body, dict(headers or {}), method=method)
        if self._password is not None:
            # the library encodes headers as Latin-1, which does not have all characters
            bearer = f"Bearer {self._password}".encode().decode("latin-1")
            request.add_header("Authorization", bearer)
        try:
            response: HTTPResponse = self._opener.open(request, timeout=self._timeout_s)
        except urllib.error.HTTPError as error:
            raise _read_error(error) from error
        except (OSError, HTTPException) as error:
            raise ServiceError(
                f"{self._base} cannot be reached ({error}); is the service running?"
            ) from error
        return response


def _read_body(response: HTTPResponse) -> Iterator[bytes]:
    """Yield the body of an answer, and make sure that it is whole."""
    n_bytes = 0
    with _explaining_break():
        while data := response.read(_BLOCK_BYTES):
            n_bytes += len(data)
            yield data
    announced = response.headers["Content-Length"]
    if announced is not None and n_bytes < int(announced):
        raise broken(f"{n_bytes} of {announced} bytes have come")


@contextlib.contextmanager
def _explaining_break() -> Iterator[None]:
    """Convert what goes wrong while an answer is read."""
    try:
        yield
    except (OSError, HTTPException) as error:
        raise broken(str(error)) from error


def broken(reason: str) -> ServiceError:
    """Return the error of an answer that is not whole."""
    return ServiceError(f"the answer of the service breaks off ({reason}); ask again")


def _read_error(error: urllib.error.HTTPError) -> ServiceError:
    with error:
        try:
            said = json.loads(error.read())
            return ServiceError(said["error"], status=error.code, kind=said["error_type"])
        except (ValueError, LookupError, TypeError, OSError, HTTPException):
            return ServiceError(f"the service answered {error.code} {error.reason}", status=error.code)
