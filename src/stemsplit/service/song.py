"""A song of the service: what is asked for, how far it is, and the files in its folder."""

import contextlib
import hashlib
import os
import shutil
import threading
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path, PurePath
from typing import Any, Final

from stemsplit.audio.encoding import extension_of
from stemsplit.audio.extensions import AUDIO_EXTENSIONS
from stemsplit.files.atomic import explaining, whole_file
from stemsplit.jobs.cancellation import Cancellation
from stemsplit.jobs.request import SeparationRequest
from stemsplit.jobs.result import FileResult
from stemsplit.service.errors import NoSuchSongError, NotSeparatedError
from stemsplit.service.mixdown import Mix, write_mix
from stemsplit.service.playback import ORIGINAL, Preview
from stemsplit.service.request import UploadRequest
from stemsplit.service.tracks import find_track, make_tracks

_MAX_RENDERED: Final = 8


class Stage(StrEnum):
    """How far a song is."""

    QUEUED = "queued"
    SEPARATING = "separating"
    DONE = "done"
    FAILED = "failed"


@dataclass(eq=False)
class QueuedSong:
    """One upload on its way; `n_samples` is None where the length is not known."""

    id: str
    owner: str
    request: UploadRequest
    folder: Path
    stage: Stage = Stage.QUEUED
    duration_s: float | None = None
    n_samples: int | None = None
    n_finished: int = 0
    result: FileResult | None = None
    preview: Preview | None = None
    analysis: Mapping[str, Any] | None = None
    started_s: float | None = None
    ended_s: float | None = None
    cancellation: Cancellation = field(default_factory=Cancellation)
    _files: threading.Lock = field(default_factory=threading.Lock)
    _is_gone: bool = False

    @property
    def upload(self) -> Path:
        """Where the bytes of the song lie while they come."""
        return self.folder / "upload"

    @property
    def source(self) -> Path:
        """Where the upload lies; only an ending that is known is taken from the client's name."""
        ending = PurePath(self.request.name).suffix.lower()
        known = ending[1:] in AUDIO_EXTENSIONS
        return self.folder / ("song" + (ending if known else ""))

    @property
    def original(self) -> Path:
        """Where the mixture lies that is played beside the stems."""
        return self.folder / ORIGINAL

    @property
    def tracks(self) -> Path:
        """Folder of the copies of stems that are kept to be played, see `stemsplit.service.tracks`."""
        return self.folder / "tracks"

    @property
    def separation(self) -> SeparationRequest:
        """The separation that is asked for, into the folder of the song."""
        folder = str(self.folder / "stems")
        return replace(self.request.separation, output_dir=folder, name_template="{stem}.{ext}")

    @property
    def progress(self) -> float | None:
        """The share that is separated, 0 to 1; None if the length is not known."""
        if self.stage is Stage.QUEUED:
            return 0.0
        if self.stage is Stage.DONE:
            return 1.0
        return min(1.0, self.n_finished / self.n_samples) if self.n_samples else None

    @property
    def stems(self) -> dict[str, Path]:
        """The files of a song that is done.

        Raises
        ------
        NotSeparatedError
            If it is not.
        """
        if self.stage is not Stage.DONE or self.result is None:
            raise NotSeparatedError(f"the song has no stems: it is {self.stage}")
        return dict(self.result.outputs)

    def find_stem(self, stem: str) -> Path:
        """Return the file of one stem.

        Raises
        ------
        NotSeparatedError, NoSuchSongError
            If there are no stems, or not this one.
        """
        stems = self.stems
        if stem not in stems:
            raise NoSuchSongError(f"the song has no stem {stem!r}; there are: {', '.join(stems)}")
        return stems[stem]

    def find_track(self, stem: str) -> Path:
        """Return the file that is played for one stem; it raises what `find_stem` does."""
        return find_track(self.find_stem(stem), self.tracks)

    def render(self, mix: Mix) -> Path:
        """Return a file with `mix`; the last few that were asked for are kept.

        Raises
        ------
        SettingsError
            If the song cannot be mixed in this way.
        NotSeparatedError, NoSuchSongError
            If there are no stems.
        OutputError
            If the disk is full.
        """
        stems = self.stems
        with self.keeping_files(Path("mix")):
            return self._render(mix, stems)

    def _render(self, mix: Mix, stems: Mapping[str, Path]) -> Path:
        path = self.folder / "mixes" / f"{_digest(mix)}.{extension_of(mix.format or 'wav')}"
        if not path.exists():
            path.parent.mkdir(exist_ok=True)
            write_mix(mix, make_tracks(stems, self.tracks), path)
        os.utime(path)
        kept = sorted(path.parent.iterdir(), key=lambda path: path.stat().st_mtime_ns)
        for older in kept[:-_MAX_RENDERED]:
            older.unlink()
        return path

    def pack(self, conversion: Mix | None = None) -> Path:
        """Return one file with all stems; it is made when it is first asked for.

        Parameters
        ----------
        conversion
            The format and the bits of each stem; None packs the stems as they are.

        Raises
        ------
        SettingsError, NotSeparatedError, NoSuchSongError, OutputError
            As `render`.
        """
        stems = self.stems
        path = self.folder / ("stems.zip" if conversion is None else f"stems-{_digest(conversion)}.zip")
        with self.keeping_files(path):
            if not path.exists():
                with whole_file(path) as file, zipfile.ZipFile(file, "w") as archive:
                    for stem, stored in stems.items():
                        # each is packed before the next is made, as only the last few are kept
                        packed = stored if conversion is None else self._convert(stem, conversion, stems)
                        archive.write(packed, self.request.name_download(stem, packed.suffix[1:]))
        return path

    def _convert(self, stem: str, conversion: Mix, stems: Mapping[str, Path]) -> Path:
        return self._render(replace(conversion, stems=(stem,)), stems)

    @contextlib.contextmanager
    def keeping_files(self, path: Path) -> Iterator[None]:
        """Lock the files against changes, and make sure that they still exist."""
        with self._files, explaining(Path(path.name)):
            if self._is_gone:
                raise NoSuchSongError("the song has been removed")
            yield

    def hide_paths(self, text: str) -> str:
        """Return `text` in words that name the song as its owner does, and no folder of this computer."""
        named = text.replace(str(self.source), self.request.name)
        named = named.replace(self.separation.output_dir + os.sep, "")
        return named.replace(str(self.folder), "the song's folder")

    def drop_source(self) -> None:
        """Remove the upload, which is not needed any more."""
        with contextlib.suppress(OSError):
            self.source.unlink()

    def discard(self) -> None:
        """Remove all its files."""
        with self._files:
            self._is_gone = True
            shutil.rmtree(self.folder, ignore_errors=True)


def _digest(mix: Mix) -> str:
    return hashlib.sha256(repr(mix).encode()).hexdigest()[:32]
