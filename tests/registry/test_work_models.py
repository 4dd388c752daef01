"""The small models of student works: by name only, and apart from the others."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import soundfile

from stemsplit.errors import ModelError
from stemsplit.models.package import package_file
from stemsplit.registry.installed import bundled_models, resolve, work_models
from tests.support import ROOT
from tests.support.cli import call

MAX_BYTES = 12_000_000


def test_work_models_are_small_and_found_by_name() -> None:
    works = work_models()
    assert "lstm" in works
    assert sum(path.stat().st_size for path in (ROOT / "models" / "works").iterdir()) <= MAX_BYTES
    for name, path in works.items():
        assert resolve(name) == path and (path.parent / f"{name}.md").is_file()


@pytest.mark.slow
def test_the_wheel_holds_every_model_and_what_the_analysis_runs(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    held = {name for name in zipfile.ZipFile(wheel).namelist() if name.startswith("stemsplit/weights/")}
    models = ROOT / "models"
    files = {path.relative_to(models).as_posix() for path in models.rglob("*") if path.is_file()}
    assert held == {f"stemsplit/weights/{name}" for name in files}
    assert {f"works/{name}.onnx" for name in work_models()} | {"analysis/drum-presence.onnx"} <= files


@pytest.mark.slow
@pytest.mark.parametrize("name", work_models())
def test_every_work_model_runs_on_the_example_song(name: str, tmp_path: Path) -> None:
    song = ROOT / "examples" / "caesium.mp3"
    done = call(song, "--model", name, "--duration", 3, "-o", tmp_path, "--json")
    assert done.code == 0, done.stderr
    stems = sorted(tmp_path.rglob("*.wav"))
    assert len(stems) >= 2
    assert all(soundfile.info(path).frames == 3 * soundfile.info(song).samplerate for path in stems)


def test_a_package_without_a_file_says_what_to_do() -> None:
    assert package_file("analysis/drum-presence.onnx").is_file()
    with pytest.raises(ModelError, match=r"lacks analysis/flutes\.onnx; reinstall"):
        package_file("analysis/flutes.onnx")


def test_no_work_model_is_used_unless_it_is_named() -> None:
    assert not set(bundled_models()) & set(work_models().values())


def test_work_models_are_listed_apart() -> None:
    lines = call("models", "list").lines
    place = next(number for number, line in enumerate(lines) if "only where they are named" in line)
    end = lines.index("", place)
    below = [line.split()[0] for line in lines[place + 2 : end]]
    assert below == list(work_models()) and not set(below) & {line.split()[0] for line in lines[: place - 1]}
    names = [record["name"] for record in call("models", "list", "--json").records]
    assert names[-len(below) - 1 :] == [*below, "hpss"]
