"""Parity of any exported graph with torch: the same outputs for the same inputs."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from onnx import ModelProto
from torch import Tensor

from stemsplit.errors import ModelError
from stemsplit.training.release.onnx_graph import run_model
from stemsplit.training.release.parity import TOLERANCE
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
