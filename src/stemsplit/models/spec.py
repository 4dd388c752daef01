"""What a model says about itself, in the metadata of its ``.onnx`` file.

Each field of `ModelSpec` is one key, ``stemsplit.<field>``; lists, numbers and truth values are JSON.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, dataclass, fields
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stemsplit.dsp.stft import StftSpec
from stemsplit.errors import ModelError
from stemsplit.models.description import MAX_CHUNK_S, MAX_SIZE
from stemsplit.models.licence import Commercial, allows_commercial

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
    `mask_widths` tells how many bins each row of the mask covers, from low to high (empty: one each);
    `cost_macs_per_s` is the number of multiply-adds for a second of audio (None in a file that does not say).

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
    cost_macs_per_s: int | None = None

    def __post_init__(self) -> None:
        checks: dict[str, bool] = {
            "name": bool(self.name),
            "targets": len(set(self.targets)) == len(self.targets) > 0 and all(self.targets),
            "sample_rate": 0 < self.sample_rate <= MAX_SIZE,
            "n_channels": self.n_channels in (1, 2),
            "n_fft": self.n_fft <= MAX_SIZE,
            "features": self.features in FEATURES,
            "output_kind": self.output_kind in OUTPUT_KINDS,
            "mask_widths": not self.mask_widths
            or (min(self.mask_widths) > 0 and sum(self.mask_widths) == self.n_fft // 2 + 1),
            "remainder": self.remainder == "" or self.remainder in self.targets,
            "chunk_s": 0 < self.chunk_s <= MAX_CHUNK_S,
            "context_s": 0 <= self.context_s <= MAX_CHUNK_S,
            "band_limit_hz": 0 < self.band_limit_hz <= self.sample_rate / 2,
            "cost_macs_per_s": self.cost_macs_per_s is None or self.cost_macs_per_s >= 0,
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
    def commercial(self) -> Commercial:
        """Whether the licence allows commercial use, see `stemsplit.models.licence`."""
        return allows_commercial(self.licence)

    @property
    def exhaustive(self) -> bool:
        """Whether the targets are all there is in the music."""
        return self.complete

    @property
    def regularisation(self) -> float:
        """Of the Wiener filter, see `stemsplit.dsp.wiener`: none, so that its targets sum to the mixture."""
        return 0.0

    @property
    def has_ratio_masks(self) -> bool:
        """Whether a mask is the share of its target in the mixture: the only kind there is."""
        return self.output_kind == "mask"

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
        return cls(**{field.name: _read_value(metadata, field) for field in fields(cls)})

    def to_metadata(self) -> dict[str, str]:
        """Return the metadata that `from_metadata` reads."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        metadata = {
            PREFIX + key: value if isinstance(value, str) else json.dumps(value)
            for key, value in values.items()
            if value is not None
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
    int | None: int,
}


def _read_value(metadata: Mapping[str, str], field: "Field[Any]") -> Any:
    key, text = field.name, metadata.get(PREFIX + field.name)
    if text is None:
        if field.default is not MISSING:
            return field.default
        raise ModelError(f"the metadata key {PREFIX}{key} is missing")
    try:
        return _READERS[field.type](text)
    except (ValueError, KeyError, RecursionError) as error:
        raise ModelError(f"metadata {PREFIX}{key} is {text[:100]!r}, which cannot be read") from error
