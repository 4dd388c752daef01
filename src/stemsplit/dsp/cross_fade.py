"""The cross-fade: overlapping outputs of a model become one seamless stream.

`CrossFade` joins chunks of a spectrogram, `WeightedOverlapAdd` joins segments of a waveform.
"""

import numpy as np

from stemsplit.dsp.chunks import ChunkSpec
from stemsplit.dsp.segments import SegmentSpec
from stemsplit.types import ComplexArray, FloatArray


class CrossFade:
    """Joins the kept frames of successive chunks by a linear cross-fade of `ChunkSpec.fade` frames.

    The weights of two neighbours are complementary: they sum to one by construction, without a division.
    The first chunk has no fade-in and the last one no fade-out. Leading axes are free: ``(..., frames)``.
    """

    def __init__(self, spec: ChunkSpec) -> None:
        self._n_fade = spec.fade
        rising = (np.arange(spec.fade, dtype=np.float32) + np.float32(0.5)) / np.float32(max(spec.fade, 1))
        self._rising = rising
        self._falling = np.float32(1) - rising
        self._tail: ComplexArray | None = None

    def process(self, estimates: ComplexArray, *, is_last: bool) -> ComplexArray:
        """Take the kept frames of the next chunk; return the frames that no later chunk can change."""
        n_fade = self._n_fade
        if self._tail is not None and n_fade:
            head = self._tail * self._falling + estimates[..., :n_fade] * self._rising
            estimates = np.concatenate(
                [head.swapaxes(-1, -2), estimates[..., n_fade:].swapaxes(-1, -2)], axis=-2
            ).swapaxes(-1, -2)
        if is_last or not n_fade:
            return estimates
        self._tail = estimates[..., -n_fade:]
        return estimates[..., :-n_fade]


class WeightedOverlapAdd:
    """Joins the kept samples of successive segments: their mean, weighted by `SegmentSpec.weights`."""

    def __init__(self, spec: SegmentSpec) -> None:
        self._spec = spec
        self._sum: FloatArray | None = None
        self._weight = np.zeros(0, dtype=np.float32)
        self._n_to_drop = spec.lead

    def process(self, estimates: FloatArray, *, is_last: bool) -> FloatArray:
        """Take ``(channels, samples)``; return the samples that no later segment can change."""
        weights = self._spec.weights[: estimates.shape[-1]]
        if self._sum is None:
            self._sum = np.zeros((len(estimates), 0), dtype=np.float32)
        n_missing = max(0, len(weights) - len(self._weight))
        total = np.pad(self._sum, ((0, 0), (0, n_missing)))
        weight = np.pad(self._weight, (0, n_missing))
        total[:, : len(weights)] += weights * estimates
        weight[: len(weights)] += weights
        n_done = len(weight) if is_last else self._spec.step
        self._sum, self._weight = total[:, n_done:], weight[n_done:]
        joined = np.divide(total, weight, out=np.zeros_like(total), where=weight > 0)[:, :n_done]
        n_dropped = min(self._n_to_drop, joined.shape[1])
        self._n_to_drop -= n_dropped
        return joined[:, n_dropped:]
