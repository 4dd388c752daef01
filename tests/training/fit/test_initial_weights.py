"""Weights that a training starts from: those of a checkpoint or of an exported model."""

from pathlib import Path

import numpy as np
import pytest

from tests.support import ROOT

pytest.importorskip("torch")

import onnx
import torch

from stemsplit.errors import StemsplitError
from stemsplit.registry.installed import read_spec
from stemsplit.training import SPEC, TARGETS
from stemsplit.training.fit.checkpoint import average_weights, load_initial, save_state
from stemsplit.training.fit.presets import find_preset
from stemsplit.training.networks.bandsplit import BandSplit
from stemsplit.training.networks.onnx_weights import read_weights
from stemsplit.training.release.onnx_graph import large_weights, store_fp16, stream_model
from tests.support.tiny_networks import make_bandsplit

BUNDLED = ROOT / "models" / "band.onnx"


def deeper(network: BandSplit, n_more: int) -> BandSplit:
    n_layers, dilations = network.options["n_layers"] + n_more, [*network.dilations, *[1] * 2 * n_more]
    return BandSplit(**network.options | {"n_layers": n_layers, "dilations": dilations})


@pytest.mark.slow
@pytest.mark.parametrize("n_more", [0, 2])
@pytest.mark.parametrize(("halved", "tolerance"), [(False, 1e-4), (True, 1e-2)])
def test_the_bundled_model_can_be_trained_on(
    tmp_path: Path, halved: bool, tolerance: float, n_more: int
) -> None:
    model, path = onnx.load(BUNDLED), tmp_path / "model.onnx"
    onnx.save(store_fp16(model, large_weights(model)) if halved else model, path)
    network = deeper(find_preset("cpu").build(), n_more).eval()
    load_initial(network, path)
    mixture = 10 * torch.randn(1, 4, SPEC.n_bins, 7, generator=torch.Generator().manual_seed(2))
    mask = stream_model(onnx.load(BUNDLED), mixture.numpy(), delay_frames=read_spec(BUNDLED).delay_frames)
    with torch.inference_mode():
        expected = network.masks(network.powers(mixture))
    assert np.abs(mask - expected.numpy()).max() < tolerance


@pytest.mark.parametrize("changes", [{"n_features": 72}, {"n_layers": 3}])
def test_a_bundled_model_of_another_width_or_of_more_layers_is_refused(changes: dict[str, int]) -> None:
    network = BandSplit(**find_preset("cpu").build().options | changes)
    with pytest.raises(StemsplitError, match="does not fit"):
        load_initial(network, BUNDLED)


@pytest.mark.parametrize(("model", "preset"), [("band.onnx", "cpu"), ("works/ensemble.onnx", "ensemble")])
def test_all_weights_are_read_of_new_and_old_files(model: str, preset: str) -> None:
    """Before version 0.15 weights of LSTMs were as torch has them, behind nodes that put them in order."""
    network = find_preset(preset).build()
    read = read_weights(ROOT / "models" / model, network)
    assert set(network.state_dict()) == set(read)
    assert all(read[name].shape == value.shape for name, value in network.state_dict().items())


def test_weights_of_something_else_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.onnx"
    with pytest.raises(StemsplitError, match="not a readable ONNX file"):
        load_initial(BandSplit(n_features=8, n_layers=1), path)
    path.write_bytes(b"no graph at all")
    with pytest.raises(StemsplitError, match="not a readable ONNX file"):
        load_initial(BandSplit(n_features=8, n_layers=1), path)


@pytest.mark.slow
def test_a_network_may_begin_as_a_shallower_one(tmp_path: Path) -> None:
    torch.manual_seed(1)
    shallow, initial = BandSplit(n_features=8, n_layers=2), tmp_path / "initial.pt"
    save_state(
        {"average": shallow.state_dict(), "network_options": shallow.options, "step_number": 1}, initial
    )
    network = deeper(shallow, 4)
    load_initial(network, initial)
    mixture = 10 * torch.randn(1, 4, SPEC.n_bins, 7)
    with torch.no_grad():
        assert (network(mixture) - shallow(mixture)).abs().max() < 1e-6
    network(mixture)[:, 0].sum().backward()
    for layer in (*network.time[4:], *network.band[2:]):  # they add nothing yet, but learn
        assert torch.any(layer.out.weight.grad)


@pytest.mark.parametrize(("n_features", "n_more"), [(16, 0), (24, 0), (16, 1)])
def test_a_network_may_begin_as_a_narrower_one(tmp_path: Path, n_features: int, n_more: int) -> None:
    torch.manual_seed(1)
    narrow, initial = BandSplit(n_features=8, n_layers=2), tmp_path / "initial.pt"
    for parameter in narrow.parameters():  # norms and offsets too are as after a training
        parameter.data += 0.1 * torch.randn_like(parameter)
    save_state({"average": narrow.state_dict(), "network_options": narrow.options, "step_number": 1}, initial)
    network = deeper(BandSplit(**narrow.options | {"n_features": n_features}), n_more)
    load_initial(network, initial)
    mixture = 10 * torch.randn(1, 4, SPEC.n_bins, 7)
    with torch.no_grad():
        assert (network(mixture) - narrow(mixture)).abs().max() < 1e-5
    network(mixture)[:, 0].sum().backward()
    for layer in (*network.time[:4], *network.band[:2]):  # copies that learn alike would stay one feature
        first, second, *_ = layer.out.weight.grad.chunk(n_features // 8, 0)
        assert (first - second).abs().max() > 0.1 * first.abs().max()


def test_a_step_to_the_masks_of_another_width_begins_anew_behind_the_layers_that_stay(tmp_path: Path) -> None:
    network, initial = BandSplit(n_features=8, n_layers=2), tmp_path / "initial.pt"
    state = {"average": network.state_dict(), "network_options": network.options, "step_number": 1}
    save_state(state, initial)
    smaller = BandSplit(n_features=8, n_layers=1, hidden_features=4, targets=("viola", "horn", "tuba"))
    assert smaller.hidden.bias.shape[-1] == 4 and smaller.options["hidden_features"] == 4
    fresh = {name: value.clone() for name, value in smaller.state_dict().items()}
    load_initial(smaller, initial)
    for name, value in smaller.state_dict().items():
        source = fresh if name.startswith(("hidden", "decode")) else network.state_dict()
        assert torch.equal(value, source[name]), name
    assert "hidden_features" not in network.options  # earlier checkpoints do not name it


def test_masks_of_other_targets_begin_anew_and_all_else_is_kept(tmp_path: Path) -> None:
    network, initial = BandSplit(n_features=8, n_layers=1), tmp_path / "initial.pt"
    for parameter in network.decode.parameters():  # biases begin as zeros
        parameter.data += torch.randn_like(parameter)
    state = {"average": network.state_dict(), "network_options": network.options, "step_number": 1}
    save_state(state, initial)
    quartet = BandSplit(n_features=8, n_layers=1, targets=("violin", "bass", "viola", "cello"))
    fresh = quartet.decode[0].bias.detach().clone()
    load_initial(quartet, initial)
    for name, value in quartet.state_dict().items():
        if not name.startswith("decode"):
            assert torch.equal(value, network.state_dict()[name]), name
    began, drawn, theirs = (
        bias.detach().unflatten(-1, (-1, 4, 2))
        for bias in (quartet.decode[0].bias, fresh, network.decode[0].bias)
    )
    for place, target in enumerate(quartet.targets):
        expected = theirs[..., network.targets.index("bass"), :] if target == "bass" else drawn[..., place, :]
        assert torch.equal(began[..., place, :], expected), target
    with pytest.raises(StemsplitError, match="it separates vocals, drums, bass, other, not violin"):
        average_weights(quartet, [initial])


def test_targets_of_the_bundled_model_come_in_its_order() -> None:
    assert (
        BandSplit(n_features=8, n_layers=1, targets=("other", "bass", "vocals", "drums")).targets == TARGETS
    )


@pytest.mark.slow
def test_the_preset_of_a_gpu_begins_as_the_bundled_model() -> None:
    networks = [find_preset(name).build().eval() for name in ("cpu", "gpu")]
    for network in networks:
        load_initial(network, BUNDLED)
    mixture = 10 * torch.randn(1, 4, SPEC.n_bins, 7, generator=torch.Generator().manual_seed(2))
    with torch.inference_mode():
        narrow, wide = (network(mixture) for network in networks)
    assert (narrow - wide).abs().max() < 1e-4


def test_the_mean_of_networks_is_that_of_every_weight(tmp_path: Path) -> None:
    networks = [BandSplit(n_features=8, n_layers=1) for _ in range(3)]
    paths = [tmp_path / "first.pt", tmp_path / "second.pt"]
    for network, path in zip(networks[1:], paths, strict=True):
        state = {"average": network.state_dict(), "network_options": network.options, "step_number": 1}
        save_state(state, path)
    expected = [sum(each) / 3 for each in zip(*(each.parameters() for each in networks), strict=True)]
    average_weights(networks[0], paths)
    for found, wanted in zip(networks[0].parameters(), expected, strict=True):
        assert torch.allclose(found, wanted, atol=1e-7)
    with pytest.raises(StemsplitError, match="does not fit"):
        average_weights(BandSplit(n_features=20, n_layers=1), paths)


def test_the_mean_with_a_narrower_network_is_the_one_with_what_a_training_began_as(tmp_path: Path) -> None:
    narrow = BandSplit(n_features=8, n_layers=1)
    state = {"average": narrow.state_dict(), "network_options": narrow.options, "step_number": 1}
    save_state(state, tmp_path / "narrow.pt")
    wide = BandSplit(n_features=16, n_layers=1)
    load_initial(wide, tmp_path / "narrow.pt")
    began = [parameter.detach().clone() for parameter in wide.parameters()]
    average_weights(wide, [tmp_path / "narrow.pt"])
    for found, expected in zip(wide.parameters(), began, strict=True):
        assert torch.allclose(found, expected, atol=1e-7)


def test_masks_for_mid_and_side_begin_as_those_for_left_and_right(tmp_path: Path) -> None:
    network, initial = make_bandsplit(n_layers=1, factor=2.0), tmp_path / "initial.pt"
    for layer in network.decode:  # a mask for both channels, so that it is one for any other pair of theirs
        for parameter in layer.parameters():
            rows = parameter.data.unflatten(-1, (-1, 2))
            rows[..., 1] = rows[..., 0]
    state = {"average": network.state_dict(), "network_options": network.options, "step_number": 1}
    save_state(state, initial)
    turned = BandSplit(**network.options | {"channels": "mid-side"}).eval()
    assert turned.options["channels"] == "mid-side" and "channels" not in network.options
    load_initial(turned, initial)
    mixture = 0.1 * torch.randn(2, 60_000, generator=torch.Generator().manual_seed(3))
    expected = network.estimates(mixture)
    assert (turned.estimates(mixture) - expected).abs().max() < 1e-4 < 0.05 * expected.abs().max()
    stems, known = 0.1 * torch.randn(1, 4, 2, 40_000), torch.ones(1, 4)
    gains = torch.ones(1, 4, SPEC.n_bins)
    losses = [each.loss(stems, known, gains) for each in (network, turned)]
    torch.testing.assert_close(*losses, rtol=0, atol=0.02)
