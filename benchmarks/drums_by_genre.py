"""``python -m benchmarks.drums_by_genre``: the drums of records, over all of them and by genre.

The records are a folder as `stemsplit.training` validates with, with ``songs.csv`` (number, artist, title).
Genres come from a list of the data set with the columns ``Track Name`` (artist - title) and ``Genre``, such
as the one of MUSDB18 by its authors. What is named ``Electronic`` there is electronic here.
"""

import csv
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import typer

from benchmarks.machine import describe_machine, describe_models
from benchmarks.report import Row, save, show
from stemsplit.errors import StemsplitError
from stemsplit.evaluation.metrics import sdr
from stemsplit.registry.installed import resolve
from stemsplit.separation.separator import Separator
from stemsplit.training import SAMPLE_RATE
from stemsplit.training.evaluation.baseline import reference_scores
from stemsplit.training.evaluation.records import load_records
from stemsplit.training.evaluation.scores import Score
from stemsplit.training.evaluation.validation import ValidationCase

DRUMS = "drums"
ELECTRONIC = "Electronic"
Figures = dict[str, float]


def main(  # noqa: PLR0917 - as they are typed
    records: Annotated[Path, typer.Argument(help="Folder of the records.")],
    genres: Annotated[Path, typer.Argument(help="CSV file of track names and genres.")],
    references: Annotated[Path, typer.Argument(help="File that keeps the scores without a model.")],
    models: Annotated[list[str], typer.Argument(help="LABEL=MODEL, a name or a file.")],
    threads: Annotated[int, typer.Option()] = 1,
    json: Annotated[Path | None, typer.Option(help="Folder for the results as JSON.")] = None,
) -> None:
    """Judge the drums that models separate from records."""
    cases = load_records(records)
    found = genres_of(records / "songs.csv", genres)
    without = reference_scores(cases, references)
    judged = {"no model": _drums_of(without["baseline"])}
    judged |= {
        label: _score(cases, name, threads) for label, _, name in (each.partition("=") for each in models)
    }
    judged["oracle ratio mask"] = _drums_of(without["oracle"])
    rows = [{"separated": label, **summarise(figures, found)} for label, figures in judged.items()]
    show("drums_by_genre", rows)
    if json is not None:
        facts = {"machine": describe_machine(), "models": describe_models(), "records": len(cases)}
        save("drums_by_genre", rows, facts, json)


def genres_of(songs: Path, genres: Path) -> dict[str, str]:
    """Return the genre of each record, by its number.

    Raises
    ------
    StemsplitError
        A record is not in the list.
    """
    by_words = {_words(row["Track Name"]): row["Genre"] for row in _read(genres)}
    found = {}
    for row in _read(songs):
        words = _words(f"{row['artist']} {row['title']}")
        if words not in by_words:
            raise StemsplitError(f"{genres} does not have {row['artist']} - {row['title']}; add its line")
        found[row["number"]] = by_words[words]
    return found


def summarise(figures: Mapping[str, float], genres: Mapping[str, str]) -> Row:
    """Return mean SDRs: of all records whose drums sound, of the electronic ones, and of all others."""
    electronic = [value for number, value in figures.items() if genres[number] == ELECTRONIC]
    others = [value for number, value in figures.items() if genres[number] != ELECTRONIC]
    row: Row = {"n_electronic": len(electronic), "n_others": len(others)}
    named = {"all": [*electronic, *others], "electronic": electronic, "others": others}
    return row | {name: round(sum(values) / len(values), 2) for name, values in named.items() if values}


def _score(cases: Sequence[ValidationCase], name: str, threads: int) -> Figures:
    with Separator(models=[resolve(name)], device="cpu", threads=threads) as separator:
        return _finite(
            {
                case.name: sdr(
                    case.stems[case.targets.index(DRUMS)], separator(case.mixture, SAMPLE_RATE)[DRUMS]
                )
                for case in cases
            }
        )


def _drums_of(scores: Sequence[Score]) -> Figures:
    return _finite({score.case: score.sdr_db for score in scores if score.target == DRUMS})


def _finite(figures: Figures) -> Figures:
    """Leave out records without drums, whose SDR is not a number."""
    return {case: value for case, value in figures.items() if not math.isnan(value)}


def _read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def _words(title: str) -> frozenset[str]:
    """Return the words of a title: lists differ in punctuation, and in the order of words."""
    return frozenset(re.findall(r"[a-z0-9]+", title.lower().replace("'", "")))


if __name__ == "__main__":
    typer.run(main)
