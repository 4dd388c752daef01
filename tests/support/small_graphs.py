"""Small graphs of given operators."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

_NONE: Final[Mapping[str, str]] = MappingProxyType({})


def write_small_graph(
    path: Path,
    nodes: Sequence[Any],
    weights: Mapping[str, Any],
    shape: Sequence[int],
    properties: Mapping[str, str] = _NONE,
) -> Path:
    """Write a graph from ``x`` of a `shape` to ``y``, both float32."""
    graph = helper.make_graph(
        list(nodes),
        "small",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    helper.set_model_props(model, dict(properties))
    onnx.save(model, str(path))
    return path
