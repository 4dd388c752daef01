"""Parity of any exported graph with torch: the same outputs for the same inputs."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from onnx import ModelProto
from torch import Tensor, nn

from stemsplit.errors import ModelError
from stemsplit.training.release.onnx_graph import run_model
from stemsplit.training.release.parity import TOLERANCE
from stemsplit.training.release.torch_graph import export_graph
from stemsplit.types import FloatArray


@dataclass(frozen=True)
class GraphParity:
    """Inputs of a graph, and what torch computes for them.

    Parameters
    ----------
    output : str
        Name of the graph's output.
    pairs : sequence of (FloatArray, FloatArray)
        Inputs and outputs.
    """

    output: str
    pairs: Sequence[tuple[FloatArray, FloatArray]]

    @classmethod
    def of(cls, network: Callable[[Tensor], Tensor], inputs: Sequence[Tensor], output: str) -> "GraphParity":
        """Run a network on inputs."""
        with torch.inference_mode():
            return cls(output, [(each.numpy(), network(each).numpy()) for each in inputs])

    def error(self, model: ModelProto) -> float:
        """Return the largest error of an output, relative to the largest value of the output; NaN if any is.

        Raises
        ------
        ModelError
            An output has another shape.
        """
        errors = []
        for given, expected in self.pairs:
            (found,) = run_model(model, [self.output], given)
            if found.shape != expected.shape:
                raise ModelError(f"the exported graph gives {found.shape}, not {expected.shape}")
            errors.append(np.abs(found - expected).max() / max(1e-12, float(np.abs(expected).max())))
        return float(np.max(errors))

    def check(self, model: ModelProto) -> None:
        """Raise a `ModelError` if an output differs by more than `parity.TOLERANCE`."""
        error = self.error(model)
        if not error <= TOLERANCE:
            raise ModelError(f"the exported graph differs from the network by {error:.2g}: not written")


def export_checked(
    module: nn.Module, inputs: Sequence[Tensor], *, output: str, others: Sequence[str] = ()
) -> tuple[ModelProto, GraphParity]:
    """Export a module whose inputs and outputs begin with a batch, and compare it with torch.

    Parameters
    ----------
    module : nn.Module
        In evaluation mode.
    inputs : sequence of Tensor
        What both compute; the last one has a batch of two or more.
    output : str
        Name of the output that is compared: the only one, or the first.
    others : sequence of str
        Names of further outputs.

    Raises
    ------
    ModelError
        The graph's outputs differ from the module's.
    """

    def compute(given: Tensor) -> Tensor:
        found = module(given)
        first: Tensor = found[0] if others else found
        return first

    parity = GraphParity.of(compute, inputs, output)
    model = export_graph(module, inputs[-1], output=(output, *others), axes={0: "batch"})
    parity.check(model)
    return model, parity
