"""Processes that cut examples ahead of the training: same order, and what happens when they fail."""

import gc
import multiprocessing
import os
import re
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("torch")

import torch

from stemsplit.errors import StemsplitError
from stemsplit.training import SPEC
from stemsplit.training.examples.remix import Example, Remixer
from stemsplit.training.fit.checkpoint import load_state
from stemsplit.training.fit.loader import ExampleLoader
from stemsplit.training.fit.settings import FitSettings
from tests.support.marks import mark_slow
from tests.support.tiny_trainings import make_remixer, make_trainer


@pytest.mark.slow
def test_processes_cut_the_same_examples_in_the_same_order(songs_folder: Path) -> None:
    remixer, before = make_remixer(songs_folder), multiprocessing.active_children()
    settings = FitSettings(budget_s=1, batch_size=2, n_workers=2)
    ahead = ExampleLoader(remixer, settings, SPEC.n_bins)
    for number in (0, 1, 2, 7, 1, 2):  # with jumps, as a run makes that goes back
        inline = ExampleLoader(remixer, replace(settings, n_workers=0), SPEC.n_bins)
        for a, b in zip(inline.load(number), ahead.load(number), strict=True):
            assert torch.equal(a, b)
    assert len(multiprocessing.active_children()) > len(before)
    ahead.close()
    assert set(multiprocessing.active_children()) <= set(before)


class Broken(Remixer):
    """Draws example 0 and 1 as ever; at later ones it fails as it is told."""

    def __init__(self, remixer: Remixer, failure: Callable[[], None]) -> None:
        vars(self).update(vars(remixer))
        self._failure = failure

    def example(self, number: int) -> Example:
        if number > 1:
            self._failure()
        return super().example(number)


def refuse() -> None:
    raise StemsplitError("this song is broken")


def die() -> None:
    os._exit(3)


def message_of_the_loader(remixer: Remixer) -> str:
    loader = ExampleLoader(remixer, FitSettings(budget_s=1, batch_size=2, n_workers=1), SPEC.n_bins)
    try:
        loader.load(0)
        loader.load(1)
    except StemsplitError as error:
        return str(error)
    return ""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("failure", "message"),
    [
        (refuse, "this song is broken"),
        mark_slow((die, r"the examples of step \d cannot be loaded: .*exited unexpectedly")),
    ],
)
def test_a_process_that_fails_ends_the_run(
    songs_folder: Path, monkeypatch: pytest.MonkeyPatch, failure: Callable[[], None], message: str
) -> None:
    monkeypatch.setattr("stemsplit.training.fit.loader._PATIENCE_S", 3)
    before = multiprocessing.active_children()
    assert re.fullmatch(message, message_of_the_loader(Broken(make_remixer(songs_folder), failure)))
    gc.collect()  # the traceback held on to the process
    assert set(multiprocessing.active_children()) <= set(before)


@pytest.mark.slow
def test_examples_that_cannot_be_cut_cost_nothing_that_was_learned(
    songs_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = make_trainer(songs_folder, tmp_path)
    cut = Remixer.example

    def broken(remixer: Remixer, number: int) -> Example:
        if number == 7:
            raise ValueError("a song of another length")
        return cut(remixer, number)

    monkeypatch.setattr(Remixer, "example", broken)
    with pytest.raises(StemsplitError, match="step 3 cannot be loaded: a song of another length"):
        trainer.fit()
    assert load_state(trainer.checkpoint)["step_number"] == 3  # of two examples each


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGCHLD"), reason="POSIX signals")
def test_a_process_that_dies_while_a_step_is_computed_costs_nothing(
    songs_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stemsplit.training.fit.loader._PATIENCE_S", 3)
    trainer = make_trainer(songs_folder, tmp_path, n_workers=1)
    loss = trainer.network.loss

    def lossy(*inputs: torch.Tensor) -> torch.Tensor:
        if trainer.step_number == 2:
            (worker,) = multiprocessing.active_children()
            os.kill(worker.pid or 0, signal.SIGKILL)
            os.waitid(os.P_PID, worker.pid or 0, os.WEXITED | os.WNOWAIT)
        return loss(*inputs)

    monkeypatch.setattr(trainer.network, "loss", lossy)
    with pytest.raises(StemsplitError, match="cannot be loaded"):
        trainer.fit()
    assert load_state(trainer.checkpoint)["step_number"] >= 3
