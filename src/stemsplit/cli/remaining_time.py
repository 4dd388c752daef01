"""How long a run still takes, from when its samples were finished."""

import math
import time
from collections.abc import Callable
from typing import Final

# an estimate from less than this says more about the start-up than about the run
_LEAST_SPAN_S: Final = 0.5
_LEAST_HALF_LIFE_S: Final = 20.0


class RemainingTime:
    """Estimates the end of a run from the pace at which music leaves the mixer.

    The finished music is a staircase over time: nothing while the first chunk is in the network, then a chunk
    at once, then nothing again. A straight line is fitted to it by weighted least squares. Its slope is the
    pace, into which the wait before the first chunk does not enter. Older steps count for less, with a
    half-life of a third of the time that has passed, and of 20 s at least.

    Parameters
    ----------
    now
        The clock, in seconds.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._began_s = now()
        self._first_s: float | None = (
            None  # the time of the first step; this and what follows since the start
        )
        self._last_s = 0.0
        self._done_s = 0.0  # of music
        self._weight = self._mean_time = self._mean_done = self._variance = self._covariance = 0.0

    @property
    def spent_s(self) -> float:
        """Seconds since the start."""
        return self._now() - self._began_s

    @property
    def done_s(self) -> float:
        """Seconds of music that are finished."""
        return self._done_s

    def advance(self, music_s: float) -> None:
        """Note that `music_s` more seconds of music are finished."""
        time_s = self.spent_s
        self._done_s += music_s
        self._fade(time_s - self._last_s, time_s)
        if self._first_s is None:
            self._first_s = time_s
        self._last_s = time_s
        self._fit(time_s, self._done_s, weight=music_s)

    def _fade(self, passed_s: float, time_s: float) -> None:
        factor = math.exp2(-passed_s / max(time_s / 3, _LEAST_HALF_LIFE_S))
        self._weight *= factor
        self._variance *= factor
        self._covariance *= factor

    def _fit(self, time_s: float, done_s: float, *, weight: float) -> None:
        """Take one more point into the weighted means, variance and covariance (West, 1979)."""
        self._weight += weight
        share = weight / self._weight if self._weight else 0.0
        off_time, off_done = time_s - self._mean_time, done_s - self._mean_done
        self._mean_time += share * off_time
        self._mean_done += share * off_done
        self._variance += weight * off_time * (time_s - self._mean_time)
        self._covariance += weight * off_time * (done_s - self._mean_done)

    @property
    def pace(self) -> float | None:
        """Seconds of music a second of work; None while too little is known.

        Steps must span half a second, and a third of the wait before the first of them.
        """
        if self._first_s is None or self._variance <= 0:
            return None
        if self._last_s - self._first_s < max(_LEAST_SPAN_S, self._first_s / 3):
            return None
        return max(self._covariance / self._variance, 1e-9)

    def left_s(self, total_s: float) -> float | None:
        """Return the seconds until `total_s` seconds of music are finished; None while it is not known."""
        pace = self.pace
        if pace is None:
            return None
        # counted from the last step, not from the line, which runs through the middle of the steps
        end_s = self._last_s + (total_s - self._done_s) / pace
        return max(end_s - self.spent_s, 0.0)
