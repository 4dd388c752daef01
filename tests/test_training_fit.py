"""Loss, loop and metrics."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")

import torch

from stemsplit.errors import StemsplitError
from stemsplit.training import SPEC, TARGETS
from stemsplit.training.bandsplit import BandSplit
from stemsplit.training.checkpoint import load_average, load_state
from stemsplit.training.curves import draw_curves, read_curves
from stemsplit.training.loop import MAX_BAD_STEPS, FitSettings, Trainer
from stemsplit.training.loss import error_energy, log_energy_loss
from stemsplit.training.metrics import is_silent, leakage_db, sdr, sdr_improvement, si_sdr
from stemsplit.training.remix import Remixer, RemixSettings
from stemsplit.training.songs import load_songs, save_song
from stemsplit.training.spectra import draw_colours, make_batch, transform
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


def make_trainer(songs_folder: Path, run: Path, **changes: Any) -> Trainer:
    torch.manual_seed(0)
    network = BandSplit(n_features=8, n_layers=1)
    remixer = Remixer(load_songs(songs_folder), RemixSettings(n_samples=3072 * 9), seed=1)
    settings = FitSettings(**({"budget_s": 1000.0, "batch_size": 2, "warm_up_s": 0.0} | changes))
    return Trainer(network, remixer, settings, run)


def weights(trainer: Trainer) -> list[torch.Tensor]:
    return [parameter.detach().clone() for parameter in trainer.network.parameters()]


def test_error_energy_is_that_of_the_spectra() -> None:
    network = BandSplit(n_features=8, n_layers=1)
    stems = torch.randn(2, 4, 2, 3072 * 5)
    known = torch.ones(2, 4)
    colour = draw_colours(np.random.default_rng(0), 2, 4, SPEC.n_bins)
    batch = make_batch(network.layout, stems, known, colour)
    spectra = transform(stems) * colour[:, :, None, :, None]
    mixture = spectra.sum(1, keepdim=True)
    masks = torch.rand(2, 4, 2, network.layout.n_compact, spectra.shape[-1])
    expected = (network.layout.expand(masks) * mixture - spectra).abs().square().sum((2, 3, 4))
    torch.testing.assert_close(error_energy(masks, batch), expected, rtol=1e-3, atol=1e-2)
    from stemsplit.training.spectra import as_input

    powers = network.powers(as_input(mixture[:, 0]))
    torch.testing.assert_close(batch.powers, powers, rtol=1e-3, atol=1e-2)


def test_loss_counts_known_targets_only() -> None:
    network = BandSplit(n_features=8, n_layers=1)
    stems = torch.randn(1, 4, 2, 3072 * 5)
    flat = torch.ones(1, 4, SPEC.n_bins)
    masks = torch.zeros(1, 4, 2, network.layout.n_compact, 4)
    masks[:, 3] = 1
    alone = make_batch(network.layout, stems, torch.tensor([[1.0, 0, 0, 0]]), flat)
    expected = 10 * math.log10(float(alone.energy[0, 0] / alone.mixture.sum()) + 1e-3)
    assert float(log_energy_loss(masks, alone)) == pytest.approx(expected, abs=1e-3)


def test_perfect_masks_reach_the_floors() -> None:
    network = BandSplit(n_features=8, n_layers=1)
    stems = torch.zeros(1, 4, 2, 3072 * 5)
    stems[:, 2] = torch.randn(2, 3072 * 5)
    batch = make_batch(network.layout, stems, torch.ones(1, 4), torch.ones(1, 4, SPEC.n_bins))
    masks = torch.zeros(1, 4, 2, network.layout.n_compact, 4)
    masks[:, 2] = 1
    assert float(log_energy_loss(masks, batch)) == pytest.approx((-30 - 3 * 20) / 4, abs=0.1)


def test_training_lowers_the_loss(songs_folder: Path, tmp_path: Path) -> None:
    trainer = make_trainer(songs_folder, tmp_path, learning_rate=5e-3)
    losses = [trainer.step() for _ in range(20)]
    assert np.mean(losses[-5:]) < np.mean(losses[:5]) - 0.5


def test_a_resumed_run_goes_on_exactly(songs_folder: Path, tmp_path: Path) -> None:
    straight = make_trainer(songs_folder, tmp_path / "straight")
    for _ in range(4):
        straight.step()
    first = make_trainer(songs_folder, tmp_path / "halted")
    for _ in range(2):
        first.step()
    first.save()
    second = make_trainer(songs_folder, tmp_path / "halted")
    assert second.step_number == 2
    for _ in range(2):
        second.step()
    for a, b in zip(weights(straight), weights(second), strict=True):
        assert torch.equal(a, b)


def test_workers_change_nothing(songs_folder: Path, tmp_path: Path) -> None:
    inline = make_trainer(songs_folder, tmp_path / "inline")
    ahead = make_trainer(songs_folder, tmp_path / "ahead", n_workers=2)
    assert [inline.step() for _ in range(3)] == [ahead.step() for _ in range(3)]


def test_fit_ends_with_its_budget_and_leaves_a_checkpoint(songs_folder: Path, tmp_path: Path) -> None:
    trainer = make_trainer(songs_folder, tmp_path, budget_s=0.5)
    trainer.fit()
    assert trainer.elapsed_s >= 0.5
    assert load_state(trainer.checkpoint)["step_number"] == trainer.step_number
    assert load_average(trainer.checkpoint).options == trainer.network.options
    assert read_curves(tmp_path / "curve.csv")[-1]["step"] == trainer.step_number
    draw_curves(tmp_path / "curve.csv", tmp_path / "curve.png")
    assert (tmp_path / "curve.png").stat().st_size > 1000


def test_weights_survive_a_loss_that_is_not_finite(songs_folder: Path, tmp_path: Path) -> None:
    trainer = make_trainer(songs_folder, tmp_path)
    trainer.step()
    before = weights(trainer)
    trainer._apply(False)
    assert all(torch.equal(a, b) for a, b in zip(before, weights(trainer), strict=True))
    with pytest.raises(StemsplitError, match="learning rate"):
        for _ in range(MAX_BAD_STEPS):
            trainer._apply(False)


def test_a_checkpoint_of_another_network_is_refused(songs_folder: Path, tmp_path: Path) -> None:
    trainer = make_trainer(songs_folder, tmp_path)
    trainer.save()
    remixer = Remixer(load_songs(songs_folder), RemixSettings(n_samples=3072 * 9), seed=1)
    with pytest.raises(StemsplitError, match="another network"):
        Trainer(BandSplit(n_features=16, n_layers=1), remixer, FitSettings(budget_s=1), tmp_path)


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


def test_metrics_have_their_meaning() -> None:
    rng = np.random.default_rng(0)
    reference, noise = rng.normal(size=(2, 2, 1000)).astype(np.float32)
    assert sdr(reference, 0.9 * reference) == pytest.approx(20, abs=0.01)
    assert si_sdr(reference, 0.5 * reference) > 60
    assert sdr(reference, np.zeros_like(reference)) == pytest.approx(0, abs=1e-3)
    mixture = reference + noise
    assert sdr_improvement(reference, reference + 0.1 * noise, mixture) == pytest.approx(20, abs=0.01)


def test_silent_references_are_said_openly() -> None:
    silence, mixture = np.zeros((2, 1000), np.float32), np.ones((2, 1000), np.float32)
    assert is_silent(silence) and math.isnan(sdr(silence, mixture)) and math.isnan(si_sdr(silence, mixture))
    assert leakage_db(0.1 * mixture, mixture) == pytest.approx(-20, abs=1e-3)
