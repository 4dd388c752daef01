"""What came of one song, and of a whole run."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from enum import IntEnum, StrEnum
from pathlib import Path
from typing import Any


class ExitStatus(IntEnum):
    """Exit codes of the command."""

    OK = 0
    FAILED = 1
    USAGE = 2
    INTERRUPTED = 130
    TERMINATED = 143


class Status(StrEnum):
    """What happened to a song; ``planned`` appears in dry runs only."""

    DONE = "done"
    SKIPPED = "skipped"
    PLANNED = "planned"
    FAILED = "failed"


@dataclass(frozen=True)
class ModelReference:
    """Which model made a result, and what may be done with it, see `stemsplit.models.licence`."""

    name: str
    version: str
    sha256: str
    licence: str
    commercial: bool | str


@dataclass(frozen=True)
class FileResult:
    """What came of one song.

    `levels_db` is the energy of each stem over that of the song, before the gain, None for digital silence;
    `expected_sdr_db` is the SDR that the masks promise for it, None also where no ratio mask alone made it.
    Lengths in seconds end in ``_s``; `speed` is seconds of music a second of work; `gain` is the factor
    that all stems share (below 1 where a PCM stem would have clipped); `clipped_samples` counts what still
    lies outside full scale. A field that is not known, because nothing was separated, is None.
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

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON has them."""
        plain = asdict(self)
        plain["outputs"] = {stem: str(path) for stem, path in self.outputs.items()}
        return plain

    def to_json(self) -> str:
        """Return one line of JSON."""
        return json.dumps(self.to_dict())


def exit_status(results: Iterable[FileResult]) -> ExitStatus:
    """Return the exit code that a run with these results deserves."""
    failed = any(result.status is Status.FAILED for result in results)
    return ExitStatus.FAILED if failed else ExitStatus.OK
