"""README and docs: what they name is there."""

import re
import tomllib
from typing import Any

import pytest
from typer.main import get_command

from stemsplit.cli.app import app
from tests.docs.pages import EXECUTED, PAGES, blocks, read
from tests.docs.test_examples import ARGUMENTS
from tests.support import ROOT

USER_PAGES = [*EXECUTED, "docs/installation.md", "docs/faq.md", "docs/web-page.md", "docs/formats.md"]


def test_the_readme_is_short() -> None:
    assert len(read("README.md").encode()) <= 10_000


def test_the_set_up_line_is_the_one_that_is_tested() -> None:
    line = f"pip install . && .venv/bin/stemsplit {ARGUMENTS}\n"
    assert any(line in block for block in blocks("README.md", "bash"))


def _options(command: Any) -> set[str]:
    own = {name for param in command.params for name in (*param.opts, *param.secondary_opts)}
    return own.union(*(map(_options, getattr(command, "commands", {}).values())))


@pytest.mark.parametrize("page", USER_PAGES)
def test_every_option_that_is_mentioned_exists(page: str) -> None:
    code = " ".join([*re.findall(r"`([^`\n]+)`", read(page)), *blocks(page, "sh"), *blocks(page, "console")])
    mentioned = set(re.findall(r"(?<![\w-])--[a-z][a-z0-9-]+", code))
    assert mentioned <= _options(get_command(app)) | {"--help"}


def _anchors(page: str) -> set[str]:
    heads = re.findall(r"^#+ (.*)$", read(page), flags=re.MULTILINE)
    return {re.sub(r"[^\w -]", "", head.lower()).replace(" ", "-") for head in heads}


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    for link in re.findall(r"(?:\]\(|<img src=\")([^)\s\"]+)", read(page)):
        if link.startswith("https://"):
            continue
        target, _, anchor = link.partition("#")
        path = ((ROOT / page).parent / target).resolve() if target else ROOT / page
        assert path.exists(), link
        assert not anchor or anchor in _anchors(path.relative_to(ROOT).as_posix()), link


def test_the_readme_names_every_page() -> None:
    linked = set(re.findall(r"\]\((docs/[\w-]+\.md)\)", read("README.md")))
    assert linked == {page for page in PAGES if page.startswith("docs/")} - {"docs/index.md"}


def test_every_extra_is_listed() -> None:
    project = tomllib.loads(read("pyproject.toml"))["project"]
    rows = re.findall(r"^\| `([\w-]+)` \|", read("docs/installation.md"), flags=re.MULTILINE)
    assert sorted(rows) == sorted(project["optional-dependencies"])


def test_every_guarantee_names_tests_that_exist() -> None:
    rows = [line for line in read("docs/guarantees.md").splitlines() if line.startswith("| ")]
    named = [
        re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", row) for row in rows if row != "| guarantee | tests |"
    ]
    assert len(named) > 10 and all(named)
    for file, function in (pair for row in named for pair in row):
        assert f"def {function}(" in read(file), f"{file}::{function}"


def test_every_path_of_the_architecture_exists() -> None:
    named = re.findall(r"`([\w/.]+(?:\.py|/))`", read("docs/architecture.md"))
    assert len(named) > 20
    for path in named:
        assert (ROOT / path).exists() or (ROOT / "src" / "stemsplit" / path).exists(), path
