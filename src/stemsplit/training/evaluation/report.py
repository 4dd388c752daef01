"""Report of an evaluation: tables of the scores of a model, the baseline and the oracle on the same cases."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from stemsplit.training.data.sources import RECORDS_SOURCE
from stemsplit.training.evaluation.scores import (
    Score,
    all_sources_of,
    average,
    by_target,
    load_scores,
    mean_of_records,
    sources_of,
    targets_in,
)

MIN_EXPECTED = 10  # stems needed for a statement about the expected SDR
_COLUMNS = (
    ("model", "sdr_db"),
    ("model", "improvement_db"),
    ("model", "si_sdr_db"),
    ("model", "expected_sdr_db"),
    ("baseline", "sdr_db"),
    ("oracle", "sdr_db"),
)
_FRAMEWISE_COLUMNS = (
    ("model", "museval_sdr_db"),
    ("model", "museval_sir_db"),
    ("model", "museval_sar_db"),
    ("baseline", "museval_sdr_db"),
    ("oracle", "museval_sdr_db"),
)


@dataclass(frozen=True)
class Evaluation:
    """Scores of the model, the baseline and the oracle on the same cases."""

    scores: dict[str, list[Score]]

    @classmethod
    def load(cls, path: Path) -> "Evaluation":
        """Read ``scores.json``."""
        return cls(load_scores(path))

    def table(self) -> str:
        """Return a Markdown table: a line for each source and target, then the means."""
        names = ("uSDR", "improvement", "SI-SDR", "expected", "baseline", "oracle mask", "leakage")
        head = f"| source | target | excerpts | {' | '.join(names)} |"
        lines = [head, "|---" * (3 + len(names)) + "|"]
        records = [self._line(*pair) for pair in self._pairs() if pair[0] == RECORDS_SOURCE]
        others = [self._line(*pair) for pair in self._pairs() if pair[0] != RECORDS_SOURCE]
        lines += [*records, *(self._record_line() for _ in records[:1]), *others]
        other = "other " if records else ""
        for name, is_real in ((f"{other}real sources", True), (f"all {other}sources", False)):
            lines += self._mean_lines(name, is_real)
        return "\n".join(lines)

    def framewise_table(self) -> str:
        """Return a Markdown table of the framewise metrics by source and target; empty if there are none."""
        judged = {(s.source, s.target) for s in self.scores["model"] if s.n_frames}
        if not judged:
            return ""
        head = (
            "| source | target | songs | SDR | SIR | SAR | baseline SDR | oracle SDR | frames | not counted |"
        )
        lines = [self._framewise_line(*pair) for pair in self._pairs() if pair in judged]
        return "\n".join([head, "|---|---|---|---|---|---|---|---|---|---|", *lines])

    def by_target(self, way: str, column: str = "sdr_db", *, is_real: bool = False) -> dict[str, float]:
        """Return a metric by target: its mean over all sources, or over the real ones, with equal weights."""
        return by_target(self.scores[way], column, sources=sources_of(self.scores["model"], is_real=is_real))

    def deciding_figures(self) -> tuple[str, dict[str, float], dict[str, float]]:
        """Return the sources by which models are selected, and the uSDR of model and baseline on them.

        These are the records, or all real sources if no records were scored.
        """
        model, baseline = (
            by_target(self.scores[way], sources=(RECORDS_SOURCE,)) for way in ("model", "baseline")
        )
        if model:
            return "records", model, baseline
        model, baseline = (self.by_target(way, is_real=True) for way in ("model", "baseline"))
        return "real sources", model, baseline

    def expected_sdr_note(self) -> str:
        """Return a sentence on the error of the expected SDR; empty if there are too few stems."""
        pairs = [(s.expected_sdr_db, s.sdr_db) for s in self.scores["model"]]
        expected, reached = np.array([pair for pair in pairs if not np.isnan(pair).any()]).reshape(-1, 2).T
        if expected.size < MIN_EXPECTED:
            return ""
        away_db = expected - reached
        return (
            f"Over {away_db.size} stems it is {np.median(np.abs(away_db)):.1f} dB away from the uSDR in the "
            f"median, {np.mean(away_db):+.1f} dB on the mean, with a correlation of "
            f"{np.corrcoef(expected, reached)[0, 1]:.2f}."
        )

    def behind_baseline(self) -> list[str]:
        """Return the sources and targets for which the model's uSDR is not above the baseline's."""
        judged = self.scores["model"]
        return [
            f"{target} of `{source}`"
            for source in all_sources_of(judged)
            for target in targets_in(judged)
            if average(self.scores["model"], "sdr_db", source=source, target=target)
            <= average(self.scores["baseline"], "sdr_db", source=source, target=target)
        ]

    def _pairs(self) -> list[tuple[str, str]]:
        """Return the sources and targets of the scores of the model, in order."""
        judged = self.scores["model"]
        found = {(score.source, score.target) for score in judged}
        pairs = ((source, target) for source in all_sources_of(judged) for target in targets_in(judged))
        return [pair for pair in pairs if pair in found]

    def _chosen(self, source: str, target: str) -> list[Score]:
        return [s for s in self.scores["model"] if s.source == source and s.target == target]

    def _line(self, source: str, target: str) -> str:
        ways = (*_COLUMNS, ("model", "leakage_db"))
        values = [average(self.scores[way], column, source=source, target=target) for way, column in ways]
        n_cases = len(self._chosen(source, target))
        return f"| {source} | {target} | {n_cases} | {' | '.join(map(_decibels, values))} |"

    def _framewise_line(self, source: str, target: str) -> str:
        values = [
            average(self.scores[way], column, source=source, target=target)
            for way, column in _FRAMEWISE_COLUMNS
        ]
        chosen = [score for score in self._chosen(source, target) if score.n_frames]
        n_frames, n_silent = sum(s.n_frames for s in chosen), sum(s.n_silent for s in chosen)
        cells = [str(len(chosen)), *map(_decibels, values), str(n_frames), str(n_silent)]
        return f"| {source} | {target} | {' | '.join(cells)} |"

    def _record_line(self) -> str:
        """Return the line of the mean over the targets of the records, by which models are selected."""
        values = [mean_of_records(self.scores[way], column) for way, column in _COLUMNS]
        cells = " | ".join(f"**{_decibels(value)}**" for value in values)
        return f"| **{RECORDS_SOURCE}** | **mean** | | {cells} | |"

    def _mean_lines(self, name: str, is_real: bool) -> list[str]:
        """Return a line for each target, and one for the mean over targets."""
        columns = [self.by_target(way, column, is_real=is_real) for way, column in _COLUMNS]
        if not columns[0]:
            return []
        rows = {target: [each.get(target, math.nan) for each in columns] for target in columns[0]}
        rows["mean"] = [sum(each.values()) / len(each) if each else math.nan for each in columns]
        return [
            f"| **mean of {name}** | **{target}** | | "
            + " | ".join(f"**{_decibels(value)}**" for value in values)
            + " | |"
            for target, values in rows.items()
        ]


def _decibels(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.2f}"


def table_of_figures(rows: Mapping[str, Mapping[str, float]]) -> str:
    """Return a Markdown table with a row for each run, and the figures that any of them has.

    >>> print(table_of_figures({"one": {"album mse": 0.00512}, "two": {"album mse": 0.1}}))
    |  | album mse |
    |---|---|
    | one | 0.00512 |
    | two | 0.1 |
    """
    columns = list(dict.fromkeys(name for figures in rows.values() for name in figures))
    lines = [f"|  | {' | '.join(columns)} |", f"|---|{'---|' * len(columns)}"]
    for name, figures in rows.items():
        cells = (f"{figures[column]:.3g}" if column in figures else "-" for column in columns)
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)
