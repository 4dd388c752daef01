"""Half precision: which operators compute in it, how near the result is, and what it cannot hold."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
from onnx import TensorProto, helper  # noqa: E402
from onnx.reference import ReferenceEvaluator  # noqa: E402

from stemsplit import Separator  # noqa: E402
from stemsplit.errors import DeviceError, ModelError, SettingsError  # noqa: E402
from stemsplit.models import device as device_module  # noqa: E402
from stemsplit.models.device import BACKENDS, Device, choose_device, open_session  # noqa: E402
from stemsplit.models.half_precision import HEAVY, read_halved  # noqa: E402
from stemsplit.registry.installed import bundled_models, read_spec  # noqa: E402
from tests.support.small_graphs import write_small_graph  # noqa: E402

FLOAT, HALF = TensorProto.FLOAT, TensorProto.FLOAT16


@pytest.fixture
def mixed(tmp_path: Path) -> Path:
    """Squares that no half can hold, their logarithm, then heavy operators of each kind."""
    rng = np.random.default_rng(0)

    def weight(*shape: int) -> np.ndarray[Any, np.dtype[np.float32]]:
        return (0.3 * rng.standard_normal(shape)).astype(np.float32)

    nodes = [
        helper.make_node("Mul", ["x", "x"], ["power"]),
        helper.make_node("Log", ["power"], ["level"]),
        helper.make_node("MatMul", ["level", "w"], ["first"]),
        helper.make_node("MatMul", ["first", "w"], ["second"]),
        helper.make_node("LSTM", ["second", "W", "R", "", "lengths"], ["states"], hidden_size=4),
        helper.make_node("Squeeze", ["states", "one"], ["rows"]),
        helper.make_node("Conv", ["rows", "kernel"], ["y"], pads=[1, 1]),
    ]
    weights = {"w": weight(8, 8), "W": weight(1, 16, 8), "R": weight(1, 16, 4), "kernel": weight(3, 2, 3)}
    constants = {"lengths": np.array([5, 5], dtype=np.int32), "one": np.array([1], dtype=np.int64)}
    return write_small_graph(tmp_path / "mixed.onnx", nodes, weights | constants, (5, 2, 8))


def types_of(model: Any) -> dict[str, int]:
    graph = onnx.shape_inference.infer_shapes(model, strict_mode=True).graph
    typed = (*graph.value_info, *graph.input, *graph.output)
    found = {each.name: each.type.tensor_type.elem_type for each in typed}
    return found | {each.name: each.data_type for each in graph.initializer}


def test_heavy_operators_alone_take_and_give_halves(mixed: Path) -> None:
    model = onnx.load_from_string(read_halved(mixed))
    onnx.checker.check_model(model, full_check=True)
    types = types_of(model)
    n_heavy = 0
    for node in model.graph.node:
        if node.op_type == "Cast":
            continue
        names = [name for name in (*node.input, *node.output) if name not in {"", "lengths", "one"}]
        is_heavy = node.op_type in HEAVY
        n_heavy += is_heavy
        assert {types[name] for name in names} == {HALF if is_heavy else FLOAT}, node.op_type
    assert n_heavy == 4 and types["x"] == types["y"] == FLOAT
    stored = [each.name for each in model.graph.initializer]
    assert len(stored) == 6 and not {"w", "W", "R", "kernel"} & set(stored)  # each once, in halves only


def test_the_result_is_near_where_halves_alone_would_overflow(mixed: Path) -> None:
    signal = np.random.default_rng(1).uniform(300, 3000, (5, 2, 8)).astype(np.float32)
    assert (signal**2).max() > 65504
    expected = open_session(mixed, Device("cpu"), threads=1).run(None, {"x": signal})[0]
    found = ReferenceEvaluator(onnx.load_from_string(read_halved(mixed))).run(None, {"x": signal})[0]
    difference = np.abs(found - expected).max() / np.abs(expected).max()
    assert 0 < difference < 0.01  # not 0: halves were really computed with


@pytest.mark.slow
def test_the_bundled_model_keeps_its_masks() -> None:
    path = bundled_models()[0]
    rng = np.random.default_rng(0)
    full = open_session(path, Device("cpu"), threads=1)
    mixture, _, state = (each.shape for each in full.get_inputs())
    delay = read_spec(path).delay_frames
    n_frames = delay + 14
    slope = 300 / (1 + np.arange(mixture[2])[:, None])
    inputs = {
        "mixture": (rng.standard_normal((1, *mixture[1:3], n_frames)) * slope).astype(np.float32),
        "present": np.repeat(np.array([[0, 1]], np.float32), (delay, n_frames), axis=1),
        "state": np.zeros((1, *state[1:]), np.float32),
    }
    expected = full.run(["mask"], inputs)[0]
    halved = ReferenceEvaluator(onnx.load_from_string(read_halved(path)))
    with np.errstate(over="ignore"):  # the evaluator's sigmoid of a closed gate is 0 by 1 / (1 + inf)
        (found,) = halved.run(["mask"], inputs)
    assert 0 < np.abs(found - expected)[..., delay:].max() < 4e-3


def test_a_session_in_halves_runs(mixed: Path) -> None:
    found = open_session(mixed, Device("cpu", half=True)).run(None, {"x": np.full((5, 2, 8), 2, np.float32)})
    assert found[0].dtype == np.float32 and np.isfinite(found[0]).all()


def test_products_of_integers_stay(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("MatMul", ["n", "n"], ["nn"]),
        helper.make_node("Cast", ["nn"], ["f"], to=FLOAT),
        helper.make_node("MatMul", ["x", "f"], ["y"]),
    ]
    path = write_small_graph(tmp_path / "whole.onnx", nodes, {"n": np.eye(3, dtype=np.int32)}, (2, 3))
    model = onnx.load_from_string(read_halved(path))
    onnx.checker.check_model(model, full_check=True)
    assert types_of(model)["nn"] == TensorProto.INT32


def test_what_halves_cannot_hold_is_an_error(tmp_path: Path) -> None:
    product = helper.make_node("MatMul", ["x", "w"], ["y"])
    large = write_small_graph(
        tmp_path / "large.onnx", [product], {"w": np.full((3, 3), 7e4, np.float32)}, (2, 3)
    )
    with pytest.raises(ModelError, match=r"large\.onnx: its weight 'w' passes 65504.*leave --half out"):
        read_halved(large)
    light = write_small_graph(tmp_path / "light.onnx", [helper.make_node("Neg", ["x"], ["y"])], {}, (2, 3))
    with pytest.raises(ModelError, match=r"light\.onnx: the graph has no matrix product"):
        open_session(light, Device("cpu", half=True))
    (tmp_path / "text.onnx").write_text("no model")
    with pytest.raises(ModelError, match=r"text\.onnx: cannot be read for half precision"):
        read_halved(tmp_path / "text.onnx")


def test_without_onnx_the_extra_is_named(mixed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(DeviceError, match=r"'\.\[half\]'"):
        read_halved(mixed)


def test_devices_without_it_refuse(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device_module, "count_cuda_devices", lambda: 0)
    for kind in {"cpu", *BACKENDS} - {"cuda", "directml"}:
        with pytest.raises(SettingsError, match=f"--half is for the devices cuda and directml, not {kind}"):
            choose_device(kind, half=True)
    with pytest.raises(DeviceError, match=r"--half needs a GPU.*(GPU or driver|CUDA support)"):
        choose_device("auto", half=True)
    with pytest.raises(SettingsError, match="--half"):
        Separator(device="cpu", half=True)


def test_a_device_that_was_found_keeps_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device_module, "find_problem", lambda _: None)
    monkeypatch.setattr(device_module, "find_cuda_problem", lambda _: None)
    for text in ("auto", "cuda:1", "directml"):
        assert choose_device(text, half=True).half and not choose_device(text).half
