"""The import law: who may import whom, and what must not be loaded before it is needed."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import stemsplit

PACKAGE = Path(stemsplit.__file__).parent
MODULES = {path.relative_to(PACKAGE).as_posix(): path for path in sorted(PACKAGE.rglob("*.py"))}
PRODUCT = [name for name in MODULES if not name.startswith("training/")]
SIGNAL_PROCESSING = (
    "stft",
    "resample",
    "chunks",
    "wiener",
    "blocks",
    "recipe",
    "layout",
    "mirror",
    "segments",
)
FILES_AND_SESSIONS = {"soundfile", "onnxruntime", "typer", "rich", "mutagen", "av"}
HEAVY = {
    "numpy",
    "onnxruntime",
    "scipy",
    "soundfile",
    "soxr",
    "librosa",
    "mutagen",
    "torch",
    "av",
    "starlette",
    "uvicorn",
}


def _imports(name: str) -> Iterator[str]:
    """Every module that a module of the package imports, anywhere in it."""
    for node in ast.walk(ast.parse(MODULES[name].read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name} imports relatively"
            yield str(node.module)
            # `from stemsplit import training` names a module in the second place
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _roots(name: str) -> set[str]:
    return {module.partition(".")[0] for module in _imports(name)}


def _loaded_by(*arguments: str) -> set[str]:
    """Top-level modules that a Python process holds when it ends."""
    code = (
        "import runpy, sys, atexit\n"
        "atexit.register(lambda: print('\\n'.join({m.partition('.')[0] for m in sys.modules}),"
        " file=sys.stderr))\n" + "\n".join(arguments)
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    return set(run.stderr.split())


def _command(*arguments: str) -> str:
    return f"sys.argv = ['stemsplit', *{arguments!r}]; runpy.run_module('stemsplit', run_name='__main__')"


@pytest.mark.parametrize("name", PRODUCT)
def test_product_knows_neither_torch_nor_the_training(name: str) -> None:
    assert "torch" not in _roots(name)
    assert not [module for module in _imports(name) if module.startswith("stemsplit.training")]


@pytest.mark.parametrize("name", SIGNAL_PROCESSING)
def test_signal_processing_knows_no_files_or_sessions(name: str) -> None:
    assert not _roots(f"{name}.py") & FILES_AND_SESSIONS


@pytest.mark.parametrize("name", SIGNAL_PROCESSING)
def test_signal_processing_loads_no_files_or_sessions(name: str) -> None:
    """What a module imports in turn counts as well."""
    assert not _loaded_by(f"import stemsplit.{name}") & FILES_AND_SESSIONS


@pytest.mark.parametrize("name", PRODUCT)
def test_only_the_command_line_knows_the_terminal(name: str) -> None:
    terminal = {
        "cli.py",
        "models_cli.py",
        "serve_cli.py",
        "ending.py",
        "flags.py",
        "console.py",
        "display.py",
    }
    if name not in terminal:
        assert not _roots(name) & {"typer", "rich", "click"}


def test_importing_the_package_loads_nothing_heavy() -> None:
    assert not _loaded_by("import stemsplit") & HEAVY


@pytest.mark.parametrize(
    "arguments",
    [("--help",), ("--version",), ("separate", "--help"), ("models", "--help"), ("serve", "--help")],
)
def test_help_loads_nothing_heavy(arguments: tuple[str, ...]) -> None:
    assert not _loaded_by(_command(*arguments)) & HEAVY


def test_the_probe_sees_what_is_loaded() -> None:
    """Without this the tests above could pass for the wrong reason."""
    assert _loaded_by("from stemsplit import Separator") >= {"numpy", "scipy"}


def test_training_needs_no_players_where_only_a_network_is_trained() -> None:
    pytest.importorskip("torch")
    loaded = _loaded_by("import stemsplit.training.__main__")
    assert "torch" in loaded
    assert not loaded & {"librosa", "matplotlib", "mido", "museval", "pedalboard", "pyworld"}
