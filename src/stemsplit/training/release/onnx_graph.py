"""Operations on exported ONNX graphs: metadata, targets, fp16 weights, cost.

No function changes the model that it is given.
"""

import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from stemsplit.errors import ModelError
from stemsplit.models.graph_pruning import drop_unused
from stemsplit.models.mask_stream import OUTPUTS, MaskStream
from stemsplit.training.networks.onnx_weights import LSTM_WEIGHTS
from stemsplit.types import FloatArray

# For smaller tensors a Cast saves almost nothing, and scales and offsets of norms stay exact.
MIN_FP16_SIZE = 256
_UNCOUNTED = frozenset({"Einsum", "GRU", "Gemm", "RNN"})

Shapes = Mapping[str, tuple[int, ...]]


def strip_metadata(model: ModelProto) -> ModelProto:
    """Remove what the exporter records about itself: source lines, paths, names of Python objects."""
    tidied = _copy(model)
    graph = tidied.graph
    for part in (*graph.node, *graph.initializer, *graph.input, *graph.output, graph):
        part.ClearField("metadata_props")
        part.ClearField("doc_string")
    # onnxruntime infers the intermediate shapes itself
    graph.ClearField("value_info")
    return tidied


def keep_targets(model: ModelProto, places: Sequence[int]) -> ModelProto:
    """Keep the masks, ``(batch, targets, channels, rows, frames)``, of some targets."""
    kept = _copy(model)
    graph = kept.graph
    (axis,) = (output.type.tensor_type.shape.dim[1] for output in graph.output if output.name == "mask")
    if list(places) == list(range(axis.dim_value)):
        return kept
    axis.dim_value = len(places)
    for node in graph.node:
        node.output[:] = ["mask.all" if name == "mask" else name for name in node.output]
    graph.initializer.append(numpy_helper.from_array(np.array(places, dtype=np.int64), "mask.places"))
    graph.node.append(helper.make_node("Gather", ["mask.all", "mask.places"], ["mask"], axis=1))
    return kept


def fold_recurrences(model: ModelProto, *arrays: FloatArray) -> ModelProto:
    """Store the weights of LSTMs as the operator takes them, so that no session has to put them in order.

    Parameters
    ----------
    model : ModelProto
        A graph; its LSTMs have names of `LSTM_WEIGHTS` after the first of their weights.
    arrays : ndarray
        Inputs of the graph, in order; only their shapes matter.
    """
    folded = _copy(model)
    graph = folded.graph
    stored = {tensor.name for tensor in graph.initializer}
    producers = {name: node for node in graph.node for name in node.output}
    wanted: dict[str, str] = {}
    for node in graph.node:
        if node.op_type == "LSTM":
            layer = _find_weight(node.input[1], stored, producers).rpartition(".")[0]
            for place, kind in enumerate(LSTM_WEIGHTS, start=1):
                wanted[node.input[place]] = f"{layer}.{kind}"
                node.input[place] = f"{layer}.{kind}"
    names = list(wanted)
    for name, values in zip(names, _find_values(model, arrays, names), strict=True):
        graph.initializer.append(numpy_helper.from_array(values, wanted[name]))
    drop_unused(graph)
    return folded


def _find_weight(name: str, stored: Collection[str], producers: Mapping[str, NodeProto]) -> str:
    """Return the first stored weight that a value is made of."""
    while name not in stored:
        name = producers[name].input[0]
    return name


def large_weights(model: ModelProto) -> list[str]:
    """Return the names of the weights that are large enough to be stored as float16."""
    return [each.name for each in model.graph.initializer if _is_large(each)]


def store_fp16(model: ModelProto, names: Collection[str]) -> ModelProto:
    """Store the weights called `names` as float16, each followed by a Cast to float32.

    The network still computes in float32; onnxruntime folds the casts when a session starts.
    """
    converted = _copy(model)
    casts = []
    for tensor in converted.graph.initializer:
        name = tensor.name
        if name in names:
            with np.errstate(over="ignore"):  # infinite weights fail the parity check
                half = numpy_helper.to_array(tensor).astype(np.float16)
            tensor.CopyFrom(numpy_helper.from_array(half, f"{name}.half"))
            casts.append(helper.make_node("Cast", [tensor.name], [name], to=TensorProto.FLOAT))
    nodes = [*casts, *converted.graph.node]
    converted.graph.ClearField("node")
    converted.graph.node.extend(nodes)
    return converted


def count_macs(model: ModelProto, *arrays: FloatArray) -> int:
    """Count the multiply-adds of all matrix products, convolutions and recurrences for one call.

    Parameters
    ----------
    model : ModelProto
        A graph.
    arrays : ndarray
        Its inputs, in order; only their shapes matter.

    Raises
    ------
    ModelError
        The graph contains operators that cannot be counted.
    """
    unknown = _UNCOUNTED.intersection(node.op_type for node in model.graph.node)
    if unknown:
        raise ModelError(f"multiply-adds of {', '.join(sorted(unknown))} are not counted; extend count_macs")
    nodes = [node for node in model.graph.node if node.op_type in _MACS]
    names = (name for node in nodes for name in (*node.input, *node.output))
    shapes = _find_shapes(model, arrays, names)
    return sum(_MACS[node.op_type](node, shapes) for node in nodes)


def run_model(model: ModelProto, names: Sequence[str], *arrays: FloatArray) -> list[Any]:
    """Run a model in memory, on the CPU; return the outputs called `names`."""
    return _open(model)(names, *arrays)


def stream_model(model: ModelProto, mixture: FloatArray, *, delay_frames: int) -> FloatArray:
    """Return all masks of a song by a graph that hands on a state, in two calls."""
    run = partial(_open(model), OUTPUTS)
    (state,) = (each for each in model.graph.input if each.name == "state")
    shape = tuple(axis.dim_value for axis in state.type.tensor_type.shape.dim[1:])
    stream = MaskStream(run, state_shape=shape, delay_frames=delay_frames)
    return stream.process_whole(mixture, n_calls=2)


def _open(model: ModelProto) -> Callable[..., list[Any]]:
    """Return a model in memory as a function of the names of outputs, and its inputs in order."""
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    taken = [each.name for each in session.get_inputs()]

    def run(names: Sequence[str], *arrays: FloatArray) -> list[Any]:
        return list(session.run(list(names), dict(zip(taken, arrays, strict=True))))

    return run


def _matmul_macs(node: NodeProto, shapes: Shapes) -> int:
    return math.prod(shapes[node.output[0]]) * shapes[node.input[0]][-1]


def _lstm_macs(node: NodeProto, shapes: Shapes) -> int:
    """Count all gates of all directions: ``steps * batch * (weights of the input + those of the state)``."""
    n_steps, n_batch, _ = shapes[node.input[0]]
    return n_steps * n_batch * sum(math.prod(shapes[name]) for name in node.input[1:3])


def _conv_macs(node: NodeProto, shapes: Shapes) -> int:
    """Count one kernel, over all input channels of its group, for each element of the output."""
    return math.prod(shapes[node.output[0]]) * math.prod(shapes[node.input[1]][1:])


def _conv_transpose_macs(node: NodeProto, shapes: Shapes) -> int:
    """Count one kernel, over all output channels of its group, for each element of the input."""
    return math.prod(shapes[node.input[0]]) * math.prod(shapes[node.input[1]][1:])


_MACS: dict[str, Callable[[NodeProto, Shapes], int]] = {
    "MatMul": _matmul_macs,
    "LSTM": _lstm_macs,
    "Conv": _conv_macs,
    "ConvTranspose": _conv_transpose_macs,
}


def _find_shapes(model: ModelProto, arrays: Sequence[FloatArray], names: Iterable[str]) -> Shapes:
    stored = {tensor.name: tuple(tensor.dims) for tensor in model.graph.initializer}
    asked = [name for name in dict.fromkeys(names) if name and name not in stored]
    found = _find_values(model, arrays, asked)
    return stored | {name: value.shape for name, value in zip(asked, found, strict=True)}


def _find_values(model: ModelProto, arrays: Sequence[FloatArray], names: Sequence[str]) -> list[Any]:
    """Find the values of tensors by running the graph with all of them as outputs."""
    probe = _copy(model)
    known = {output.name for output in probe.graph.output}
    probe.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names if name not in known)
    return run_model(probe, names, *arrays)


def _is_large(tensor: TensorProto) -> bool:
    return tensor.data_type == TensorProto.FLOAT and math.prod(tensor.dims) >= MIN_FP16_SIZE


def _copy(model: ModelProto) -> ModelProto:
    copied = ModelProto()
    copied.CopyFrom(model)
    return copied
