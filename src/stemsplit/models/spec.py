"""What a model says about itself, in the metadata of its ``.onnx`` file.

Each field of `ModelSpec` is one key, ``stemsplit.<field>``; lists, numbers and truth values are JSON.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from typing import Annotated, Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from stemsplit.dsp.stft import StftSpec
from stemsplit.errors import ModelError
from stemsplit.files.schema import NonEmpty, between, convert, takes_text
from stemsplit.models.licence import Commercial, allows_commercial
from stemsplit.models.limits import MAX_SIZE, ChannelCount, ChunkLength, ContextLength, SampleRate, Size

# fields that a reader of the first version of the format would pass over, and the version that brought each
_ADDED: Final = {"mid_side": 2, "delay_frames": 3}
_VERSIONS: Final = ("1", *map(str, _ADDED.values()))
PREFIX = "stemsplit."
OVERLAP_S = 0.5
NOT_DESCRIBED: Final = (
    f"the metadata key {PREFIX}format_version is missing: not a stemsplit model; one of other people needs a "
    "description: `stemsplit models new-description FILE` drafts it, --describe or --model takes it"
)


@dataclass(frozen=True)
class ModelSpec:
    """What a model says about itself; each field is the metadata key ``stemsplit.<field>``.

    Lengths ending in ``_s`` are seconds, in ``_hz`` hertz, the others samples. `complete` means that the
    masks of all targets sum to one; `remainder` names the target that also receives what no mask reaches
    (content above the model's band); `context_s` is the distance beyond which no frame changes a mask;
    `mask_widths` tells how many bins each row of the mask covers, from low to high (empty: one each);
    `mid_side` means that the graph takes and masks mid and side, ``(left + right) / sqrt(2)`` and
    ``(left - right) / sqrt(2)``, in the places of left and right; `cost_macs_per_s` is the number of
    multiply-adds for a second of audio (None in a file that does not say). A graph with `delay_frames` hands
    on a state from call to call, see `stemsplit.models.mask_stream`; its masks come so many frames late.

    Raises
    ------
    ModelError
        If values contradict each other; the key is named.
    """

    name: Annotated[str, NonEmpty]
    version: str
    targets: Annotated[tuple[Annotated[str, NonEmpty], ...], NonEmpty]
    sample_rate: SampleRate
    n_channels: ChannelCount
    n_fft: Size
    hop_length: Size
    win_length: Size
    analysis_window: str
    synthesis_window: str
    features: Literal["complex", "magnitude"]
    output_kind: Literal["mask"]
    mask_widths: tuple[Annotated[int, between(1, MAX_SIZE)], ...]
    complete: bool
    remainder: str
    chunk_s: ChunkLength
    context_s: ContextLength
    band_limit_hz: Annotated[float, between(0, MAX_SIZE)]
    licence: str
    training_data_licence: str
    attribution: str
    description: str
    cost_macs_per_s: Annotated[int, between(0, 2**62)] | None = None
    mid_side: bool = False
    delay_frames: Annotated[int, between(0, MAX_SIZE)] = 0

    def __post_init__(self) -> None:
        checks = {
            "targets": len(set(self.targets)) == len(self.targets),
            "mask_widths": not self.mask_widths or sum(self.mask_widths) == self.n_fft // 2 + 1,
            "remainder": self.remainder in {"", *self.targets},
            "mid_side": not self.mid_side or self.n_channels == 2,
            # to the sample, since the context is rounded to milliseconds
            "delay_frames": self.delay_frames * self.hop_length <= self.context_s * self.sample_rate + 1,
            "band_limit_hz": 0 < self.band_limit_hz <= self.sample_rate / 2,
        }
        for key, holds in checks.items():
            if not holds:
                value = getattr(self, key)
                raise ModelError(f"metadata {PREFIX}{key} is {value!r}, which contradicts the other values")
        _ = self.stft

    @property
    def n_outputs(self) -> int:
        """How many targets the model gives: all of them."""
        return len(self.targets)

    @property
    def stft(self) -> StftSpec:
        """The STFT that the model was trained with."""
        return StftSpec(
            self.n_fft, self.hop_length, self.win_length, self.analysis_window, self.synthesis_window
        )

    @property
    def n_frames(self) -> int:
        """Frames at a call: as many as there are."""
        return 0

    def propose_overlap(self, chunk_s: float) -> float:
        """Return the cross-fade in seconds: `OVERLAP_S`, or two fifths of a chunk if that is less."""
        return min(OVERLAP_S, chunk_s / 2.5)

    @property
    def source(self) -> str:
        """Where the model comes from: this project."""
        return ""

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
            raise ModelError(NOT_DESCRIBED)
        if found not in _VERSIONS:
            raise ModelError(
                f"the model's format version is {found}; this stemsplit reads {', '.join(_VERSIONS)}"
            )
        values = {
            field.name: text if takes_text(field.type) else _read_json(PREFIX + field.name, text)
            for field in fields(cls)
            if (text := metadata.get(PREFIX + field.name)) is not None
        }
        return convert(values, cls, label=f"metadata {PREFIX}")

    def to_dict(self) -> dict[str, Any]:
        """Return every field by name."""
        return asdict(self)

    def to_metadata(self) -> dict[str, str]:
        """Return the metadata that `from_metadata` reads."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        metadata = {
            PREFIX + key: value if isinstance(value, str) else json.dumps(value)
            for key, value in values.items()
            if value is not None and not (key in _ADDED and not value)
        }
        version = max([1, *(number for key, number in _ADDED.items() if values[key])])
        return {PREFIX + "format_version": str(version), **metadata}


def _read_json(key: str, text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ModelError(f"metadata {key} is {text[:100]!r}, which is not JSON") from error
