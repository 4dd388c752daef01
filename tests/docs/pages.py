"""The pages of the documentation, as the tests read them."""

import re

from tests.support import ROOT

PAGES = [
    "README.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "benchmarks/README.md",
    "examples/README.md",
    *(path.relative_to(ROOT).as_posix() for path in sorted((ROOT / "docs").glob("*.md"))),
]
# their blocks of `sh`, `console` and `python` are run
EXECUTED = ["README.md", "docs/command-line.md", "docs/python.md"]


def read(page: str) -> str:
    """Return the text of a page."""
    return (ROOT / page).read_text(encoding="utf-8")


def read_words(page: str) -> str:
    """Return the text of a page with single spaces in place of its line breaks."""
    return " ".join(read(page).split())


def blocks(page: str, language: str) -> list[str]:
    """Return the fenced blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```", read(page), flags=re.DOTALL | re.MULTILINE)
