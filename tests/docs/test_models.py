"""docs/models.md, held against the program."""

import dataclasses
import re
import tomllib
from pathlib import Path

import pytest

from benchmarks.report import load
from stemsplit.errors import ModelError
from stemsplit.models.description import Description
from stemsplit.models.description_file import parse_description
from stemsplit.models.families import FAMILIES
from stemsplit.registry.index import find_remote
from stemsplit.separation.presets import read_preset
from tests.support import ROOT

TEXT = (ROOT / "docs" / "models.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"^```toml\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)
DESCRIPTIONS = [example for example in EXAMPLES if example.startswith("name")]


def test_the_table_has_every_field_and_no_other() -> None:
    table = TEXT.partition("| field |")[2].partition("\n\n")[0]
    heads = re.findall(r"^\| (`.*?) \|", table, re.MULTILINE)
    named = [name for head in heads for name in re.findall(r"`(\w+)`", head)]
    assert sorted(named) == sorted(field.name for field in dataclasses.fields(Description))


def _read_examples() -> list[tuple[list[str], str]]:
    """The fields of each row of the table of fields, and its examples as one TOML text."""
    table = TEXT.partition("| field |")[2].partition("\n\n")[0]
    rows = [line.strip("|").split(" | ") for line in table.splitlines()[2:]]
    return [(re.findall(r"`(\w+)`", row[0]), "\n".join(re.findall(r"`([^`]+)`", row[2]))) for row in rows]


# a description for each field that applies to some kinds of output only
_BASES = (
    {"family": "mdx", "graphs": {"vocals": "v.onnx", "other": "o.onnx"}, "n_fft": 6144},
    {"family": "open-unmix", "graphs": {"vocals": "v.onnx", "other": "o.onnx"}},
    {"family": "htdemucs", "graphs": {"vocals": "v.onnx", "other": "o.onnx"}},
)


def _is_accepted(values: dict[str, object]) -> bool:
    for base in _BASES:
        try:
            parse_description({"name": "x", **base, **values})
        except ModelError:
            continue
        return True
    return False


@pytest.mark.parametrize(("names", "example"), _read_examples(), ids=str)
def test_every_field_has_an_example_that_is_accepted(names: list[str], example: str) -> None:
    values = tomllib.loads(example)
    assert list(values) == names
    assert all(_is_accepted({key: value}) for key, value in values.items())


def test_every_family_has_an_example() -> None:
    assert {tomllib.loads(example)["family"] for example in DESCRIPTIONS} == set(FAMILIES)


@pytest.mark.parametrize("example", DESCRIPTIONS)
def test_descriptions_can_be_read(example: str) -> None:
    assert parse_description(tomllib.loads(example)).targets


def test_lists_can_be_read(tmp_path: Path) -> None:
    remote, preset = (example for example in EXAMPLES if example not in DESCRIPTIONS)
    path = tmp_path / "list.toml"
    path.write_text(remote, encoding="utf-8")
    assert find_remote("umxhq", path).description is not None
    path.write_text(preset, encoding="utf-8")
    assert read_preset("voices", path).residual is True


def test_the_table_of_speeds_is_what_was_measured() -> None:
    result = load("families")
    versions = result["machine"]["packages"]
    for row in result["rows"]:
        figures = [f"{row[key]:.2f}" for key in ("own_s", "peer_s", "times_peer")]
        cells = [
            row["family"],
            f"{row['peer']} {versions[row['peer']]}",
            *figures,
            f"{row['difference_db']:.1f}",
        ]
        assert f"| {' | '.join(cells)} |" in TEXT
