"""docs/training.md, held against the commands."""

import re
import shlex

import pytest

from tests.support import ROOT

pytest.importorskip("torch")

from typer.core import TyperGroup
from typer.main import get_command

from stemsplit.training.__main__ import app

TEXT = (ROOT / "docs" / "training.md").read_text(encoding="utf-8")
LINES = re.findall(r"^python -m stemsplit\.training (.*)$", TEXT, re.MULTILINE)
COMMAND = get_command(app)
assert isinstance(COMMAND, TyperGroup)


@pytest.mark.parametrize("line", LINES)
def test_a_command_can_be_typed(line: str) -> None:
    name, *arguments = shlex.split(line)
    COMMAND.commands[name].make_context(name, arguments)


def test_the_table_has_every_command_and_no_other() -> None:
    assert re.findall(r"^\| `([\w-]+)` \|", TEXT, re.MULTILINE) == list(COMMAND.commands)


def test_every_option_that_is_named_exists() -> None:
    known = {
        option for command in COMMAND.commands.values() for each in command.params for option in each.opts
    }
    named = set(re.findall(r"--[a-z][a-z0-9-]*", TEXT))
    assert named and named <= known
