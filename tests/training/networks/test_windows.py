"""Networks of windows of 200 ms: auto-encoders and the classifier of windows."""

import math

import pytest

pytest.importorskip("torch")

import torch
from torch import Tensor

from stemsplit.errors import ModelError
from stemsplit.training.networks.autoencoder import ConvAutoEncoder, DenseAutoEncoder
from stemsplit.training.networks.catalog import build
from stemsplit.training.networks.presence import N_VALUES, PresenceNetwork
from stemsplit.training.networks.windows import (
    HOP_SAMPLES,
    PEAK_FLOOR,
    WINDOW_SAMPLES,
    WindowNetwork,
    cut_examples,
    cut_windows,
    peaks,
)

SMALL = {
    "dense-autoencoder": {"mu": 0.001},
    "conv-autoencoder": {"n_filters": 4},
    "presence": {"n_filters": 2},
}


class Copy(WindowNetwork):
    """Gives back what it takes."""

    name = "copy"
    options = {}  # noqa: RUF012

    def separate(self, windows: Tensor) -> Tensor:
        return windows

    def loss(self, stems: Tensor, known: Tensor, eq_gains: Tensor) -> Tensor:
        raise NotImplementedError


def make(name: str, **options: object) -> WindowNetwork:
    torch.manual_seed(0)
    network = build(name, **SMALL[name] | options)
    assert isinstance(network, WindowNetwork)
    return network.eval()


def noise(*shape: int) -> Tensor:
    return 0.1 * torch.randn(*shape, generator=torch.Generator().manual_seed(1))


def make_click_stems(n_windows: int) -> Tensor:
    """Return stems ``(2, 2, samples)``: a click in each window, and a low tone."""
    time = torch.arange(n_windows * WINDOW_SAMPLES)
    click = noise(time.numel()) * torch.exp(-(time % WINDOW_SAMPLES) / 300)
    return torch.stack([click, 0.05 * torch.sin(2 * torch.pi * 110 / 44_100 * time)])[:, None].expand(
        2, 2, -1
    )


def test_the_published_shapes() -> None:
    assert WINDOW_SAMPLES == 8820 == 0.2 * 44_100
    with torch.device("meta"):
        dense = DenseAutoEncoder()
    assert (dense.encode.out_features, dense.decode.out_features) == (4410, 8820)
    layers = [each for each in ConvAutoEncoder().modules() if hasattr(each, "kernel_size")]
    assert [(each.in_channels, each.out_channels, each.kernel_size[0]) for each in layers] == [
        *((1, 64, 10), (64, 64, 10)),
        *((64, 64, 10), (64, 1, 10)),
    ]
    assert N_VALUES == {
        **{"waveform": 8820, "binned-waveform": 882},
        **{"spectrum": 4410, "binned-spectrum": 441},
    }


def test_windows_that_overlap_by_half_join_without_a_trace() -> None:
    for n_samples in (1, HOP_SAMPLES, 3 * HOP_SAMPLES, 30_011):
        mixture = noise(2, n_samples)
        found = Copy(("drums", "rest")).estimates(mixture)
        torch.testing.assert_close(found, torch.stack([mixture, torch.zeros_like(mixture)]))


@pytest.mark.parametrize("name", SMALL)
def test_estimates_sum_to_the_mixture(name: str) -> None:
    mixture = noise(2, 20_000)
    estimates = make(name).estimates(mixture)
    assert estimates.shape == (2, 2, 20_000) and estimates[0].abs().max() > 1e-4
    torch.testing.assert_close(estimates.sum(0), mixture, rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", ["dense-autoencoder", "conv-autoencoder"])
def test_what_an_auto_encoder_gives_follows_the_level_but_of_silence(name: str) -> None:
    network, mixture = make(name), noise(3, 1, WINDOW_SAMPLES)
    found = network(mixture)
    assert found.shape == (3, 1, 1, WINDOW_SAMPLES)
    torch.testing.assert_close(network(0.1 * mixture), 0.1 * found)
    assert network(torch.zeros_like(mixture)).abs().max() <= PEAK_FLOOR


@pytest.mark.parametrize("given", N_VALUES)
def test_inputs_of_the_classifier_depend_on_no_level(given: str) -> None:
    network = make("presence", input=given)
    assert isinstance(network, PresenceNetwork)
    windows = noise(4, WINDOW_SAMPLES)
    values = network.values(windows)
    assert values.shape == (4, N_VALUES[given])
    torch.testing.assert_close(network.values(0.2 * windows), values, rtol=1e-4, atol=1e-5)
    network.adapt([noise(2, 5 * WINDOW_SAMPLES)])
    scaled = (network.values(noise(2, 5 * WINDOW_SAMPLES).mean(0).view(5, -1)) - network.input_mean) * (
        network.input_scale
    )
    assert scaled.mean().abs() < 1e-3 and scaled.std(0, correction=0).mean() == pytest.approx(1, abs=0.02)


def test_a_tone_is_in_its_group_of_bins() -> None:
    network = make("presence")
    assert isinstance(network, PresenceNetwork)
    time = torch.arange(WINDOW_SAMPLES) / 44_100
    tone = torch.sin(2 * torch.pi * 1000 * time)  # bin 200, of 5 Hz each
    assert int(network.values(tone[None]).argmax()) == 20


def test_equalisers_are_those_of_the_example() -> None:
    stems, gains = noise(1, 2, 2, WINDOW_SAMPLES + 500), torch.ones(1, 2, WINDOW_SAMPLES // 2 + 1)
    gains[0, 1] = 0.5
    windows = cut_examples(stems, gains)
    expected = cut_windows(stems.mean(2))
    assert windows.shape == (1, 2, 1, WINDOW_SAMPLES)
    torch.testing.assert_close(windows[:, 0], expected[:, 0], rtol=0, atol=1e-6)
    torch.testing.assert_close(windows[:, 1], expected[:, 1] / 2, rtol=0, atol=1e-6)


def test_an_auto_encoder_is_given_the_target_and_a_denoiser_the_mixture() -> None:
    stems = noise(2, 2, 2, WINDOW_SAMPLES)
    known, gains = torch.ones(2, 2), torch.ones(2, 2, WINDOW_SAMPLES // 2 + 1)
    louder = stems.clone()
    louder[:, 1] *= 2
    for task, changes in (("reconstruct", False), ("denoise", True)):
        network = make("conv-autoencoder", task=task)
        is_other = bool(network.loss(louder, known, gains) != network.loss(stems, known, gains))
        assert is_other == changes


@pytest.mark.parametrize("name", SMALL)
def test_the_loss_counts_known_windows_that_are_no_silence(name: str) -> None:
    network, stems = make(name), noise(2, 2, 2, WINDOW_SAMPLES)
    known, gains = torch.ones(2, 2), torch.ones(2, 2, WINDOW_SAMPLES // 2 + 1)
    both = network.loss(stems, known, gains)
    known[1] = 0
    first = network.loss(stems, known, gains)
    torch.testing.assert_close(first, network.loss(stems[:1], known[:1], gains[:1]))
    assert first != both
    known[1] = 1
    stems[1] = 0
    torch.testing.assert_close(network.loss(stems, known, gains), first)


def test_errors_of_excerpts_stand_beside_those_of_silence() -> None:
    stems = make_click_stems(3)
    figures = make("conv-autoencoder", task="denoise").figures([stems])
    windows = cut_windows(stems.mean(1))
    expected = (windows[0] / peaks(windows.sum(0))).square().mean()
    assert figures["mse of silence"] == pytest.approx(float(expected), rel=1e-4)
    assert figures["mse"] > 0 and make("conv-autoencoder").figures([torch.zeros_like(stems)]) == {}


@pytest.mark.slow
def test_the_classifier_learns_what_a_click_is() -> None:
    network, stems = make("presence", n_filters=4).train(), make_click_stems(6)
    network.adapt([stems.sum(0)])
    gains = torch.ones(1, 2, WINDOW_SAMPLES // 2 + 1)
    optimiser = torch.optim.Adam(network.parameters(), 3e-3)
    losses = []
    for _ in range(60):
        losses.append(network.loss(stems[None], torch.ones(1, 2), gains))
        optimiser.zero_grad()
        losses[-1].backward()
        optimiser.step()
    assert losses[0] > 0.5 * math.log(2) and losses[-1] < 0.2
    figures = network.eval().figures([stems])
    assert figures == {"accuracy alone": 100.0, "accuracy mixed": 100.0}
    found = network.estimates(stems.sum(0))
    assert found[0].abs().max() > 5 * found[1].abs().max()


def test_faint_targets_count_neither_as_there_nor_as_absent() -> None:
    network, stems = make("presence"), make_click_stems(4)

    def loss_with_second_click(gain: float) -> Tensor:
        changed = stems.clone()
        changed[0, :, WINDOW_SAMPLES : 2 * WINDOW_SAMPLES] *= gain
        return network.loss(changed[None], torch.ones(1, 2), torch.ones(1, 2, network.n_bins))

    assert loss_with_second_click(0.01) == loss_with_second_click(0.005) != loss_with_second_click(0.1)
    stems = torch.stack([0.02 * stems[0], stems[1]])
    assert network.figures([stems]) == {}  # the target is covered in all windows of the mixture


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("dense-autoencoder", {"mu": 0}, "mu is 0"),
        ("dense-autoencoder", {"mu": 1.5}, "mu is 1.5"),
        ("conv-autoencoder", {"task": "sing"}, "task is 'sing'"),
        ("presence", {"input": "pictures"}, "input is 'pictures'"),
        ("presence", {"targets": ["vocals", "drums", "bass"]}, "a target and the rest"),
    ],
)
def test_impossible_options_are_named(name: str, options: dict[str, object], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        build(name, **options)
