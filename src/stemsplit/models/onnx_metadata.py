"""The metadata of an ``.onnx`` file, read without onnxruntime and without reading the network.

They are the fields 14 of the file (`ModelProto.metadata_props`), each a message of a key (1) and a value (2);
the network, field 7, is stepped over.
"""

from pathlib import Path

import numpy as np

from stemsplit.errors import ModelError
from stemsplit.models.protobuf import read_fields

METADATA_FIELD = 14


def read_metadata(path: Path) -> dict[str, str]:
    """Return the metadata of the model at `path`, in well under a millisecond.

    Raises
    ------
    ModelError
        If the file cannot be read or is no ONNX model.
    """
    try:
        fields = read_fields(np.memmap(path, dtype=np.uint8, mode="r").data)
        entries = [_read_texts(value) for number, value in fields if number == METADATA_FIELD]
    except OSError as error:
        raise ModelError(f"{path}: the model cannot be read: {error.strerror}") from error
    except ValueError as error:  # an empty file cannot be mapped
        raise ModelError(f"{path}: not an ONNX model: {error}") from error
    return {entry.get(1, ""): entry.get(2, "") for entry in entries}


def _read_texts(entry: int | memoryview) -> dict[int, str]:
    if isinstance(entry, int):
        raise ValueError("metadata stored as a number")
    fields = read_fields(entry)
    return {number: bytes(value).decode() for number, value in fields if not isinstance(value, int)}
