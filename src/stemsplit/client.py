"""A client of a running ``stemsplit serve``, for other programs; the standard library is all it needs.

Examples
--------
>>> with Client("http://127.0.0.1:8000") as client:  # doctest: +SKIP
...     song = client.separate("song.mp3", stems=["vocals"], residual=True)
...     song.save("vocals", "vocals.wav")
"""

import contextlib
import json
import ssl
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from http.client import HTTPException, HTTPResponse
from http.cookiejar import CookieJar
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Final, Self
from urllib.parse import parse_qs, quote, urlencode, urlsplit

from stemsplit.errors import AudioError, StemsplitError
from stemsplit.files.atomic import explaining, whole_file

_TRIES: Final = 3
_PAUSE_S: Final = 0.5
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


@dataclass(frozen=True)
class Song:
    """A song of the service, as it was when it was asked for.

    Attributes
    ----------
    id : str
        Its name in addresses.
    status : str
        ``queued``, ``separating``, ``done`` or ``failed``.
    progress : float or None
        0 to 1; None if the length of the song is not known.
    place : int or None
        In the queue, 1 for the next one.
    time_left_s : float or None
        Seconds until it is done; None if that is not known.
    stems : tuple of str
        Names of the stems of a song that is done.
    details : mapping
        All that the service says of it.
    """

    client: "Client" = field(repr=False, compare=False)
    id: str
    status: str
    progress: float | None
    place: int | None
    time_left_s: float | None
    stems: tuple[str, ...]
    details: Mapping[str, Any] = field(repr=False, compare=False)

    @property
    def is_over(self) -> bool:
        """Whether nothing more will come of it."""
        return self.status in {"done", "failed"}

    def save(
        self, stem: str, path: str | Path, *, format: str | None = None, bits: str | None = None
    ) -> Path:
        """Download a stem to `path`, which appears when it is whole.

        Raises
        ------
        ServiceError
            If there is no such stem, it cannot be made in this format, or the download breaks off.
        OutputError
            If it cannot be written.
        """
        address = f"/api/songs/{self.id}/stems/{quote(stem, safe='')}"
        return self.client.save(address, path, {"format": format, "bits": bits})

    def save_mix(
        self,
        path: str | Path,
        *,
        stems: Sequence[str] | None = None,
        gains_db: Mapping[str, float] | None = None,
        pans: Mapping[str, float] | None = None,
        format: str | None = None,
        bits: str | None = None,
    ) -> Path:
        """Download a mix of the stems to `path`.

        Parameters
        ----------
        stems
            Those that sound; None for all.
        gains_db
            Of some of them, -60 to 12 dB.
        pans
            Of some of them, -1 (left) to 1 (right).

        Raises
        ------
        ServiceError, OutputError
            As `save`.
        """
        wanted = {
            "stems": None if stems is None else ",".join(stems),
            "gains_db": _write_values(gains_db),
            "pans": _write_values(pans),
            "format": format,
            "bits": bits,
        }
        return self.client.save(f"/api/songs/{self.id}/mix", path, wanted)

    def remove(self) -> None:
        """Remove it from the service; stop it if need be."""
        self.client.ask("DELETE", f"/api/songs/{self.id}")


class Client:
    """A connection to a service; a context manager. For one thread.

    Parameters
    ----------
    address
        As the service prints it, with the password if there is one.
    password
        Where the address does not hold it.
    timeout_s
        Seconds without an answer after which a request is given up.
    certificate
        File with the certificate of a service that made its own; None for those that the system trusts.

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

    def about(self) -> dict[str, Any]:
        """Return what the service offers: stems, models, formats, limits."""
        return dict(self.ask("GET", "/api"))

    def songs(self) -> list[Song]:
        """Return the songs that this client has uploaded."""
        return [self._read_song(song) for song in self.ask("GET", "/api/songs")["songs"]]

    def song(self, id: str) -> Song:
        """Return a song as it is now."""
        return self._read_song(self.ask("GET", f"/api/songs/{id}"))

    def upload(
        self,
        path: str | Path,
        *,
        stems: Sequence[str] | None = None,
        residual: bool = False,
        karaoke: str | None = None,
        format: str | None = None,
        bits: str | None = None,
        preset: str | None = None,
        model: str | None = None,
        analyse: bool = False,
        start_s: float | None = None,
        end_s: float | None = None,
    ) -> Song:
        """Upload a song, which then waits for its turn; the settings are those of the command.

        An upload that breaks off is sent again, and is one song all the same.

        Raises
        ------
        AudioError
            If the file cannot be read.
        ServiceError
            If it is refused.
        """
        path = Path(path)
        wanted = {
            "name": path.name,
            "stems": None if stems is None else ",".join(stems),
            "residual": "true" if residual else None,
            "karaoke": karaoke,
            "format": format,
            "bits": bits,
            "preset": preset,
            "model": model,
            "analyse": "true" if analyse else None,
            "start_s": _write_number(start_s),
            "end_s": _write_number(end_s),
        }
        key = {"Idempotency-Key": str(uuid.uuid4()), "Content-Type": "application/octet-stream"}
        for attempt in range(_TRIES):
            try:
                with _open_song(path) as file:
                    return self._read_song(self.ask("POST", "/api/songs", wanted, file, key))
            except ServiceError as error:
                if error.status is not None or attempt == _TRIES - 1:
                    raise
            time.sleep(_PAUSE_S)
        raise AssertionError

    def wait(self, song: Song, *, timeout_s: float | None = None) -> Song:
        """Return a song when it is done.

        Raises
        ------
        ServiceError
            If it fails, or is not done after `timeout_s`.
        """
        latest_s = None if timeout_s is None else time.monotonic() + timeout_s
        while not song.is_over:
            if latest_s is not None and time.monotonic() > latest_s:
                raise ServiceError(f"{song.id} is not done after {timeout_s:g} s; wait longer")
            time.sleep(_PAUSE_S)
            song = self.song(song.id)
        if song.status == "failed":
            raise ServiceError(str(song.details["error"]), kind=str(song.details["error_type"]))
        return song

    def follow(self, song: Song) -> Iterator[Song]:
        """Yield a song whenever the service tells of a change, until it is over or removed."""
        is_last = False
        with self._open("GET", "/api/events", {"songs": song.id}) as response, _explaining_break():
            for line in response:
                is_last = is_last or line.startswith(b"event: removed")
                if line.startswith(b"data: ") and b'"status"' in line:
                    changed = self._read_song(json.loads(line.removeprefix(b"data: ")))
                    is_last = changed.is_over
                    yield changed
        if not is_last:
            raise _broken("it ended before the song did")

    def separate(self, path: str | Path, **settings: Any) -> Song:
        """Upload a song and wait for it; `settings` are those of `upload`."""
        return self.wait(self.upload(path, **settings))

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

    def _read_song(self, details: Mapping[str, Any]) -> Song:
        return Song(
            self,
            details["id"],
            details["status"],
            details["progress"],
            details["place"],
            details["time_left_s"],
            tuple(details.get("outputs") or ()),
            details,
        )


def _read_body(response: HTTPResponse) -> Iterator[bytes]:
    """Yield the body of an answer, and make sure that it is whole."""
    n_bytes = 0
    with _explaining_break():
        while data := response.read(_BLOCK_BYTES):
            n_bytes += len(data)
            yield data
    announced = response.headers["Content-Length"]
    if announced is not None and n_bytes < int(announced):
        raise _broken(f"{n_bytes} of {announced} bytes have come")


@contextlib.contextmanager
def _explaining_break() -> Iterator[None]:
    """Convert what goes wrong while an answer is read."""
    try:
        yield
    except (OSError, HTTPException) as error:
        raise _broken(str(error)) from error


def _broken(reason: str) -> ServiceError:
    return ServiceError(f"the answer of the service breaks off ({reason}); ask again")


def _open_song(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except OSError as error:
        raise AudioError(f"{path}: cannot be read ({error.strerror}); check the name") from error


def _write_values(values: Mapping[str, float] | None) -> str | None:
    return ",".join(f"{stem}:{value:g}" for stem, value in values.items()) if values else None


def _write_number(value: float | None) -> str | None:
    return None if value is None else repr(value)


def _read_error(error: urllib.error.HTTPError) -> ServiceError:
    with error:
        try:
            said = json.loads(error.read())
            return ServiceError(said["error"], status=error.code, kind=said["error_type"])
        except (ValueError, LookupError, TypeError, OSError, HTTPException):
            return ServiceError(f"the service answered {error.code} {error.reason}", status=error.code)
