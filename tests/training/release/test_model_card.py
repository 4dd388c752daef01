"""The model card: contents of the run, the library, the songs and the scores."""

import csv
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")

import torch

from stemsplit.training import TARGETS
from stemsplit.training.data.library import Library
from stemsplit.training.data.rendered_stem import RenderedStem
from stemsplit.training.data.songs import load_songs, save_song
from stemsplit.training.evaluation.report import Evaluation
from stemsplit.training.evaluation.scores import Score, save_scores
from stemsplit.training.examples.remix import Remixer
from stemsplit.training.examples.settings import RemixSettings
from stemsplit.training.fit.settings import FitSettings
from stemsplit.training.fit.trainer import Trainer
from stemsplit.training.networks.bandsplit import BandSplit
from stemsplit.training.networks.precision import precision_on
from stemsplit.training.release.model_card import write_card
from stemsplit.training.release.reproduction import ExportOptions
from tests.support.tiny_models import make_spec, write_model

ROW = {
    "file": "x.wav",
    "start_s": "0",
    "duration_s": "90",
    "channels": "1",
    "category": "vocals",
    "kind": "phrase",
    "instrument": "voice",
    "piece": "",
    "pitch": "",
    "contains": "vocals",
    "split": "train",
    "name": "n",
    "source": "a/voice",
    "licence": "CC-BY-4.0",
    "attribution": "A. Singer",
}


def written_card(
    folder: Path, *, songs: Path | None = None, scores: str = "scores.json", **options: Any
) -> str:
    """Write the card of the run in a folder and return its text."""
    write_card(
        folder / "run",
        Library(folder, folder / "cache"),
        songs or folder / "songs",
        folder / "tiny.onnx",
        scores=folder / scores,
        hardware="an abacus",
        **options,
    )
    return (folder / "tiny.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def card(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The card of a run of one step with initial weights and sigmoid masks."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("card")
    stems = {
        t: RenderedStem(np.full((2, 44100), 0.1, np.float32), ("salt",) * (t == "bass")) for t in TARGETS
    }
    save_song(folder / "songs", "a", stems, split="train", kind="render")
    with (folder / "index.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(ROW))
        writer.writeheader()
        writer.writerow(ROW)
    torch.manual_seed(0)
    first = BandSplit(n_features=8, n_layers=1, mask="sigmoid", loss="l1")
    remixer = Remixer(
        load_songs(folder / "songs"), RemixSettings(n_samples=3072 * 5, without=("layers",)), seed=0
    )
    settings = FitSettings(budget_s=600, batch_size=1, optimiser="muon", learning_rate=4e-4)
    begun = Trainer(first, remixer, settings, folder / "begun")
    begun.save()
    trainer = Trainer(first, remixer, settings, folder / "run", initial=begun.checkpoint)
    trainer.step()
    trainer.elapsed_s = 90.0
    trainer.save()
    (folder / "run" / "curve.csv").write_text("elapsed_s,step\n90,1\n")
    write_model(folder / "tiny.onnx", make_spec(complete=False), complete=False)
    ways = {"model": 3.0, "baseline": 2.0, "oracle": 9.0}
    save_scores(
        {
            way: [Score("mdn-funk", "c", t, sdr, 1.0, 1.0, -30.0) for t in TARGETS]
            for way, sdr in ways.items()
        },
        folder / "scores.json",
    )
    written = written_card(folder, note="It was fun.")
    assert (folder / "tiny.csv").read_text() == "elapsed_s,step\n90,1\n"
    return written


def test_an_average_of_two_models_is_in_text_and_commands(
    card: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    assert "--mean-with" not in card and "evaluate RUN" in card
    folder = tmp_path_factory.getbasetemp() / "card0"
    spec = replace(make_spec(complete=False), training_data_licence="mine: CC BY-NC 4.0", name="old")
    old = write_model(folder / "old.onnx", spec, complete=False)
    mean = written_card(folder, exported=ExportOptions((old,), 12.0))
    assert (
        "the model has the mean of the run's weights and those of `old.onnx`. It attenuates its input" in mean
    )
    assert "export RUN models/tiny.onnx --mean-with old.onnx --attenuation-db 12 --licence 'MIT'\n" in mean
    assert "evaluate models/tiny.onnx --work WORK" in mean
    # the sources of the other weights are listed as well
    assert "Trained on model old (MIT; trained on mine: CC BY-NC 4.0), openly licensed material;" in mean
    assert "| model old | MIT; trained on mine: CC BY-NC 4.0 | 0 | 0 | 0.0 |" in mean
    assert "dense rock" not in mean
    assert "--scores WORK/scores-tiny.json --mean-with old.onnx --attenuation-db 12\n" in mean


def test_separated_stems_and_their_screening_are_in_the_card(
    card: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.getbasetemp() / "card0"
    songs = shutil.copytree(folder / "songs", folder / "more songs")
    sound = RenderedStem(np.full((2, 60 * 44100), 0.1, np.float32))
    save_song(songs, "separated-b-0-120-bass", {"bass": sound}, split="train", kind="separated")
    save_song(songs, "voice", {"other": sound}, split="train", kind="screened")  # never drawn
    save_scores(
        {
            way: [
                Score("mdn-funk", str(number), t, number + offset, 1, 1, -30.0, number)
                for number, offset in enumerate((0.5, -0.5, 2.0))
                for t in TARGETS
            ]
            for way in ("model", "baseline", "oracle")
        },
        folder / "promises.json",
    )
    written = written_card(folder, songs=songs, scores="promises.json")
    assert "Songs: render 0 min, separated 1 min.\n  Separated: stems" in written
    assert "(screened)" not in written
    assert "40% of them from recordings or separated, but" in " ".join(written.split())
    assert "40% of them from recordings, but" in " ".join(card.split())
    assert "training screen LIBRARY --work WORK --model EARLIER.onnx ...\n" in written
    # 12 stems, four each 0.5 below, 0.5 above and 2 below what they reach
    expected_sdr_note = "Over 12 stems it is 0.5 dB away from the uSDR in the median, -0.7 dB on the mean"
    assert expected_sdr_note in " ".join(written.split())
    assert "Over " not in card  # four stems of one song are too few for a correlation


def test_songs_that_were_added_after_the_training_are_not_in_its_card(
    card: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.getbasetemp() / "card0"
    songs = shutil.copytree(folder / "songs", folder / "songs and late ones")
    sound = {target: RenderedStem(np.full((2, 44100), 0.1, np.float32)) for target in TARGETS}
    save_song(
        songs, "late", sound, split="train", kind="added", dataset="late", licence="all rights reserved"
    )
    assert written_card(folder, songs=songs, note="It was fun.") == card


def test_each_weakness_has_a_line_of_its_own(card: str) -> None:
    weaknesses = card.partition("## Known weaknesses\n\n")[2].partition("\n\n")[0].splitlines()
    assert weaknesses[1] == "- The weakest target is vocals (3.0 dB on real sources)."
    assert all(line.startswith(("- ", "  ")) and ".-" not in line for line in weaknesses)


def test_masks_and_loss_are_those_of_the_run(card: str) -> None:
    assert "The masks, of left and right, are the output of a sigmoid for each target." in card
    assert "sum to one" not in card
    loss = "per stem and example, with a floor of -30 dB, or -20 dB for silent stems. Muon"
    assert "`20 log10` of the summed magnitudes" in card and loss in " ".join(card.split())
    assert "Muon for hidden matrices, AdamW for the rest; warm-up" in card
    assert f"(EMA), {str(precision_on('cpu')).removeprefix('torch.')}.\n" in card
    assert "x 8 features x\n1 layers" in card


def test_initial_weights_are_named(card: str) -> None:
    assert "Training started from the weights of `checkpoint.pt`." in card
    assert "--init checkpoint.pt\n" in card
    assert "an abacus" in card and "It was fun." in card


def test_the_commands_are_those_of_the_run(card: str) -> None:
    # which seed and number of songs they were rendered with is not known
    assert "\npython -m stemsplit.training prepare LIBRARY --work WORK ...\n" in card
    (command,) = [line for line in card.splitlines() if " fit RUN" in line]
    assert "--minutes 10 --seed 0 --optimiser muon" in command
    for option in ("n_features=8", "n_layers=1", "dilations=[1, 2]", "mask=sigmoid", "loss=l1"):
        assert f"--option '{option}'" in command
    assert "target" not in command and "--without layers" in command
    assert "--learning-rate 0.0004 " in command and "--frames 4 --batch 1 " in command


def test_how_far_stems_were_moved_toward_records_is_said(card: str) -> None:
    said = " ".join(card.split())
    assert "stems of 100% of the examples were moved toward a drawn record: spectrum 60% to 120%" in said
    assert "at most 14 dB up and 24 dB down, width 40% to 100% of the way, at most 8 dB, dynamics" in said
    assert "at most 10 dB; 60% of the narrow vocals, drums and basses were widened first" in said


def test_records_decide_where_they_were_scored() -> None:
    records = {
        way: [Score("records", "00", target, sdr_db, 1.0, 1.0, -30.0) for target in TARGETS]
        for way, sdr_db in {"model": 1.5, "baseline": 2.0, "oracle": 9.0}.items()
    }
    album = {way: [Score("album", "c", "drums", 5.0, 1.0, 1.0, -30.0)] for way in records}
    evaluation = Evaluation({way: [*album[way], *each] for way, each in records.items()})
    judges, model, baseline = evaluation.deciding_figures()
    assert judges == "records" and set(model.values()) == {1.5} and set(baseline.values()) == {2.0}
    assert Evaluation(album).deciding_figures()[0] == "real sources"


def test_songs_data_and_scores_are_listed(card: str) -> None:
    assert "| a/voice | CC-BY-4.0 | A. Singer | vocals | 1.5 |" in card
    assert "| salt | bass | 0 |" in card and "Songs: render 0 min.\n" in card
    assert "# no recording was screened\n" in card
    assert "| mdn-funk | bass | 1 | 3.00 | 1.00 | 1.00 | - | 2.00 | 9.00 |" in card
    assert "1 steps of 1 examples of 0.3 s" in card
