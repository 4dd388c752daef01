"""Small external models with known behaviour: each target is its input times a number."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

GAINS = {"vocals": 0.5, "drums": 0.3}
SEGMENT = 4096


def write_graph(
    path: Path,
    shape: Sequence[int | str],
    gains: Sequence[float],
    *,
    axis: int | None = None,
    output_shape: Sequence[int | str] | None = None,
    nodes: Sequence[Any] = (),
    name: str = "input",
) -> Path:
    """Write a graph that stacks its input times each of `gains` along a new `axis` (None: just times)."""
    scaled = [helper.make_node("Mul", [name, f"gain{n}"], [f"scaled{n}"]) for n in range(len(gains))]
    names = [f"scaled{n}" for n in range(len(gains))]
    if axis is None:
        joined = [helper.make_node("Identity", names[:1], ["output"])]
    else:
        unsqueezed = [helper.make_node("Unsqueeze", [each, "axis"], [f"{each}u"]) for each in names]
        joined = [
            *unsqueezed,
            helper.make_node("Concat", [f"{each}u" for each in names], ["output"], axis=axis),
        ]
    constants = {f"gain{n}": np.float32(gain) for n, gain in enumerate(gains)}
    constants["axis"] = np.array([axis or 0], dtype=np.int64)
    if output_shape is None:
        output_shape = list(shape) if axis is None else [*shape[:axis], len(gains), *shape[axis:]]
    graph = helper.make_graph(
        [*scaled, *joined, *nodes],
        "external",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, output_shape)],
        [numpy_helper.from_array(np.asarray(value), key) for key, value in constants.items()],
    )
    opsets = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), str(path))
    return path


def write_description(folder: Path, *lines: str) -> Path:
    """Write a description; return its path."""
    path = folder / "model.toml"
    path.write_text("\n".join(['name = "external"', *lines, ""]), encoding="utf-8")
    return path


def write_magnitude(folder: Path, *lines: str) -> Path:
    """A model of Open-Unmix's shape, with a graph for each target."""
    for target, gain in GAINS.items():
        write_graph(folder / f"{target}.onnx", ["n", 2, 2049, "t"], [gain])
    files = ", ".join(f'{target} = "{target}.onnx"' for target in GAINS)
    return write_description(folder, 'family = "open-unmix"', f"graphs = {{ {files} }}", *lines)


def write_ratio(folder: Path, *lines: str) -> Path:
    """A model of Spleeter's shape: 32 frames of 1,024 bins."""
    for target, gain in GAINS.items():
        write_graph(folder / f"{target}.onnx", [2, "splits", 32, 1024], [gain])
    files = ", ".join(f'{target} = "{target}.onnx"' for target in GAINS)
    return write_description(folder, 'family = "spleeter"', f"graphs = {{ {files} }}", *lines)


def write_complex(folder: Path, *lines: str) -> Path:
    """A model of MDX-Net's shape: one target, 16 frames of the lowest 400 of 513 bins."""
    write_graph(folder / "mdx.onnx", ["n", 4, 400, 16], [GAINS["vocals"]])
    text = (
        'family = "mdx"',
        'graph = "mdx.onnx"',
        'targets = ["vocals"]',
        "n_fft = 1024",
        "hop_length = 256",
    )
    return write_description(folder, *text, *lines)


def write_waveform(folder: Path, *lines: str) -> Path:
    """A model of HTDemucs's shape: all targets in one graph, segments of `SEGMENT` samples."""
    write_graph(folder / "demucs.onnx", [1, 2, SEGMENT], list(GAINS.values()), axis=1)
    text = ('family = "htdemucs"', 'graph = "demucs.onnx"', 'targets = ["vocals", "drums"]')
    return write_description(folder, *text, *lines)


WRITERS = {
    "magnitude": write_magnitude,
    "ratio": write_ratio,
    "complex": write_complex,
    "waveform": write_waveform,
}
