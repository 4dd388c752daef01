"""A stand-in for a model: the same STFT, targets and chunks, and a constant mask.

A run with it costs as much as a run with the model, except for the network.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from stemsplit.models.spec import ModelSpec
from stemsplit.registry.installed import bundled_models, read_spec


def write_constant_models(folder: Path) -> list[Path]:
    """Write a stand-in for every bundled model."""
    specs = [read_spec(path) for path in bundled_models()]
    return [write_constant_model(folder / f"constant-{spec.name}.onnx", spec) for spec in specs]


def write_constant_model(path: Path, spec: ModelSpec) -> Path:
    """Write a graph whose mask is ``1 / targets`` everywhere, described like `spec`; a state is kept."""
    n_targets = len(spec.targets)
    n_features = spec.n_channels * (2 if spec.features == "complex" else 1)
    constants = {
        "share": np.float32(1 / n_targets),
        "batch_place": np.array([0], dtype=np.int64),
        "frames_place": np.array([3], dtype=np.int64),
        "middle": np.array([n_targets, spec.n_channels, spec.n_rows], dtype=np.int64),
    }
    nodes = [
        helper.make_node("Shape", ["mixture"], ["shape"]),
        helper.make_node("Gather", ["shape", "batch_place"], ["batch_size"]),
        helper.make_node("Gather", ["shape", "frames_place"], ["n_frames"]),
        helper.make_node("Concat", ["batch_size", "middle", "n_frames"], ["mask_shape"], axis=0),
        helper.make_node("Expand", ["share", "mask_shape"], ["mask"]),
    ]
    inputs = [_tensor("mixture", ["batch", n_features, spec.stft.n_bins, "frames"])]
    outputs = [_tensor("mask", ["batch", n_targets, spec.n_channels, spec.n_rows, "frames"])]
    if spec.delay_frames:
        nodes.append(helper.make_node("Identity", ["state"], ["next_state"]))
        inputs += [_tensor("present", ["batch", "all_frames"]), _tensor("state", ["batch", 1])]
        outputs.append(_tensor("next_state", ["batch", 1]))
    graph = helper.make_graph(
        nodes,
        "constant",
        inputs,
        outputs,
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    helper.set_model_props(model, replace(spec, name=f"constant-{spec.name}").to_metadata())
    onnx.save(model, str(path))
    return path


def _tensor(name: str, shape: list[int | str]) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
