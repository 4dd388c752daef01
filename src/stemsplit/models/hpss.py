"""Harmonic-percussive separation by median filters: a model without a network.

Tones are ridges along time, hits are ridges along frequency. A median over time keeps the former, a median
over frequency the latter, and each bin is shared between them in proportion to the squares of both, as
`librosa.decompose.hpss` does. Half a filter of frames beside a chunk is all the context there is, so that a
song in chunks becomes what the whole song would.

References
----------
D. Fitzgerald, "Harmonic/percussive separation using median filtering", DAFx 2010.
"""

from functools import cache
from pathlib import Path
from typing import Any, Final

import numpy as np

from stemsplit.files.schema import convert
from stemsplit.files.toml import read_toml
from stemsplit.models.integrity import hash_file
from stemsplit.models.mask_model import ModelInfo
from stemsplit.models.spec import ModelSpec
from stemsplit.types import ComplexArray, FloatArray

HPSS: Final = "hpss"
HARMONIC: Final = "harmonic"
PERCUSSIVE: Final = "percussive"
HPSS_FILE: Final = Path(__file__).with_name("hpss.toml")


@cache
def read_hpss() -> tuple[ModelSpec, dict[str, Any]]:
    """Return the properties of the model, and the lengths of its filters."""
    values = read_toml(HPSS_FILE, about="the model without a network")
    return convert(values["description"], ModelSpec, label="hpss "), values["filter"]


class HpssModel:
    """Spectrograms in, masks out, like `stemsplit.models.mask_model.MaskModel`; it runs on the CPU."""

    def __init__(self) -> None:
        self.spec, self._filter = read_hpss()
        self.info = ModelInfo(HPSS_FILE, hash_file(HPSS_FILE), self.spec)

    def __call__(self, spectrograms: ComplexArray) -> FloatArray:
        """Return the masks of ``(batch, channels, bins, frames)``: ``(batch, 2, channels, bins, frames)``."""
        magnitude = np.abs(spectrograms)
        tones = filter_median(magnitude, self._filter["time_frames"], axis=-1)
        hits = filter_median(magnitude, self._filter["frequency_bins"], axis=-2)
        harmonic = share(tones, hits, self._filter["power"])
        return np.stack([harmonic, 1 - harmonic], axis=1)


def filter_median(magnitude: FloatArray, length: int, *, axis: int) -> FloatArray:
    """Return the running median over an odd `length` along an axis, mirrored at both ends.

    scipy's median is many times faster along one axis of one long array than in two dimensions, so the rows
    are put behind each other, with their margins between them.
    """
    from scipy.ndimage import median_filter  # not for separations without it

    margin = length // 2
    rows = np.moveaxis(magnitude, axis, -1)
    padded = np.pad(rows, [(0, 0)] * (rows.ndim - 1) + [(margin, margin)], mode="symmetric")
    filtered = median_filter(padded.reshape(-1), size=length).reshape(padded.shape)
    return np.asarray(np.moveaxis(filtered[..., margin : margin + rows.shape[-1]], -1, axis))


def share(part: FloatArray, rest: FloatArray, power: float) -> FloatArray:
    """Return the share of `part` in the sum of both, each to a power; one half where both are silent."""
    loudest = np.maximum(part, rest)
    is_silent = loudest < np.finfo(np.float32).tiny
    loudest[is_silent] = 1
    # of numbers up to 1, so that no power overflows
    weight, other = (part / loudest) ** power, (rest / loudest) ** power
    weight[is_silent] = other[is_silent] = 0.5
    return np.asarray(weight / (weight + other), np.float32)
