"""The training loop: budget, curves, what goes wrong on the way."""

import csv
import errno
import itertools
import math
import os
import signal
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import matplotlib.image as mpimg
import numpy as np
import pytest

pytest.importorskip("torch")

import torch

from stemsplit.errors import StemsplitError
from stemsplit.training.examples.remix import Example, Remixer
from stemsplit.training.fit.checkpoint import load_average, load_state
from stemsplit.training.fit.curves import CurveLog, draw_comparison, draw_curves, read_curves
from stemsplit.training.fit.interrupt import on_interrupt
from stemsplit.training.fit.loader import Inputs
from stemsplit.training.fit.settings import CLOCKS, OPTIMISERS, FitSettings
from stemsplit.training.fit.trainer import Trainer
from stemsplit.training.networks.catalog import SeparationNetwork
from tests.support.tiny_trainings import make_remixer, make_trainer, small_bandsplit, small_openunmix, weights


@pytest.mark.slow
@pytest.mark.parametrize("optimiser", OPTIMISERS)
def test_training_lowers_the_loss(songs_folder: Path, tmp_path: Path, optimiser: str) -> None:
    trainer = make_trainer(songs_folder, tmp_path, learning_rate=5e-3, optimiser=optimiser)
    losses = [trainer.step() for _ in range(20)]
    assert np.mean(losses[-5:]) < np.mean(losses[:5]) - 0.5


def test_fit_ends_with_its_budget_and_leaves_a_checkpoint(songs_folder: Path, tmp_path: Path) -> None:
    trainer = make_trainer(songs_folder, tmp_path, budget_s=0.5)
    trainer.fit()
    assert trainer.elapsed_s >= 0.5
    assert load_state(trainer.checkpoint)["step_number"] == trainer.step_number
    assert load_average(trainer.checkpoint).options == trainer.network.options
    assert read_curves(tmp_path / "curve.csv")[-1]["step"] == trainer.step_number
    draw_curves(tmp_path / "curve.csv", tmp_path / "curve.png")
    assert (tmp_path / "curve.png").stat().st_size > 1000


@pytest.mark.slow
def test_curves_of_several_runs_are_drawn_together(tmp_path: Path) -> None:
    for name in ("one", "two"):
        log = CurveLog(tmp_path / name / "curve.csv")
        log.add({"elapsed_s": 60.0, "step": 1, "loss": 1.0})
        log.add({"elapsed_s": 120.0, "step": 2, "loss": 0.5, "average": 3.0})
    curves = {name: tmp_path / name / "curve.csv" for name in ("one", "two")}
    for column in ("loss", "average"):
        draw_comparison(curves, tmp_path / f"{column}.png", columns=[column])
        assert (tmp_path / f"{column}.png").stat().st_size > 1000
    draw_comparison(curves, tmp_path / "both.png", columns=["loss", "average"])
    heights = [mpimg.imread(tmp_path / f"{name}.png").shape[0] for name in ("loss", "both")]
    assert heights[1] > 1.3 * heights[0]
    draw_comparison(curves, tmp_path / "steps.png", columns=["loss"], over="steps")
    pictures = [mpimg.imread(tmp_path / f"{name}.png") for name in ("loss", "steps")]
    assert (pictures[0] != pictures[1]).any()
    with pytest.raises(StemsplitError, match="minutes or steps, not 'songs'"):
        draw_comparison(curves, tmp_path / "x.png", columns=["loss"], over="songs")
    with pytest.raises(StemsplitError, match="does not have the column 'sdr'"):
        draw_comparison(curves, tmp_path / "x.png", columns=["sdr"])
    with pytest.raises(StemsplitError, match="three"):
        draw_comparison({"three": tmp_path / "three.csv"}, tmp_path / "x.png", columns=["loss"])


@pytest.mark.filterwarnings("error")  # a legend that is taller than its panel leaves no panel
def test_curves_of_many_targets_are_those_over_all_sources(tmp_path: Path) -> None:
    log = CurveLog(tmp_path / "curve.csv")
    targets = [f"target{number}" for number in range(13)]
    kept = {"loss": -9.0} | dict.fromkeys(targets, 1.0) | {"average": 1.0}
    log.add({"elapsed_s": 60.0, "step": 1} | kept | {f"songs {target}": 1.0 for target in targets})
    draw_curves(log.path, tmp_path / "all.png")
    log.rows.clear()
    log.add({"elapsed_s": 60.0, "step": 1} | kept)
    draw_curves(log.path, tmp_path / "kept.png")
    pictures = [mpimg.imread(tmp_path / f"{name}.png") for name in ("all", "kept")]
    assert (pictures[0] == pictures[1]).all()


@pytest.mark.slow
def test_a_budget_counts_on_the_clock_that_was_chosen(
    songs_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ticks = itertools.count()
    monkeypatch.setitem(CLOCKS, "processor", lambda: float(next(ticks)))
    trainer = make_trainer(songs_folder, tmp_path, budget_s=3.0, clock="processor")
    trainer.fit()
    assert trainer.step_number == 3  # a second from the begin to the end of each
    with pytest.raises(StemsplitError, match="sundial"):
        FitSettings(budget_s=1, clock="sundial")


@pytest.mark.slow
def test_steps_end_a_training_and_its_learning_rate_follows_them(songs_folder: Path, tmp_path: Path) -> None:
    changes = {"budget_s": 60.0, "n_steps": 4, "learning_rate": 1.0}
    trainer = make_trainer(songs_folder, tmp_path, **changes)
    trainer.step()
    trainer.step()  # whose rate is that of a quarter of the steps
    assert trainer._optimisers[0].param_groups[0]["lr"] == trainer.settings.rate_at(15.0) < 1.0
    trainer.save()
    resumed = make_trainer(songs_folder, tmp_path, **changes)
    assert resumed.fit()
    assert resumed.step_number == 4


def break_loss(trainer: Trainer, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = trainer.network.loss
    monkeypatch.setattr(trainer.network, "loss", lambda *inputs: whole(*inputs) * math.nan)


@pytest.mark.slow
def test_weights_survive_a_loss_that_is_not_finite(
    songs_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = make_trainer(songs_folder, tmp_path)
    trainer.step()
    before = weights(trainer)
    break_loss(trainer, monkeypatch)
    trainer.step()
    assert trainer.step_number == 2
    assert all(torch.equal(a, b) for a, b in zip(before, weights(trainer), strict=True))


@pytest.mark.slow
def test_a_skipped_step_is_not_in_the_loss_of_its_interval(
    songs_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = make_trainer(songs_folder, tmp_path, n_steps=3)
    factors = iter((1.0, math.nan, 1.0))
    losses: list[float] = []
    whole = trainer.network.loss

    def spoil_one(*inputs: torch.Tensor) -> torch.Tensor:
        loss = whole(*inputs) * next(factors)
        losses.append(loss.item())
        return loss

    monkeypatch.setattr(trainer.network, "loss", spoil_one)
    trainer.fit()
    (row,) = read_curves(tmp_path / "curve.csv")
    assert row["loss"] == pytest.approx((losses[0] + losses[2]) / 2, rel=1e-5)


@pytest.mark.slow
def test_a_loss_that_stays_bad_leads_back_once(
    songs_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stemsplit.training.fit.trainer.MAX_BAD_STEPS", 2)
    said: list[str] = []
    trainer = make_trainer(songs_folder, tmp_path, warn=said.append)
    trainer.step()
    trainer.save()
    kept = weights(trainer)
    trainer.step()
    break_loss(trainer, monkeypatch)
    for _ in range(2):
        trainer.step()
    assert trainer.step_number == 1 and len(said) == 1 and "half the learning rate" in said[0]
    assert all(torch.equal(a, b) for a, b in zip(kept, weights(trainer), strict=True))
    trainer.step()
    assert trainer._optimisers[0].param_groups[0]["lr"] == 0.5 * trainer.settings.rate_at(0.0)
    assert load_state(trainer.checkpoint)["rate_factor"] == 0.5  # a run that ends here goes on with it
    with pytest.raises(StemsplitError, match="in a row"):
        trainer.step()


def full_disk(*_: Any, **__: Any) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.slow
def test_a_full_disk_is_waited_for(
    songs_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    often = {"checkpoint_s": 0.0, "validate_s": 0.0}
    trainer = make_trainer(songs_folder, tmp_path, warn=said.append, **often)
    trainer.save()
    step, opened = trainer.step, Path.open

    def step_on_a_full_disk() -> float:
        is_full = 1 <= trainer.step_number < 4
        monkeypatch.setattr(Path, "open", full_disk if is_full else opened)
        if trainer.step_number == 5:
            trainer.stop()
        return step()

    monkeypatch.setattr(trainer, "step", step_on_a_full_disk)
    trainer.fit()
    assert len(said) == 1 and "No space left" in said[0]
    assert load_state(trainer.checkpoint)["step_number"] == 6
    assert not list(tmp_path.glob("*.part"))


@pytest.mark.slow
def test_a_step_that_is_passed_over_leaves_no_trace_in_running_statistics(
    songs_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = make_trainer(songs_folder, tmp_path, small_openunmix())
    trainer.step()
    cut = Remixer.example

    def spoilt(remixer: Remixer, number: int) -> Example:
        example = cut(remixer, number)
        return replace(example, stems=example.stems * np.float32(math.nan)) if number == 2 else example

    monkeypatch.setattr(Remixer, "example", spoilt)
    for _ in range(3):
        trainer.step()
    for network in (trainer.network, trainer.average):
        assert all(torch.isfinite(buffer).all() for buffer in network.buffers())


@pytest.mark.slow
def test_weights_that_cannot_be_judged_are_trained_on(songs_folder: Path, tmp_path: Path) -> None:
    def refuse(_: SeparationNetwork) -> dict[str, float]:
        raise StemsplitError("the estimates are not finite")

    said: list[str] = []
    settings = FitSettings(budget_s=0.3, batch_size=2, validate_s=0.1)
    trainer = Trainer(
        small_bandsplit(), make_remixer(songs_folder), settings, tmp_path, refuse, warn=said.append
    )
    assert trainer.fit()
    assert said and "could not be validated: the estimates are not finite" in said[0]


@pytest.mark.slow
def test_the_curve_of_a_killed_run_goes_on_from_its_checkpoint(songs_folder: Path, tmp_path: Path) -> None:
    trainer = make_trainer(songs_folder, tmp_path)
    trainer.save()
    log = CurveLog(tmp_path / "curve.csv")
    for step in (0, 3, 5):
        log.add({"elapsed_s": float(step), "step": float(step)})
    resumed = make_trainer(songs_folder, tmp_path, budget_s=0.05)
    resumed.fit()
    steps = [row["step"] for row in read_curves(tmp_path / "curve.csv")]
    assert steps == [0, resumed.step_number]
    make_trainer(songs_folder, tmp_path, budget_s=0.05).fit()  # there is nothing left to do
    assert [row["step"] for row in read_curves(tmp_path / "curve.csv")] == steps


@pytest.mark.slow
def test_a_disk_that_stays_full_is_an_error_at_the_end(
    songs_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = make_trainer(songs_folder, tmp_path, budget_s=0.1)
    monkeypatch.setattr(Path, "open", full_disk)
    with pytest.raises(OSError, match="No space left"):
        trainer.fit()
    assert trainer.step_number > 0


def test_a_curve_that_cannot_be_written_keeps_what_it_had(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = CurveLog(tmp_path / "curve.csv")
    log.add({"step": 1})
    with monkeypatch.context() as patch:
        patch.setattr(csv.DictWriter, "writerows", full_disk)
        with pytest.raises(OSError, match="No space left"):
            log.add({"step": 2})
    assert [row["step"] for row in read_curves(log.path)] == [1]
    log.add({"step": 3})
    assert [row["step"] for row in read_curves(log.path)] == [1, 2, 3]


@pytest.mark.slow
def test_a_stopped_run_has_a_checkpoint_and_goes_on(songs_folder: Path, tmp_path: Path) -> None:
    trainer = make_trainer(songs_folder, tmp_path)
    with on_interrupt(trainer.stop):
        os.kill(os.getpid(), signal.SIGINT)
        assert not trainer.fit()
    trainer = make_trainer(songs_folder, tmp_path, budget_s=0.3)
    assert trainer.step_number == 0 and trainer.fit()


@pytest.mark.slow
def test_a_run_that_was_killed_in_its_last_validation_gets_its_last_row(
    songs_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = make_trainer(songs_folder, tmp_path, budget_s=0.3)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(trainer, "_row", _interrupt)
        trainer.fit()
    again = make_trainer(songs_folder, tmp_path, budget_s=0.3)
    assert again.fit() and again.step_number == trainer.step_number
    (row,) = read_curves(tmp_path / "curve.csv")
    assert row["step"] == trainer.step_number
    assert make_trainer(songs_folder, tmp_path, budget_s=0.3).fit()  # whose row is there
    assert len(read_curves(tmp_path / "curve.csv")) == 1


def _interrupt(_: list[float]) -> dict[str, float]:
    raise KeyboardInterrupt


@pytest.mark.slow
def test_curves_say_how_long_was_waited_for_examples(
    songs_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = make_trainer(songs_folder, tmp_path, budget_s=0.6)
    load = trainer._loader.load

    def slowly(step_number: int) -> Inputs:
        time.sleep(0.2)
        return load(step_number)

    monkeypatch.setattr(trainer._loader, "load", slowly)
    trainer.fit()
    (row,) = read_curves(tmp_path / "curve.csv")
    assert 0.2 * trainer.step_number <= row["waiting_s"] <= row["elapsed_s"]


def test_the_learning_rate_rises_and_falls_to_zero() -> None:
    settings = FitSettings(budget_s=100, warm_up_s=10, learning_rate=1.0)
    rates = [settings.rate_at(each) for each in (0, 5, 10, 55, 100, 120)]
    assert rates == pytest.approx([0, 0.5, 1, 0.5, 0, 0], abs=1e-6)
