"""The result of a song, and the exit code of a run."""

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field, replace
from enum import IntEnum, StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # commands need the exit codes before they need any signal processing
    from stemsplit.music.analysis import SongAnalysis


class ExitStatus(IntEnum):
    """Exit codes of the command."""

    OK = 0
    FAILED = 1
    USAGE = 2
    HANGUP = 129
    INTERRUPTED = 130
    TERMINATED = 143


class Status(StrEnum):
    """The status of a song; ``planned`` occurs in dry runs only."""

    DONE = "done"
    SKIPPED = "skipped"
    PLANNED = "planned"
    FAILED = "failed"


@dataclass(frozen=True)
class ModelReference:
    """The model that made a result, with its licence, see `stemsplit.models.licence`."""

    name: str
    version: str
    sha256: str
    licence: str
    commercial: bool | str


@dataclass(frozen=True)
class FileResult:
    """The result of one song.

    Fields that are unknown, because nothing was separated, are None.

    Parameters
    ----------
    input
        The name of the song, as the user wrote it.
    status
        Whether the song was separated.
    outputs
        The path of each stem, or of a file of all `stems`; empty for stems in remote storage.
    urls
        The address of each stem in remote storage.
    extras
        The path or the address of what else was written, such as ``analysis``, by its name.
    analysis
        What was found in the song; None if it was not analysed.
    levels_db
        Energy of each stem relative to the song in dB, before `gain`; None for digital silence.
    expected_sdr_db
        Expected SDR of each stem in dB, see `stemsplit.dsp.meter`; None unless ratio masks alone made it.
    sample_rate, n_channels, n_samples, duration_s
        Of the song, in Hz and seconds.
    elapsed_s, speed
        Time of the separation in seconds, and seconds of music separated per second.
    route
        Which of several models separated the song, and why, see `stemsplit.separation.route.Route`; None
        if there was no choice.
    device
        The device that ran the networks.
    models, settings
        What the stems were made with.
    gain
        The factor that all stems share; below 1 where a PCM stem would have clipped.
    clipped_samples
        Samples outside full scale after `gain`.
    note
        Remarks for the user.
    error, error_type
        Message and class of the exception that stopped the song.
    """

    input: str
    status: Status
    outputs: Mapping[str, Path] = field(default_factory=dict)
    levels_db: Mapping[str, float | None] = field(default_factory=dict)
    expected_sdr_db: Mapping[str, float | None] = field(default_factory=dict)
    sample_rate: int | None = None
    n_channels: int | None = None
    n_samples: int | None = None
    duration_s: float | None = None
    elapsed_s: float | None = None
    speed: float | None = None
    device: str | None = None
    models: tuple[ModelReference, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    gain: float | None = None
    clipped_samples: int | None = None
    note: str | None = None
    error: str | None = None
    error_type: str | None = None
    urls: Mapping[str, str] = field(default_factory=dict)
    extras: Mapping[str, str] = field(default_factory=dict)
    route: Mapping[str, Any] | None = None
    analysis: "SongAnalysis | None" = None

    @property
    def stem_locations(self) -> dict[str, str]:
        """The path or the address of each stem, as text."""
        return {stem: str(path) for stem, path in self.outputs.items()} | dict(self.urls)

    @property
    def locations(self) -> dict[str, str]:
        """The path or the address of every file, as text."""
        return self.stem_locations | dict(self.extras)

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON-compatible values."""
        plain = asdict(replace(self, analysis=None))
        if self.analysis is not None:
            plain["analysis"] = self.analysis.to_dict()
        plain["outputs"] = self.stem_locations
        del plain["urls"]
        return plain

    def to_json(self) -> str:
        """Return the fields as one line of JSON."""
        import json  # not for help, which has no results

        return json.dumps(self.to_dict())


def exit_status(statuses: Collection[Status]) -> ExitStatus:
    """Return the exit code of a run whose songs have these statuses."""
    return ExitStatus.FAILED if Status.FAILED in statuses else ExitStatus.OK
