"""The client: songs go up, are followed and waited for."""

import json
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO, Final

from stemsplit.client.connection import Connection, ServiceError, broken
from stemsplit.client.song import Song
from stemsplit.errors import AudioError

_TRIES: Final = 3
_PAUSE_S: Final = 0.5


class Client(Connection):
    """A client of a service; a context manager. For one thread.

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
        for line in self.read_lines("/api/events", {"songs": song.id}):
            is_last = is_last or line.startswith(b"event: removed")
            if line.startswith(b"data: ") and b'"status"' in line:
                changed = self._read_song(json.loads(line.removeprefix(b"data: ")))
                is_last = changed.is_over
                yield changed
        if not is_last:
            raise broken("it ended before the song did")

    def separate(self, path: str | Path, **settings: Any) -> Song:
        """Upload a song and wait for it; `settings` are those of `upload`."""
        return self.wait(self.upload(path, **settings))

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


def _open_song(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except OSError as error:
        raise AudioError(f"{path}: cannot be read ({error.strerror}); check the name") from error


def _write_number(value: float | None) -> str | None:
    return None if value is None else repr(value)
