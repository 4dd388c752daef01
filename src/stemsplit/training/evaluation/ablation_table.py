"""Tables of an ablation, as CSV and as Markdown."""

import csv
import itertools
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from stemsplit.training import TARGETS
from stemsplit.training.data.sources import RECORDS_SOURCE, SOURCES, UNSEEN_SOURCE
from stemsplit.training.evaluation.ablation import AblationResult, Budget
from stemsplit.training.evaluation.scores import (
    Score,
    all_sources_of,
    average,
    by_target,
    sources_of,
    targets_in,
)
from stemsplit.training.fit.presets import find_preset

FIGURES = ("sdr_db", "improvement_db", "si_sdr_db", "leakage_db")
HOW_TO_READ = """\
How to read these tables. Every row was trained for the same number of minutes of processor time, on the same
machine, with the same songs and seed, and was scored on the same excerpts; a network that computes less per
step is trained for more steps. The budgets are short: the best row here is the one that learns fastest, which
need not be the best after a long training. There is one seed, and the real music with known stems is three
songs and a few singers: differences below about half a decibel mean nothing, and a single song can reverse an
order. `baseline` uses no model and `oracle` is the ratio mask of the true stems; they are the lower and the
upper bound. A row `without-...` is `bandsplit` trained without one ingredient: where it is *better* than
`bandsplit`, the ingredient did harm within this budget. The row `one-by-one` trains one network for each
target, in a quarter of the minutes each; `fine-tuned` trains all targets together for half of the minutes,
then one copy for each target in an eighth. Other processes on the machine slow the steps down even where
processor time is counted: rows of the same network are comparable only if their numbers of steps, in the last
table, are about equal."""


def write_tables(
    results: Sequence[AblationResult], budget: Budget, folder: Path, *, name: str = "comparison"
) -> None:
    """Write ``<name>.csv`` and ``<name>.md``."""
    folder.mkdir(parents=True, exist_ok=True)
    write_csv(results, folder / f"{name}.csv")
    (folder / f"{name}.md").write_text(markdown(results, budget), encoding="utf-8")


def write_csv(results: Sequence[AblationResult], path: Path) -> None:
    """Write one line for each row, source and target; a cell without a value is empty."""
    lines = [line for result in results for line in _csv_lines(result)]
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(lines[0]))
        writer.writeheader()
        writer.writerows(lines)


def markdown(results: Sequence[AblationResult], budget: Budget) -> str:
    """Return the tables and how to read them, as Markdown."""
    scores = [score for result in results for score in result.scores]
    head = [
        "# Comparison at equal budget",
        f"{budget.minutes:g} minutes of processor time a row, {budget.threads} CPU thread(s), seed "
        f"{budget.seed}. Cells hold the mean uSDR in dB over the excerpts, with equal weights of sources; "
        "the improvement over the mixture is in brackets. The CSV file beside this one has more figures; "
        "`python -m stemsplit.training compare` writes both.",
        HOW_TO_READ,
        *_records(results),
        f"## Real music\n\n`album` (two songs), `mdn-funk` (one song), `pjs` (dry singers over real music; "
        f"vocals only){_added(scores)}.",
        _quality(results, sources_of(scores, is_real=True)),
        "## All sources\n\nThe same, and songs of the virtual band.",
        _quality(results, sources_of(scores)),
    ]
    unseen = [each for each in results if any(score.source == UNSEEN_SOURCE for score in each.scores)]
    if unseen:
        head += [
            f"## Songs of the album that other rows were trained on\n\n`{UNSEEN_SOURCE}`: only rows trained "
            "without multitracks are scored on them.",
            _quality(unseen, (UNSEEN_SOURCE,)),
        ]
    return "\n\n".join([*head, "## Cost of the training", _costs(results)]) + "\n"


def _records(results: Sequence[AblationResult]) -> list[str]:
    """Return the table of the scores on records, by which rows are compared; empty if there are none."""
    if not any(score.source == RECORDS_SOURCE for result in results for score in result.scores):
        return []
    text = (
        "## Records\n\nCommercial records that no network is trained on. Rows are compared by these scores."
    )
    return [text, _quality(results, (RECORDS_SOURCE,))]


def _added(scores: Sequence[Score]) -> str:
    """Return the names of the added data sets, which are sources as well."""
    return "".join(f", `{source}` (added)" for source in sources_of(scores) if source not in SOURCES)


def _quality(results: Sequence[AblationResult], sources: Sequence[str]) -> str:
    rows = []
    for result in results:
        sdr, gain = (by_target(result.scores, column, sources=sources) for column in FIGURES[:2])
        sdr, gain = sdr | {"mean": _mean(sdr)}, gain | {"mean": _mean(gain)}
        rows.append([f"`{result.row.name}`", *(_cell(sdr, gain, key) for key in (*TARGETS, "mean"))])
    return _table(["row", *TARGETS, "mean"], rows)


def _costs(results: Sequence[AblationResult]) -> str:
    rows = [
        [
            f"`{result.row.name}`",
            f"{result.training.minutes:.1f}",
            str(result.training.steps),
            f"{result.training.n_parameters / 1e6:.2f}",
            f"{result.training.audio_h:.2f}",
            f"`{_settings(result)}`",
        ]
        for result in results
        if result.row.preset
    ]
    return _table(
        ["row", "processor minutes", "steps", "parameters, millions", "audio, hours", "settings"], rows
    )


def _csv_lines(result: AblationResult) -> list[dict[str, Any]]:
    training = result.training
    facts = {"row": result.row.name, "minutes": round(training.minutes, 2), "steps": training.steps}
    facts |= {"parameters": training.n_parameters, "audio_h": round(training.audio_h, 3)}
    scored = {(score.source, score.target) for score in result.scores}
    pairs = itertools.product(all_sources_of(result.scores), targets_in(result.scores))
    return [
        {**facts, "settings": _settings(result), "source": source, "target": target}
        | {"excerpts": sum((s.source, s.target) == (source, target) for s in result.scores)}
        | {
            column: _rounded(average(result.scores, column, source=source, target=target))
            for column in FIGURES
        }
        for source, target in pairs
        if (source, target) in scored
    ]


def _settings(result: AblationResult) -> str:
    """Return the preset, the optimiser and the settings that differ from the preset, as JSON."""
    row = result.row
    if not row.preset:
        return ""
    one_target = {"one_target": row.one_target} if row.one_target else {}
    optimiser = {"optimiser": find_preset(row.preset).optimiser}
    return json.dumps(
        {"preset": row.preset, **optimiser, **row.fit, **row.options, **row.remix, **one_target}
    )


def _mean(values: Mapping[str, float]) -> float:
    return sum(values.values()) / len(values) if values else math.nan


def _cell(sdr: Mapping[str, float], gain: Mapping[str, float], key: str) -> str:
    value = sdr.get(key, math.nan)
    return "-" if math.isnan(value) else f"{value:.2f} ({gain[key]:+.2f})"


def _rounded(value: float) -> float | str:
    return "" if math.isnan(value) else round(value, 3)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
