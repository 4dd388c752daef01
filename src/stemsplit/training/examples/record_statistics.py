"""Statistics of stems in commercial records, their joint distribution, and samples of it.

The statistics of a stem are its level relative to the mixture, the level of its side signal relative to the
middle signal, the variation of its level over frames, and its energy in eleven bands; all in decibels. A
sample holds the statistics of all targets of one record, since they are correlated: where drums are loud,
other stems are quieter.
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
# the same quantiles of the standard normal distribution
_SCORES = (-1.6449, -0.6745, 0.0, 0.6745, 1.6449)
# Shrinkage of the correlations toward zero: with about as many figures as records, some are due to chance.
SHRINKAGE = 0.1
MIN_RECORDS = 20
BUNDLED = Path(__file__).with_name("record_statistics.csv")


@dataclass(frozen=True)
class StemStatistics:
    """Statistics of one stem of one record, in decibels.

    Parameters
    ----------
    level_db : float
        Energy relative to that of the mixture.
    side_db : float
        Energy of the side signal relative to that of the middle signal.
    frame_level_std_db : float
        Standard deviation of the level of frames of 50 ms that are within 40 dB of the loudest.
    bands_db : FloatArray, shape (11,)
        Energy in the bands between `BAND_EDGES_HZ` relative to that of the whole stem.
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
        Correlations of the figures after each was mapped to a normal distribution by its ranks.
    """

    percentiles: NDArray[np.float64]
    correlations: NDArray[np.float64]

    @classmethod
    def fit(cls, statistics: Path) -> "RecordDistribution":
        """Fit the distribution to a table with a row for each record and target and the columns of `FIGURES`.

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
        """Read a file written by `save`, by default the one in the package."""
        with path.open(newline="", encoding="utf-8") as file:
            rows = np.array([row[2:] for row in csv.reader(file)][1:], np.float64)
        return cls(rows[:, : len(PERCENTILES)], rows[:, len(PERCENTILES) :])

    def save(self, path: Path) -> None:
        """Write a CSV file: a row for each target and figure, its percentiles and its correlations."""
        with whole_file(path) as file, io.TextIOWrapper(file, "utf-8", newline="") as text:
            writer = csv.writer(text, lineterminator="\n")
            percentiles = [f"percentile_{each}" for each in PERCENTILES]
            writer.writerow(["target", "figure", *percentiles, *(f"with {' '.join(name)}" for name in NAMES)])
            for name, values, row in zip(NAMES, self.percentiles, self.correlations, strict=True):
                writer.writerow([*name, *np.round(values, 1), *np.round(row, 3)])

    def draw(self, rng: Generator) -> dict[str, StemStatistics]:
        """Draw the statistics of all stems of one record, each within the outer percentiles of its figure."""
        scores = self._root @ rng.standard_normal(len(NAMES))
        drawn = [np.interp(each, _SCORES, row) for each, row in zip(scores, self.percentiles, strict=True)]
        rows = np.array(drawn, np.float32).reshape(len(TARGETS), len(FIGURES))
        return {
            target: StemStatistics(float(row[0]), float(row[1]), float(row[2]), row[3:])
            for target, row in zip(TARGETS, rows, strict=True)
        }

    @cached_property
    def _root(self) -> NDArray[np.float64]:
        """Cholesky factor of the correlations."""
        return np.asarray(np.linalg.cholesky(self.correlations), np.float64)


@cache
def bundled_distribution() -> RecordDistribution:
    """Return the distribution in the package."""
    return RecordDistribution.load()


def _read_statistics(path: Path) -> NDArray[np.float64]:
    """Read the figures of all records that have all targets, ``(records, names)``."""
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
