"""An ``.onnx`` file, opened by onnxruntime: arrays in, arrays out, all of them float32."""

import copy
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from stemsplit.errors import DeviceError, ModelError
from stemsplit.models.device import Device, open_session
from stemsplit.types import FloatArray

MAX_CALL_BYTES: Final = 4 * 2**30
_OUT_OF_MEMORY: Final = (
    "out of memory",
    "failed to allocate memory",
    "cuda failure 2:",
    "bad_alloc",
    "bad allocation",
)


@dataclass(frozen=True)
class Tensor:
    """An input or output of a graph; an axis of any length is None in its shape."""

    name: str
    shape: tuple[int | None, ...]


class Session:
    """An open model file. Safe to call from several threads.

    Attributes
    ----------
    path
        The file.
    inputs, outputs
        As declared by the graph, in its order.

    Raises
    ------
    ModelError
        If the file cannot be run, or has inputs or outputs other than float32 or of more than
        `MAX_CALL_BYTES`.
    DeviceError
        If it cannot run on `device`.
    """

    def __init__(self, path: Path, *, device: Device, threads: int | None = None) -> None:
        self.path = path
        self._session = open_session(path, device, threads=threads)
        self.inputs = self._inspect("takes", self._session.get_inputs())
        self.outputs = self._inspect("gives", self._session.get_outputs())

    def select(self, names: Sequence[str]) -> "Session":
        """Return the session with some of its outputs; the others are not computed."""
        selected = copy.copy(self)
        selected.outputs = tuple(tensor for tensor in self.outputs if tensor.name in names)
        return selected

    @property
    def metadata(self) -> Mapping[str, str]:
        """The metadata of the file."""
        found: dict[str, str] = self._session.get_modelmeta().custom_metadata_map
        return found

    def _inspect(self, verb: str, nodes: Sequence[Any]) -> tuple[Tensor, ...]:
        return tuple(self._inspect_tensor(verb, node) for node in nodes)

    def _inspect_tensor(self, verb: str, node: Any) -> Tensor:
        if node.type != "tensor(float)":
            raise ModelError(
                f"{self.path}: the graph {verb} {node.name!r} as {node.type}; it must be tensor(float)"
            )
        shape = tuple(size if isinstance(size, int) and size > 0 else None for size in node.shape)
        n_bytes = 4 * math.prod(size or 1 for size in shape)
        if n_bytes > MAX_CALL_BYTES:
            raise ModelError(
                f"{self.path}: the graph {verb} {list(shape)} at a call, {n_bytes / 2**30:.1f} GiB; "
                f"at most {MAX_CALL_BYTES / 2**30:.0f} GiB are accepted"
            )
        return Tensor(node.name, shape)

    def __call__(
        self, *arrays: FloatArray, batch_axis: int = 0, output_batch_axis: int | None = None
    ) -> tuple[FloatArray, ...]:
        """Run the graph; return its outputs.

        Where memory runs out the batch is halved, down to one item; where the graph takes one item only, it
        gets one after the other.

        Parameters
        ----------
        arrays
            One for each input, in order.
        batch_axis, output_batch_axis
            The axis of the inputs along which the batch may be cut, and the axis of the outputs along which
            the results are joined; None for the same.

        Raises
        ------
        ModelError
            If onnxruntime cannot run the graph on these arrays.
        DeviceError
            If there is no memory for one item.
        """
        n_batch = arrays[0].shape[batch_axis]
        joined_axis = batch_axis if output_batch_axis is None else output_batch_axis
        if n_batch > 1 and self.inputs[0].shape[batch_axis] == 1:
            return self._run_parts(arrays, batch_axis, joined_axis, n_parts=n_batch)
        try:
            return self._run(arrays)
        except _DeviceMemoryError as error:
            if n_batch == 1:
                raise DeviceError(
                    f"{self.path}: not enough memory for one chunk on the device ({error}); "
                    "use a smaller --chunk or --device cpu"
                ) from error
            return self._run_parts(arrays, batch_axis, joined_axis, n_parts=2)

    def _run_parts(
        self, arrays: Sequence[FloatArray], batch_axis: int, joined_axis: int, *, n_parts: int
    ) -> tuple[FloatArray, ...]:
        parts = zip(*(np.array_split(array, n_parts, axis=batch_axis) for array in arrays), strict=True)
        done = [
            self(*map(np.ascontiguousarray, part), batch_axis=batch_axis, output_batch_axis=joined_axis)
            for part in parts
        ]
        return tuple(np.concatenate(found, axis=joined_axis) for found in zip(*done, strict=True))

    def _run(self, arrays: Sequence[FloatArray]) -> tuple[FloatArray, ...]:
        inputs = {tensor.name: array for tensor, array in zip(self.inputs, arrays, strict=True)}
        try:
            return tuple(self._session.run([tensor.name for tensor in self.outputs], inputs))
        except Exception as error:  # onnxruntime's own errors share no base class
            if _is_out_of_memory(error):
                raise _DeviceMemoryError(str(error)) from error
            raise ModelError(f"{self.path}: the network failed: {error}") from error


class _DeviceMemoryError(Exception):
    """The device has no room for this batch."""


def _is_out_of_memory(error: Exception) -> bool:
    """Tell whether onnxruntime's `error` means that memory ran out."""
    text = str(error).lower()
    return any(sign in text for sign in _OUT_OF_MEMORY)
