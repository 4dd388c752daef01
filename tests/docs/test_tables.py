"""The generated tables are what the program makes of itself today."""

import math
from pathlib import Path

import pytest

import stemsplit
from docs.generate.tables import (
    CARD,
    EXIT_CODES,
    JSON_FIELDS,
    PACKAGES,
    PAGES,
    make_machines,
    read_figures,
    split,
)
from stemsplit.jobs.capacity import MACHINES
from stemsplit.jobs.result import ExitStatus, FileResult, Status
from tests.docs.pages import read, read_words


@pytest.mark.parametrize(("page", "name"), [(page, name) for page, parts in PAGES.items() for name in parts])
def test_generated_parts_are_up_to_date(page: str, name: str) -> None:
    assert split(read(page), name)[1].strip() == PAGES[page][name](), "run python -m docs.generate.tables"


def test_the_machines_of_the_calculator_are_those_that_were_measured() -> None:
    assert MACHINES.read_text(encoding="utf-8") == make_machines(), "run python -m docs.generate.tables"


def test_every_exit_code_and_field_is_described() -> None:
    assert set(EXIT_CODES) == set(ExitStatus)
    assert list(JSON_FIELDS) == list(FileResult("song.wav", Status.DONE).to_dict())


def test_every_package_is_described() -> None:
    package = Path(stemsplit.__file__).parent
    folders = {path.parent.relative_to(package).as_posix() for path in package.rglob("*.py")}
    assert set(PACKAGES) == folders - {"."}


def test_expected_figures_are_as_near_to_the_true_ones_as_is_said() -> None:
    away_db: dict[str, list[float]] = {"album": [], "others": []}
    for row in read_figures():
        if not row["source"].startswith("mean") and row["expected"] != "-":
            column = away_db["album" if row["source"] == "album" else "others"]
            column.append(float(row["expected"]) - float(row["uSDR"]))
    least, most = round(min(away_db["album"])), round(max(away_db["album"]))
    furthest = math.ceil(10 * max(map(abs, away_db["others"]))) / 10
    claim = f"one band it is {least} to {most} dB too optimistic, elsewhere at most {furthest} dB away"
    assert claim in read_words("docs/command-line.md")


def test_what_more_passes_bring_is_that_of_the_table_of_records() -> None:
    table = (CARD.parent / "records.md").read_text(encoding="utf-8")
    rows = [line.strip("| ").split(" | ") for line in table.splitlines() if line.startswith("| `band`")]
    one, shifted, transposed = (row[5] for row in rows[:3])
    figures = {(row["source"], row["target"]): row["uSDR"] for row in read_figures()}
    assert one == figures["records", "mean"]
    claim = f"is {one} dB with `band`, {shifted} with two shifts and {transposed} with three transpositions"
    assert claim in read_words("docs/command-line.md")
    assert float(transposed) > float(shifted) > float(one)
