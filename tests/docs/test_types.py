"""The examples are typed: type checkers accept every script, and every example of the README and the docs."""

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.pages import EXECUTED, blocks
from tests.support import ROOT
from tests.support.cli import make_environment

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def snippets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one file for each example."""
    folder = tmp_path_factory.mktemp("snippets")
    for page in EXECUTED:
        for number, block in enumerate(blocks(page, "python")):
            (folder / f"{Path(page).stem.lower().replace('-', '_')}_{number}.py").write_text(block)
    for script in (ROOT / "examples").glob("*.py"):
        if script.name != "cut_example.py":
            shutil.copy(script, folder)
    (folder / "wrong.py").write_text('import stemsplit\n\nstemsplit.separate("song.mp3", stms=["vocals"])\n')
    (folder / "wrong_class.py").write_text('from stemsplit import Separator\n\nSeparator(stms=["vocals"])\n')
    settings = {"extraPaths": [str(ROOT / "src")], "typeCheckingMode": "standard"}
    (folder / "pyrightconfig.json").write_text(json.dumps(settings), encoding="utf-8")
    return folder


def check(command: list[str], folder: Path) -> list[str]:
    """Return the files that a type checker complains about."""
    path = os.pathsep.join([str(ROOT / "src"), os.environ.get("MYPYPATH", "")])
    environment = make_environment() | {"MYPYPATH": path.rstrip(os.pathsep)}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    lines = [line for line in done.stdout.splitlines() if "error" in line and ".py:" in line]
    assert lines, done.stdout + done.stderr
    return sorted({Path(line.strip().partition(".py:")[0]).name for line in lines})


@pytest.mark.skipif(importlib.util.find_spec("mypy") is None, reason="mypy is not installed")
def test_mypy_accepts_all_but_wrong_keywords(snippets: Path) -> None:
    files = sorted(path.name for path in snippets.glob("*.py"))
    command = [sys.executable, "-m", "mypy", "--strict", "--follow-imports=silent", "--cache-dir=.mypy_cache"]
    # soundfile and numpy's callers have no types of their own
    options = ["--disable-error-code=import-untyped", "--disable-error-code=no-untyped-def"]
    options += ["--disable-error-code=no-untyped-call"]
    assert check([*command, *options, *files], snippets) == ["wrong", "wrong_class"]


@pytest.mark.skipif(importlib.util.find_spec("basedpyright") is None, reason="basedpyright is not installed")
def test_pyright_accepts_all_but_wrong_keywords(snippets: Path) -> None:
    # basedpyright is pyright as a wheel with its node: nothing is downloaded at the first run
    command = [sys.executable, "-m", "basedpyright", "--pythonpath", sys.executable, "."]
    assert check(command, snippets) == ["wrong", "wrong_class"]
