"""Docstrings: their examples run and give what they say, their parameters are those of the signature."""

import ast
import doctest
import re
from collections.abc import Iterator
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


def _documented(text: str) -> set[str]:
    """Names in the section "Parameters" of a docstring; several may share a line."""
    section = re.search(r"^Parameters\n-+\n(.*?)(?=^\w[\w ]*\n-{3,}$|\Z)", text, re.MULTILINE | re.DOTALL)
    lines = re.findall(r"^([*\w][*\w, ]*)(?: :.*)?$", section[1] if section else "", re.MULTILINE)
    return {name.strip("* ") for line in lines for name in line.split(",")}


def _arguments(function: ast.FunctionDef) -> set[str]:
    found = function.args
    several = [each for each in (found.vararg, found.kwarg) if each is not None]
    return {each.arg for each in (*found.posonlyargs, *found.args, *found.kwonlyargs, *several)}


def _parameters(node: ast.FunctionDef | ast.ClassDef) -> set[str]:
    """The arguments of a function, or the arguments and fields of a class."""
    if isinstance(node, ast.FunctionDef):
        return _arguments(node)
    fields = {
        each.target.id
        for each in node.body
        if isinstance(each, ast.AnnAssign) and isinstance(each.target, ast.Name)
    }
    init = [each for each in node.body if isinstance(each, ast.FunctionDef) and each.name == "__init__"]
    return fields.union(*map(_arguments, init))


def _documented_nodes() -> Iterator[tuple[str, ast.FunctionDef | ast.ClassDef]]:
    root = Path(stemsplit.__path__[0])
    for path in sorted(root.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.ClassDef) and ast.get_docstring(node):
                yield f"{path.relative_to(root)}: {node.name}", node


@pytest.mark.slow
def test_documented_parameters_exist() -> None:
    wrong = {
        place: sorted(extra)
        for place, node in _documented_nodes()
        if (real := _parameters(node)) and (extra := _documented(ast.get_docstring(node) or "") - real)
    }
    assert not wrong
