"""A model: one self-contained ``.onnx`` that says in its metadata all that is needed to run it.

The graph takes ``mixture``, float32, and gives ``mask``, float32 in [0, 1]:

- features ``complex``: ``(batch, 2 * channels, bins, frames)``, real and imaginary part of each channel;
- features ``magnitude``: ``(batch, channels, bins, frames)``;
- output: ``(batch, targets, channels, rows, frames)``, where each row is the mask of one bin or of several
  neighbours (`ModelSpec.mask_widths`): a mask coarse in frequency need not be stored or moved in full.
"""

import hashlib
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from stemsplit.errors import DeviceError, ModelError
from stemsplit.models.device import Device, open_session
from stemsplit.models.licence import UNKNOWN, Commercial
from stemsplit.models.properties import ModelProperties
from stemsplit.models.spec import ModelSpec
from stemsplit.types import ComplexArray, FloatArray

_SETTLED_S = 3.0
_hashes: dict[tuple[int, ...], str] = {}


@dataclass(frozen=True)
class ModelInfo:
    """A model file and what it says about itself."""

    path: Path
    sha256: str
    spec: ModelProperties

    @property
    def name(self) -> str:
        """The model's name."""
        return self.spec.name

    @property
    def version(self) -> str:
        """The model's version."""
        return self.spec.version

    @property
    def licence(self) -> str:
        """The model's licence; ``unknown`` where nobody knows."""
        return self.spec.licence or UNKNOWN

    @property
    def commercial(self) -> Commercial:
        """Whether commercial use is allowed: True, False or ``unknown``."""
        return self.spec.commercial


class MaskModel:
    """An open model: spectrograms in, masks out. Safe to call from several threads.

    Raises
    ------
    ModelError
        If the file is missing, is no ONNX model, or lacks metadata.
    DeviceError
        If the model cannot run on `device`.
    """

    def __init__(self, path: Path, *, device: Device, threads: int | None = None) -> None:
        sha256 = hash_file(path)
        self._session = open_session(path, device, threads=threads)
        try:
            spec = ModelSpec.from_metadata(self._session.get_modelmeta().custom_metadata_map)
            _check_graph(self._session, spec)
        except ModelError as error:
            raise ModelError(f"{path}: {error}") from error
        self.info = ModelInfo(path, sha256, spec)
        self.spec = spec

    def __call__(self, spectrograms: ComplexArray) -> FloatArray:
        """Return the masks of ``(batch, channels, bins, frames)``.

        The result is ``(batch, targets, channels, rows, frames)``. When the device runs out of memory the
        batch is halved, down to one item.
        """
        try:
            return self._run(spectrograms)
        except DeviceMemoryError as error:
            half = len(spectrograms) // 2
            if half == 0:
                raise DeviceError(
                    f"{self.info.path}: not enough memory for one chunk on the device ({error}); "
                    "use a smaller --chunk or --device cpu"
                ) from error
            return np.concatenate([self(spectrograms[:half]), self(spectrograms[half:])])

    def _run(self, spectrograms: ComplexArray) -> FloatArray:
        features = make_features(spectrograms, self.spec.features)
        try:
            masks: FloatArray = self._session.run(["mask"], {"mixture": features})[0]
        except Exception as error:  # onnxruntime's own errors share no base class
            if is_out_of_memory(error):
                raise DeviceMemoryError(str(error)) from error
            raise ModelError(f"{self.info.path}: the network failed: {error}") from error
        spec = self.spec
        n_batch, n_frames = spectrograms.shape[0], spectrograms.shape[-1]
        expected = (n_batch, len(spec.targets), spec.n_channels, spec.n_rows, n_frames)
        if masks.shape != expected:
            raise ModelError(f"{self.info.path}: the masks have shape {masks.shape}, not {expected}")
        return masks


class DeviceMemoryError(Exception):
    """The device has no room for this batch."""


def is_out_of_memory(error: Exception) -> bool:
    """Tell whether onnxruntime's `error` means that memory ran out."""
    text = str(error).lower()
    signs = ("out of memory", "failed to allocate memory", "cuda failure 2:", "bad_alloc", "bad allocation")
    return any(sign in text for sign in signs)


def make_features(spectrograms: ComplexArray, features: str) -> FloatArray:
    """Turn ``(batch, channels, bins, frames)`` into the input of the network, see the module."""
    if features == "magnitude":
        return np.ascontiguousarray(np.abs(spectrograms))
    n_batch, n_channels, n_bins, n_frames = spectrograms.shape
    parts = np.empty((n_batch, n_channels, 2, n_bins, n_frames), dtype=np.float32)
    parts[:, :, 0] = spectrograms.real
    parts[:, :, 1] = spectrograms.imag
    return parts.reshape(n_batch, 2 * n_channels, n_bins, n_frames)


def hash_file(path: Path) -> str:
    """Return the SHA-256 of a model file, in hexadecimal; it is read once unless it changes.

    Raises
    ------
    ModelError
        If the file cannot be read.
    """
    try:
        with path.open("rb") as file:
            state = os.fstat(file.fileno())
            version = (state.st_dev, state.st_ino, state.st_size, state.st_mtime_ns, state.st_ctime_ns)
            if version not in _hashes:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
                # the clock of a file system is coarse: a change at once would leave the times as they are
                if max(state.st_mtime, state.st_ctime) > time.time() - _SETTLED_S:
                    return digest
                _hashes[version] = digest
            return _hashes[version]
    except OSError as error:
        raise ModelError(f"{path}: the model cannot be read: {error.strerror}") from error


def _check_graph(session: Any, spec: ModelSpec) -> None:
    """Hold the graph's inputs and outputs against the metadata."""
    inputs = {node.name: node.shape for node in session.get_inputs()}
    outputs = {node.name: node.shape for node in session.get_outputs()}
    if list(inputs) != ["mixture"] or "mask" not in outputs:
        raise ModelError(
            f"the graph must take 'mixture' and give 'mask'; it takes {list(inputs)}, gives {list(outputs)}"
        )
    rows = spec.n_channels * (2 if spec.features == "complex" else 1)
    _check_shape("mixture", inputs["mixture"], (None, rows, spec.stft.n_bins, None))
    _check_shape("mask", outputs["mask"], (None, len(spec.targets), spec.n_channels, spec.n_rows, None))


def _check_shape(name: str, found: list[Any], wanted: tuple[int | None, ...]) -> None:
    """Compare a graph's declared shape with the metadata; a free axis is not a number on either side."""
    fits = len(found) == len(wanted) and all(
        wants is None or not isinstance(has, int) or has == wants
        for has, wants in zip(found, wanted, strict=True)
    )
    if not fits:
        raise ModelError(f"the graph's {name!r} has shape {found}; the metadata says {list(wanted)}")
