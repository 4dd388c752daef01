"""How songs are read: which part, which track, and what happens to damaged ones."""

from dataclasses import dataclass
from typing import Final, Self

from stemsplit.errors import SettingsError

# 30,000 years; of times far beyond, the sample is no number any more
_LONGEST_S: Final = 1e12


@dataclass(frozen=True)
class ReadSettings:
    """How songs are read.

    Attributes
    ----------
    start_s : float
        Where the excerpt begins, in seconds; rounded to the nearest sample.
    end_s : float or None
        Where it ends; None for the end of the song, as infinity becomes. A song that ends earlier is read to
        its end.
    track : int or None
        Which audio track of a video or of another container, counted from 1; None for the one that a player
        would choose.
    salvage : bool
        Read what there is of a damaged or truncated song, and note what is missing.

    Raises
    ------
    SettingsError
        The excerpt is empty, begins before 0 or behind all songs, or the track is below 1.
    """

    start_s: float = 0.0
    end_s: float | None = None
    track: int | None = None
    salvage: bool = False

    def __post_init__(self) -> None:
        if not self.start_s >= 0:
            raise SettingsError(f"the excerpt starts at {self.start_s:g} s, before the song does")
        if self.start_s > _LONGEST_S:
            raise SettingsError(f"the excerpt starts at {self.start_s:g} s, behind the end of every song")
        if self.end_s is not None and not self.end_s > self.start_s:
            raise SettingsError(
                f"the excerpt is empty: it ends at {self.end_s:g} s and begins at {self.start_s:g} s"
            )
        if self.end_s is not None and self.end_s > _LONGEST_S:
            object.__setattr__(self, "end_s", None)
        if self.track is not None and self.track < 1:
            raise SettingsError(f"--track {self.track}: tracks are counted from 1")

    @classmethod
    def choose(
        cls,
        *,
        start_s: float = 0.0,
        end_s: float | None = None,
        duration_s: float | None = None,
        track: int | None = None,
        salvage: bool = False,
    ) -> Self:
        """Return settings whose excerpt has an end or a length, or goes to the end of the song.

        Raises
        ------
        SettingsError
            Both are given, or as of the class.

        Examples
        --------
        >>> ReadSettings.choose(start_s=60, duration_s=30).end_s
        90
        """
        if duration_s is not None:
            if end_s is not None:
                raise SettingsError("--end and --duration exclude each other; leave one out")
            end_s = start_s + duration_s
        return cls(start_s, end_s, track, salvage)

    @property
    def is_excerpt(self) -> bool:
        """Whether a part of the song is read only."""
        return self.start_s > 0 or self.end_s is not None


def parse_time(text: str) -> float:
    """Return a time in seconds that is written as seconds, m:ss or h:mm:ss, with decimals or without.

    Raises
    ------
    SettingsError
        It is written otherwise.

    Examples
    --------
    >>> parse_time("83.5"), parse_time("1:23.5"), parse_time("1:00:00")
    (83.5, 83.5, 3600.0)
    """
    seconds = 0.0
    try:
        *larger, last = text.strip().split(":")
        if len(larger) > 2 or not all(part.isdecimal() for part in larger) or not last[:1].isdecimal():
            raise ValueError
        for part in larger:
            seconds = seconds * 60 + int(part)
        smallest = float(last)
    except ValueError:
        raise SettingsError(
            f"{text!r} is not a time; write seconds or m:ss, such as 83.5 or 1:23.5"
        ) from None
    if larger and smallest >= 60:
        raise SettingsError(f"{text!r} is not a time: {last} are more seconds than a minute has")
    return seconds * 60 + smallest
