"""Half precision: the heavy operators of a graph in float16, everything between them as it was.

Matrix products, convolutions and recurrences take nearly all of a network's time and keep their accuracy in
halves. What surrounds them does not: the power of a spectrum passes 65,504, the largest half, and the sums of
a norm lose their last digits. So each heavy operator gets halves, gives halves, and nothing else sees them.

onnxruntime's own conversion (``onnxruntime.transformers.float16`` of 1.31) holds every tensor between two
operators in halves, also those that it is asked to leave alone: the bundled models give NaN with it. With
this one their masks differ by at most 0.0015.
"""

import itertools
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from stemsplit.errors import DeviceError, ModelError
from stemsplit.models.graph_pruning import drop_unused

if TYPE_CHECKING:
    from onnx import GraphProto, NodeProto

HEAVY: Final = frozenset({"Conv", "ConvTranspose", "GRU", "Gemm", "LSTM", "MatMul"})
_LIMIT: Final = float(np.finfo(np.float16).max)


def read_halved(path: Path) -> bytes:
    """Return a model file with its heavy operators in float16; inputs and outputs stay as they are.

    Raises
    ------
    DeviceError
        If the package onnx, which does it, is missing.
    ModelError
        If the file is no model, has no heavy operator, or a weight that no half can hold.
    """
    try:
        import onnx
    except ImportError as error:
        raise DeviceError(
            "half precision needs the package onnx; run `pip install '.[half]'` in your clone of stemsplit, "
            "or leave --half out"
        ) from error
    try:
        model = onnx.shape_inference.infer_shapes(onnx.load(path))
    except Exception as error:  # onnx, protobuf and the file system each have their own
        raise ModelError(f"{path}: cannot be read for half precision: {error}") from error
    try:
        _Halving(model.graph).apply()
    except ModelError as error:
        raise ModelError(f"{path}: {error}; leave --half out") from error
    halved: bytes = model.SerializeToString()
    return halved


class _Halving:
    """The change of one graph, in place."""

    def __init__(self, graph: "GraphProto") -> None:
        from onnx import TensorProto, numpy_helper

        self._graph = graph
        self._float, self._half = TensorProto.FLOAT, TensorProto.FLOAT16
        self._weights = {each.name: numpy_helper.to_array(each) for each in graph.initializer}
        typed = (*graph.value_info, *graph.input, *graph.output)
        self._types = {each.name: each.type.tensor_type.elem_type for each in typed}
        self._types |= {each.name: each.data_type for each in graph.initializer}
        # a weight that is stored in halves is cast before its use: the cast can be left out
        self._sources = {
            node.output[0]: node.input[0]
            for node in graph.node
            if node.op_type == "Cast" and self._types.get(node.input[0]) == self._half
        }
        self._halves: dict[str, str] = {}
        self._numbers = itertools.count()

    def apply(self) -> None:
        nodes: list[NodeProto] = []
        for node in self._graph.node:
            nodes += self._around(node) if self._is_heavy(node) else [node]
        if not self._halves:
            raise ModelError("the graph has no matrix product, convolution or recurrence of float32")
        del self._graph.node[:]
        self._graph.node.extend(nodes)
        drop_unused(self._graph)
        # shapes between input and output name the types as they were; onnxruntime works them out
        del self._graph.value_info[:]

    def _is_heavy(self, node: "NodeProto") -> bool:
        # the lengths of a recurrence's sequences are integers, which may be there or not
        floats = [name for name in node.input if name and self._types.get(name) != _INT32]
        return (
            node.op_type in HEAVY
            and node.domain in {"", "ai.onnx"}
            and bool(floats)
            and all(self._types.get(name) == self._float for name in floats)
        )

    def _around(self, node: "NodeProto") -> list["NodeProto"]:
        """The node in halves, behind casts of what it takes and before casts of what it gives."""
        from onnx import helper

        before: list[NodeProto] = []
        for index, name in enumerate(node.input):
            if self._types.get(name) != self._float:
                continue
            if name not in self._halves and not self._find_stored(name):
                self._halves[name] = self._new_name(name)
                before.append(helper.make_node("Cast", [name], [self._halves[name]], to=self._half))
            node.input[index] = self._halves[name]
        after: list[NodeProto] = []
        for index, name in enumerate(node.output):
            if name:
                node.output[index] = self._new_name(name)
                after.append(helper.make_node("Cast", [node.output[index]], [name], to=self._float))
        return [*before, node, *after]

    def _find_stored(self, name: str) -> bool:
        """Let a weight be stored in halves, unless it is already."""
        if name in self._sources:
            self._halves[name] = self._sources[name]
            return True
        if name not in self._weights:
            return False
        from onnx import numpy_helper

        values = self._weights[name]
        if np.abs(values).max(initial=0.0) > _LIMIT:
            raise ModelError(f"its weight {name!r} passes {_LIMIT:.0f}, the largest number of half precision")
        self._halves[name] = self._new_name(name)
        stored = numpy_helper.from_array(values.astype(np.float16), self._halves[name])
        self._graph.initializer.append(stored)
        return True

    def _new_name(self, name: str) -> str:
        return f"{name}/half/{next(self._numbers)}"


_INT32: Final = 6  # of `onnx.TensorProto`
