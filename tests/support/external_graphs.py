"""A small external model, made on the fly: two targets of a waveform, each a fraction of it."""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

SAMPLES = 4096


def write_wave_model(folder: Path, *, factor: float = 0.5, licence: str | None = "CC-BY-NC-4.0") -> Path:
    """Write ``halves.onnx`` and its description into `folder`; return the description.

    It gives the mixture times `factor`, and a third of it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    factors = np.array([factor, 1 / 3], dtype=np.float32).reshape(1, 2, 1, 1)
    stored = [numpy_helper.from_array(factors, "factors"), numpy_helper.from_array(np.array([1]), "axes")]
    nodes = [
        helper.make_node("Unsqueeze", ["mix", "axes"], ["wide"]),
        helper.make_node("Mul", ["wide", "factors"], ["stems"]),
    ]
    mix = helper.make_tensor_value_info("mix", TensorProto.FLOAT, ["batch", 2, SAMPLES])
    stems = helper.make_tensor_value_info("stems", TensorProto.FLOAT, ["batch", 2, 2, SAMPLES])
    graph = helper.make_graph(nodes, "halves", [mix], [stems], stored)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, str(folder / "halves.onnx"))
    lines = [
        'name = "halves"',
        'graph = "halves.onnx"',
        'targets = ["half", "third"]',
        'output_kind = "waveform"',
        'features = "waveform"',
        *([f'licence = "{licence}"', "commercial = false"] if licence else []),
    ]
    (folder / "halves.toml").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder / "halves.toml"
