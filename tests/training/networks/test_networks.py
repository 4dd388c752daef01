"""The networks: chunks have the masks of the whole song."""

import numpy as np
import pytest

pytest.importorskip("torch")

import torch

from stemsplit.errors import ModelError
from stemsplit.training import SPEC
from stemsplit.training.networks.bands import BandLayout
from stemsplit.training.networks.bandsplit import BandSplit
from stemsplit.training.networks.catalog import build
from stemsplit.training.networks.openunmix import OPENUNMIX_SPEC, OpenUnmix, TargetNetwork
from stemsplit.training.networks.spectra import centred_stft, inverse_stft, stft, to_input
from tests.support.tiny_networks import make_bandsplit


@pytest.fixture(scope="module")
def network() -> BandSplit:
    return make_bandsplit(n_layers=2, factor=2.0)


def spectrum(n_frames: int, *, n_batch: int = 1) -> torch.Tensor:
    generator = torch.Generator().manual_seed(5)
    scale = 10 ** (2 * torch.rand(n_batch, 1, 1, n_frames, generator=generator))
    return scale * torch.randn(n_batch, 4, SPEC.n_bins, n_frames, generator=generator)


def test_masks_of_all_targets_sum_to_one(network: BandSplit) -> None:
    masks = network(spectrum(20, n_batch=2))
    assert masks.shape == (2, 4, 2, SPEC.n_bins, 20)
    assert masks.min() >= 0
    torch.testing.assert_close(masks.sum(1), torch.ones(2, 2, SPEC.n_bins, 20))


@pytest.mark.parametrize("start", [0, 7, 40, 63])
def test_a_chunk_with_context_has_the_masks_of_the_whole(network: BandSplit, start: int) -> None:
    n_frames, length, reach = 90, 27, network.reach_frames
    mixture = spectrum(n_frames)
    first, last = max(0, start - reach), min(n_frames, start + length + reach)
    with torch.inference_mode():
        whole = network(mixture)[..., start : start + length]
        chunk = network(mixture[..., first:last])[..., start - first : start - first + length]
    assert (whole - chunk).abs().max() < 1e-5  # -100 dB


def test_attenuation_scales_the_input(network: BandSplit) -> None:
    mixture = spectrum(20)
    with torch.inference_mode():
        found, expected = network.with_attenuation(12.0)(mixture), network(mixture * 10 ** (-12 / 20))
        assert (found - network(mixture)).abs().max() > 1e-3
    assert (found - expected).abs().max() < 3e-4
    with pytest.raises(ValueError, match="attenuation_db is -1"):
        network.with_attenuation(-1)


def test_rounding_errors_of_nearly_mono_music_have_no_effect(network: BandSplit) -> None:
    mixture = spectrum(20)
    mixture[:, 2:] = mixture[:, :2]
    rounded = mixture * (1 + 1e-6 * torch.randn(mixture.shape, generator=torch.Generator().manual_seed(1)))
    with torch.inference_mode():
        assert (network(mixture) - network(rounded)).abs().max() < 1e-3


def test_the_reach_is_tight(network: BandSplit) -> None:
    mixture, reach = spectrum(2 * network.reach_frames + 1), network.reach_frames
    changed = mixture.clone()
    changed[..., 0] = 0
    with torch.inference_mode():
        difference = (network(mixture) - network(changed)).abs().amax((0, 1, 2, 3))
    assert difference[reach] > 0 and difference[reach + 1 :].max() < 1e-6


def test_expanding_undoes_gathering_of_equal_bins() -> None:
    layout = BandLayout()
    assert (layout.n_bands, layout.n_compact, layout.n_bins) == (45, 655, 3073)
    compact = torch.rand(2, layout.n_compact, 3)
    gathered = layout.gather(layout.expand(compact)) / layout.widths()[:, None]
    torch.testing.assert_close(gathered, compact)


def test_a_layout_that_does_not_cover_the_bins_is_an_error() -> None:
    with pytest.raises(ValueError, match="cover"):
        BandLayout(n_bins=1000)


def test_training_and_inference_have_the_same_stft() -> None:
    dsp_stft = pytest.importorskip("stemsplit.dsp.stft")
    waveform = np.random.default_rng(0).normal(0, 0.1, (2, 40001)).astype(np.float32)
    analysis = dsp_stft.Analysis(SPEC, n_channels=2)
    expected = np.concatenate([analysis.process(waveform), analysis.flush()], axis=2)
    found = centred_stft(torch.from_numpy(waveform))
    assert found.shape == expected.shape
    assert np.abs(found.numpy() - expected).max() < 1e-3 * np.abs(expected).max()
    assert np.abs(inverse_stft(found, 40001).numpy() - waveform).max() < 1e-5


def test_openunmix_has_the_published_size() -> None:
    network = TargetNetwork().eval()
    assert sum(p.numel() for p in network.parameters()) == pytest.approx(8.9e6, rel=0.02)
    assert network(torch.rand(1, 2, 2049, 7)).shape == (1, 1, 2, 2049, 7)


def test_openunmix_estimates_sum_to_the_mixture() -> None:
    torch.manual_seed(0)
    network = build("openunmix", hidden_size=8, n_layers=1, max_bin=40).eval()
    mixture = 0.1 * torch.randn(2, 9000)
    estimates = network.estimates(mixture)
    assert estimates.shape == (4, 2, 9000)
    torch.testing.assert_close(estimates.sum(0), mixture, rtol=0, atol=1e-5)


def test_openunmix_starts_from_the_statistics_of_its_inputs() -> None:
    network = OpenUnmix(hidden_size=8, n_layers=1, max_bin=40)
    slope = torch.linspace(1, 0.1, 20000)
    mixtures = [0.1 * slope * torch.randn(2, 20000) + shift for shift in (0.0, 0.5)]
    network.adapt(mixtures)
    mono = torch.cat([stft(each.mean(0), OPENUNMIX_SPEC).abs() for each in mixtures], -1)
    for part in network.parts:
        weights = part.state_dict()
        scaled = (mono[:40] + weights["input_mean"][:, None]) * weights["input_scale"][:, None]
        torch.testing.assert_close(scaled.mean(-1), torch.zeros(40), rtol=0, atol=1e-4)
        torch.testing.assert_close(scaled.std(-1, correction=0), torch.ones(40), rtol=0, atol=1e-3)


def test_free_masks_need_not_sum_to_one() -> None:
    masks = BandSplit(n_features=8, n_layers=1, mask="sigmoid")(spectrum(5)).detach()
    assert masks.min() >= 0 and masks.max() <= 1
    assert (masks.sum(1) - 1).abs().max() > 0.1


def test_shorter_dilations_shorten_the_reach() -> None:
    assert BandSplit(n_features=8, n_layers=4, dilations=[1, 2, 4, 8, 1, 2, 2, 4]).reach_frames == 24
    with pytest.raises(ModelError, match="dilations"):
        build("bandsplit", n_layers=2, dilations=[1])


def test_an_unknown_network_is_an_error() -> None:
    with pytest.raises(ModelError, match="nonsense"):
        build("nonsense")


def test_input_has_real_and_imaginary_parts_by_channel() -> None:
    mixture = torch.tensor([[1 + 2j], [3 + 4j]]).reshape(1, 2, 1, 1)
    assert to_input(mixture).flatten().tolist() == [1, 2, 3, 4]
