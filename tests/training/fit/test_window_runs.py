"""Runs of the presets of windows: in small, from songs to tables and pictures."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip("torch")

from click.testing import Result
from typer.testing import CliRunner

from stemsplit.errors import StemsplitError
from stemsplit.training.__main__ import app
from stemsplit.training.fit.checkpoint import load_state
from stemsplit.training.fit.curves import draw_sweep, read_curves
from stemsplit.training.fit.presets import PRESETS

SMALL = {
    "boulter-presence": ("n_filters=2", "accuracy alone"),
    "boulter-dense": ("mu=0.001", "mse"),
    "boulter-conv": ("n_filters=2", "mse"),
    "boulter-denoise": ("n_filters=2", "mse"),
}
Command = Callable[..., Result]


@pytest.fixture
def work(songs_folder: Path, tmp_path: Path) -> Path:
    """Return a work folder that has a song for validation."""
    songs = Path(shutil.copytree(songs_folder, tmp_path / "songs"))
    facts = json.loads((songs / "a.json").read_text(encoding="utf-8"))
    (songs / "held-out.json").write_text(json.dumps(facts | {"split": "valid"}), encoding="utf-8")
    shutil.copyfile(songs / "a.npy", songs / "held-out.npy")
    return tmp_path


def invoke(*words: object) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words])


@pytest.mark.slow
def test_presets_of_windows_train_and_are_judged_in_their_own_figures(work: Path) -> None:
    for preset, (option, figure) in SMALL.items():
        given = ("--preset", preset, "--minutes", 0.01, "--threads", 1, "--option", option)
        result = invoke("fit", work / preset, "--work", work, *given)
        assert result.exit_code == 0, result.output
        state = load_state(work / preset / "checkpoint.pt")
        assert state["network_options"]["targets"] == ["drums", "accompaniment"]
        assert state["remix"]["backing"] == state["remix"]["matched"] == 0
        (row,) = read_curves(work / preset / "curve.csv")
        assert f"render {figure}" in row and "render drums" in row
        assert (work / preset / "curve.png").stat().st_size > 1000
    runs = (work / "boulter-conv", work / "boulter-denoise")
    table = invoke("figures", *runs, "--work", work).output.splitlines()
    assert table[0] == "|  | render mse | render mse of silence |"
    assert [line.split(" | ")[0] for line in table[2:]] == ["| boulter-conv", "| boulter-denoise"]
    assert float(table[3].split(" | ")[1]) == pytest.approx(
        read_curves(runs[1] / "curve.csv")[0]["render mse"], rel=0.02
    )
    pictured = invoke("sweep", work / "mu.png", work / "boulter-dense", "--option", "mu")
    assert pictured.exit_code == 0 and (work / "mu.png").stat().st_size > 1000
    refused = invoke("sweep", work / "x.png", runs[0], "--option", "task")
    assert isinstance(refused.exception, StemsplitError) and "no number 'task'" in str(refused.exception)


def test_examples_of_the_presets_hold_whole_windows() -> None:
    for name in SMALL:
        settings = PRESETS[name].remix()
        assert settings.n_samples >= 8820 and (settings.backing, settings.matched) == (0, 0)
    assert PRESETS["boulter-presence"].remix(chances={"backing": 0.1}).backing == 0.1


def test_a_sweep_needs_its_columns(tmp_path: Path) -> None:
    points = {0.5: {"loss": 1e-3}, 0.25: {"loss": 2e-3}}
    draw_sweep(points, tmp_path / "sweep.png", option="mu", columns=["loss"])
    assert (tmp_path / "sweep.png").stat().st_size > 1000
    with pytest.raises(StemsplitError, match=r"with mu 0.5 does not have the column 'mse'"):
        draw_sweep(points, tmp_path / "x.png", option="mu", columns=["mse"])
