"""A file from the network: streamed, bounded, resumed where it was cut off, and held against its hash.

What has come so far lies in ``<path>.part``, and in ``<path>.from`` by what the server can tell whether it
still has the same file. The file itself appears under its name when it is whole and its hash is right.
"""

import contextlib
import hashlib
import http.client
import os
import re
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final
from urllib.parse import urlsplit

from stemsplit.errors import DownloadError, SettingsError
from stemsplit.files.atomic import explaining
from stemsplit.registry.urls import check_url

OFFLINE_VARIABLE: Final = "STEMSPLIT_OFFLINE"
MAX_BYTES: Final = 2 * 2**30
TIMEOUT_S: Final = 30.0
_MOST_BYTES: Final = 10**12  # a terabyte, and a day: beyond that a number is a slip
_LONGEST_S: Final = 86400
ATTEMPTS: Final = 5
_BLOCK = 2**18
_LEAST_BYTES_A_TIMEOUT = 2**14  # what comes slower has stalled
# numbers of more digits are no sizes, and Python refuses to read them
_LENGTH = re.compile(r"[0-9]{1,15}")
_CONTENT_RANGE = re.compile(r"bytes ([0-9]{1,15})-[0-9]+/([0-9]+|\*)")
_WHOLE_RANGE = re.compile(r"bytes \*/([0-9]{1,15})")

Progress = Callable[[int, int | None], None]


@dataclass(frozen=True)
class DownloadLimits:
    """How much a download may take.

    Parameters
    ----------
    max_bytes
        Of the whole file, whatever the server says of it; up to `_MOST_BYTES`.
    timeout_s
        Seconds without an answer, or with next to nothing coming; up to a day.
    offline
        Ask no server at all.

    Raises
    ------
    SettingsError
        If a number is out of its range.
    """

    max_bytes: float = MAX_BYTES
    timeout_s: float = TIMEOUT_S
    offline: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.max_bytes <= _MOST_BYTES:
            raise SettingsError(
                f"--max-size is {self.max_bytes / 1e6:g} MB; it must be from 0 to {_MOST_BYTES / 1e6:.0f} MB"
            )
        if not 0.1 <= self.timeout_s <= _LONGEST_S:
            raise SettingsError(f"--timeout is {self.timeout_s:g} s; it must be from 0.1 to {_LONGEST_S} s")


class _CutError(Exception):
    """The connection ended before the file; what came of it is kept."""


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects, but never from an encrypted connection to one that is not."""

    def redirect_request(self, req: Any, *answer: Any) -> Any:
        """Check where a redirect leads."""
        target = answer[-1]
        if urlsplit(target).scheme not in {"https", urlsplit(req.full_url).scheme}:
            raise DownloadError(f"{req.full_url}: leads on to {target}, which is not safe; use that address")
        return super().redirect_request(req, *answer)


def open_url(request: urllib.request.Request, *, timeout_s: float) -> Any:
    """Send a request; return the answer, which is a context manager and a file.

    Raises
    ------
    OSError, ValueError, http.client.HTTPException
        As `urllib.request` does.
    DownloadError
        If a redirect is not safe.
    """
    return urllib.request.build_opener(_Redirects).open(request, timeout=timeout_s)


def fetch(
    url: str, path: Path, *, sha256: str | None, limits: DownloadLimits, progress: Progress | None = None
) -> None:
    """Fetch `url` into `path`, going on with what an earlier call left of it.

    Parameters
    ----------
    sha256
        Checksum of the file; None if it is not known.
    progress
        Called with the bytes so far, and those of the whole where the server tells.

    Raises
    ------
    DownloadError
        If it cannot be fetched, is too large, or is another file.
    OutputError
        If it cannot be stored.
    SettingsError
        If `url` is no address.
    """
    check_url(url)
    if limits.offline and urlsplit(url).scheme != "file":
        raise DownloadError(f"{url}: not fetched, because --offline or {OFFLINE_VARIABLE} forbids it")
    download = _Download(url, path, sha256, limits, progress)
    for attempt in range(ATTEMPTS):
        before = download.size
        try:
            download.run()
            break
        except _CutError as cut:
            if attempt + 1 == ATTEMPTS or download.size <= before:
                raise DownloadError(f"{url}: {cut}; call again to go on from there") from cut
    download.finish()


class _Download:
    """One file on its way."""

    def __init__(
        self, url: str, path: Path, sha256: str | None, limits: DownloadLimits, progress: Progress | None
    ) -> None:
        self._url = url
        self._path = path
        self._sha256 = sha256
        self._limits = limits
        self._progress = progress
        self._part = path.with_name(path.name + ".part")
        self._origin = path.with_name(path.name + ".from")

    @property
    def size(self) -> int:
        """Bytes that are here."""
        with contextlib.suppress(OSError):
            return self._part.stat().st_size
        return 0

    def run(self) -> None:
        """Fetch what is missing.

        Raises
        ------
        _CutError
            If the connection ended before the file.
        """
        with self._explaining(), self._open() as response:
            self._receive(response)

    def finish(self) -> None:
        """Give the whole file its name.

        Raises
        ------
        DownloadError
            If its hash is not the one that was expected; nothing is kept of it.
        """
        with explaining(self._path):
            with self._part.open("rb+") as file:
                found = hashlib.file_digest(file, "sha256").hexdigest()
                os.fsync(file.fileno())
            if self._sha256 is not None and found != self._sha256.lower():
                self._discard()
                raise DownloadError(
                    f"{self._url}: its SHA-256 is {found}, not {self._sha256}; it is damaged or another "
                    "file, and was thrown away"
                )
            self._part.replace(self._path)
            self._origin.unlink(missing_ok=True)

    def _open(self) -> Any:
        try:
            return open_url(self._make_request(), timeout_s=self._limits.timeout_s)
        except (http.client.InvalidURL, ValueError) as error:  # of a redirect, or of a server's name
            raise DownloadError(f"{self._url}: is, or leads on to, what is no address: {error}") from error

    def _make_request(self) -> urllib.request.Request:
        headers = {"User-Agent": "stemsplit", "Accept-Encoding": "identity"}
        size, origin = self.size, self._read_origin()
        # without a word of the server on which file it was, only a hash can tell whether the parts fit
        if size and (origin or self._sha256):
            headers["Range"] = f"bytes={size}-"
            if origin:
                headers["If-Range"] = origin
        return urllib.request.Request(self._url, headers=headers)

    def _read_origin(self) -> str:
        with contextlib.suppress(OSError, ValueError):
            return self._origin.read_text(encoding="ascii").strip()
        return ""

    def _receive(self, response: Any) -> None:
        start = self._find_start(response)
        length = response.headers.get("Content-Length")
        total = start + int(length) if length and _LENGTH.fullmatch(length) else None
        if total is not None and total > self._limits.max_bytes:
            raise DownloadError(
                f"{self._url}: has {total} bytes; {self._limits.max_bytes:.0f} are allowed, see --max-size"
            )
        with explaining(self._path):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            file = self._part.open("ab" if start else "wb")
        with file:
            # not before the old part is gone: it would be taken for one of the new file
            with explaining(self._path):
                self._origin.write_text(_find_origin(response.headers), encoding="ascii", errors="ignore")
            for block in self._blocks(response):
                with explaining(self._path):
                    file.write(block)
                    self._check_size(file, total)
        if total is not None and self.size < total:
            raise _CutError(f"cut off after {self.size} of {total} bytes")

    def _find_start(self, response: Any) -> int:
        """Return where the answer goes on: after what is here, or at the beginning."""
        if getattr(response, "status", None) != http.client.PARTIAL_CONTENT:
            return 0
        stated = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
        if stated is None or int(stated[1]) != self.size:
            self._discard()
            raise DownloadError(f"{self._url}: the server sent another part than was asked for; try again")
        return int(stated[1])

    def _check_whole(self, headers: Any) -> None:
        """Make sure that there is nothing left to ask for because all of it is here."""
        stated = _WHOLE_RANGE.fullmatch(headers.get("Content-Range", ""))
        if stated is None or int(stated[1]) != self.size:
            self._discard()
            raise DownloadError(
                f"{self._url}: the server cannot go on from what was here, which was thrown away; call again"
            )

    def _check_size(self, file: BinaryIO, total: int | None) -> None:
        size = file.tell()
        if size > self._limits.max_bytes:
            self._discard()
            raise DownloadError(
                f"{self._url}: does not end; {self._limits.max_bytes:.0f} bytes are allowed, see --max-size"
            )
        if self._progress is not None:
            self._progress(size, total)

    def _blocks(self, response: Any) -> Iterator[bytes]:
        mark_s, n_bytes = time.monotonic(), 0
        while block := response.read1(_BLOCK) if hasattr(response, "read1") else response.read(_BLOCK):
            yield block
            n_bytes += len(block)
            if time.monotonic() - mark_s > self._limits.timeout_s:
                if n_bytes < _LEAST_BYTES_A_TIMEOUT:
                    raise TimeoutError
                mark_s, n_bytes = time.monotonic(), 0

    @contextlib.contextmanager
    def _explaining(self) -> Iterator[None]:
        try:
            yield
        except urllib.error.HTTPError as error:
            error.close()
            if error.code == http.client.REQUESTED_RANGE_NOT_SATISFIABLE:
                self._check_whole(error.headers)
                return
            raise DownloadError(f"{self._url}: the server says {error.code} {error.reason}") from error
        except TimeoutError as error:
            raise DownloadError(
                f"{self._url}: nothing came for {self._limits.timeout_s:g} s; call again to go on from there"
            ) from error
        except urllib.error.URLError as error:
            raise DownloadError(f"{self._url}: cannot be reached: {error.reason}") from error
        except (http.client.HTTPException, ConnectionError) as error:
            raise _CutError(f"cut off: {error or type(error).__name__}") from error
        except OSError as error:
            raise DownloadError(f"{self._url}: cannot be read: {error.strerror or error}") from error

    def _discard(self) -> None:
        for path in (self._part, self._origin):
            with contextlib.suppress(OSError):
                path.unlink()


def _find_origin(headers: Any) -> str:
    """Return what If-Range takes: a strong entity tag, or else the time of the last change."""
    tag = headers.get("ETag", "")
    return str(tag) if tag.startswith('"') else str(headers.get("Last-Modified", ""))
