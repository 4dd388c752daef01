"""The ONNX graph of a torch module."""

import warnings
from collections.abc import Mapping, Sequence

import torch
from onnx import ModelProto
from torch import Tensor, nn

from stemsplit.training.release.onnx_graph import strip_metadata

_INPUT = "mixture"
_OPSET = 18


def export_graph(
    module: nn.Module, example: Tensor, *, output: str | Sequence[str], axes: Mapping[int, str]
) -> ModelProto:
    """Export a module of one input, called ``mixture``, without metadata.

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
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deprecations within torch
        program = torch.onnx.export(
            module,
            (example,),
            opset_version=_OPSET,
            dynamo=True,
            verbose=False,
            input_names=[_INPUT],
            output_names=[output] if isinstance(output, str) else list(output),
            dynamic_shapes={_INPUT: dims},
        )
    assert program is not None
    return strip_metadata(program.model_proto)
