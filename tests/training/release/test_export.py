"""Export: files have the masks of the network, for any storage of weights and selection of targets."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")

import onnx
import torch
from onnx import ModelProto, TensorProto, helper, numpy_helper

from stemsplit.dsp.stft import StftSpec
from stemsplit.errors import ModelError, SettingsError
from stemsplit.models.device import Device
from stemsplit.models.mask_model import MaskModel
from stemsplit.registry.installed import read_model, read_spec
from stemsplit.training import SPEC, TARGETS
from stemsplit.training.data.songs import LIBRARY_SOURCE
from stemsplit.training.networks.bandsplit import BandSplit
from stemsplit.training.release import export, onnx_graph
from stemsplit.training.release.export import ModelFacts, export_network
from stemsplit.training.release.onnx_graph import count_macs, large_weights, store_fp16
from stemsplit.training.release.parity import TOLERANCE, ParityReference, convert_to_fp16
from tests.support.tiny_networks import make_bandsplit

FACTS = ModelFacts.of("tiny", TARGETS, training_sources=[LIBRARY_SOURCE])


@pytest.fixture(scope="module")
def network() -> BandSplit:
    return make_bandsplit(n_layers=1, factor=1.1)


@pytest.fixture(scope="module")
def traced_once(network: BandSplit) -> Iterator[None]:
    """Export once: the tests share the weights, and tracing a network takes ten seconds of imports."""
    model = export._export_graph(network)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(export, "_export_graph", lambda _: model)
        yield


@pytest.fixture(scope="module")
def exported(traced_once: None, network: BandSplit, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The network exported with float32 weights."""
    path = tmp_path_factory.mktemp("exported") / "tiny.onnx"
    export_network(network, path, FACTS, weights="fp32")
    return path


@pytest.fixture(scope="module")
def converted(traced_once: None, network: BandSplit, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("halved") / "tiny.onnx"
    export_network(network, path, FACTS)
    return path


def make_mixture(n_frames: int = 33, *, n_batch: int = 2) -> torch.Tensor:
    generator = torch.Generator().manual_seed(5)
    scale = 10 ** (2 * torch.rand(n_batch, 1, 1, n_frames, generator=generator))
    return scale * torch.randn(n_batch, 4, SPEC.n_bins, n_frames, generator=generator)


def masks_of(path: Path, mixture: torch.Tensor) -> Any:
    spectrogram = torch.view_as_complex(mixture.unflatten(1, (2, 2)).movedim(2, -1).contiguous())
    return MaskModel(path, device=Device("cpu"), threads=1)(spectrogram.numpy())


def test_the_facts_say_what_the_channels_are(network: BandSplit) -> None:
    turned = BandSplit(**network.options | {"channels": "mid-side"})
    assert export._spec(turned, FACTS, TARGETS).mid_side
    assert not export._spec(network, FACTS, TARGETS).mid_side


@pytest.mark.slow
@pytest.mark.parametrize("weights", ["fp16", "fp32"])
def test_the_file_has_the_masks_and_the_facts(
    network: BandSplit, converted: Path, exported: Path, weights: str
) -> None:
    path = {"fp16": converted, "fp32": exported}[weights]
    spec = read_model(path).spec
    assert spec.stft == StftSpec(6144, 3072, 6144)
    assert (spec.targets, spec.complete, spec.remainder) == (TARGETS, True, "other")
    assert len(spec.mask_widths) == 655
    assert spec.context_s >= network.reach_frames * 3072 / 44100
    mixture = make_mixture()
    with torch.inference_mode():
        expected = network(mixture).numpy()
    expanded = np.repeat(masks_of(path, mixture), spec.mask_widths, axis=3)
    assert np.abs(expanded - expected).max() < (1e-3 if weights == "fp16" else 1e-5)
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.slow
def test_fp16_halves_the_file(converted: Path, exported: Path) -> None:
    kinds = {
        tensor.data_type for tensor in onnx.load(str(converted)).graph.initializer if len(tensor.dims) > 1
    }
    assert TensorProto.FLOAT16 in kinds
    assert converted.stat().st_size < 0.65 * exported.stat().st_size


@pytest.mark.slow
def test_the_file_has_no_traces_of_the_machine_that_wrote_it(converted: Path) -> None:
    content = converted.read_bytes()
    assert b".py" not in content and str(Path(export.__file__).parent).encode() not in content


@pytest.mark.slow
@pytest.mark.parametrize("targets", [("drums",), ("other", "vocals")])
def test_a_file_of_some_targets_has_the_masks_of_the_whole(
    network: BandSplit, exported: Path, tmp_path: Path, targets: tuple[str, ...]
) -> None:
    path = tmp_path / "some.onnx"
    export_network(network, path, FACTS, targets=targets, weights="fp32")
    spec = read_spec(path)
    assert spec.targets == tuple(target for target in TARGETS if target in targets)
    assert (spec.complete, spec.remainder) == (False, "")
    for mixture in (make_mixture(33, n_batch=2), make_mixture(7, n_batch=1)):
        joint = masks_of(exported, mixture)[:, [TARGETS.index(target) for target in spec.targets]]
        assert np.abs(masks_of(path, mixture) - joint).max() < 1e-6


@pytest.mark.parametrize("places", [[1], [0, 3]])
def test_sigmoid_masks_need_no_outputs_of_other_targets(places: list[int]) -> None:
    torch.manual_seed(1)
    network = BandSplit(n_features=8, n_layers=1, mask="sigmoid").eval()
    pruned, mixture = export.prune(network, places), make_mixture()
    with torch.inference_mode():
        assert (pruned(mixture) - network(mixture)[:, places]).abs().max() < 1e-6
    sizes = [sum(parameter.numel() for parameter in net.decode.parameters()) for net in (pruned, network)]
    assert sizes[0] * len(TARGETS) == sizes[1] * len(places)


@pytest.mark.slow
@pytest.mark.usefixtures("traced_once")
def test_a_network_of_one_target_becomes_a_model_of_it(network: BandSplit, tmp_path: Path) -> None:
    tuned = BandSplit(n_features=8, n_layers=1)
    tuned.load_state_dict(network.state_dict())
    tuned.options["target"] = "bass"
    export_network(tuned, tmp_path / "bass.onnx", FACTS)
    assert read_spec(tmp_path / "bass.onnx").targets == ("bass",)
    with pytest.raises(SettingsError, match=r"no target 'drums'; choose from bass$"):
        export_network(tuned, tmp_path / "drums.onnx", FACTS, targets=("drums",))


@pytest.mark.parametrize("wrong", [{"targets": ("piano",)}, {"weights": "fp8"}])
def test_invalid_exports_are_errors(network: BandSplit, tmp_path: Path, wrong: dict[str, Any]) -> None:
    with pytest.raises(SettingsError, match=r"piano.*vocals, drums|fp8"):
        export_network(network, tmp_path / "wrong.onnx", FACTS, **wrong)
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_the_cost_is_that_of_the_layers(network: BandSplit, exported: Path) -> None:
    layout, n = network.layout, 8
    ends = sum(count * width * n * 4 + count * width * 8 * 2 * n for count, width in layout.bands)
    inner = layout.n_bands * (n * 2 * n + 2 * (3 * n * 2 * n + n * n) + 2 * 4 * n * 2 * n + 2 * n * n)
    model = onnx.load(str(exported))
    for n_frames in (1, 9):
        inputs = export._make_inputs(network, n_batch=1, n_frames=n_frames)
        assert count_macs(model, *(each.numpy() for each in inputs)) == n_frames * (ends + inner)
    # every frame is computed once
    cost = read_spec(exported).cost_macs_per_s
    assert cost == round((ends + inner) * 44100 / SPEC.hop_length)


@pytest.mark.slow
def test_operators_that_cannot_be_counted_are_an_error(exported: Path) -> None:
    model = onnx.load(str(exported))
    model.graph.node[5].op_type = "Gemm"
    with pytest.raises(ModelError, match="Gemm"):
        count_macs(model, np.zeros((1, 4, SPEC.n_bins, 1), np.float32))


@pytest.mark.slow
@pytest.mark.usefixtures("traced_once")
def test_a_file_that_differs_from_the_network_is_not_written(
    network: BandSplit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def spoil(model: ModelProto, reference: ParityReference) -> ModelProto:
        spoilt = store_fp16(model, large_weights(model))
        weight = next(each for each in spoilt.graph.initializer if each.data_type == TensorProto.FLOAT16)
        values = numpy_helper.to_array(weight).copy()
        values.flat[0] = np.nan
        weight.CopyFrom(numpy_helper.from_array(values, weight.name))
        return spoilt

    monkeypatch.setattr(export, "convert_to_fp16", spoil)
    with pytest.raises(ModelError, match="differ from the network's by nan"):
        export_network(network, tmp_path / "spoilt.onnx", FACTS)
    assert not list(tmp_path.iterdir())


def test_a_weight_beyond_fp16_stays_float32() -> None:
    """``mask = (0 * mixture + large * small) * plain``, where `large` is outside the range of fp16."""
    shape = [1, 4, SPEC.n_bins, 1]
    nodes = [
        helper.make_node("Mul", ["mixture", "zero"], ["nothing"]),
        helper.make_node("Mul", ["large", "small"], ["one"]),
        helper.make_node("Add", ["nothing", "one"], ["sum"]),
        helper.make_node("Mul", ["sum", "plain"], ["mask"]),
    ]
    values = {
        "zero": np.float32(0),
        "small": np.float32(1e-6),
        "large": np.full(shape, 1e6, np.float32),
        "plain": np.full(shape, 0.25, np.float32),
    }
    model = make_model(nodes, values, shape)
    reference = FixedReference(values["plain"])
    assert not reference.error(store_fp16(model, ["large"])) <= TOLERANCE
    kept = convert_to_fp16(model, reference)  # type: ignore[arg-type]
    halves = [each.name for each in kept.graph.initializer if each.data_type == TensorProto.FLOAT16]
    assert halves == ["plain.half"]
    assert reference.error(kept) <= TOLERANCE


def make_model(nodes: list[Any], values: dict[str, Any], shape: list[int]) -> ModelProto:
    stored = [numpy_helper.from_array(np.asarray(value), name) for name, value in values.items()]
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in ("mixture", "mask")]
    inner = helper.make_graph(nodes, "small", ends[:1], ends[1:], stored)
    return helper.make_model(inner, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)


class FixedReference:
    """In place of a `ParityReference`: every mask should be `mask`."""

    def __init__(self, mask: Any) -> None:
        self.mask = mask

    def error(self, model: ModelProto) -> float:
        (found,) = onnx_graph.run_model(model, ["mask"], np.zeros(self.mask.shape, np.float32))
        return float(np.abs(found - self.mask).max())
