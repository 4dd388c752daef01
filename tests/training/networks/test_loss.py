"""The losses: known targets, floors, gradients."""

import math
from collections.abc import Callable

import numpy as np
import pytest

pytest.importorskip("torch")

import torch

from stemsplit.training import SPEC, TARGETS
from stemsplit.training.networks.bandsplit import BandSplit
from stemsplit.training.networks.catalog import build
from stemsplit.training.networks.loss import error_energy, l1_loss, log_energy_loss, waveform_loss
from stemsplit.training.networks.spectra import Batch, draw_eq_gains, make_batch, stft, to_input

torch.set_num_threads(1)  # more threads slow such small networks down


def test_error_energy_is_that_of_the_spectra() -> None:
    network = BandSplit(n_features=8, n_layers=1)
    stems = torch.randn(2, 4, 2, 3072 * 5)
    known = torch.ones(2, 4)
    eq_gains = draw_eq_gains(np.random.default_rng(0), 2, 4, SPEC.n_bins)
    batch = make_batch(network.layout, stems, known, eq_gains)
    spectra = stft(stems) * eq_gains[:, :, None, :, None]
    mixture = spectra.sum(1, keepdim=True)
    masks = torch.rand(2, 4, 2, network.layout.n_compact, spectra.shape[-1])
    expected = (network.layout.expand(masks) * mixture - spectra).abs().square().sum((2, 3, 4))
    torch.testing.assert_close(error_energy(masks, batch), expected, rtol=1e-3, atol=1e-2)
    powers = network.powers(to_input(mixture[:, 0]))
    torch.testing.assert_close(batch.powers, powers, rtol=1e-3, atol=1e-2)


def make_inputs() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    stems = 0.1 * torch.randn(2, 4, 2, 3072 * 6, generator=torch.Generator().manual_seed(3))
    return stems, torch.ones(2, 4), draw_eq_gains(np.random.default_rng(0), 2, 4, SPEC.n_bins)


def perfect_and_flat(network: BandSplit) -> tuple[torch.Tensor, torch.Tensor, Batch]:
    """Return the true masks of stems in different bins, and equal masks."""
    stems, known, _ = make_inputs()
    owner = torch.arange(network.layout.n_compact) % 4
    compact = (owner == torch.arange(4)[:, None]).float()  # (targets, compact)
    eq_gains = network.layout.expand(compact.unsqueeze(-1))[..., 0].expand(2, 4, -1)
    batch = make_batch(network.layout, stems, known, eq_gains, keep_spectra=True)
    perfect = compact[None, :, None, :, None].expand(2, 4, 2, -1, batch.powers.shape[-1])
    return perfect, torch.full_like(perfect, 0.25), batch


@pytest.mark.parametrize("loss", [l1_loss, waveform_loss])
def test_other_losses_prefer_the_true_masks(loss: Callable[..., torch.Tensor]) -> None:
    network = BandSplit(n_features=8, n_layers=1)
    perfect, flat, batch = perfect_and_flat(network)
    assert float(loss(perfect, batch, network.layout)) == pytest.approx(-30, abs=0.1)
    assert -8 < float(loss(flat, batch, network.layout)) < 0
    outside = loss(perfect.flip(1), batch, network.layout)
    assert float(loss(flat, batch, network.layout)) < float(outside)


@pytest.mark.parametrize("loss", ["log_energy", "l1", "log_energy+waveform"])
def test_every_loss_has_a_finite_gradient(loss: str) -> None:
    network = BandSplit(n_features=8, n_layers=1, loss=loss, mask="sigmoid")
    stems, known, eq_gains = make_inputs()
    stems[:, 1] = 0
    network.loss(stems, known, eq_gains).backward()  # type: ignore[no-untyped-call]
    norms = [parameter.grad.norm() for parameter in network.parameters() if parameter.grad is not None]
    assert len(norms) == len(list(network.parameters())) and torch.isfinite(torch.stack(norms)).all()


def test_one_target_alone_is_its_share_of_the_loss() -> None:
    inputs, losses = make_inputs(), {}
    for target in ("", *TARGETS):
        torch.manual_seed(0)
        losses[target] = BandSplit(n_features=8, n_layers=1, target=target).loss(*inputs).item()
    assert losses[""] == pytest.approx(np.mean([losses[target] for target in TARGETS]), abs=1e-3)
    assert len({round(value, 2) for value in losses.values()}) > 2


def test_openunmix_counts_known_targets_only() -> None:
    network = build("openunmix", hidden_size=8, n_layers=2, max_bin=40).eval()
    stems, known, _ = make_inputs()
    eq_gains = torch.ones(2, 4, network.n_bins)
    known[:, 1:] = 0
    before = network.loss(stems, known, eq_gains)
    stems[:, [1, 3]] = stems[:, [3, 1]]  # the mixture stays
    torch.testing.assert_close(network.loss(stems, known, eq_gains), before)
    stems[:, [0, 3]] = stems[:, [3, 0]] * torch.tensor([2.0, 0.5]).reshape(1, 2, 1, 1)
    assert not torch.isclose(network.loss(stems, known, eq_gains), before)


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


def test_the_rest_of_a_pause_is_worth_no_more_than_silence() -> None:
    network = BandSplit(n_features=8, n_layers=1)
    stems = torch.zeros(1, 4, 2, 3072 * 5)
    stems[:, 2] = torch.randn(2, 3072 * 5)
    stems[:, 0] = 1e-3 * torch.randn(2, 3072 * 5)
    batch = make_batch(network.layout, stems, torch.tensor([[1.0, 0, 0, 0]]), torch.ones(1, 4, SPEC.n_bins))
    masks = torch.zeros(1, 4, 2, network.layout.n_compact, 4)
    assert float(log_energy_loss(masks, batch)) == pytest.approx(-20, abs=0.1)


def test_equalisers_differ_between_stems_and_between_records() -> None:
    gains_db = 20 * np.log10(draw_eq_gains(np.random.default_rng(0), 400, 4, 64).numpy())
    gains_db -= gains_db.mean(-1, keepdims=True)
    shared = gains_db.mean(1, keepdims=True)
    middle = slice(8, 30)  # below what a lossy file leaves out
    assert shared[..., middle].std() > 1.5 and (gains_db - shared)[..., middle].std() > 1.5
