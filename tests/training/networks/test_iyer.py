"""The networks of single instruments: preparer, detector, regenerator."""

import pytest

pytest.importorskip("torch")

import torch

from stemsplit.errors import ModelError
from stemsplit.training import ORCHESTRA
from stemsplit.training.networks.catalog import build
from stemsplit.training.networks.iyer import IYER_SPEC, N_FRAMES, N_ROWS, N_STEPS, Iyer, normalise, played
from stemsplit.training.networks.rows import MelRows


def make_iyer(**options: object) -> Iyer:
    torch.manual_seed(0)
    network = build("iyer", **{"targets": ["violin", "oboe", "tuba"], **options})
    assert isinstance(network, Iyer)
    return network.eval()


def images(*shape: int) -> torch.Tensor:
    return torch.rand(*shape, N_ROWS, N_FRAMES, generator=torch.Generator().manual_seed(1))


def test_layers_have_the_published_shapes_for_each_of_thirteen_instruments() -> None:
    network = build("iyer")
    assert isinstance(network, Iyer) and network.targets == ORCHESTRA and len(ORCHESTRA) == 13
    layers = {
        name: (layer.kernel_size, layer.stride, layer.out_channels // 13)
        for name, layer in network.named_children()
    }
    assert layers["prepare"] == ((5, 5), (2, 2), 16) and layers["prepare_more"] == ((3, 3), (1, 1), 16)
    assert layers["detect"] == ((16, 2), (2, 2), 1) and layers["regenerate"][2] == 1
    assert N_FRAMES * IYER_SPEC.hop_length / 44_100 == pytest.approx(10, abs=0.05)
    magnitudes, timeline = network(images(2))
    assert magnitudes.shape == (2, 13, 128, 128) and timeline.shape == (2, 13, N_STEPS)
    assert magnitudes.min() >= 0 and timeline.min() >= -1


def test_instruments_are_networks_of_their_own() -> None:
    network, image = make_iyer(), images(1)
    whole, timeline = network(image)
    for place in range(3):
        alone = network._estimate(image, place, place + 1)
        torch.testing.assert_close(alone[0], whole[:, place : place + 1])
        torch.testing.assert_close(alone[1], timeline[:, place : place + 1])


def test_the_timeline_gates_what_is_regenerated() -> None:
    network = make_iyer()
    network.timeline_weight.data.zero_()
    network.timeline_bias.data.zero_()
    assert network.regenerate.bias is not None
    network.regenerate.bias.data.zero_()
    assert network(images(1))[0].abs().max() == 0


def test_masks_and_activity_depend_on_no_level_and_lie_between_zero_and_one() -> None:
    network = make_iyer()
    magnitude = 100 * torch.rand(1, IYER_SPEC.n_bins, N_FRAMES)
    masks, activity = network.masks(magnitude)
    assert masks.shape == (1, 3, IYER_SPEC.n_bins, N_FRAMES)
    assert masks.min() >= 0 and masks.max() <= 1 and activity.min() >= 0 and activity.max() <= 1
    louder = network.masks(10 * magnitude)
    torch.testing.assert_close(louder[0], masks, atol=1e-4, rtol=0)
    torch.testing.assert_close(louder[1], activity, atol=1e-4, rtol=0)


def test_the_loss_counts_instruments_of_the_mixture_only() -> None:
    network = make_iyer(absent=0, activity=0)
    stems, known = images(2, 4), torch.tensor([[1.0, 0, 0], [1, 1, 0]])
    loss = network.loss(stems, known, torch.ones(0))
    changed = stems.clone()
    changed[:, 2] = 0
    assert network.loss(changed, known, torch.ones(0)) == loss
    changed[:, 0] = 0
    assert network.loss(changed, known, torch.ones(0)) != loss
    image, level = normalise(stems[:, -1])
    error = (network(image)[0] - stems[:, :-1] / level.unsqueeze(1)).square().mean((2, 3))
    torch.testing.assert_close(loss, (error * known).sum() / known.sum())


def test_absent_instruments_and_timelines_count_by_their_options() -> None:
    stems, known = images(2, 4), torch.tensor([[1.0, 0, 0], [1, 0, 0]])
    losses = [
        make_iyer(absent=absent, activity=activity).loss(stems, known, torch.ones(0))
        for absent, activity in ((0, 0), (1, 0), (0, 1))
    ]
    assert losses[1] != losses[0] and losses[2] > losses[0]
    with pytest.raises(ModelError, match="absent is 2"):
        build("iyer", absent=2)


def test_an_instrument_plays_where_its_power_is_above_a_thousandth_of_the_mixture() -> None:
    references = torch.zeros(1, 1, N_ROWS, N_FRAMES)
    references[..., 20:40] = 0.1
    references[..., 60:64] = 0.01
    steps = played(references)[0, 0]
    assert steps[10:20].min() == 1 and steps[:10].max() == 0 and steps[20:].max() == 0


@pytest.mark.slow
def test_training_lowers_the_error() -> None:
    network, image = make_iyer().train(), images(2, 1)
    stems = torch.cat([0.7 * image, 0.2 * image, 0.1 * image, image], 1)
    optimiser = torch.optim.Adam(network.parameters(), 3e-3)
    losses = []
    for _ in range(10):
        losses.append(network.loss(stems, torch.ones(2, 3), torch.ones(0)))
        optimiser.zero_grad()
        losses[-1].backward()
        optimiser.step()
    assert losses[-1] < 0.6 * losses[0]


def test_estimates_have_the_length_of_the_song_whatever_it_is() -> None:
    for n_samples in (30_000, 450_000):
        found = make_iyer(targets=["viola", "horn"]).estimates(0.1 * torch.randn(1, n_samples))
        assert found.shape == (2, 1, n_samples)


def test_rows_cover_every_bin_once_and_widen_towards_the_top() -> None:
    rows = MelRows(N_ROWS, IYER_SPEC.n_bins, 44_100)
    widths = rows.widths()
    assert len(widths) == N_ROWS and widths.sum() == IYER_SPEC.n_bins
    assert widths.min() >= 1 and widths[-1] > 20 * widths[0]
    power = torch.rand(IYER_SPEC.n_bins, 3)
    first = int(widths[0])
    torch.testing.assert_close(rows.gather(power)[0], power[:first].mean(0))
    spread = rows.expand(rows.gather(power))
    torch.testing.assert_close(spread.sum(0), power.sum(0))
    with pytest.raises(ValueError, match="too few"):
        MelRows(10, 8, 44_100)
