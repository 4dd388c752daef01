"""Scores of estimates: kept as JSON, and their means over sources and targets.

Every source counts as much as another in a mean, however many excerpts it has. Records are in no mean with
others: they choose between models, and have a mean of their own.
"""

import json
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from stemsplit.errors import StemsplitError
from stemsplit.files.atomic import write_json
from stemsplit.training import TARGETS
from stemsplit.training.data.sources import RECORDS_SOURCE, RENDER_SOURCE, SOURCES, UNSEEN_SOURCE


@dataclass(frozen=True)
class Score:
    """Figures of one target in one case, in decibels; NaN where a silent reference gives them no meaning.

    `expected_sdr_db` is the SDR predicted from the masks, NaN also in scores of an earlier version.
    Those called ``museval`` are medians over the frames of one second that count, NaN where they were not
    asked for; `n_frames` of them there were, and in `n_silent` something was silent, so they do not count.
    """

    source: str
    case: str
    target: str
    sdr_db: float
    improvement_db: float
    si_sdr_db: float
    leakage_db: float
    expected_sdr_db: float = math.nan
    museval_sdr_db: float = math.nan
    museval_sir_db: float = math.nan
    museval_sar_db: float = math.nan
    n_frames: int = 0
    n_silent: int = 0


def save_scores(scores: Mapping[str, Sequence[Score]], path: Path) -> None:
    """Write scores, by the way they were reached, as JSON."""
    rows = {way: [asdict(score) for score in each] for way, each in scores.items()}
    write_json(path, rows)


def load_scores(path: Path) -> dict[str, list[Score]]:
    """Read what `save_scores` wrote.

    Raises
    ------
    StemsplitError
        The file is missing or holds something else.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return {way: [Score(**row) for row in rows] for way, rows in found.items()}
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise StemsplitError(
            f"{path} holds no scores ({error}); run `python -m stemsplit.training evaluate` first"
        ) from error


def average(scores: Iterable[Score], column: str, *, source: str = "", target: str = "") -> float:
    """A column over the cases of a source and target where it has a meaning; NaN if none.

    That is the mean, but for the figures of museval the median, as those are reported.
    """
    values = [
        getattr(score, column)
        for score in scores
        if (not source or score.source == source) and (not target or score.target == target)
    ]
    values = [value for value in values if not math.isnan(value)]
    middle = np.median if column.startswith("museval") else np.mean
    return float(middle(values)) if values else math.nan


def sources_of(scores: Iterable[Score], *, is_real: bool = False) -> tuple[str, ...]:
    """Sources that are in the means, in their order: all there are, or those that are no renders."""
    judged = dict.fromkeys(score.source for score in scores)
    named = [source for source in SOURCES if source in judged]
    added = [source for source in judged if source not in {RECORDS_SOURCE, *SOURCES, UNSEEN_SOURCE}]
    return tuple(source for source in (*named, *added) if not (is_real and source == RENDER_SOURCE))


def all_sources_of(scores: Iterable[Score]) -> tuple[str, ...]:
    """Every source that was scored, as tables list them: records first, what is in no mean last."""
    scores = tuple(scores)
    judged = {score.source for score in scores}
    listed = (RECORDS_SOURCE, *sources_of(scores), UNSEEN_SOURCE)
    return tuple(source for source in listed if source in judged)


def targets_in(scores: Iterable[Score]) -> tuple[str, ...]:
    """Targets that were judged: those of the bundled model in their order, then others."""
    judged = dict.fromkeys(score.target for score in scores)
    return (*(t for t in TARGETS if t in judged), *(t for t in judged if t not in TARGETS))


def by_target(scores: Sequence[Score], column: str = "sdr_db", *, sources: Sequence[str]) -> dict[str, float]:
    """A column for each target that has it, every source with equal weight."""
    found: dict[str, list[float]] = defaultdict(list)
    targets = targets_in(scores)
    for source in sources:
        for target in targets:
            value = average(scores, column, source=source, target=target)
            if not math.isnan(value):
                found[target].append(value)
    return {target: float(np.mean(found[target])) for target in targets if target in found}


def mean_of_records(scores: Sequence[Score], column: str = "sdr_db") -> float:
    """A column over all targets of the records, each with equal weight; NaN if none were scored."""
    means = by_target(scores, column, sources=(RECORDS_SOURCE,))
    return float(np.mean(list(means.values()))) if means else math.nan


def summary(scores: Sequence[Score]) -> dict[str, float]:
    """uSDR of records by target and in all, then by source and target, by target and in all.

    Each source but the records has equal weight in the latter.
    """
    sources, targets = sources_of(scores), targets_in(scores)
    found = {
        f"{source} {target}": average(scores, "sdr_db", source=source, target=target)
        for source in (RECORDS_SOURCE, *sources)
        for target in targets
    }
    found = {f"{RECORDS_SOURCE} mean": mean_of_records(scores)} | found
    found = {key: value for key, value in found.items() if not math.isnan(value)}
    means = by_target(scores, sources=sources)
    overall = {"average": float(np.mean(list(means.values())))} if means else {}
    return found | means | overall
