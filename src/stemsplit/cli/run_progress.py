"""How far songs and batches are, in seconds of music, and how long they still take."""

import time
from collections.abc import Callable, Hashable
from typing import Protocol

from stemsplit.audio.info import AudioInfo
from stemsplit.cli.console import clock
from stemsplit.cli.remaining_time import RemainingTime

Clock = Callable[[], float]


class RunProgress(Protocol):
    """What a display can show of a song and of a batch alike."""

    @property
    def total_s(self) -> float | None:
        """Seconds of music in all; None while they are not known."""

    @property
    def done_s(self) -> float:
        """Seconds of music that are finished."""

    @property
    def spent_s(self) -> float:
        """Seconds since the start."""

    @property
    def left_s(self) -> float | None:
        """Seconds until the end; None while they are not known."""

    @property
    def pace(self) -> float | None:
        """Seconds of music a second; None while it is not known."""

    @property
    def amount(self) -> str:
        """The finished part in percent, or the finished music where the whole is not known."""


class _TimedProgress:
    """What songs and batches have in common: music that is finished over time."""

    def __init__(self, now: Clock) -> None:
        self._time = RemainingTime(now)

    @property
    def total_s(self) -> float | None:
        return None

    @property
    def done_s(self) -> float:
        return self._time.done_s

    @property
    def spent_s(self) -> float:
        return self._time.spent_s

    @property
    def left_s(self) -> float | None:
        total_s = self.total_s
        return None if total_s is None else self._time.left_s(total_s)

    @property
    def pace(self) -> float | None:
        return self._time.pace

    @property
    def amount(self) -> str:
        total_s = self.total_s
        return f"{min(self.done_s / total_s, 1):.0%}" if total_s else f"{clock(self.done_s)}"

    def __str__(self) -> str:
        parts = [self.amount if self.total_s else f"{self.amount} done"]
        if self.pace is not None:
            parts.append(f"{self.pace:.1f} x real time")
        parts.append(f"{clock(self.spent_s)} spent")
        if self.left_s is not None:
            parts.append(f"{clock(self.left_s)} left")
        return ", ".join(parts)


class SongProgress(_TimedProgress):
    """How far one song is, and how fast it is separated."""

    def __init__(self, info: AudioInfo, now: Clock = time.monotonic) -> None:
        super().__init__(now)
        self._info = info

    @property
    def total_s(self) -> float | None:
        """Length of the song in seconds; None where its header does not say."""
        return self._info.duration_s

    def advance(self, n_samples: int) -> float:
        """Note that `n_samples` more samples are finished; return how many seconds of music that is."""
        music_s = n_samples / self._info.sample_rate
        self._time.advance(music_s)
        return music_s


class BatchProgress(_TimedProgress):
    """How far a batch is. Songs whose length is not known count with the mean of the others.

    Songs are told apart by any key, such as their `stemsplit.jobs.inputs.SongInput`.
    """

    def __init__(self, n_songs: int, now: Clock = time.monotonic) -> None:
        super().__init__(now)
        self.n_songs = n_songs
        self._lengths_s: dict[Hashable, float] = {}  # as far as they are known
        self._done_s: dict[Hashable, float] = {}
        self._finished: set[Hashable] = set()

    def know(self, song: Hashable, duration_s: float | None) -> None:
        """Note how long a song is."""
        if duration_s is not None and song not in self._finished:
            self._lengths_s[song] = duration_s

    def advance(self, song: Hashable, music_s: float) -> None:
        """Note that `music_s` more seconds of a song are finished."""
        self._done_s[song] = self._done_s.get(song, 0.0) + music_s
        self._time.advance(music_s)

    def finish(self, song: Hashable) -> None:
        """Note that a song is over: its length is what was finished of it, nothing if it was left out."""
        self._finished.add(song)
        self._lengths_s[song] = self._done_s.get(song, 0.0)

    @property
    def total_s(self) -> float | None:
        """Seconds of music in the batch; None while no length is known."""
        known = [length for song, length in self._lengths_s.items() if length or song not in self._finished]
        if not known:
            return None
        n_unknown = self.n_songs - len(self._lengths_s)
        return sum(known) * (1 + n_unknown / len(known))

    def describe(self, *, short: bool) -> str:
        """Return how many songs are finished, and how much music if there is room."""
        songs = f"{len(self._finished)}/{self.n_songs}"
        if short:
            return songs
        total_s = self.total_s
        return f"{songs} songs" + (f", {clock(self.done_s)} of {clock(total_s)}" if total_s else "")
