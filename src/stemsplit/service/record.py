"""What is written down of a song, so that a service that was killed loses nothing that it had taken.

Each song's folder holds ``song.json``, written before the upload is answered and when the song is over. The
next service takes the folder over: what was waiting or being separated waits again, what was done is done.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import NoneType
from typing import Any, Final

from stemsplit.errors import OutputError, StemsplitError
from stemsplit.files.atomic import write_json
from stemsplit.files.schema import convert, convert_value
from stemsplit.jobs.request import SeparationRequest
from stemsplit.jobs.result import FileResult, Status
from stemsplit.service.playback import Preview
from stemsplit.service.request import UploadRequest
from stemsplit.service.song import QueuedSong, Stage

_NAME: Final = "song.json"


@dataclass(frozen=True)
class _Record:
    """The content of ``song.json``; a song without `result` was not over."""

    owner: str
    name: str
    analyse: bool
    duration_s: float | None
    separation: SeparationRequest
    result: Mapping[str, Any] | None = None
    preview: Preview | None = None
    analysis: Mapping[str, Any] | None = None
    outputs: Mapping[str, str] = field(default_factory=dict)


def write_record(song: QueuedSong) -> None:
    """Write down what `song` is, and what came of it.

    Raises
    ------
    OutputError
        If the disk is full.
    """
    result = song.result
    record = _Record(
        song.owner,
        song.request.name,
        song.request.analyse,
        song.duration_s,
        song.request.separation,
        None if result is None else result.to_dict(),
        song.preview,
        song.analysis,
        {} if result is None else {stem: path.name for stem, path in result.outputs.items()},
    )
    write_json(song.folder / _NAME, asdict(record))


def read_songs(folder: Path) -> Iterator[QueuedSong]:
    """Yield the songs whose folders lie in `folder`, the oldest first.

    What is not whole, or was written by another version, is passed over.
    """
    records = sorted(folder.glob(f"*/{_NAME}"), key=lambda path: path.parent.stat().st_ctime_ns)
    for path in records:
        try:
            song = _revive(_read_record(path), path.parent)
        except (OSError, ValueError, StemsplitError):
            continue
        if song.result is not None or song.source.is_file():
            yield song


def _read_record(path: Path) -> _Record:
    values = convert_value(json.loads(path.read_bytes()), dict[str, Any], name=_NAME, error=OutputError)
    return convert(values, _Record, error=OutputError)


def _revive(record: _Record, folder: Path) -> QueuedSong:
    request = UploadRequest(record.name, record.separation, record.analyse)
    song = QueuedSong(folder.name, record.owner, request, folder, duration_s=record.duration_s)
    if record.result is None:
        return song
    outputs = {stem: folder / "stems" / name for stem, name in record.outputs.items()}
    song.result = _read_result(record.result, outputs)
    song.stage = Stage.DONE if song.result.status is Status.DONE else Stage.FAILED
    song.preview, song.analysis = record.preview, record.analysis
    return song


def _read_result(values: Mapping[str, Any], outputs: Mapping[str, Path]) -> FileResult:
    """Return the result with the places where the stems lie now; a service's result has no analysis in it."""
    placed = {**values, "outputs": outputs}
    return convert(placed, FileResult, label="result.", error=OutputError, names={"SongAnalysis": NoneType})
