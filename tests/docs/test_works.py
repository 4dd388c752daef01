"""docs/works.md, held against the commands."""

import re
import shlex

import pytest

from tests.support import ROOT

pytest.importorskip("torch")

from typer.core import TyperGroup
from typer.main import get_command

from stemsplit.cli.app import app
from stemsplit.training.__main__ import app as training

TEXT = (ROOT / "docs" / "works.md").read_text(encoding="utf-8")
LINES = [
    line
    for block in re.findall(r"^```bash\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)
    for line in block.splitlines()
]


@pytest.mark.parametrize("line", LINES)
def test_a_command_can_be_typed(line: str) -> None:
    words = shlex.split(line)
    program, words = (training, words[3:]) if words[0] == "python" else (app, words[1:])
    group = get_command(program)
    assert isinstance(group, TyperGroup)
    if words[0] == "models":
        group, words = group.commands["models"], words[1:]  # type: ignore[assignment]
    name = words[0] if words[0] in group.commands else "separate"
    group.commands[name].make_context(name, words[words[0] == name :])


def test_links_lead_somewhere() -> None:
    docs = ROOT / "docs"
    targets = re.findall(r"\]\((.*?)\)", TEXT)
    assert targets and all((docs / target.partition("#")[0]).is_file() for target in targets)
