"""``python -m benchmarks.routing``: what it gains to choose the model of each song by its masks.

Records with their true stems are separated by two models; the mean uSDR of the stems that sound is compared
with that of the model whose masks are surest, and of the better one. Nothing of the records is stored.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from benchmarks.machine import describe_machine, describe_models
from benchmarks.report import Row, save, show
from stemsplit.separation.routing import measure_confidence
from stemsplit.separation.separator import Separator
from stemsplit.training import SAMPLE_RATE, TARGETS
from stemsplit.training.evaluation.records import load_records
from stemsplit.types import FloatArray

_LEAST_ENERGY = 1e-6


def main(
    records: Annotated[Path, typer.Argument(help="Folder of records with their stems.")],
    models: Annotated[list[str], typer.Argument(help="The model that stands, and others beside it.")],
    songs: Annotated[int, typer.Option(help="How many, evenly spread.")] = 20,
    json: Annotated[Path | None, typer.Option(help="Folder for the results as JSON.")] = None,
) -> None:
    """Judge the routes."""
    cases = load_records(records)
    chosen = [case.stems for case in cases[:: max(1, len(cases) // songs)][:songs]]
    judged = {name: _judge(name, chosen) for name in models}
    first, rows = models[0], []
    for other in models[1:]:
        rows.append(_compare(f"{_title(first)} or {_title(other)}", judged[first], judged[other]))
    show("routing", rows)
    if json is not None:
        facts = {"machine": describe_machine(), "models": describe_models(), "songs": len(chosen)}
        save("routing", rows, facts, json)


def _title(model: str) -> str:
    return Path(model).stem


def _judge(model: str, songs: list[FloatArray]) -> list[tuple[float, float]]:
    """Return for each song the mean uSDR of its stems, and their mean expected SDR."""
    with Separator(models=[model], stems=TARGETS, device="cpu", threads=1) as separator:
        return [_score(separator, stems) for stems in songs]


def _score(separator: Separator, stems: FloatArray) -> tuple[float, float]:
    mixture = stems.sum(axis=0)
    found: Mapping[str, FloatArray] = separator(mixture, SAMPLE_RATE)
    sdr_db = [
        10 * np.log10(np.square(stem).sum() / np.square(stem - found[name]).sum())
        for name, stem in zip(TARGETS, stems, strict=True)
        if np.square(stem).mean() > _LEAST_ENERGY
    ]
    confidence_db = measure_confidence(separator, mixture, SAMPLE_RATE)
    assert confidence_db is not None
    return float(np.mean(sdr_db)), confidence_db


def _compare(title: str, first: list[tuple[float, float]], other: list[tuple[float, float]]) -> Row:
    pairs = np.array([first, other])  # (models, songs, figures)
    sdr_db, confidence_db = pairs[..., 0], pairs[..., 1]
    surest = confidence_db.argmax(axis=0)
    routed = np.take_along_axis(sdr_db, surest[None], axis=0)[0]
    means = {
        "first_sdr": sdr_db[0].mean(),
        "other_sdr": sdr_db[1].mean(),
        "routed_sdr": routed.mean(),
        "best_sdr": sdr_db.max(axis=0).mean(),
    }
    row: Row = {"route": title} | {name: round(float(value), 2) for name, value in means.items()}
    return row | {"n_other": int(surest.sum()), "n_other_better": int((sdr_db[1] > sdr_db[0]).sum())}


if __name__ == "__main__":
    typer.run(main)
