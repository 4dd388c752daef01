"""Scores of estimates, stored as JSON, and their means over sources and targets.

In a mean, every source has the same weight, however many excerpts it has. Records, by which models are
selected, have a mean of their own and are not averaged with other sources.
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
    """Metrics of one target in one case, in decibels; NaN where a silent reference makes them undefined.

    `expected_sdr_db` is the SDR predicted from the masks; it is also NaN in scores of an earlier version. The
    metrics called ``museval`` are medians over frames of one second, and NaN if they were not requested. Of
    `n_frames` frames, `n_silent` are left out because a reference or an estimate is silent in them.
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
    """Write the scores of several separations, by name, as JSON."""
    rows = {name: [asdict(score) for score in each] for name, each in scores.items()}
    write_json(path, rows)


def load_scores(path: Path) -> dict[str, list[Score]]:
    """Read a file written by `save_scores`.

    Raises
    ------
    StemsplitError
        The file is missing or holds something else.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return {name: [Score(**row) for row in rows] for name, rows in found.items()}
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise StemsplitError(
            f"{path} holds no scores ({error}); run `python -m stemsplit.training evaluate` first"
        ) from error


def average(scores: Iterable[Score], column: str, *, source: str = "", target: str = "") -> float:
    """Return the average of a metric over the cases of a source and target; NaN if it is defined in none.

    The average is the mean, but for the metrics of museval the median, as they are usually reported.
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
    """Return the sources that enter the means, in order: all of them, or the real ones, without renders."""
    scored = dict.fromkeys(score.source for score in scores)
    named = [source for source in SOURCES if source in scored]
    added = [source for source in scored if source not in {RECORDS_SOURCE, *SOURCES, UNSEEN_SOURCE}]
    return tuple(source for source in (*named, *added) if not (is_real and source == RENDER_SOURCE))


def all_sources_of(scores: Iterable[Score]) -> tuple[str, ...]:
    """Return all sources in the order of the tables: records first, sources that enter no mean last."""
    scores = tuple(scores)
    scored = {score.source for score in scores}
    listed = (RECORDS_SOURCE, *sources_of(scores), UNSEEN_SOURCE)
    return tuple(source for source in listed if source in scored)


def targets_in(scores: Iterable[Score]) -> tuple[str, ...]:
    """Return the targets that were scored: those of the bundled model in their order, then others."""
    scored = dict.fromkeys(score.target for score in scores)
    return (*(t for t in TARGETS if t in scored), *(t for t in scored if t not in TARGETS))


def by_target(scores: Sequence[Score], column: str = "sdr_db", *, sources: Sequence[str]) -> dict[str, float]:
    """Return the mean of a metric over sources, for each target that has it; sources have equal weights."""
    found: dict[str, list[float]] = defaultdict(list)
    targets = targets_in(scores)
    for source in sources:
        for target in targets:
            value = average(scores, column, source=source, target=target)
            if not math.isnan(value):
                found[target].append(value)
    return {target: float(np.mean(found[target])) for target in targets if target in found}


def mean_of_records(scores: Sequence[Score], column: str = "sdr_db") -> float:
    """Return the mean of a metric over the targets of the records; NaN if no records were scored."""
    means = by_target(scores, column, sources=(RECORDS_SOURCE,))
    return float(np.mean(list(means.values()))) if means else math.nan


def summary(scores: Sequence[Score]) -> dict[str, float]:
    """Return the uSDR of the records by target and on average, then by source and target, and the means.

    In the means, every source other than the records has equal weight.
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
