"""A model: one self-contained ``.onnx`` that says in its metadata all that is needed to run it.

The graph takes ``mixture``, float32, and gives ``mask``, float32 in [0, 1]:

- features ``complex``: ``(batch, 2 * channels, bins, frames)``, real and imaginary part of each channel;
- features ``magnitude``: ``(batch, channels, bins, frames)``;
- output: ``(batch, targets, channels, rows, frames)``, where each row is the mask of one bin or of several
  neighbours (`ModelSpec.mask_widths`): a mask coarse in frequency need not be stored or moved in full.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stemsplit.device import Device, open_session
from stemsplit.errors import DeviceError, ModelError
from stemsplit.stft import StftSpec
from stemsplit.types import ComplexArray, FloatArray

FORMAT_VERSION = 1
PREFIX = "stemsplit."
FEATURES = ("complex", "magnitude")
OUTPUT_KINDS = ("mask",)


@dataclass(frozen=True)
class ModelSpec:
    """What a model says about itself; each field is the metadata key ``stemsplit.<field>``.

    Lengths ending in ``_s`` are seconds, in ``_hz`` hertz, the others samples. `complete` means that the
    masks of all targets sum to one; `remainder` names the target that also receives what no mask reaches
    (content above the model's band); `context_s` is the distance beyond which no frame changes a mask;
    `mask_widths` tells how many bins each row of the mask covers, from low to high (empty: one each).

    Raises
    ------
    ModelError
        If a value is of the wrong kind or out of its range; the key is named.
    """

    name: str
    version: str
    targets: tuple[str, ...]
    sample_rate: int
    n_channels: int
    n_fft: int
    hop_length: int
    win_length: int
    analysis_window: str
    synthesis_window: str
    features: str
    output_kind: str
    mask_widths: tuple[int, ...]
    complete: bool
    remainder: str
    chunk_s: float
    context_s: float
    band_limit_hz: float
    licence: str
    training_data_licence: str
    attribution: str
    description: str

    def __post_init__(self) -> None:
        checks: dict[str, bool] = {
            "name": bool(self.name),
            "targets": len(set(self.targets)) == len(self.targets) > 0 and all(self.targets),
            "sample_rate": self.sample_rate > 0,
            "n_channels": self.n_channels in (1, 2),
            "features": self.features in FEATURES,
            "output_kind": self.output_kind in OUTPUT_KINDS,
            "mask_widths": not self.mask_widths
            or (min(self.mask_widths) > 0 and sum(self.mask_widths) == self.n_fft // 2 + 1),
            "remainder": self.remainder == "" or self.remainder in self.targets,
            "chunk_s": self.chunk_s > 0,
            "context_s": self.context_s >= 0,
            "band_limit_hz": 0 < self.band_limit_hz <= self.sample_rate / 2,
        }
        for key, holds in checks.items():
            if not holds:
                raise ModelError(f"metadata {PREFIX}{key} is {getattr(self, key)!r}, which makes no sense")
        _ = self.stft

    @property
    def stft(self) -> StftSpec:
        """The STFT that the model was trained with."""
        return StftSpec(
            self.n_fft, self.hop_length, self.win_length, self.analysis_window, self.synthesis_window
        )

    @property
    def n_rows(self) -> int:
        """Rows of a mask."""
        return len(self.mask_widths) or self.stft.n_bins

    @cached_property
    def row_of_bin(self) -> NDArray[np.intp] | None:
        """For each bin the row of the mask that holds for it; None if it is its own."""
        if not self.mask_widths:
            return None
        return np.repeat(np.arange(len(self.mask_widths)), self.mask_widths)

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, str]) -> "ModelSpec":
        """Read the metadata of an ``.onnx`` file.

        Raises
        ------
        ModelError
            If a key is missing or wrong; it is named.
        """
        found = metadata.get(PREFIX + "format_version")
        if found is None:
            raise ModelError(f"the metadata key {PREFIX}format_version is missing: not a stemsplit model")
        if found != str(FORMAT_VERSION):
            raise ModelError(
                f"the model's format version is {found}; this stemsplit reads version {FORMAT_VERSION}"
            )
        return cls(**{field.name: _read_value(metadata, field.name, field.type) for field in fields(cls)})

    def to_metadata(self) -> dict[str, str]:
        """Return the metadata that `from_metadata` reads."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        metadata = {
            PREFIX + key: value if isinstance(value, str) else json.dumps(value)
            for key, value in values.items()
        }
        return {PREFIX + "format_version": str(FORMAT_VERSION), **metadata}


def _read_texts(text: str) -> tuple[str, ...]:
    items = json.loads(text)
    if not isinstance(items, list) or not all(isinstance(item, str) for item in items):
        raise ValueError("not a list of texts")
    return tuple(items)


def _read_numbers(text: str) -> tuple[int, ...]:
    items = json.loads(text)
    if not isinstance(items, list) or not all(type(item) is int for item in items):
        raise ValueError("not a list of whole numbers")
    return tuple(items)


def _read_bool(text: str) -> bool:
    return {"true": True, "false": False}[text]


_READERS: dict[Any, Callable[[str], Any]] = {
    str: str,
    int: int,
    float: float,
    bool: _read_bool,
    tuple[str, ...]: _read_texts,
    tuple[int, ...]: _read_numbers,
}


def _read_value(metadata: Mapping[str, str], key: str, kind: Any) -> Any:
    text = metadata.get(PREFIX + key)
    if text is None:
        raise ModelError(f"the metadata key {PREFIX}{key} is missing")
    try:
        return _READERS[kind](text)
    except (ValueError, KeyError) as error:
        raise ModelError(f"metadata {PREFIX}{key} is {text!r}, which cannot be read") from error


@dataclass(frozen=True)
class ModelInfo:
    """A model file and what it says about itself."""

    path: Path
    sha256: str
    spec: ModelSpec

    @property
    def name(self) -> str:
        """The model's name."""
        return self.spec.name

    @property
    def version(self) -> str:
        """The model's version."""
        return self.spec.version


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
        features = make_features(spectrograms, self.info.spec.features)
        try:
            masks: FloatArray = self._session.run(["mask"], {"mixture": features})[0]
        except Exception as error:  # onnxruntime's own errors share no base class
            if is_out_of_memory(error):
                raise DeviceMemoryError(str(error)) from error
            raise ModelError(f"{self.info.path}: the network failed: {error}") from error
        spec = self.info.spec
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
    signs = ("out of memory", "failed to allocate memory", "cuda failure 2", "bad_alloc", "bad allocation")
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
    """Return the SHA-256 of a model file, in hexadecimal.

    Raises
    ------
    ModelError
        If the file cannot be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
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
