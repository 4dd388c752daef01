"""Cards of the works' models."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("torch")

from typer.testing import CliRunner

from stemsplit.errors import StemsplitError
from stemsplit.registry.installed import work_models
from stemsplit.training.__main__ import app
from stemsplit.training.data.songs import load_songs
from stemsplit.training.examples.accompaniment import make_remixer
from stemsplit.training.examples.settings import RemixSettings
from stemsplit.training.fit.curves import CurveLog
from stemsplit.training.fit.settings import FitSettings
from stemsplit.training.fit.trainer import Trainer
from stemsplit.training.networks.catalog import build
from stemsplit.training.release.work_card import write_work_card
from tests.support.tiny_models import make_spec, write_model
from tests.support.tiny_trainings import write_songs

SETTINGS = FitSettings(budget_s=1.0)


def write_run(folder: Path, *, adversary: float = 0.0) -> Path:
    network, run = build("unet", n_features=2), folder / "run"
    songs = load_songs(write_songs(folder / "songs"))
    remixer = make_remixer(songs, RemixSettings(n_samples=9000), seed=0, targets=network.targets)
    settings = replace(SETTINGS, adversary=adversary, clock="processor")
    trainer = Trainer(network, remixer, settings, run)
    trainer.elapsed_s = 600.0
    trainer.save()
    CurveLog(run / "curve.csv").add({"elapsed_s": 1.0, "step": 0, "records drums": 1.97, "album drums": 1.25})
    return run


def write_card(run: Path, model: Path, *, note: str = "") -> str:
    write_work_card(run, model, hardware="one core", note=note)
    return model.with_suffix(".md").read_text(encoding="utf-8")


@pytest.mark.slow
def test_the_card_says_what_is_special_about_a_training(tmp_path: Path) -> None:
    model = write_model(tmp_path / "gan-drums.onnx", make_spec())
    text = write_card(write_run(tmp_path, adversary=0.02), model, note="It was begun by hand.")
    assert "0 steps of 4 examples in 10 processor minutes on one core" in text
    assert "The loss of not deceiving a discriminator had a weight of 0.02." in text
    assert "\n\nIt was begun by hand.\n\n## Figures" in text
    assert "| records | 1.97 | - |" in text and text.index("| records") < text.index("| album")


@pytest.mark.slow
def test_the_licence_is_that_of_the_file(tmp_path: Path) -> None:
    run = write_run(tmp_path)
    own = write_model(tmp_path / "own.onnx", make_spec(licence="CC BY-NC 4.0"))
    assert "| licence | CC BY-NC 4.0 |" in write_card(run, own)
    described = tmp_path / "boulter-drums.onnx"
    shutil.copyfile(work_models()[described.stem].with_suffix(".onnx"), described)
    with pytest.raises(StemsplitError, match=r"drums.onnx does not state its licence; export it again"):
        write_card(run, described)
    text = work_models()[described.stem].with_suffix(".toml").read_text(encoding="utf-8")
    assert text.count('licence = "MIT"') == 1
    text = text.replace('licence = "MIT"', 'licence = "CC BY 4.0"')
    described.with_suffix(".toml").write_text(text, encoding="utf-8")
    assert "| licence | CC BY 4.0 |" in write_card(run, described)


@pytest.mark.slow
def test_the_card_takes_no_options_that_say_nothing_in_it(tmp_path: Path) -> None:
    run = write_run(tmp_path)
    given = ["card", run, "--work", tmp_path, "--model", tmp_path / "own.onnx", "--hardware", "one core"]
    for option, value in (
        ("--library", tmp_path),
        ("--scores", tmp_path / "scores.json"),
        ("--records", tmp_path),
        ("--mean-with", run / "checkpoint.pt"),
        ("--attenuation-db", 12),
    ):
        result = CliRunner().invoke(app, [*map(str, given), option, str(value)])
        assert isinstance(result.exception, StemsplitError)
        said = f"{option} is for band-split networks of vocals, drums, bass, other; this run has unet of "
        assert said in str(result.exception)
