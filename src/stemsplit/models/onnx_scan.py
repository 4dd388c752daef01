"""An ``.onnx`` file of unknown origin, looked through before onnxruntime opens it.

What is looked for: weights in other files, whose names could point anywhere, and operators that only a
library beside onnxruntime could run. Field numbers are those of ``onnx.proto``.
"""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from stemsplit.errors import ModelError
from stemsplit.models.protobuf import MalformedError, read_fields

# operators that onnxruntime brings along
KNOWN_DOMAINS = frozenset({"", "ai.onnx", "com.microsoft"})
MAX_BYTES = 2**31  # of any protocol buffer
MAX_DEPTH = 64
MAX_FIELDS = 5_000_000
MAX_NAME_BYTES = 4096

# the parts of a message that lead to nodes and tensors: field number -> kind of the part
_PARTS: dict[str, dict[int, str]] = {
    "model": {7: "graph", 25: "function"},
    "graph": {1: "node", 5: "tensor", 15: "sparse tensor"},
    "function": {7: "node", 11: "attribute"},
    "node": {5: "attribute"},
    "attribute": {
        5: "tensor",
        6: "graph",
        10: "tensor",
        11: "graph",
        22: "sparse tensor",
        23: "sparse tensor",
    },
    "sparse tensor": {1: "tensor", 2: "tensor"},
    "tensor": {13: "external data"},
    "external data": {},
}
_NODE_DOMAIN = ("node", 7)
_FUNCTION_DOMAIN = ("function", 10)
_ENTRY_KEY, _ENTRY_VALUE = 1, 2


@dataclass
class GraphFile:
    """What an ``.onnx`` file refers to: files with weights, and the domains of its operators."""

    locations: set[str] = field(default_factory=set)
    domains: set[str] = field(default_factory=set)
    own_domains: set[str] = field(default_factory=set)
    n_fields: int = 0

    @classmethod
    def read(cls, path: Path) -> "GraphFile":
        """Look through the file at `path`; nothing is executed and hardly anything copied.

        Raises
        ------
        ModelError
            If the file cannot be read, is no ONNX model, or is nested or divided as no model is.
        """
        found = cls()
        try:
            size = path.stat().st_size
            if not 0 < size <= MAX_BYTES:
                raise ModelError(f"{path}: has {size} bytes; an ONNX model has from 1 to {MAX_BYTES}")
            found._visit("model", np.memmap(path, dtype=np.uint8, mode="r").data, depth=0)
        except MalformedError as error:
            raise ModelError(f"{path}: not an ONNX model ({error}); get a whole copy of the file") from error
        except OSError as error:
            raise ModelError(f"{path}: the model cannot be read: {error.strerror}") from error
        return found

    @property
    def unknown_domains(self) -> list[str]:
        """Domains of operators that neither onnxruntime nor the file itself defines."""
        return sorted(self.domains - self.own_domains - KNOWN_DOMAINS)

    def _visit(self, kind: str, message: memoryview, depth: int) -> None:
        if depth > MAX_DEPTH:
            raise MalformedError(f"nested more than {MAX_DEPTH} deep")
        parts = _PARTS[kind]
        entry: dict[int, str] = {}
        for number, value in read_fields(message):
            self.n_fields += 1
            if self.n_fields > MAX_FIELDS:
                raise MalformedError(f"more than {MAX_FIELDS} parts")
            if isinstance(value, int):
                continue
            if number in parts:
                self._visit(parts[number], value, depth + 1)
            elif (kind, number) == _NODE_DOMAIN:
                self.domains.add(_decode(value))
            elif (kind, number) == _FUNCTION_DOMAIN:
                self.own_domains.add(_decode(value))
            elif kind == "external data":
                entry[number] = _decode(value)
        if entry.get(_ENTRY_KEY) == "location":
            self.locations.add(entry.get(_ENTRY_VALUE, ""))


def _decode(value: memoryview) -> str:
    # what is cut off could lead elsewhere than what is left
    if len(value) > MAX_NAME_BYTES:
        raise MalformedError(f"a name of {len(value)} bytes")
    return bytes(value).decode("utf-8", errors="replace")
