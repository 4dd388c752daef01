"""The training loop: budget, checkpoints, what goes wrong on the way."""

import csv
import errno
import gc
import itertools
import json
import math
import multiprocessing
import os
import shutil
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")

import torch
from filelock import FileLock
from typer.testing import CliRunner

from stemsplit.errors import StemsplitError
from stemsplit.training import SPEC, TARGETS
from stemsplit.training.__main__ import app, main
from stemsplit.training.bandsplit import BandSplit
from stemsplit.training.checkpoint import load_average, load_state, save_state
from stemsplit.training.curves import CurveLog, draw_curves, read_curves
from stemsplit.training.feed import Feed
from stemsplit.training.interrupt import on_interrupt
from stemsplit.training.loop import Trainer
from stemsplit.training.networks import SeparationNetwork, build
from stemsplit.training.presets import find_preset, read_options
from stemsplit.training.remix import Example, Remixer, RemixSettings
from stemsplit.training.settings import CLOCKS, OPTIMISERS, FitSettings
from stemsplit.training.songs import load_songs, save_song
from stemsplit.training.take import Take

torch.set_num_threads(1)  # such small networks only lose by more


@pytest.fixture(scope="module")
def songs_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("songs")
    rng = np.random.default_rng(0)
    time = np.arange(60000) / 44100
    tones = {
        "vocals": 0.2 * np.sin(2 * np.pi * 440 * time),
        "drums": 0.2 * rng.normal(size=time.size) * np.exp(-((time * 4) % 1) * 8),
        "bass": 0.2 * np.sin(2 * np.pi * 60 * time),
        "other": 0.2 * np.sin(2 * np.pi * 1500 * time),
    }
    stems = {target: Take(np.stack([tones[target]] * 2).astype(np.float32)) for target in TARGETS}
    save_song(folder, "a", stems, split="train", kind="render")
    save_song(folder, "b", stems, split="train", kind="multitrack")
    return folder


def make_remixer(songs_folder: Path) -> Remixer:
    return Remixer(load_songs(songs_folder), RemixSettings(n_samples=3072 * 9), seed=1)


def make_trainer(
    songs_folder: Path,
    run: Path,
    network: SeparationNetwork | None = None,
    initial: Path | None = None,
    warn: Callable[[str], None] = lambda _: None,
    **changes: Any,
) -> Trainer:
    network = network or small_bandsplit()
    settings = FitSettings(**({"budget_s": 1000.0, "batch_size": 2, "warm_up_s": 0.0} | changes))
    return Trainer(network, make_remixer(songs_folder), settings, run, initial=initial, warn=warn)


def small_bandsplit() -> SeparationNetwork:
    torch.manual_seed(0)
    return build("bandsplit", n_features=8, n_layers=1)


def small_openunmix() -> SeparationNetwork:
    torch.manual_seed(0)
    return build("openunmix", hidden_size=8, n_layers=2, max_bin=40)


def weights(trainer: Trainer) -> list[torch.Tensor]:
    return [parameter.detach().clone() for parameter in trainer.network.parameters()]


@pytest.mark.parametrize("optimiser", OPTIMISERS)
def test_training_lowers_the_loss(songs_folder: Path, tmp_path: Path, optimiser: str) -> None:
    trainer = make_trainer(songs_folder, tmp_path, learning_rate=5e-3, optimiser=optimiser)
    losses = [trainer.step() for _ in range(20)]
    assert np.mean(losses[-5:]) < np.mean(losses[:5]) - 0.5


@pytest.mark.parametrize("optimiser", OPTIMISERS)
@pytest.mark.parametrize("make", [small_bandsplit, small_openunmix])
def test_a_resumed_run_goes_on_exactly(
    songs_folder: Path, tmp_path: Path, make: Callable[[], SeparationNetwork], optimiser: str
) -> None:
    straight = make_trainer(songs_folder, tmp_path / "straight", make(), optimiser=optimiser)
    for _ in range(4):
        straight.step()
    first = make_trainer(songs_folder, tmp_path / "halted", make(), optimiser=optimiser)
    for _ in range(2):
        first.step()
    first.save()
    second = make_trainer(songs_folder, tmp_path / "halted", make(), n_workers=2, optimiser=optimiser)
    assert second.step_number == 2
    for _ in range(2):
        second.step()
    for run in (straight, second):
        run.save()
    states = [load_state(run.checkpoint) for run in (straight, second)]
    for kind in ("network", "average"):
        for name, value in states[0][kind].items():
            assert torch.equal(value, states[1][kind][name]), name


def test_processes_cut_the_same_examples_in_the_same_order(songs_folder: Path) -> None:
    remixer, before = make_remixer(songs_folder), multiprocessing.active_children()
    settings = FitSettings(budget_s=1, batch_size=2, n_workers=2)
    ahead = Feed(remixer, settings, SPEC.n_bins)
    for number in (0, 1, 2, 7, 1, 2):  # with jumps, as a run makes that goes back
        inline = Feed(remixer, replace(settings, n_workers=0), SPEC.n_bins)
        for a, b in zip(inline.take(number), ahead.take(number), strict=True):
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


def message_of_the_feed(remixer: Remixer) -> str:
    feed = Feed(remixer, FitSettings(budget_s=1, batch_size=2, n_workers=1), SPEC.n_bins)
    try:
        feed.take(0)
        feed.take(1)
    except StemsplitError as error:
        return str(error)
    return ""


@pytest.mark.parametrize(("failure", "message"), [(refuse, "song is broken"), (die, "cannot be cut")])
def test_a_process_that_fails_ends_the_run(
    songs_folder: Path, failure: Callable[[], None], message: str
) -> None:
    before = multiprocessing.active_children()
    assert message in message_of_the_feed(Broken(make_remixer(songs_folder), failure))
    gc.collect()  # the traceback held on to the process
    assert set(multiprocessing.active_children()) <= set(before)


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
    with pytest.raises(StemsplitError, match="step 3 cannot be cut: a song of another length"):
        trainer.fit()
    assert load_state(trainer.checkpoint)["step_number"] == 3  # of two examples each


@pytest.mark.skipif(not hasattr(signal, "SIGCHLD"), reason="POSIX signals")
def test_a_process_that_dies_while_a_step_is_computed_costs_nothing(
    songs_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = make_trainer(songs_folder, tmp_path, n_workers=1)
    loss = trainer.network.loss

    def lossy(*inputs: torch.Tensor) -> torch.Tensor:
        if trainer.step_number == 2:
            (worker,) = multiprocessing.active_children()
            os.kill(worker.pid or 0, signal.SIGKILL)
            os.waitid(os.P_PID, worker.pid or 0, os.WEXITED | os.WNOWAIT)
        return loss(*inputs)

    monkeypatch.setattr(trainer.network, "loss", lossy)
    with pytest.raises(StemsplitError, match="cannot be cut"):
        trainer.fit()
    assert load_state(trainer.checkpoint)["step_number"] >= 3


def test_fit_ends_with_its_budget_and_leaves_a_checkpoint(songs_folder: Path, tmp_path: Path) -> None:
    trainer = make_trainer(songs_folder, tmp_path, budget_s=0.5)
    trainer.fit()
    assert trainer.elapsed_s >= 0.5
    assert load_state(trainer.checkpoint)["step_number"] == trainer.step_number
    assert load_average(trainer.checkpoint).options == trainer.network.options
    assert read_curves(tmp_path / "curve.csv")[-1]["step"] == trainer.step_number
    draw_curves(tmp_path / "curve.csv", tmp_path / "curve.png")
    assert (tmp_path / "curve.png").stat().st_size > 1000


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


def break_loss(trainer: Trainer, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = trainer.network.loss
    monkeypatch.setattr(trainer.network, "loss", lambda *inputs: whole(*inputs) * math.nan)


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


def test_a_loss_that_stays_bad_leads_back_once(
    songs_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stemsplit.training.loop.MAX_BAD_STEPS", 2)
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


def test_weights_that_cannot_be_judged_are_trained_on(songs_folder: Path, tmp_path: Path) -> None:
    def refuse(_: SeparationNetwork) -> dict[str, float]:
        raise StemsplitError("the estimates are not finite")

    said: list[str] = []
    settings = FitSettings(budget_s=0.3, batch_size=2, validate_s=0.1)
    trainer = Trainer(
        small_bandsplit(), make_remixer(songs_folder), settings, tmp_path, refuse, warn=said.append
    )
    assert trainer.fit()
    assert said and "could not be judged: the estimates are not finite" in said[0]


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


def test_a_stopped_run_has_a_checkpoint_and_goes_on(songs_folder: Path, tmp_path: Path) -> None:
    trainer = make_trainer(songs_folder, tmp_path)
    with on_interrupt(trainer.stop):
        os.kill(os.getpid(), signal.SIGINT)
        assert not trainer.fit()
    trainer = make_trainer(songs_folder, tmp_path, budget_s=0.3)
    assert trainer.step_number == 0 and trainer.fit()


def test_a_folder_is_trained_in_by_one_at_a_time(songs_folder: Path, tmp_path: Path) -> None:
    trainer = make_trainer(songs_folder, tmp_path, budget_s=0.3)
    with FileLock(tmp_path / "lock"), pytest.raises(StemsplitError, match="another training writes"):
        trainer.fit()
    assert trainer.step_number == 0 and trainer.fit()


def test_a_run_starts_from_the_weights_of_another(songs_folder: Path, tmp_path: Path) -> None:
    first = make_trainer(songs_folder, tmp_path / "first", learning_rate=0.1)
    for _ in range(2):
        first.step()
    first.save()
    source = first.checkpoint
    tuned = BandSplit(n_features=8, n_layers=1, target="vocals")
    second = make_trainer(songs_folder, tmp_path / "second", tuned, source)
    for a, b in zip(first.average.parameters(), second.network.parameters(), strict=True):
        assert torch.equal(a, b)
    other = BandSplit(n_features=16, n_layers=1)
    with pytest.raises(StemsplitError, match="does not fit"):
        make_trainer(songs_folder, tmp_path / "third", other, source)
    with pytest.raises(StemsplitError, match="does not fit"):
        make_trainer(songs_folder, tmp_path / "fourth", small_openunmix(), source)


def test_options_of_the_command_line_are_typed() -> None:
    assert read_options(["dilations=[1, 2]", "mask=sigmoid"]) == {"dilations": [1, 2], "mask": "sigmoid"}
    assert find_preset("gpu").build(n_features=8).options["n_features"] == 8
    assert find_preset("gpu").build("openunmix", hidden_size=8).name == "openunmix"
    with pytest.raises(StemsplitError, match="key=value"):
        read_options(["dilations"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--network", "nonsense"], "nonsense"),
        (["--option", "nonsense=1"], "nonsense"),
        (["--option", "mask=nonsense"], "nonsense"),
        (["--option", 'n_features="wide"'], "wide"),
        (["--option", "n_targets=2"], "n_targets"),
        (["--option", "dilations=[0, 1, 1, 1, 1, 1, 1, 1]"], "at least 1"),
        (["--option", "dilations=[1.5, 1, 1, 1, 1, 1, 1, 1]"], "whole frames"),
        (["--preset", "openunmix", "--option", "hidden_size=7"], "even"),
        (["--preset", "nonsense"], "nonsense"),
        (["--target", "nonsense"], "nonsense"),
        (["--optimiser", "nonsense"], "nonsense"),
        (["--option", "n_features=8"], "holds no songs"),
    ],
)
def test_a_run_that_cannot_be_is_one_line(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    message: str,
) -> None:
    command = ["training", "fit", str(tmp_path / "run"), "--work", str(tmp_path), "--minutes", "1"]
    monkeypatch.setattr("sys.argv", command + arguments)
    with pytest.raises(SystemExit) as ended:
        main()
    error = capsys.readouterr().err
    assert ended.value.code == 1 and message in error and error.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_the_command_trains_with_the_processes_asked_for(songs_folder: Path, tmp_path: Path) -> None:
    songs = Path(shutil.copytree(songs_folder, tmp_path / "songs"))
    facts = json.loads((songs / "a.json").read_text(encoding="utf-8"))
    (songs / "held-out.json").write_text(json.dumps(facts | {"split": "valid"}), encoding="utf-8")
    shutil.copyfile(songs / "a.npy", songs / "held-out.npy")
    command = ["fit", str(tmp_path / "run"), "--work", str(tmp_path), "--minutes", "0.01", "--workers", "1"]
    for name, value in (("n_features", 8), ("n_layers", 1)):
        command += ["--option", f"{name}={value}"]
    result = CliRunner().invoke(app, [*command, "--optimiser", "adamw"])
    assert result.exit_code == 0, result.output
    state = load_state(tmp_path / "run" / "checkpoint.pt")
    assert state["settings"]["n_workers"] == 1 and state["step_number"] >= 1
    assert state["settings"]["optimiser"] == "adamw" != find_preset("cpu").optimiser
    assert "render bass" in (tmp_path / "run" / "curve.csv").read_text(encoding="utf-8")


def test_a_checkpoint_of_another_network_is_refused(songs_folder: Path, tmp_path: Path) -> None:
    trainer = make_trainer(songs_folder, tmp_path)
    trainer.save()
    remixer = Remixer(load_songs(songs_folder), RemixSettings(n_samples=3072 * 9), seed=1)
    with pytest.raises(StemsplitError, match="another network"):
        Trainer(BandSplit(n_features=16, n_layers=1), remixer, FitSettings(budget_s=1), tmp_path)


@pytest.mark.parametrize(
    "change", [{"optimiser": "muon"}, {"seed": 3}, {"batch_size": 3}], ids=lambda change: str(*change)
)
def test_a_run_goes_on_as_it_was_begun_or_not_at_all(
    songs_folder: Path, tmp_path: Path, change: dict[str, Any]
) -> None:
    make_trainer(songs_folder, tmp_path, **change).save()
    ((name, value),) = change.items()
    with pytest.raises(StemsplitError, match=f"begun with {name} {value}, not"):
        make_trainer(songs_folder, tmp_path)


def test_a_checkpoint_from_before_there_were_optimisers_goes_on(songs_folder: Path, tmp_path: Path) -> None:
    trainer = make_trainer(songs_folder, tmp_path)
    trainer.step()
    trainer.save()
    state = load_state(trainer.checkpoint)
    (state["optimiser"],) = state.pop("optimisers")
    del state["settings"]["optimiser"]
    save_state(state, trainer.checkpoint)
    resumed = make_trainer(songs_folder, tmp_path)
    for each in (trainer, resumed):
        each.step()
    assert all(torch.equal(a, b) for a, b in zip(weights(trainer), weights(resumed), strict=True))


def test_a_file_that_is_no_checkpoint_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(StemsplitError, match="fit"):
        load_state(tmp_path / "missing.pt")
    (tmp_path / "bad.pt").write_bytes(b"nothing of the kind")
    with pytest.raises(StemsplitError, match="checkpoint"):
        load_state(tmp_path / "bad.pt")


def test_the_learning_rate_rises_and_falls_to_zero() -> None:
    settings = FitSettings(budget_s=100, warm_up_s=10, learning_rate=1.0)
    rates = [settings.rate_at(each) for each in (0, 5, 10, 55, 100, 120)]
    assert rates == pytest.approx([0, 0.5, 1, 0.5, 0, 0], abs=1e-6)
