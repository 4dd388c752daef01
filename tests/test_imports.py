"""The import law: who may import whom, and what must not be loaded before it is needed."""

import ast
import functools
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

import stemsplit
from stemsplit.cli.app import Program
from tests.support.cli import make_song
from tests.support.marks import slow_but

PACKAGE = Path(stemsplit.__file__).parent
MODULES = {path.relative_to(PACKAGE).as_posix(): path for path in sorted(PACKAGE.rglob("*.py"))}
PRODUCT = [name for name in MODULES if not name.startswith("training/")]

# The floors of the house, from the ground up. A module imports its own package and those on lower floors;
# two packages on one floor know nothing of each other.
PRODUCT_FLOORS = (
    {"errors", "types"},
    {"did_you_mean"},
    {"files"},
    {"audio", "dsp"},
    {"models"},
    {"registry", "music"},
    {"separation"},
    {"evaluation"},
    {"jobs"},
    {"api", "client", "service"},
    {"cli"},
    {"__main__"},
)
TRAINING_FLOORS = (
    {"training"},
    {"training.data"},
    {"training.examples", "training.networks"},
    {"training.synthesis", "training.fit"},
    {"training.curation", "training.evaluation"},
    {"training.release"},
    {"training.data_commands"},
    {"training.release_commands", "training.ensemble_commands"},
    {"training.figure_commands"},
    {"training.__main__"},
)
# Training may build on the product up to the separation and what installs models, never the reverse.
TRAINING_MAY_USE = {
    "errors",
    "types",
    "did_you_mean",
    "files",
    "audio",
    "dsp",
    "models",
    "registry",
    "music",
    "separation",
    "evaluation",
}
SIGNAL_PROCESSING = [name for name in MODULES if name.startswith("dsp/")]
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
    "rich",
    "starlette",
    "uvicorn",
    "matplotlib",
    "museval",
}

# what a song in a common format, separated by the bundled models into wav, has no use for
RARE = (
    "importlib.resources",
    "librosa",
    "mido",
    "mutagen",
    "pydantic",
    "rich",
    "scipy",
    "soundfile",
    "tarfile",
    "tomli_w",
    "tomllib",
    "zipfile",
    "stemsplit.audio.picture",
    "stemsplit.audio.pyav",
    "stemsplit.audio.wav_decoder",
    "stemsplit.cli.analyse",
    "stemsplit.cli.evaluate",
    "stemsplit.cli.plan",
    "stemsplit.cli.replace",
    "stemsplit.cli.report",
    "stemsplit.cli.serve",
    "stemsplit.cli.unpack",
    "stemsplit.jobs.cluster",
    "stemsplit.models.description",
    "stemsplit.models.external",
    "stemsplit.music",
    "stemsplit.registry.download",
    "stemsplit.registry.index",
    "stemsplit.registry.pull",
    "stemsplit.separation.before",
    "stemsplit.separation.presets",
    "stemsplit.separation.routing",
    "stemsplit.separation.waveform_pipeline",
)


@functools.cache
def _imports(name: str) -> frozenset[str]:
    """Every module that a module of the package imports, anywhere in it."""
    return frozenset(_iterate_imports(name))


def _iterate_imports(name: str) -> Iterator[str]:
    for node in _walk_statements(ast.parse(MODULES[name].read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name} imports relatively"
            yield str(node.module)
            # `from stemsplit import training` names a module in the second place
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _walk_statements(node: ast.AST) -> Iterator[ast.AST]:
    """Every statement in `node`; no expression holds an import."""
    for block in ("body", "orelse", "handlers", "finalbody", "cases"):
        for child in getattr(node, block, ()):
            yield child
            yield from _walk_statements(child)


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


def test_product_knows_neither_torch_nor_the_training() -> None:
    foreign = ("torch", "stemsplit.training")
    assert not [
        f"{name} imports {module}"
        for name in PRODUCT
        for module in _imports(name)
        if any(module == root or module.startswith(f"{root}.") for root in foreign)
    ]


def _package(module: str) -> str:
    """The part of the house that a module (dotted, below ``stemsplit``) belongs to.

    ``cli.app`` is in ``cli``, ``training.fit.trainer`` in ``training.fit``; a module beside the packages is a
    part of its own.
    """
    parts = module.split(".")
    if parts[0] == "training" and len(parts) > 1:
        return ".".join(parts[:2])
    return parts[0]


def _dotted(name: str) -> str:
    return name.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


DOTTED = {_dotted(name) for name in MODULES}


@functools.cache
def _internal_imports(name: str) -> set[str]:
    """Modules of the package that a module imports, dotted, below ``stemsplit``."""
    named = {
        module.removeprefix("stemsplit.") for module in _imports(name) if module.startswith("stemsplit.")
    }
    return {module for module in named if module in DOTTED} - {_dotted(name)}


def _floor(package: str) -> int:
    floors = TRAINING_FLOORS if package.startswith("training") else PRODUCT_FLOORS
    (found,) = (number for number, floor in enumerate(floors) if package in floor)
    return found


def _may_import(own: str, package: str) -> bool:
    if package == own:
        return True
    if own.startswith("training") and not package.startswith("training"):
        return package in TRAINING_MAY_USE
    return _floor(package) < _floor(own)


def test_imports_lead_downwards() -> None:
    names = [name for name in MODULES if name != "__init__.py"]
    assert not [
        f"{name} imports {module}, which is not below it"
        for name in names
        for module in _internal_imports(name)
        if not _may_import(_package(_dotted(name)), _package(module))
    ]
    assert len(names) > 300


def test_an_import_that_leads_upwards_is_found() -> None:
    """Without this the test above could pass for the wrong reason."""
    assert _may_import("jobs", "audio") and _may_import("training.fit", "training.data")
    assert not _may_import("audio", "jobs")
    assert not _may_import("dsp", "audio")
    assert not _may_import("training.data", "training.fit")
    assert not _may_import("training.fit", "cli")


def _find_circle(graph: dict[str, set[str]]) -> list[str]:
    """Modules that import each other in a circle, in their order; none if there is no circle."""
    finished: set[str] = set()

    def visit(module: str, path: list[str]) -> list[str]:
        if module in path:
            return [*path[path.index(module) :], module]
        if module in finished:
            return []
        for next_module in sorted(graph.get(module, ())):
            if circle := visit(next_module, [*path, module]):
                return circle
        finished.add(module)
        return []

    return next((circle for module in sorted(graph) if (circle := visit(module, []))), [])


def test_no_module_imports_itself_through_others() -> None:
    assert not _find_circle({_dotted(name): _internal_imports(name) for name in MODULES})


def test_a_circle_is_found() -> None:
    """Without this the test above could pass for the wrong reason."""
    graph = {"a": {"b"}, "b": {"c", "d"}, "c": set(), "d": {"b"}}
    assert _find_circle(graph) == ["b", "d", "b"]


def test_signal_processing_knows_no_files_or_sessions() -> None:
    assert len(SIGNAL_PROCESSING) > 5
    assert not {name for name in SIGNAL_PROCESSING if _roots(name) & FILES_AND_SESSIONS}


def test_signal_processing_loads_no_files_or_sessions() -> None:
    """Modules that are imported indirectly count as well."""
    modules = [f"import stemsplit.{_dotted(name)}" for name in SIGNAL_PROCESSING]
    assert not _loaded_by(*modules) & FILES_AND_SESSIONS


def test_only_the_command_line_knows_the_terminal() -> None:
    knowing = {name for name in PRODUCT if _roots(name) & {"typer", "rich", "click"}}
    assert {name.partition("/")[0] for name in knowing} == {"cli"}


def test_importing_the_package_loads_nothing_heavy() -> None:
    assert not _loaded_by("import stemsplit") & HEAVY


@pytest.mark.parametrize(
    "line",
    slow_but(
        ["--help", "--version", "models --help"],
        ["--help", "--version", *(f"{name} --help" for name in ("models", "doctor", "separate", "serve"))],
    ),
)
def test_help_loads_nothing_heavy(line: str) -> None:
    assert not _loaded_by(_command(*line.split())) & HEAVY


def test_help_loads_no_other_command() -> None:
    names = {f"stemsplit.cli.{name}" for name in Program.summaries}
    assert names <= {f"stemsplit.{module}" for module in DOTTED}
    code = f"import atexit; atexit.register(lambda: print(*sys.modules)); {_command('--help')}"
    run = subprocess.run(
        [sys.executable, "-c", f"import runpy, sys; {code}"], capture_output=True, text=True, check=True
    )
    loaded = set(run.stdout.split())
    assert "stemsplit.cli.app" in loaded and not loaded & names


def test_a_plain_song_loads_nothing_that_few_songs_need(tmp_path: Path) -> None:
    """Up to the first run of a network, which every import delays."""
    song = make_song(tmp_path / "song.mp3")
    code = (
        "import os, runpy, sys, onnxruntime\n"
        "before = set(sys.modules)\n"  # a measurement of coverage reads its settings
        "def stop(*_, **__): print(*set(sys.modules) - before, flush=True); os._exit(0)\n"
        "onnxruntime.InferenceSession.run = stop\n"
        + _command(str(song), "--output", str(tmp_path / "out"), "--quiet")
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(run.stdout.split())
    assert loaded >= {"stemsplit.jobs.worker", "stemsplit.audio.frame_decoder", "av"}
    assert not {name for name in loaded if name.startswith(RARE)}


def test_the_probe_sees_what_is_loaded() -> None:
    """Without this the tests above could pass for the wrong reason."""
    assert _loaded_by("from stemsplit import Separator") >= {"numpy", "soxr"}


@pytest.mark.slow
def test_training_needs_no_players_where_only_a_network_is_trained() -> None:
    if find_spec("torch") is None:
        pytest.skip("no torch")
    loaded = _loaded_by("import stemsplit.training.__main__")
    assert "torch" in loaded
    assert not loaded & {"librosa", "matplotlib", "mido", "museval", "pedalboard", "pyworld"}
