"""The U-Net of the slides on adversarial training, and its discriminator."""

import pytest

pytest.importorskip("torch")

import torch

from stemsplit.errors import ModelError
from stemsplit.training.fit.presets import find_preset
from stemsplit.training.networks.catalog import build
from stemsplit.training.networks.discriminator import N_DENSE, WIDTHS, Discriminator
from stemsplit.training.networks.unet import UNetMasks


def make_unet(**options: object) -> UNetMasks:
    torch.manual_seed(0)
    network = build("unet", n_features=2, **options)
    assert isinstance(network, UNetMasks)
    return network.eval()


def noise(*shape: int) -> torch.Tensor:
    return 0.1 * torch.randn(*shape, generator=torch.Generator().manual_seed(1))


def test_the_preset_separates_drums_and_accompaniment() -> None:
    network = find_preset("gan-drums").build()
    assert isinstance(network, UNetMasks) and network.targets == ("drums", "accompaniment")
    assert len(network.down) == 4 and len(network.up) + 1 == 4


@pytest.mark.parametrize("n_frames", [1, 23, 40])
def test_masks_of_any_number_of_frames_sum_to_one(n_frames: int) -> None:
    masks = make_unet().masks(noise(3, 1, 1025, n_frames).abs())
    assert masks.shape == (3, 2, 1, 304, n_frames)
    torch.testing.assert_close(masks.sum(1), torch.ones(3, 1, 304, n_frames))
    assert masks.min() > 0 and masks.std() > 0


def test_masks_depend_on_near_frames_only() -> None:
    network, magnitude = make_unet(), noise(1, 1, 1025, 60).abs()
    changed = magnitude.clone()
    changed[..., 40:] *= 3
    difference = (network.masks(magnitude) - network.masks(changed)).abs().amax((0, 1, 2, 3))
    n_context = int(network.context_s * 44_100 / network.spec.hop_length)
    assert difference[: 40 - n_context].max() == 0 < difference[36:40].max()


def test_estimates_sum_to_the_mixture() -> None:
    mixture = noise(2, 30_000)
    estimates = make_unet().estimates(mixture)
    assert estimates.shape == (2, 2, 30_000)
    torch.testing.assert_close(estimates.sum(0), mixture, rtol=0, atol=1e-5)


def test_the_loss_is_the_squared_error_of_the_target_where_it_is_known() -> None:
    network = make_unet()
    references = noise(2, 2, 1025, 5).abs()
    mixture = references.sum(1)
    found = references.clone()
    found[0, 0] += 0.1
    found[:, 1] += 0.3  # the rest does not count
    known = torch.ones(2, 2)
    expected = (0.1**2 * 1025 * 5 / mixture[0].square().sum() / 2).item()
    assert network.error(found, references, mixture, known).item() == pytest.approx(expected, rel=1e-4)
    known[0] = 0
    assert network.error(found, references, mixture, known) == 0


def test_three_targets_are_an_error() -> None:
    with pytest.raises(ModelError, match="a target and the rest"):
        build("unet", targets=["vocals", "drums", "other"])


def test_the_discriminator_has_the_shape_of_the_slides() -> None:
    discriminator = Discriminator(make_unet().layout)
    assert len(discriminator.convolutions) == len(WIDTHS) == 4
    assert (discriminator.dense.out_features, discriminator.score.out_features) == (N_DENSE, 1) == (32, 1)
    assert discriminator(noise(3, 1025, 130).abs()).shape == (3,)
