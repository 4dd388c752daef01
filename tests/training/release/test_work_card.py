"""Cards of the works' models."""

from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("torch")

from stemsplit.training.data.songs import load_songs
from stemsplit.training.examples.accompaniment import make_remixer
from stemsplit.training.examples.settings import RemixSettings
from stemsplit.training.fit.curves import CurveLog
from stemsplit.training.fit.settings import FitSettings
from stemsplit.training.fit.trainer import Trainer
from stemsplit.training.networks.catalog import build
from stemsplit.training.release.work_card import write_work_card
from tests.support.tiny_trainings import write_songs

SETTINGS = FitSettings(budget_s=1.0)


def write_card(folder: Path, *, note: str, adversary: float) -> str:
    network, run = build("unet", n_features=2), folder / "run"
    songs = load_songs(write_songs(folder / "songs"))
    remixer = make_remixer(songs, RemixSettings(n_samples=9000), seed=0, targets=network.targets)
    settings = replace(SETTINGS, adversary=adversary, clock="processor")
    trainer = Trainer(network, remixer, settings, run)
    trainer.elapsed_s = 600.0
    trainer.save()
    CurveLog(run / "curve.csv").add({"elapsed_s": 1.0, "step": 0, "records drums": 1.97, "album drums": 1.25})
    model = folder / "gan-drums.onnx"
    model.write_bytes(b"weights")
    write_work_card(run, model, hardware="one core", note=note)
    return model.with_suffix(".md").read_text(encoding="utf-8")


@pytest.mark.slow
def test_the_card_says_what_is_special_about_a_training(tmp_path: Path) -> None:
    text = write_card(tmp_path, note="It was begun by hand.", adversary=0.02)
    assert "0 steps of 4 examples in 10 processor minutes on one core" in text
    assert "The loss of not deceiving a discriminator had a weight of 0.02." in text
    assert "\n\nIt was begun by hand.\n\n## Figures" in text
    assert "| records | 1.97 | - |" in text and text.index("| records") < text.index("| album")
