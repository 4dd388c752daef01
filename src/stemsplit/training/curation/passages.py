"""Passages: what unseparated recordings teach where drums or bass are silent in them.

A target is taken for absent where two witnesses agree: a model hears next to nothing of it, and the signal
has no sudden highs (drums) or no depth (bass). See `traces`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stemsplit.training import TARGETS
from stemsplit.training.curation.activity import STEP, STEP_S, ActivityTrace
from stemsplit.training.data.songs import SHORTEST_S, stem_of

# An estimate this far below the mixture, and below the music where it is loud, is taken for bleed.
ABSENT_DB, ABSENT_OF_LOUD_DB = -18.0, -22.0
# Depth below the mixture, and below the loud music's depth.
SHALLOW_DB, SHALLOW_OF_LOUD_DB = -18.0, -20.0
ONSET_DB = 4.0
# Below the loud music this is a pause.
SILENT_OF_LOUD_DB = -30.0
# A voice is heard where its estimate comes this near to the mixture.
VOICE_DB = -12.0
# Drums and bass are heard where theirs comes this near, with sudden highs or as much depth: no cello is bass.
HEARD_DB, SUDDEN_DB, DEEP_DB = -10.0, 6.0, -10.0

Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Passage:
    """A stretch of a recording, in samples, and the stem it holds, "bass+other" where drums are absent."""

    start: int
    stop: int
    stem: str


def absent(trace: ActivityTrace, target: str) -> Flags:
    """Half-seconds, ``(steps,)``, where both witnesses say that drums or bass do not sound."""
    loud_db = np.percentile(trace.mixture_db, 90)
    estimate_db = trace.estimates_db[TARGETS.index(target)]
    unheard = (estimate_db < trace.mixture_db + ABSENT_DB) & (estimate_db < loud_db + ABSENT_OF_LOUD_DB)
    if target == "drums":
        return np.asarray(unheard & (trace.onset_db < ONSET_DB))
    deep_db = np.percentile(trace.low_db, 90)
    shallow = (trace.low_db < trace.mixture_db + SHALLOW_DB) | (trace.low_db < deep_db + SHALLOW_OF_LOUD_DB)
    return np.asarray(unheard & shallow)


def find_passages(
    trace: ActivityTrace, held: Sequence[str], *, shortest_s: float = SHORTEST_S
) -> list[Passage]:
    """Stretches that hold less than the recording may hold as a whole.

    Parameters
    ----------
    trace : ActivityTrace
        Of the recording.
    held : sequence of str
        Targets that it may hold.
    shortest_s : float
        Shorter ones are not worth a song.

    Returns
    -------
    list of Passage
        Each half-second is in one of them at most: free of both drums and bass where that lasts, else of one.
    """
    sounding = _sounding(trace)
    free = {t: absent(trace, t) & sounding for t in ("drums", "bass") if t in held}
    taken = np.zeros(sounding.size, bool)
    found = []
    for gone in (("drums", "bass"), ("drums",), ("bass",)):
        if not set(gone) <= set(free):
            continue
        stem = stem_of(target for target in held if target not in gone)
        for start, stop in runs(np.logical_and.reduce([free[target] for target in gone]) & ~taken):
            if (stop - start) * STEP_S >= shortest_s:
                taken[start:stop] = True
                found.append(Passage(start * STEP, stop * STEP, stem))
    return sorted(found, key=lambda passage: passage.start)


@dataclass(frozen=True)
class VoiceReport:
    """How much voice a model hears in a recording: level in dB against the mixture, share of half-seconds."""

    level_db: float
    share: float

    @classmethod
    def of(cls, trace: ActivityTrace) -> "VoiceReport":
        """Read from a trace; pauses do not count."""
        sounding = _sounding(trace)
        voice_db = trace.estimates_db[TARGETS.index("vocals")]
        powers = [(10 ** (db[sounding] / 10)).sum() for db in (voice_db, trace.mixture_db)]
        level_db = float(10 * np.log10((powers[0] + 1e-12) / (powers[1] + 1e-12)))
        return cls(level_db, float((voice_db > trace.mixture_db + VOICE_DB)[sounding].mean()))


def share_heard(trace: ActivityTrace, target: str) -> float:
    """Share of half-seconds where both witnesses hear drums or bass; pauses do not count."""
    heard = trace.estimates_db[TARGETS.index(target)] > trace.mixture_db + HEARD_DB
    is_deep = trace.low_db > trace.mixture_db + DEEP_DB
    heard &= trace.onset_db > SUDDEN_DB if target == "drums" else is_deep
    return float(heard[_sounding(trace)].mean())


def _sounding(trace: ActivityTrace) -> Flags:
    return np.asarray(trace.mixture_db > np.percentile(trace.mixture_db, 90) + SILENT_OF_LOUD_DB)


def runs(flags: Flags) -> Iterator[tuple[int, int]]:
    """(first, one past the last) of each run of true flags.

    >>> list(runs(np.array([True, False, True, True])))
    [(0, 1), (2, 4)]
    """
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]]).astype(np.int8)))
    return ((int(start), int(stop)) for start, stop in zip(edges[::2], edges[1::2], strict=True))
