"""The ONNX graph of a torch module."""

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from onnx import ModelProto
from torch import Tensor, nn

from stemsplit.training.release.onnx_graph import strip_metadata

_INPUT = "mixture"
_OPSET = 18


def export_graph(
    module: nn.Module, example: Tensor, *, output: str | Sequence[str], axes: Mapping[int, str]
) -> ModelProto:
    """Export a module of one input, called ``mixture``, see `export_inputs`.

    Parameters
    ----------
    module : nn.Module
        In evaluation mode.
    example : Tensor
        An input; axes of length one cannot vary.
    output : str or sequence of str
        Name of the output, or of each of them.
    axes : mapping of int to str
        Axes of the input that vary, and what they are called.
    """
    dims = {axis: torch.export.Dim(name) for axis, name in axes.items()}
    outputs = [output] if isinstance(output, str) else list(output)
    return export_inputs(module, {_INPUT: example}, outputs=outputs, axes={_INPUT: dims})


def export_inputs(
    module: nn.Module,
    examples: Mapping[str, Tensor],
    *,
    outputs: Sequence[str],
    axes: Mapping[str, Mapping[int, Any]],
) -> ModelProto:
    """Export a module without metadata.

    Parameters
    ----------
    module : nn.Module
        In evaluation mode.
    examples : mapping of str to Tensor
        Inputs, as ``forward`` calls them; axes of length one cannot vary.
    outputs : sequence of str
        Names of the outputs.
    axes : mapping of str to mapping of int to `torch.export.Dim`
        For each input the axes that vary.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deprecations within torch
        program = torch.onnx.export(
            module,
            tuple(examples.values()),
            opset_version=_OPSET,
            dynamo=True,
            verbose=False,
            input_names=list(examples),
            output_names=list(outputs),
            dynamic_shapes={name: dict(dims) for name, dims in axes.items()},
        )
    assert program is not None
    return strip_metadata(program.model_proto)
