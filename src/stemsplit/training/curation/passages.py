"""Passages: stretches of unseparated recordings without drums or without bass, from which training can learn.

A target is regarded as absent where two detectors agree: the model's estimate of it is almost silent, and the
signal has no strong onsets (drums) or no low frequencies (bass). See `activity`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stemsplit.training import TARGETS
from stemsplit.training.curation.activity import STEP, STEP_S, Activity
from stemsplit.training.data.songs import SHORTEST_S, stem_name

# An estimate this far below the mixture, and below loud parts of the music, is regarded as bleed.
ABSENT_DB, ABSENT_OF_LOUD_DB = -18.0, -22.0
# Low-frequency level, relative to the mixture and to the low-frequency level of loud parts.
WEAK_LOW_DB, WEAK_LOW_OF_LOUD_DB = -18.0, -20.0
WEAK_ONSET_DB = 4.0
# Level of a pause relative to loud parts of the music.
PAUSE_OF_LOUD_DB = -30.0
# A voice is active where its estimate is this close to the mixture.
VOICE_DB = -12.0
# Drums and bass are active where their estimates are this close and onsets or low frequencies are strong.
ACTIVE_DB, STRONG_ONSET_DB, STRONG_LOW_DB = -10.0, 6.0, -10.0

Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Passage:
    """A stretch of a recording in samples, and the stem that it contains.

    "bass+other" where drums are absent.
    """

    start: int
    stop: int
    stem: str


def find_absent(activity: Activity, target: str) -> Flags:
    """Return the half-seconds, ``(steps,)``, in which both detectors find no drums or no bass."""
    loud_db = np.percentile(activity.mixture_db, 90)
    estimate_db = activity.estimates_db[TARGETS.index(target)]
    inaudible = (estimate_db < activity.mixture_db + ABSENT_DB) & (estimate_db < loud_db + ABSENT_OF_LOUD_DB)
    if target == "drums":
        return np.asarray(inaudible & (activity.onset_db < WEAK_ONSET_DB))
    loud_low_db = np.percentile(activity.low_db, 90)
    weakest_db = np.maximum(activity.mixture_db + WEAK_LOW_DB, loud_low_db + WEAK_LOW_OF_LOUD_DB)
    return np.asarray(inaudible & (activity.low_db < weakest_db))


def find_passages(
    activity: Activity, held: Sequence[str], *, shortest_s: float = SHORTEST_S
) -> list[Passage]:
    """Find stretches that contain fewer targets than the recording as a whole.

    Parameters
    ----------
    activity : Activity
        Activity of the recording.
    held : sequence of str
        Targets that the recording may contain.
    shortest_s : float
        Shorter passages are dropped.

    Returns
    -------
    list of Passage
        Disjoint passages: without drums and bass where both pause long enough, else without one of them.
    """
    sounding = _find_sounding(activity)
    free = {t: find_absent(activity, t) & sounding for t in ("drums", "bass") if t in held}
    used = np.zeros(sounding.size, bool)
    found = []
    for missing in (("drums", "bass"), ("drums",), ("bass",)):
        if not set(missing) <= set(free):
            continue
        stem = stem_name(target for target in held if target not in missing)
        for start, stop in find_runs(np.logical_and.reduce([free[target] for target in missing]) & ~used):
            if (stop - start) * STEP_S >= shortest_s:
                used[start:stop] = True
                found.append(Passage(start * STEP, stop * STEP, stem))
    return sorted(found, key=lambda passage: passage.start)


@dataclass(frozen=True)
class VoiceActivity:
    """Estimated vocals of a recording.

    Level in dB relative to the mixture, and share of active half-seconds.
    """

    level_db: float
    share: float

    @classmethod
    def of(cls, activity: Activity) -> "VoiceActivity":
        """Compute both from measured activity; pauses are excluded."""
        sounding = _find_sounding(activity)
        voice_db = activity.estimates_db[TARGETS.index("vocals")]
        powers = [(10 ** (db[sounding] / 10)).sum() for db in (voice_db, activity.mixture_db)]
        level_db = float(10 * np.log10((powers[0] + 1e-12) / (powers[1] + 1e-12)))
        return cls(level_db, float((voice_db > activity.mixture_db + VOICE_DB)[sounding].mean()))


def active_share(activity: Activity, target: str) -> float:
    """Return the share of half-seconds in which both detectors find drums or bass; pauses are excluded."""
    active = activity.estimates_db[TARGETS.index(target)] > activity.mixture_db + ACTIVE_DB
    has_lows = activity.low_db > activity.mixture_db + STRONG_LOW_DB
    active &= activity.onset_db > STRONG_ONSET_DB if target == "drums" else has_lows
    return float(active[_find_sounding(activity)].mean())


def _find_sounding(activity: Activity) -> Flags:
    return np.asarray(activity.mixture_db > np.percentile(activity.mixture_db, 90) + PAUSE_OF_LOUD_DB)


def find_runs(flags: Flags) -> Iterator[tuple[int, int]]:
    """Yield (first, one past the last) of each run of true flags.

    >>> list(find_runs(np.array([True, False, True, True])))
    [(0, 1), (2, 4)]
    """
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]]).astype(np.int8)))
    return ((int(start), int(stop)) for start, stop in zip(edges[::2], edges[1::2], strict=True))
