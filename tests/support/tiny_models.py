"""Small ONNX models with known behaviour, made on the fly: real graphs, no training."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from stemsplit.models.spec import ModelSpec

TARGETS = ("vocals", "drums", "bass", "other")


def make_spec(**changes: Any) -> ModelSpec:
    """A specification for a 44.1 kHz four-target model with a short STFT; `changes` replace fields."""
    values: dict[str, Any] = {
        "name": "tiny",
        "version": "1",
        "targets": TARGETS,
        "sample_rate": 44100,
        "n_channels": 2,
        "n_fft": 512,
        "hop_length": 256,
        "win_length": 0,
        "analysis_window": "sqrt_hann",
        "synthesis_window": "sqrt_hann",
        "features": "complex",
        "output_kind": "mask",
        "mask_widths": (),
        "complete": True,
        "remainder": "other",
        "chunk_s": 0.5,
        "context_s": 0.0,
        "band_limit_hz": 22050.0,
        "licence": "MIT",
        "training_data_licence": "none",
        "attribution": "",
        "description": "a test model",
    }
    n_context = changes.pop("n_context", 3)
    values |= changes
    values["context_s"] = n_context * values["hop_length"] / values["sample_rate"]
    return ModelSpec(**values)


def write_model(
    path: Path,
    spec: ModelSpec,
    *,
    complete: bool = True,
    seed: int = 0,
    bins: Sequence[int] | None = None,
    floor: float = 1e-6,
) -> Path:
    """Write a graph whose masks depend on each bin's level in `context_s` frames around it.

    Below a `floor` under zero they are not numbers where a bin's power is too low to make up for it.

    The masks are a softmax over the targets (they sum to one), or a sigmoid each if not `complete`. Each row
    of the mask looks at one of `bins` (at its own, by default). With ``spec.delay_frames``, which is the
    reach, the graph hands on a state, and its masks are the same.
    """
    reach = round(spec.context_s * spec.sample_rate / spec.hop_length)
    rng = np.random.default_rng(seed)
    n_targets, n_channels, n_bins = len(spec.targets), spec.n_channels, spec.n_rows
    weights = rng.standard_normal((n_targets * n_channels, 1, 1, 2 * reach + 1)).astype(np.float32)
    constants = {
        "weights": weights / np.float32(np.sqrt(weights.shape[-1])),
        "floor": np.float32(floor),
        "shape": np.array([0, n_targets, n_channels, n_bins, -1], dtype=np.int64),
        "axes": np.array([1], dtype=np.int64),
        "bins": np.array(range(n_bins) if bins is None else bins, dtype=np.int64),
        "reach": np.array([reach], dtype=np.int64),
        "kept": np.array([-2 * reach], dtype=np.int64),
        "end": np.array([2**31], dtype=np.int64),
        "frame_axis": np.array([1], dtype=np.int64),
        "last_axis": np.array([3], dtype=np.int64),
        "inner_axes": np.array([1, 2], dtype=np.int64),
    }
    nodes = [
        helper.make_node("Mul", ["mixture", "mixture"], ["squared"]),
        helper.make_node("ReduceSum", ["squared", "axes"], ["power"], keepdims=1),
        helper.make_node("Gather", ["power", "bins"], ["looked_at"], axis=2),
        helper.make_node("Add", ["looked_at", "floor"], ["raised"]),
        helper.make_node("Log", ["raised"], ["level"]),
        *_make_convolution(reach, is_streamed=spec.delay_frames > 0),
        helper.make_node("Reshape", ["logits", "shape"], ["shaped"]),
        helper.make_node("Softmax", ["shaped"], ["mask"], axis=1)
        if complete
        else helper.make_node("Sigmoid", ["shaped"], ["mask"]),
    ]
    rows = n_channels * (2 if spec.features == "complex" else 1)
    return save_graph(path, nodes, constants, rows=rows, spec=spec)


def _make_convolution(reach: int, *, is_streamed: bool) -> list[Any]:
    """Nodes from ``level`` to ``logits``: beyond the song's ends the level counts as zero."""
    if not is_streamed:
        return [helper.make_node("Conv", ["level", "weights"], ["logits"], pads=[0, reach, 0, reach])]
    return [
        helper.make_node("Slice", ["present", "reach", "end", "frame_axis"], ["new"]),
        helper.make_node("Unsqueeze", ["new", "inner_axes"], ["there"]),
        helper.make_node("Mul", ["level", "there"], ["counted"]),
        helper.make_node("Concat", ["state", "counted"], ["known"], axis=3),
        helper.make_node("Slice", ["known", "kept", "end", "last_axis"], ["next_state"]),
        helper.make_node("Conv", ["known", "weights"], ["logits"]),
    ]


def save_graph(
    path: Path, nodes: list[Any], constants: dict[str, Any], *, rows: int, spec: ModelSpec
) -> Path:
    """Write a graph from ``mixture`` to ``mask`` with the metadata of `spec`, with a state if it has one."""
    inputs = {"mixture": ["batch", rows, spec.stft.n_bins, "frames"]}
    outputs = {"mask": ["batch", len(spec.targets), spec.n_channels, spec.n_rows, "frames"]}
    if spec.delay_frames:
        state = ["batch", 1, spec.n_rows, 2 * spec.delay_frames]
        inputs |= {"present": ["batch", "all_frames"], "state": state}
        outputs |= {"next_state": state}
    stored = [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()]
    taken, given = (
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in each.items()]
        for each in (inputs, outputs)
    )
    graph = helper.make_graph(nodes, "tiny", taken, given, stored)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    helper.set_model_props(model, spec.to_metadata())
    onnx.save(model, str(path))
    return path
