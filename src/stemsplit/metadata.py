"""The metadata of an ``.onnx`` file, read without onnxruntime and without reading the network.

The file is one protobuf message, a sequence of fields: a tag, whose low three bits say how the value is
stored, then the value. Metadata are the fields 14 (`ModelProto.metadata_props`), each a message of a key (1)
and a value (2); the network, field 7, is stepped over.
"""

import os
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

from stemsplit.errors import ModelError

METADATA_FIELD = 14
_VARINT, _EIGHT_BYTES, _TEXT, _FOUR_BYTES = 0, 1, 2, 5


def read_metadata(path: Path) -> dict[str, str]:
    """Return the metadata of the model at `path`, in well under a millisecond.

    Raises
    ------
    ModelError
        If the file cannot be read or is no ONNX model.
    """
    try:
        with path.open("rb") as file:
            entries = list(_fields(file, os.fstat(file.fileno()).st_size, wanted={METADATA_FIELD}))
        pairs = [dict(_fields(BytesIO(entry), len(entry), wanted={1, 2})) for _, entry in entries]
        return {pair.get(1, b"").decode(): pair.get(2, b"").decode() for pair in pairs}
    except OSError as error:
        raise ModelError(f"{path}: the model cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise ModelError(f"{path}: not an ONNX model: {error}") from error


def _fields(file: BinaryIO, size: int, *, wanted: set[int]) -> Iterator[tuple[int, bytes]]:
    """Number and content of the fields that are `wanted`, all of them stored as bytes."""
    while file.tell() < size:
        tag = _read_varint(file)
        number, kind = tag >> 3, tag & 7
        if kind == _VARINT:
            _read_varint(file)
        elif kind in {_EIGHT_BYTES, _FOUR_BYTES}:
            file.seek(8 if kind == _EIGHT_BYTES else 4, os.SEEK_CUR)
        elif kind == _TEXT:
            length = _read_varint(file)
            if file.tell() + length > size:
                raise ValueError(f"field {number} ends beyond the file")
            if number in wanted:
                yield number, file.read(length)
            else:
                file.seek(length, os.SEEK_CUR)
        else:
            raise ValueError(f"field {number} is of the unknown kind {kind}")


def _read_varint(file: BinaryIO) -> int:
    """Read a number: seven bits a byte, the lowest first; the eighth bit is set where more follow."""
    value = 0
    for shift in range(0, 70, 7):
        byte = file.read(1)
        if not byte:
            break
        value |= (byte[0] & 127) << shift
        if byte[0] < 128:
            return value
    raise ValueError("a number does not end")
