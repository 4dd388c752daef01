"""The examples in docstrings run and give what they say."""

import doctest
from importlib import import_module
from pathlib import Path

import pytest

import benchmarks
import stemsplit


def _modules() -> list[str]:
    """Modules with an example that is not left out."""
    return [
        ".".join(path.relative_to(root.parent).with_suffix("").parts)
        for root in (Path(package.__path__[0]) for package in (stemsplit, benchmarks))
        for path in sorted(root.rglob("*.py"))
        if _has_example(path.read_text(encoding="utf-8"))
    ]


def _has_example(text: str) -> bool:
    return any(">>> " in line and "+SKIP" not in line for line in text.splitlines())


@pytest.mark.parametrize("name", _modules())
def test_examples_run(name: str) -> None:
    if name.startswith("stemsplit.training"):
        pytest.importorskip("torch")
    result = doctest.testmod(import_module(name))
    assert result.attempted and not result.failed
