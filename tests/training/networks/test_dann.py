"""The U-Net with a mask each for real and imaginary part."""

import pytest

pytest.importorskip("torch")

import torch

from stemsplit.errors import ModelError
from stemsplit.training import SAMPLE_RATE
from stemsplit.training.networks.catalog import build
from stemsplit.training.networks.dann import DANN_RATE, DANN_SPEC, N_FRAMES, Dann, resample
from tests.support.marks import slow_but


def make_dann(**options: object) -> Dann:
    torch.manual_seed(0)
    network = build("dann", n_features=2, **options)
    assert isinstance(network, Dann)
    return network.eval()


@pytest.mark.parametrize("skip", ["2", "3", "2+3"])
def test_chunks_have_the_published_shape_with_every_skip_connection(skip: str) -> None:
    assert (DANN_SPEC.n_bins, DANN_SPEC.analysis_window, N_FRAMES, DANN_RATE) == (1025, "hamming", 88, 8800)
    found = make_dann(skip=skip)(torch.randn(2, 2, 1025, 88))
    assert found.shape == (2, 3, 2, 1025, 88)


def test_skip_connections_are_used() -> None:
    second, third, both = (
        [block[0].in_channels for block in make_dann(skip=skip).up] for skip in ("2", "3", "2+3")
    )
    assert both == [8, 8, 8 + 8, 4 + 4, 2]  # from the lowest level up
    assert second == [8, 8, 8, 4 + 4, 2] and third == [8, 8, 8 + 8, 4, 2]
    with pytest.raises(ModelError, match="skip is '1'"):
        build("dann", skip="1")


@pytest.mark.parametrize(("n_levels", "at_least", "at_most"), [(3, 20, 60), (5, 250, 500)])
def test_deeper_networks_depend_on_bins_further_away(n_levels: int, at_least: int, at_most: int) -> None:
    torch.manual_seed(0)
    network = Dann(n_features=8, n_levels=n_levels).eval()
    torch.nn.init.normal_(network.masks_of.weight)
    mixture = torch.rand(1, 2, 1025, 88) + 0.1
    turned = mixture.clone()
    turned[:, :, 512] *= -1  # of the same level
    masks, others = (network(each)[0, 0] / each[0] for each in (mixture, turned))
    (changed,) = torch.nonzero((masks - others).abs().amax((0, 2)) > 0, as_tuple=True)
    assert at_least < 512 - changed.min() < at_most
    assert at_least < changed.max() - 512 < at_most


def test_an_untrained_network_shares_the_mixture_out() -> None:
    mixture = torch.randn(1, 2, 1025, 88)
    torch.testing.assert_close(make_dann()(mixture), mixture.unsqueeze(1).expand(1, 3, -1, -1, -1) / 4)


def test_masks_depend_on_no_level() -> None:
    network = make_dann()
    torch.nn.init.normal_(network.masks_of.weight)
    mixture = torch.randn(1, 2, 1025, 88)
    torch.testing.assert_close(network(10 * mixture), 10 * network(mixture), rtol=1e-3, atol=1e-3)


def test_the_input_is_compressed_and_has_the_frequency() -> None:
    parts = torch.tensor([3.0, 4.0]).reshape(1, 2, 1, 1).repeat(1, 1, 1024, 1)
    real, imaginary, position = make_dann(compression=0.5)._input(parts)[0, :, :, 0]
    torch.testing.assert_close(real**2 + imaginary**2, torch.full((1024,), 5.0))
    torch.testing.assert_close(imaginary / real, torch.full((1024,), 4 / 3))
    torch.testing.assert_close(position[[0, -1]], torch.tensor([-1.0, 1.0]))
    torch.testing.assert_close(make_dann(compression=1, position=False)._input(parts), parts)
    with pytest.raises(ModelError, match="compression is 0"):
        build("dann", compression=0)


def test_estimates_sum_to_the_mixture() -> None:
    mixture = 0.1 * torch.randn(2, 50_000)
    estimates = make_dann().estimates(mixture)
    assert estimates.shape == (4, 2, 50_000)
    torch.testing.assert_close(estimates.sum(0), mixture, rtol=0, atol=1e-5)


def test_resampling_keeps_tones_of_both_rates() -> None:
    time = torch.arange(SAMPLE_RATE) / SAMPLE_RATE
    tone = torch.sin(2 * torch.pi * 1000 * time)
    low = resample(tone + torch.sin(2 * torch.pi * 8000 * time), DANN_RATE)
    assert low.shape == (DANN_RATE,)
    torch.testing.assert_close(
        low, torch.sin(2 * torch.pi * 1000 * torch.arange(DANN_RATE) / DANN_RATE), atol=2e-3, rtol=0
    )
    torch.testing.assert_close(resample(low, SAMPLE_RATE, SAMPLE_RATE), tone, atol=2e-3, rtol=0)


@pytest.mark.parametrize("loss", slow_but(["decibels"], ["absolute", "decibels"]))
def test_the_loss_counts_known_stems(loss: str) -> None:
    network, stems = make_dann(loss=loss), 0.1 * torch.randn(2, 4, 2, 460_000)
    stems[:, 3] *= 2
    known, gains = torch.ones(2, 4), torch.ones(2, 4, network.n_bins)
    all_known = network.loss(stems, known, gains)
    known[:, 3] = 0
    # the report had no remainder
    assert (network.loss(stems, known, gains) == all_known) == (loss == "absolute")
    stems[:, :2] *= 3
    known[:, :2] = 0
    quiet = network.loss(stems, known, gains)
    known[:, 2] = 0
    assert network.loss(stems, known, gains) == 0 != quiet
    with pytest.raises(ModelError, match="loss is 'l1'"):
        build("dann", loss="l1")


def test_an_untrained_network_has_the_errors_of_an_equal_share() -> None:
    stems = 0.1 * torch.randn(1, 4, 2, 460_000)
    known, gains = torch.ones(1, 4), torch.ones(1, 4, Dann.n_bins)
    # a quarter of the mixture, which has the energy of four stems, in place of one: 9/16 + 3/16 of one stem
    expected = 10 * torch.log10(torch.tensor(0.75 / 4))
    torch.testing.assert_close(make_dann().loss(stems, known, gains), expected, atol=0.1, rtol=0)
    # for normal noise, amplitudes are as the roots of energies
    expected = torch.tensor(0.75 / 4).sqrt()
    found = make_dann(loss="absolute").loss(stems, known, gains)
    torch.testing.assert_close(found, expected, atol=0.01, rtol=0)
