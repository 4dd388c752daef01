"""An external model with masks, or with magnitudes that become masks."""

from collections.abc import Sequence, Set
from typing import TYPE_CHECKING

import numpy as np

from stemsplit.models.activity import ActivityModel
from stemsplit.models.features import split_parts
from stemsplit.models.mask_model import ModelInfo
from stemsplit.types import ComplexArray, FloatArray

if TYPE_CHECKING:
    from stemsplit.models.description import Description
    from stemsplit.models.external_graph import ExternalGraph


class SpectralModel:
    """Spectrograms in, masks out, like `stemsplit.models.mask_model.MaskModel`."""

    def __init__(self, info: ModelInfo, spec: "Description", graphs: "Sequence[ExternalGraph]") -> None:
        self.info = info
        self.spec = spec
        self._graphs = graphs

    @property
    def activity(self) -> ActivityModel | None:
        """The output that states where targets play; None if the model has none."""
        session = self._graphs[0].activity
        is_plain = self.spec.features == "magnitude" and self.spec.n_frames and len(self._graphs) == 1
        return ActivityModel(self.spec, session) if session and is_plain else None

    def __call__(self, spectrograms: ComplexArray, wanted: Set[int] | None = None) -> FloatArray:
        """Mask ``(batch, channels, bins, frames)``: ``(batch, targets, channels, bins, frames)``.

        Only the targets numbered in `wanted` (all for None) need be right.
        """
        spec = self.spec
        n_bins, n_frames = spectrograms.shape[-2:]
        band = slice(spec.zeroed_bins, spec.n_bins or n_bins)
        kept = spectrograms[:, :, : band.stop].copy()
        kept[:, :, : band.start] = 0
        estimates = self._estimate(kept, None if spec.masking == "ratio" else wanted)
        masks = np.zeros((*estimates.shape[:3], n_bins, n_frames), dtype=np.float32)
        masks[:, :, :, band] = self._to_masks(estimates, kept)[:, :, :, band.start :]
        if spec.mask_extension == "average":
            masks[:, :, :, band.stop :] = masks[:, :, :, band].mean(axis=3, keepdims=True)
        return masks

    def _estimate(self, spectrograms: ComplexArray, wanted: Set[int] | None) -> FloatArray:
        """Run the graphs on ``(batch, channels, bins, frames)``."""
        spec = self.spec
        n_frames = spectrograms.shape[-1]
        missing = spec.n_frames - n_frames if spec.n_frames else 0
        assert missing >= 0, "a chunk is longer than the network takes"
        padded = np.pad(spectrograms, ((0, 0), (0, 0), (0, 0), (0, missing)))
        features = np.abs(padded) if spec.features == "magnitude" else split_parts(padded)
        features *= np.float32(spec.input_scale)
        scale = spec.compensate if spec.output_kind == "mask" else spec.compensate / spec.input_scale
        shape = (len(spectrograms), 1, *spectrograms.shape[1:3], padded.shape[-1])
        found = [
            graph(features)[0]
            if wanted is None or not wanted.isdisjoint(graph.places)
            else np.zeros(shape, dtype=np.float32).repeat(len(graph.places), axis=1)
            for graph in self._graphs
        ]
        return np.concatenate(found, axis=1)[..., :n_frames] * np.float32(scale)

    def _to_masks(self, estimates: FloatArray, mixture: ComplexArray) -> FloatArray:
        spec = self.spec
        if spec.output_kind == "mask":
            return estimates
        if spec.masking == "ratio":
            return share(estimates)
        magnitude = np.abs(mixture)[:, None]
        return np.divide(estimates, magnitude, out=np.zeros_like(estimates), where=magnitude > 1e-20)


def share(magnitudes: FloatArray) -> FloatArray:
    """Turn magnitudes ``(batch, targets, ...)`` into masks that sum to one over the targets.

    Where all are silent each gets the same (Hennequin et al. 2020, Spleeter's published code).
    """
    epsilon = np.float32(1e-10)
    power = np.square(magnitudes)
    total = power.sum(axis=1, keepdims=True) + epsilon
    return np.asarray((power + epsilon / power.shape[1]) / total)
