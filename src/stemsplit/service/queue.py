"""The songs of the service: their files, whose turn it is, and how long they are kept.

Everything of a song lies in a folder of its own, whose name is the song's unguessable id.
"""

import contextlib
import secrets
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from stemsplit.errors import OutputError
from stemsplit.jobs.result import FileResult, Status
from stemsplit.service.errors import BusyError, NoSuchSongError, RepeatedUploadError
from stemsplit.service.owner import Repeat
from stemsplit.service.record import write_record
from stemsplit.service.request import UploadRequest
from stemsplit.service.room import Room
from stemsplit.service.song import QueuedSong, Stage

_ID_BYTES = 18


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

    Attributes
    ----------
    room
        Of the folder, as far as songs that wait will need it.
    """

    def __init__(
        self, folder: Path, *, max_waiting: int, keep_s: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._folder = folder
        self._max_waiting = max_waiting
        self._keep_s = keep_s
        self._clock = clock
        self.room = Room(folder)
        self._songs: dict[str, QueuedSong] = {}
        self._waiting: deque[QueuedSong] = deque()
        self._repeats: dict[tuple[str, str], tuple[Repeat, QueuedSong | None]] = {}
        self._n_arriving = 0
        self._is_closed = False
        self._changed = threading.Condition()

    @contextlib.contextmanager
    def receive(
        self, request: UploadRequest, owner: str = "", repeat: Repeat | None = None
    ) -> Iterator[QueuedSong]:
        """Hold a place for a song while it is uploaded into its folder; then it waits for its turn.

        If the body fails, nothing is left of it. `owner` is who may list it; `repeat` finds it again.

        Raises
        ------
        BusyError
            If too many songs are waiting.
        """
        self._hold_place(repeat)
        id = secrets.token_urlsafe(_ID_BYTES)
        song = QueuedSong(id, owner, request, self._folder / id)
        try:
            song.folder.mkdir(mode=0o700)
            yield song
        except BaseException:
            song.discard()
            self.room.release(id)
            with self._changed:
                self._n_arriving -= 1
                self._forget_repeat(repeat)
            raise
        with self._changed:
            self._n_arriving -= 1
            self._songs[id] = song
            self._remember_repeat(repeat, song)
            self._waiting.append(song)
            self._changed.notify()

    def find_repeat(self, repeat: Repeat | None) -> QueuedSong | None:
        """Return the song that was taken with the same key before, if it is still there.

        Raises
        ------
        RepeatedUploadError
            If the key was used for something else, or its upload has not ended yet.
        """
        if repeat is None:
            return None
        with self._changed:
            keys = [key for key in repeat.keys if key in self._repeats]
            if not keys:
                return None
            first, song = self._repeats[keys[0]]
        if first.wanted != repeat.wanted:
            raise RepeatedUploadError("this Idempotency-Key was used for another request; take a new one")
        if song is None:
            raise RepeatedUploadError("the upload with this Idempotency-Key has not ended yet; wait for it")
        return song

    def _remember_repeat(self, repeat: Repeat | None, song: QueuedSong | None) -> None:
        if repeat is not None:
            self._repeats |= dict.fromkeys(repeat.keys, (repeat, song))

    def _forget_repeat(self, repeat: Repeat | None) -> None:
        for key in repeat.keys if repeat is not None else ():
            self._repeats.pop(key, None)

    def _hold_place(self, repeat: Repeat | None) -> None:
        with self._changed:
            if self._n_arriving + len(self._waiting) >= self._max_waiting:
                raise BusyError(f"{self._max_waiting} songs are waiting already; try again later")
            self._n_arriving += 1
            self._remember_repeat(repeat, None)

    def take(self) -> QueuedSong | None:
        """Wait for the next song to separate, and return it; None once the queue is closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._is_closed)
            if self._is_closed:
                return None
            song = self._waiting.popleft()
            song.stage = Stage.SEPARATING
            song.started_s = self._clock()
            return song

    def finish(self, song: QueuedSong, result: FileResult) -> None:
        """Keep what came of a song, unless it has been removed meanwhile."""
        song.result = result
        with contextlib.suppress(NoSuchSongError, OutputError), song.keeping_files(song.folder):
            write_record(song)
        song.drop_source()
        self.room.release(song.id)
        with self._changed:
            song.ended_s = self._clock()
            song.stage = Stage.DONE if result.status is Status.DONE else Stage.FAILED
            is_wanted = song.id in self._songs
        if not is_wanted:
            song.discard()

    def adopt(self, songs: Iterable[QueuedSong]) -> None:
        """Take over songs that another service has left in the folder: what was not over waits again."""
        for song in songs:
            with self._changed:
                self._songs[song.id] = song
                if song.result is None:
                    self._waiting.append(song)
                else:
                    song.ended_s = self._clock()
                self._changed.notify()

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

    def find_all(self, owner: str) -> list[QueuedSong]:
        """Return the songs of `owner`, the oldest first."""
        with self._changed:
            return [song for song in self._songs.values() if song.owner == owner]

    def estimate_time_left(self, song: QueuedSong) -> float | None:
        """Return the seconds until a song that is being separated is done; None while that is not known."""
        if song.stage is not Stage.SEPARATING or song.started_s is None or not song.progress:
            return None
        elapsed_s = self._clock() - song.started_s
        return elapsed_s * (1.0 - song.progress) / song.progress

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
            self._repeats = {key: known for key, known in self._repeats.items() if known[1] is not song}
            with contextlib.suppress(ValueError):
                self._waiting.remove(song)
            song.cancellation.request()
            self.room.release(id)
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
        """Stop all songs and wake the threads that wait for one."""
        with self._changed:
            self._is_closed = True
            for song in self._songs.values():
                song.cancellation.request()
            self._changed.notify_all()
