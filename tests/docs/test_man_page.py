"""The man page is what the program makes of itself today, and man can read it."""

import shutil
import subprocess
import tomllib

import pytest

from docs.generate.man_page import PAGE, make_man_page
from stemsplit.cli.options.panels import Panel
from stemsplit.cli.options.separation import SeparationOptions
from tests.support import ROOT


def test_it_is_up_to_date() -> None:
    assert PAGE.read_text(encoding="utf-8") == make_man_page(), "run python -m docs.generate.tables"


def test_it_has_every_option() -> None:
    text = PAGE.read_text(encoding="utf-8").replace("\\-", "-")
    for field in SeparationOptions.__dataclass_fields__:
        assert field == "inputs" or f"--{field.replace('_', '-')}" in text
    for panel in Panel:
        assert f".SS {panel}\n" in text


def test_the_wheel_carries_it() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    shared = project["tool"]["hatch"]["build"]["targets"]["wheel"]["shared-data"]
    assert shared == {"docs/man/stemsplit.1": "share/man/man1/stemsplit.1"}


@pytest.mark.skipif(shutil.which("groff") is None, reason="groff is not installed")
def test_groff_finds_nothing_to_complain_about() -> None:
    command = ["groff", "-man", "-Tutf8", "-ww", "-z", str(PAGE)]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stderr == ""
