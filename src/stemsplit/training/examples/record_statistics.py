"""Statistics of stems in commercial records: what they are, their distribution over many, and draws from it.

Of every stem: its level against the mixture, its side against its middle, how much the level of its frames
varies, and its energy in eleven bands; all in decibels. A draw gives one record's worth of them, for all
targets together: loud drums come with what is quieter beside loud drums.
"""

import csv
import io
import itertools
from collections import defaultdict
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from stemsplit.errors import StemsplitError
from stemsplit.files.atomic import whole_file
from stemsplit.training import TARGETS
from stemsplit.types import FloatArray

BAND_EDGES_HZ = (0, 60, 120, 250, 500, 1000, 2000, 4000, 8000, 12000, 16000, 22050)
BANDS = tuple(f"band_{low}_{high}_hz_db" for low, high in itertools.pairwise(BAND_EDGES_HZ))
FIGURES = ("level_db", "side_db", "frame_level_std_db", *BANDS)
NAMES = tuple((target, figure) for target in TARGETS for figure in FIGURES)
PERCENTILES = (5, 25, 50, 75, 95)
# the same places on the axis of a standard normal distribution
_SCORES = (-1.6449, -0.6745, 0.0, 0.6745, 1.6449)
# Of the correlations that is given up: nearly as many figures as records make some of them chance.
SHRINKAGE = 0.1
MIN_RECORDS = 20
BUNDLED = Path(__file__).with_name("record_statistics.csv")


@dataclass(frozen=True)
class StemStatistics:
    """Statistics of one stem of one record, in decibels.

    Parameters
    ----------
    level_db : float
        Energy against that of the mixture.
    side_db : float
        Energy of the side against that of the middle.
    frame_level_std_db : float
        Standard deviation of the level of frames of 50 ms, of those within 40 dB of the loudest.
    bands_db : FloatArray, shape (11,)
        Energy between each two of `BAND_EDGES_HZ` against that of the whole stem.
    """

    level_db: float
    side_db: float
    frame_level_std_db: float
    bands_db: FloatArray


@dataclass(frozen=True)
class RecordDistribution:
    """A Gaussian copula: percentiles of every figure, and correlations between all of them.

    Parameters
    ----------
    percentiles : NDArray, shape (names, percentiles)
        `PERCENTILES` of every figure, in the order of `NAMES`: target by target.
    correlations : NDArray, shape (names, names)
        Of the figures after each was made normal by its ranks.
    """

    percentiles: NDArray[np.float64]
    correlations: NDArray[np.float64]

    @classmethod
    def fit(cls, statistics: Path) -> "RecordDistribution":
        """Fit to a table with a row for each record and target; its columns are called as in `FIGURES`.

        Raises
        ------
        StemsplitError
            The file cannot be read, lacks a column, or has too few records with all targets.
        """
        from scipy.stats import norm

        values = _read_statistics(statistics)
        ranks = values.argsort(0).argsort(0)
        scores = norm.ppf((ranks + 0.5) / len(values))
        correlations = (1 - SHRINKAGE) * np.corrcoef(scores, rowvar=False) + SHRINKAGE * np.eye(len(NAMES))
        return cls(np.percentile(values, PERCENTILES, axis=0).T, correlations)

    @classmethod
    def load(cls, path: Path = BUNDLED) -> "RecordDistribution":
        """Read what `save` wrote; that which comes with the package if no path is given."""
        with path.open(newline="", encoding="utf-8") as file:
            rows = np.array([row[2:] for row in csv.reader(file)][1:], np.float64)
        return cls(rows[:, : len(PERCENTILES)], rows[:, len(PERCENTILES) :])

    def save(self, path: Path) -> None:
        """Write a CSV: a row for each target and figure, with percentiles and correlations as columns."""
        with whole_file(path) as file, io.TextIOWrapper(file, "utf-8", newline="") as text:
            writer = csv.writer(text, lineterminator="\n")
            percentiles = [f"percentile_{each}" for each in PERCENTILES]
            writer.writerow(["target", "figure", *percentiles, *(f"with {' '.join(name)}" for name in NAMES)])
            for name, values, row in zip(NAMES, self.percentiles, self.correlations, strict=True):
                writer.writerow([*name, *np.round(values, 1), *np.round(row, 3)])

    def draw(self, rng: Generator) -> dict[str, StemStatistics]:
        """Statistics of all stems of one record; none lies beyond the outer percentiles of its figure."""
        scores = self._root @ rng.standard_normal(len(NAMES))
        drawn = [np.interp(each, _SCORES, row) for each, row in zip(scores, self.percentiles, strict=True)]
        rows = np.array(drawn, np.float32).reshape(len(TARGETS), len(FIGURES))
        return {
            target: StemStatistics(float(row[0]), float(row[1]), float(row[2]), row[3:])
            for target, row in zip(TARGETS, rows, strict=True)
        }

    @cached_property
    def _root(self) -> NDArray[np.float64]:
        """Matrix that gives independent normal numbers these correlations."""
        return np.asarray(np.linalg.cholesky(self.correlations), np.float64)


@cache
def bundled_distribution() -> RecordDistribution:
    """The distribution that comes with the package."""
    return RecordDistribution.load()


def _read_statistics(path: Path) -> NDArray[np.float64]:
    """Figures of every record that has all targets, ``(records, names)``."""
    records: dict[str, dict[tuple[str, str], float]] = defaultdict(dict)
    try:
        with path.open(newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                figures = {(row["target"], figure): float(row[figure]) for figure in FIGURES}
                records[row["number"]] |= figures
    except (OSError, KeyError, ValueError) as error:
        raise StemsplitError(
            f"{path} holds no statistics of records ({error!r}); "
            f"it needs the columns number, target, {', '.join(FIGURES)}"
        ) from error
    whole = [[each[name] for name in NAMES] for each in records.values() if each.keys() >= set(NAMES)]
    if len(whole) < MIN_RECORDS:
        raise StemsplitError(f"{path} has {len(whole)} records with all targets; {MIN_RECORDS} are needed")
    return np.array(whole)
