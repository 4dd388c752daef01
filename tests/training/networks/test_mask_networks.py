"""Networks of masks for the magnitudes of one channel."""

import pytest

pytest.importorskip("torch")

import torch

from stemsplit.errors import ModelError
from stemsplit.training.networks.catalog import build
from stemsplit.training.networks.loss import decibels_of_error
from stemsplit.training.networks.lstm import RecurrentMasks


def make_lstm(**options: object) -> RecurrentMasks:
    torch.manual_seed(0)
    network = build("lstm", hidden_size=16, n_layers=1, **options)
    assert isinstance(network, RecurrentMasks)
    return network.eval()


def noise(*shape: int) -> torch.Tensor:
    return 0.1 * torch.randn(*shape, generator=torch.Generator().manual_seed(1))


def test_estimates_sum_to_the_mixture() -> None:
    mixture = noise(2, 30_000)
    estimates = make_lstm().estimates(mixture)
    assert estimates.shape == (4, 2, 30_000)
    assert (estimates.sum(0) - mixture).abs().max() < 1e-5


def test_channels_do_not_influence_each_other() -> None:
    mixture, network = noise(2, 20_000), make_lstm()
    changed = mixture.clone()
    changed[1] = 0
    torch.testing.assert_close(network.estimates(mixture)[:, 0], network.estimates(changed)[:, 0])


@pytest.mark.parametrize("bidirectional", [True, False])
def test_only_one_direction_looks_ahead(bidirectional: bool) -> None:
    network, magnitude = make_lstm(bidirectional=bidirectional), noise(1, 1, 1025, 12).abs()
    changed = magnitude.clone()
    changed[..., 8:] *= 3
    difference = (network.masks(magnitude) - network.masks(changed)).abs().amax((0, 1, 2, 3))
    assert (difference[:8].max() > 0) == bidirectional and difference[8:].min() > 0


def test_the_loss_counts_known_stems_only() -> None:
    network, stems = make_lstm(), noise(3, 4, 2, 12_000)
    known, gains = torch.ones(3, 4), torch.ones(3, 4, network.n_bins)
    some = known.clone()
    some[:, 1:] = 0
    assert network.loss(stems, known, gains) != network.loss(stems, some, gains)
    assert network.loss(stems, torch.zeros(3, 4), gains) == 0


def test_the_loss_is_in_decibels_below_the_mixture() -> None:
    references = torch.stack([torch.ones(1, 5, 6), 2 * torch.ones(1, 5, 6)], 1)
    mixture = references.sum(1)
    loss = decibels_of_error(references + 0.3, references, mixture, torch.ones(1, 2))
    assert loss == pytest.approx(10 * torch.log10(torch.tensor(0.01 + 1e-3)).item(), abs=1e-3)


@pytest.mark.slow
def test_training_lowers_the_loss() -> None:
    network, time = make_lstm().train(), torch.arange(12_000)
    tones = [torch.sin(2 * torch.pi * hz / 44_100 * time) for hz in (100, 400, 1600, 6400)]
    stems = torch.stack(tones)[None, :, None].expand(2, 4, 2, -1) + 0.01 * noise(2, 4, 2, 12_000)
    network.adapt([stems[0].sum(0)])
    known, gains = torch.ones(2, 4), torch.ones(2, 4, network.n_bins)
    optimiser = torch.optim.Adam(network.parameters(), 3e-3)
    losses = []
    for _ in range(12):
        losses.append(network.loss(stems, known, gains))
        optimiser.zero_grad()
        losses[-1].backward()
        optimiser.step()
    assert losses[-1] < losses[0] - 0.5


def test_a_width_that_two_directions_cannot_share_is_an_error() -> None:
    with pytest.raises(ModelError, match="even"):
        build("lstm", hidden_size=15)
