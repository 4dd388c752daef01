"""The songs of the service: their files, whose turn it is, and how long they are kept.

Everything of a song lies in a folder of its own, whose name is the song's unguessable id.
"""

import contextlib
import secrets
import shutil
import threading
import time
import zipfile
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path, PurePath

from stemsplit.audio.extensions import AV_EXTENSIONS, SNDFILE_EXTENSIONS
from stemsplit.files.atomic import explaining, whole_file
from stemsplit.jobs.cancellation import Cancellation
from stemsplit.jobs.request import SeparationRequest
from stemsplit.jobs.result import FileResult, Status
from stemsplit.service.errors import BusyError, NoSuchSongError, NotSeparatedError
from stemsplit.service.request import UploadRequest

_ID_BYTES = 18


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
    request: UploadRequest
    folder: Path
    stage: Stage = Stage.QUEUED
    n_samples: int | None = None
    n_finished: int = 0
    result: FileResult | None = None
    ended_s: float | None = None
    cancellation: Cancellation = field(default_factory=Cancellation)
    _files: threading.Lock = field(default_factory=threading.Lock)
    _is_gone: bool = False

    @property
    def source(self) -> Path:
        """Where the upload lies; only an ending that is known is taken from the client's name."""
        ending = PurePath(self.request.name).suffix.lower()
        known = ending[1:] in SNDFILE_EXTENSIONS | AV_EXTENSIONS
        return self.folder / ("song" + (ending if known else ""))

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

    def name_stem(self, stem: str) -> str:
        """Return what a client's file of `stem` is called."""
        return self.request.name_download(stem, self.request.separation.format)

    def pack(self) -> Path:
        """Return one file with all stems, as they are; it is made when it is first asked for.

        Raises
        ------
        NotSeparatedError, NoSuchSongError
            If there are no stems.
        OutputError
            If the disk is full.
        """
        path = self.folder / "stems.zip"
        with self._files, explaining(Path("stems.zip")):
            if self._is_gone:
                raise NoSuchSongError("the song has been removed")
            if not path.exists():
                with whole_file(path) as file, zipfile.ZipFile(file, "w") as archive:
                    for stem, stored in self.stems.items():
                        archive.write(stored, self.name_stem(stem))
        return path

    def drop_source(self) -> None:
        """Remove the upload, which is not needed any more."""
        with contextlib.suppress(OSError):
            self.source.unlink()

    def discard(self) -> None:
        """Remove all its files."""
        with self._files:
            self._is_gone = True
            shutil.rmtree(self.folder, ignore_errors=True)


class SongQueue:
    """All songs of the service, for many threads.

    Parameters
    ----------
    folder
        Where the songs' folders lie.
    max_waiting
        Songs that may wait, those counted that are being uploaded.
    keep_s
        Seconds that a song is kept after its end.
    clock
        Tells the time in seconds.
    """

    def __init__(
        self, folder: Path, *, max_waiting: int, keep_s: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._folder = folder
        self._max_waiting = max_waiting
        self._keep_s = keep_s
        self._clock = clock
        self._songs: dict[str, QueuedSong] = {}
        self._waiting: deque[QueuedSong] = deque()
        self._n_arriving = 0
        self._is_closed = False
        self._changed = threading.Condition()

    @contextlib.contextmanager
    def receive(self, request: UploadRequest) -> Iterator[QueuedSong]:
        """Hold a place for a song while it is uploaded into its folder; then it waits for its turn.

        If the body fails, nothing is left of it.

        Raises
        ------
        BusyError
            If too many songs are waiting.
        """
        self._hold_place()
        id = secrets.token_urlsafe(_ID_BYTES)
        song = QueuedSong(id, request, self._folder / id)
        try:
            song.folder.mkdir(mode=0o700)
            yield song
        except BaseException:
            song.discard()
            with self._changed:
                self._n_arriving -= 1
            raise
        with self._changed:
            self._n_arriving -= 1
            self._songs[id] = song
            self._waiting.append(song)
            self._changed.notify()

    def _hold_place(self) -> None:
        with self._changed:
            if self._n_arriving + len(self._waiting) >= self._max_waiting:
                raise BusyError(f"{self._max_waiting} songs are waiting already; try again later")
            self._n_arriving += 1

    def take(self) -> QueuedSong | None:
        """Wait for the next song to separate, and return it; None once the queue is closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._is_closed)
            if self._is_closed:
                return None
            song = self._waiting.popleft()
            song.stage = Stage.SEPARATING
            return song

    def finish(self, song: QueuedSong, result: FileResult) -> None:
        """Keep what came of a song, unless it has been removed meanwhile."""
        song.drop_source()
        with self._changed:
            song.result = result
            song.ended_s = self._clock()
            song.stage = Stage.DONE if result.status is Status.DONE else Stage.FAILED
            is_wanted = song.id in self._songs
        if not is_wanted:
            song.discard()

    def find(self, id: str) -> QueuedSong:
        """Return the song `id`.

        Raises
        ------
        NoSuchSongError
            If there is none, or none any more.
        """
        with self._changed:
            song = self._songs.get(id)
        if song is None:
            raise NoSuchSongError("there is no such song, or not any more")
        return song

    def look(self, song: QueuedSong) -> tuple[Stage, int | None, FileResult | None]:
        """Return how far a song is, its place in the queue (1 for the next one), and what came of it."""
        with self._changed:
            place = self._waiting.index(song) + 1 if song in self._waiting else None
            return song.stage, place, song.result

    def remove(self, id: str) -> None:
        """Remove a song and its files; one that is being separated is stopped, and its files go then.

        Raises
        ------
        NoSuchSongError
            If there is none.
        """
        song = self.find(id)
        with self._changed:
            self._songs.pop(id, None)
            with contextlib.suppress(ValueError):
                self._waiting.remove(song)
            song.cancellation.request()
            is_in_work = song.stage is Stage.SEPARATING
        if not is_in_work:
            song.discard()

    def sweep(self) -> None:
        """Remove the songs whose time is over."""
        latest_s = self._clock() - self._keep_s
        with self._changed:
            songs = list(self._songs.values())
        for song in songs:
            if song.ended_s is not None and song.ended_s <= latest_s:
                with contextlib.suppress(NoSuchSongError):
                    self.remove(song.id)

    def close(self) -> None:
        """Stop all songs; nobody waits for one any more."""
        with self._changed:
            self._is_closed = True
            for song in self._songs.values():
                song.cancellation.request()
            self._changed.notify_all()
