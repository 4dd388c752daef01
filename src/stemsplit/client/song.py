"""A song of the service, as a client has it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

from stemsplit.client.connection import Connection


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

    client: Connection = field(repr=False, compare=False)
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


def _write_values(values: Mapping[str, float] | None) -> str | None:
    return ",".join(f"{stem}:{value:g}" for stem, value in values.items()) if values else None
