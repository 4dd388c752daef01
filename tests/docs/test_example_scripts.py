"""The scripts of ``examples/`` run, and do what they say."""

import json
import subprocess
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import numpy as np
import pytest
import soundfile

from benchmarks.songs import make_loop
from tests.support import ROOT
from tests.support.cli import make_environment

FOLDER = ROOT / "examples"


@pytest.fixture
def song(tmp_path: Path) -> Path:
    """Two seconds of music."""
    path = tmp_path / "Music" / "Album" / "song.wav"
    path.parent.mkdir(parents=True)
    soundfile.write(path, make_loop()[: 2 * 44100], 44100, "FLOAT")
    return path


def run(script: str, *args: object) -> str:
    """Run a script of the folder; return its output."""
    command = [sys.executable, str(FOLDER / script), *map(str, args)]
    done = subprocess.run(command, env=make_environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def read(path: Path) -> np.ndarray:
    """Return the samples of a file."""
    return soundfile.read(path, dtype="float32", always_2d=True)[0]


def test_remix(song: Path, tmp_path: Path) -> None:
    run("remix.py", song, tmp_path / "remix.wav")
    from stemsplit import separate

    stems = separate(song)
    expected = read(song).T - (1 - 10 ** (-6 / 20)) * stems["vocals"]
    assert abs(read(tmp_path / "remix.wav").T - expected).max() < 1e-4


@pytest.mark.slow
def test_process_pool(song: Path, tmp_path: Path) -> None:
    second = song.with_name("second.wav")
    second.write_bytes(song.read_bytes())
    printed = run("process_pool.py", tmp_path / "out", song, second)
    names = [(track, stem) for track in ("song", "second") for stem in ("vocals", "residual")]
    assert printed.splitlines() == [str(tmp_path / "out" / track / f"{stem}.wav") for track, stem in names]
    assert abs(sum(read(Path(line)) for line in printed.splitlines()[:2]) - read(song)).max() < 1e-6


@pytest.mark.slow
def test_instrumentals(song: Path, tmp_path: Path) -> None:
    run("instrumentals.py", tmp_path / "Music", tmp_path / "out")
    (made,) = (path for path in (tmp_path / "out").rglob("*") if path.is_file())
    assert made == tmp_path / "out" / "Album" / "song (instrumental).flac"
    before = made.stat().st_mtime_ns
    run("instrumentals.py", tmp_path / "Music", tmp_path / "out")
    assert made.stat().st_mtime_ns == before


@pytest.mark.slow
def test_microphone(tmp_path: Path) -> None:
    run("microphone.py", 3, tmp_path / "vocals.wav")
    assert soundfile.info(tmp_path / "vocals.wav").frames == 3 * 44100


def write_work(folder: Path) -> Path:
    """Write a work folder with two songs for training and one for validation."""
    from tests.support.tiny_trainings import write_songs

    songs = write_songs(folder / "songs")
    for file in list(songs.glob("b.*")):
        (songs / f"valid{file.suffix}").write_bytes(file.read_bytes())
    facts = json.loads((songs / "valid.json").read_text())
    (songs / "valid.json").write_text(json.dumps(facts | {"split": "valid"}))
    return folder


def reproduce(name: str, folder: Path, *options: object) -> set[str]:
    """Run the script of a work with a small network for a second; return what it made."""
    limits = ("--minutes", 0.02, "--threads", 1, "--option", "n_features=2", "--remix", "matched=0")
    run("reproduce_work.py", name, write_work(folder / "work"), folder / "out", *limits, *options)
    return {path.name for path in (folder / "out").iterdir()}


@pytest.mark.slow
def test_the_network_of_a_work(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    pytest.importorskip("museval")
    rng = np.random.default_rng(0)
    for stem in ("vocals", "other"):
        path = tmp_path / "data" / "song" / f"{stem}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, rng.normal(0, 0.1, 16_000), 8000)
    made = reproduce("dann", tmp_path, "--evaluate", tmp_path / "data")
    assert {"run", "dann.onnx", "dann.toml", "dann.md", "evaluation"} <= made
    assert json.loads((tmp_path / "out" / "evaluation" / "scores.json").read_text())["medians"]["vocals"]


@pytest.mark.slow
def test_the_network_of_the_slides_goes_on_against_a_discriminator(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    assert {"supervised", "run", "gan-drums.onnx", "gan-drums.md"} <= reproduce("gan-drums", tmp_path)
    assert "discriminator" in (tmp_path / "out" / "gan-drums.md").read_text(encoding="utf-8")
    columns = {
        name: (tmp_path / "out" / name / "curve.csv").read_text(encoding="utf-8").split("\n")[0]
        for name in ("supervised", "run")
    }
    assert "margin" in columns["run"] and "margin" not in columns["supervised"]


def test_the_networks_of_boulter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch")
    from typer.core import TyperGroup
    from typer.main import get_command

    from stemsplit.training.__main__ import app

    spec = spec_from_file_location("reproduce_work", FOLDER / "reproduce_work.py")
    assert spec is not None and spec.loader is not None
    script, lines = module_from_spec(spec), []
    spec.loader.exec_module(script)
    monkeypatch.setattr(script, "run", lambda *words: lines.append([str(word) for word in words]))
    given = (
        "boulter",
        tmp_path / "work",
        tmp_path / "out",
        "--minutes",
        40,
        "--library",
        tmp_path,
        "--songs",
        6,
        "--mu",
        0.5,
    )
    monkeypatch.setattr("sys.argv", ["reproduce_work.py", *map(str, given), "--threads", "1"])
    script.main()
    group = get_command(app)
    assert isinstance(group, TyperGroup)
    for _, _, _, name, *words in lines:
        group.commands[name].make_context(name, words)
    assert [line[-1] for line in lines if "prepare" in line] == ["6"]
    minutes = [float(line[line.index("--minutes") + 1]) for line in lines if "fit" in line]
    assert len(minutes) == 7 and sum(minutes) == pytest.approx(40)
    exported = [line[-1] for line in lines if "export" in line]
    assert exported == [str(tmp_path / "out" / f"{name}.onnx") for name in ("boulter-drums", "drum-presence")]


def test_every_script_is_run() -> None:
    tested = Path(__file__).read_text(encoding="utf-8")
    scripts = {path.name for path in FOLDER.glob("*.py")} - {"cut_example.py", "__init__.py"}
    assert len(scripts) == 5
    assert all(f'run("{name}"' in tested for name in scripts)
