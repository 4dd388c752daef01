"""How runs begin, are resumed and are refused: options, initial weights, checkpoints."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")

import torch
from filelock import FileLock
from typer.testing import CliRunner

from stemsplit.errors import StemsplitError
from stemsplit.training.__main__ import app, main
from stemsplit.training.data.songs import load_songs
from stemsplit.training.examples.remix import Remixer
from stemsplit.training.examples.settings import RemixSettings
from stemsplit.training.fit.checkpoint import load_state, save_state
from stemsplit.training.fit.presets import find_preset, read_options
from stemsplit.training.fit.settings import OPTIMISERS, FitSettings
from stemsplit.training.fit.trainer import Trainer
from stemsplit.training.networks.bandsplit import BandSplit
from stemsplit.training.networks.catalog import SeparationNetwork
from tests.support.tiny_trainings import make_trainer, small_bandsplit, small_openunmix, weights


@pytest.fixture(autouse=True)
def adapts_fast(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fresh network of Open-Unmix hears so many examples first."""
    monkeypatch.setattr("stemsplit.training.fit.trainer.N_ADAPT_EXAMPLES", 4)


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
        (["--option", f"dilations={[0, *[1] * 15]}"], "at least 1"),
        (["--option", f"dilations={[1.5, *[1] * 15]}"], "whole frames"),
        (["--preset", "openunmix", "--option", "hidden_size=7"], "even"),
        (["--preset", "nonsense"], "nonsense"),
        (["--target", "nonsense"], "nonsense"),
        (["--optimiser", "nonsense"], "nonsense"),
        (["--clock", "nonsense"], "nonsense"),
        (["--remix", "matched=0.5", "--targets", "oboe,tuba"], "leave it out for oboe, tuba"),
        (["--remix", "matched=0.5", "--preset", "gan-drums"], "holds no songs"),
        (["--remix", "matched=0", "--targets", "oboe,tuba"], "holds no songs"),
        (["--adversary-weight", "0.1"], "--adversary-weight is for trainings with --adversary"),
        (["--steps", "5"], "give --minutes or --steps, one of both"),
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


@pytest.mark.slow
def test_the_command_trains_with_the_processes_and_examples_asked_for(
    songs_folder: Path, tmp_path: Path
) -> None:
    songs = Path(shutil.copytree(songs_folder, tmp_path / "songs"))
    facts = json.loads((songs / "a.json").read_text(encoding="utf-8"))
    (songs / "held-out.json").write_text(json.dumps(facts | {"split": "valid"}), encoding="utf-8")
    shutil.copyfile(songs / "a.npy", songs / "held-out.npy")
    command = ["fit", str(tmp_path / "run"), "--work", str(tmp_path), "--minutes", "0.01", "--workers", "1"]
    for name, value in (("n_features", 8), ("n_layers", 1)):
        command += ["--option", f"{name}={value}"]
    result = CliRunner().invoke(app, [*command, "--optimiser", "adamw", "--frames", "5", "--batch", "2"])
    assert result.exit_code == 0, result.output
    state = load_state(tmp_path / "run" / "checkpoint.pt")
    assert state["settings"]["n_workers"] == 1 and state["step_number"] >= 1
    assert state["settings"]["optimiser"] == "adamw" != find_preset("cpu").optimiser
    assert state["settings"]["batch_size"] == 2 and state["remix"]["n_samples"] == 4 * 3072 + 6144
    assert "render bass" in (tmp_path / "run" / "curve.csv").read_text(encoding="utf-8")


@pytest.mark.slow
def test_a_folder_is_trained_in_by_one_at_a_time(songs_folder: Path, tmp_path: Path) -> None:
    trainer = make_trainer(songs_folder, tmp_path, budget_s=0.3)
    with FileLock(tmp_path / "lock"), pytest.raises(StemsplitError, match="another training writes"):
        trainer.fit()
    assert trainer.step_number == 0 and trainer.fit()


@pytest.mark.slow
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
    other = BandSplit(n_features=12, n_layers=1)
    with pytest.raises(StemsplitError, match="does not fit"):
        make_trainer(songs_folder, tmp_path / "third", other, source)
    with pytest.raises(StemsplitError, match="does not fit"):
        make_trainer(songs_folder, tmp_path / "fourth", small_openunmix(), source)


@pytest.mark.slow
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


@pytest.mark.parametrize(
    "change", [{"optimiser": "muon"}, {"seed": 3}, {"batch_size": 3}], ids=lambda change: str(*change)
)
def test_a_run_goes_on_as_it_was_begun_or_not_at_all(
    songs_folder: Path, tmp_path: Path, change: dict[str, Any]
) -> None:
    make_trainer(songs_folder, tmp_path, **change).save()
    ((name, value),) = change.items()
    with pytest.raises(StemsplitError, match=f"started with {name} {value}, not"):
        make_trainer(songs_folder, tmp_path)


def test_a_run_goes_on_with_examples_as_long_as_it_was_begun_with(songs_folder: Path, tmp_path: Path) -> None:
    make_trainer(songs_folder, tmp_path).save()
    longer = Remixer(load_songs(songs_folder), RemixSettings(n_samples=3072 * 12), seed=1)
    with pytest.raises(StemsplitError, match="started with n_samples 27648, not 36864"):
        Trainer(small_bandsplit(), longer, FitSettings(budget_s=1, batch_size=2), tmp_path)


def test_a_checkpoint_of_another_network_is_refused(songs_folder: Path, tmp_path: Path) -> None:
    trainer = make_trainer(songs_folder, tmp_path)
    trainer.save()
    remixer = Remixer(load_songs(songs_folder), RemixSettings(n_samples=3072 * 9), seed=1)
    with pytest.raises(StemsplitError, match="another network"):
        Trainer(BandSplit(n_features=16, n_layers=1), remixer, FitSettings(budget_s=1), tmp_path)


@pytest.mark.slow
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
