"""One graph of a foreign model, open: an array in, an array out, both float32."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from stemsplit.errors import DeviceError, ModelError
from stemsplit.models.device import Device, open_session
from stemsplit.models.mask_model import DeviceMemoryError, is_out_of_memory
from stemsplit.types import FloatArray

MAX_CALL_BYTES = 4 * 2**30


class Graph:
    """An ``.onnx`` file with one input and one output. Safe to call from several threads.

    Attributes
    ----------
    input_shape, output_shape
        As declared; None where an axis may have any length.

    Raises
    ------
    ModelError
        If the file cannot be run, takes or gives more than one array, other than float32, or more than
        `MAX_CALL_BYTES` at a call.
    DeviceError
        If it cannot run on `device`.
    """

    def __init__(self, path: Path, *, device: Device, threads: int | None = None) -> None:
        self.path = path
        self._session = open_session(path, device, threads=threads)
        self._input, self.input_shape = self._inspect("takes", self._session.get_inputs())
        self._output, self.output_shape = self._inspect("gives", self._session.get_outputs())

    def _inspect(self, verb: str, nodes: Sequence[Any]) -> tuple[str, tuple[int | None, ...]]:
        if len(nodes) != 1:
            names = ", ".join(node.name for node in nodes)
            raise ModelError(f"{self.path}: the graph {verb} {len(nodes)} arrays ({names}); it must be one")
        (node,) = nodes
        if node.type != "tensor(float)":
            raise ModelError(f"{self.path}: the graph {verb} {node.type}; it must be tensor(float)")
        shape = tuple(size if isinstance(size, int) and size > 0 else None for size in node.shape)
        n_bytes = 4 * math.prod(size or 1 for size in shape)
        if n_bytes > MAX_CALL_BYTES:
            raise ModelError(
                f"{self.path}: the graph {verb} {list(shape)} at a call, {n_bytes / 2**30:.1f} GiB; "
                f"at most {MAX_CALL_BYTES / 2**30:.0f} GiB are accepted"
            )
        return node.name, shape

    def __call__(self, array: FloatArray, *, batch_axis: int = 0) -> FloatArray:
        """Run the graph; where memory runs out, or the graph takes one item only, on parts of the batch."""
        n_batch = array.shape[batch_axis]
        if n_batch > 1 and self.input_shape[batch_axis] == 1:
            return self._run_parts(array, batch_axis, n_batch)
        try:
            return self._run(array)
        except DeviceMemoryError as error:
            if n_batch == 1:
                raise DeviceError(
                    f"{self.path}: not enough memory for one call on the device ({error}); use --device cpu"
                ) from error
            return self._run_parts(array, batch_axis, 2)

    def _run_parts(self, array: FloatArray, batch_axis: int, n_parts: int) -> FloatArray:
        parts = np.array_split(array, n_parts, axis=batch_axis)
        done = [self(np.ascontiguousarray(part), batch_axis=batch_axis) for part in parts]
        return np.concatenate(done, axis=batch_axis)

    def _run(self, array: FloatArray) -> FloatArray:
        try:
            found: FloatArray = self._session.run([self._output], {self._input: array})[0]
        except Exception as error:  # onnxruntime's own errors share no base class
            if is_out_of_memory(error):
                raise DeviceMemoryError(str(error)) from error
            raise ModelError(f"{self.path}: the network failed: {error}") from error
        return found
