"""Weights of a torch network, read back from the ONNX file that it was exported to.

The export keeps most parameters by name, as ``network.<name>``, and rewrites two kinds: the weight of a
linear layer is transposed and belongs to the product before the layer's bias; the weights of an LSTM are
joined, with their gates in the order of ONNX. In files of before version 0.15 only its biases were.
"""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import onnx
import torch
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from numpy.typing import NDArray
from onnx import GraphProto, NodeProto, numpy_helper
from torch import Tensor, nn

from stemsplit.errors import ModelError

PREFIX = "network."
# what an LSTM takes is called after its layer: weights for the inputs, for the state, and the biases of both
LSTM_WEIGHTS = ("input_weights", "state_weights", "biases")
_JOINED = dict(zip(("weight_ih", "weight_hh", "bias"), LSTM_WEIGHTS, strict=True))
GATES = (0, 2, 3, 1)  # input, forget, cell, output, as torch has them; ONNX: input, output, forget, cell


def read_weights(path: Path, network: nn.Module) -> dict[str, Tensor]:
    """Read weights for ``network.load_state_dict``: all that the file contains where the export places them.

    Parameters that the network lacks are included if the export kept their names.

    Raises
    ------
    ModelError
        The file is missing or is not ONNX.
    """
    try:
        held = _GraphWeights(onnx.load(path).graph)
    except (OSError, DecodeError) as error:
        raise ModelError(f"{path} is not a readable ONNX file: {error}") from error
    weights = {}
    computed = {name for name, _ in network.named_buffers()} - set(network.state_dict())
    for name in {*network.state_dict(), *held.names()} - computed:
        with suppress(KeyError):
            weights[name] = torch.from_numpy(held.find(name).copy())
    return weights


class _GraphWeights:
    """Constants of a graph, and the nodes that use them."""

    def __init__(self, graph: GraphProto) -> None:
        self._constants: dict[str, NDArray[np.float32]] = {
            each.name: numpy_helper.to_array(each) for each in graph.initializer
        }
        for node in graph.node:  # weights that are stored as float16
            if node.op_type == "Cast" and node.input[0] in self._constants:
                self._constants[node.output[0]] = self._constants.pop(node.input[0]).astype(np.float32)
        self._nodes: list[NodeProto] = list(graph.node)
        self._producers: dict[str, NodeProto] = {name: node for node in graph.node for name in node.output}

    def names(self) -> Iterator[str]:
        """Yield the parameters that the export kept by name."""
        for name in self._constants:
            if name.startswith(PREFIX) and not name.endswith(LSTM_WEIGHTS):
                yield name.removeprefix(PREFIX)

    def find(self, name: str) -> NDArray[np.float32]:
        """Return the parameter that torch calls `name`; raises `KeyError` if there is none."""
        layer, _, kind = name.rpartition(".")
        if PREFIX + name in self._constants:
            return self._constants[PREFIX + name]
        for start, joined in _JOINED.items():
            if kind.startswith(start) and f"{PREFIX}{layer}.{joined}" in self._constants:
                return _take_gates(self._constants[f"{PREFIX}{layer}.{joined}"], kind)
        if kind == "weight":
            return self._linear(layer, name).T
        if kind.startswith("bias_"):
            return self._lstm_bias(layer, kind, name)
        raise KeyError(name)

    def _linear(self, layer: str, name: str) -> NDArray[np.float32]:
        for node in self._nodes:
            if node.op_type == "Add" and f"{PREFIX}{layer}.bias" in node.input:
                product = self._producers.get(node.input[0])
                if product is not None and product.op_type == "MatMul":
                    return self._constants[product.input[1]]
        raise KeyError(name)

    def _lstm_bias(self, layer: str, kind: str, name: str) -> NDArray[np.float32]:
        """Extract ``bias_ih_l0`` and the like from the joined biases of a layer."""
        for node in self._nodes:
            if node.op_type == "LSTM" and f"{PREFIX}{layer}.weight_ih_l0" in self._sources(node.input[1]):
                return _take_gates(self._constants[node.input[3]], kind)
        raise KeyError(name)

    def _sources(self, value: str) -> Iterator[str]:
        """Yield the constants that a value is computed from."""
        if value in self._constants:
            yield value
        elif value in self._producers:
            for each in self._producers[value].input:
                yield from self._sources(each)


def _take_gates(joined: NDArray[np.float32], kind: str) -> NDArray[np.float32]:
    """Extract ``weight_ih_l0``, ``bias_hh_l0_reverse`` and the like from what an LSTM of ONNX takes.

    Weights are ``(directions, 4 * size, inputs)``, biases ``(directions, 8 * size)``: those for the inputs,
    then those for the state.
    """
    own = joined[int(kind.endswith("_reverse"))]
    if kind.startswith("bias"):
        own = np.split(own, 2)[int(kind.startswith("bias_hh"))]
    gates: NDArray[np.float32] = np.concatenate([np.split(own, 4)[gate] for gate in GATES])
    return gates
