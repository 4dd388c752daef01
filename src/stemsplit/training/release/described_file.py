"""A model file whose properties stand in a description beside it, as those of other people's models do."""

from pathlib import Path

import onnx
from onnx import ModelProto

from stemsplit.errors import SettingsError
from stemsplit.files.atomic import whole_file
from stemsplit.models.description import Description
from stemsplit.models.description_file import format_description
from stemsplit.models.integrity import hash_file
from stemsplit.training.release.graph_parity import GraphParity
from stemsplit.training.release.parity import TOLERANCE, convert_to_fp16


def check_suffix(path: Path) -> None:
    """Raise `SettingsError` if a model file is not called ``NAME.onnx``."""
    if path.suffix != ".onnx":
        raise SettingsError(f"{path}: name an .onnx file")


def write_described(
    model: ModelProto,
    path: Path,
    description: Description,
    *,
    parity: GraphParity,
    weights: str,
    tolerance: float = TOLERANCE,
) -> None:
    """Write ``NAME.onnx``, and ``NAME.toml`` beside it, which describes the file and names it.

    Parameters
    ----------
    model : ModelProto
        The graph.
    path : Path
        The ``.onnx`` file.
    description : Description
        Of the file.
    parity : GraphParity
        What the graph must compute.
    weights : str
        Storage of the weights, "fp16" or "fp32".
    tolerance : float
        Largest error that storage as float16 may cause.
    """
    if weights == "fp16":
        model = convert_to_fp16(model, parity, tolerance=tolerance)
    onnx.checker.check_model(model)
    with whole_file(path) as file:
        file.write(model.SerializeToString())
    text = format_description(description, {path.name: hash_file(path)})
    with whole_file(path.with_suffix(".toml")) as file:
        file.write(text.encode())
