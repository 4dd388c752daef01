"""Overlapping segments of a waveform, all of one length, and the weighted sum that joins what became of them.

Segment ``k`` begins ``k * step - lead`` samples into the song and there is one for every ``k`` that begins
before the song ends. Each sample is the mean of what the segments that hold it became, weighted by how far
from their ends they hold it; the weights depend on the place in the segment alone. All of this follows from
the length of the song, never from how it was read.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from stemsplit.errors import SettingsError
from stemsplit.types import FloatArray

FADES = ("linear", "hann", "triangle")
# weights are never zero, so that the last sample of a song has some
_LEAST_WEIGHT = 1e-8


@dataclass(frozen=True)
class SegmentSpec:
    """Lengths in samples.

    Parameters
    ----------
    length
        Samples of a segment.
    step
        Samples from one segment to the next.
    lead
        Samples of silence before the song in the first segment.
    trim
        Samples at either end of a segment that are thrown away; `lead` at most.
    fade
        Weights of a segment: ``linear`` falls to the ends over what is shared with a neighbour, ``triangle``
        from the middle on, ``hann`` is a raised cosine.
    centre_last
        A segment that reaches beyond the end of the song is moved back by half of what is missing, into the
        music before it, instead of being filled up with silence.

    Raises
    ------
    SettingsError
        If the segments do not overlap or meet.
    """

    length: int
    step: int
    lead: int = 0
    trim: int = 0
    fade: str = "linear"
    centre_last: bool = False

    def __post_init__(self) -> None:
        assert self.fade in FADES
        if not (0 < self.step <= self.length - 2 * self.trim and self.trim <= self.lead < self.length):
            raise SettingsError(
                f"segments of {self.length} samples, {self.trim} thrown away at either end and "
                f"{self.step} apart, do not cover the song; use a shorter overlap"
            )

    def delayed(self, n_samples: int) -> "SegmentSpec":
        """The same with the song `n_samples` later in the first segment, as far as some of it stays there."""
        return replace(self, lead=min(self.lead + n_samples, self.length - 1))

    @cached_property
    def weights(self) -> FloatArray:
        """Weight of every sample of a segment, ``(length,)``, zero where it is trimmed."""
        n_kept = self.length - 2 * self.trim
        place = np.arange(n_kept)
        to_the_end = np.minimum(place, place[::-1]) + 1
        if self.fade == "hann":
            kept = np.hanning(n_kept) if self.step < n_kept else np.ones(n_kept)
        elif self.fade == "triangle":
            kept = to_the_end / to_the_end.max()
        else:
            kept = np.minimum(1, to_the_end / (n_kept - self.step + 1))
        return np.pad(np.maximum(kept, _LEAST_WEIGHT), self.trim).astype(np.float32)


@dataclass(frozen=True)
class Segment:
    """What the network hears, ``(channels, length)``, and the samples of it that count."""

    waveform: FloatArray
    kept: slice
    is_last: bool


class Segmenter:
    """A waveform in, segments out, block by block."""

    def __init__(self, spec: SegmentSpec, *, n_channels: int) -> None:
        self._spec = spec
        # with what a last segment may be moved back into
        self._history = spec.length if spec.centre_last else 0
        self._buffer = np.zeros((n_channels, self._history + spec.lead), dtype=np.float32)
        self._start = -self._history  # place of the buffer, counted from where the first segment begins
        self._next = 0

    def process(self, waveform: FloatArray) -> Iterator[Segment]:
        """Take ``(channels, samples)``; yield the segments that are whole and cannot be the last."""
        spec = self._spec
        self._buffer = np.concatenate([self._buffer, waveform], axis=1)
        while self._n_seen > self._next * spec.step + max(spec.length, spec.step):
            yield self._cut(spec.length, is_last=False)

    def flush(self) -> Iterator[Segment]:
        """Yield the remaining segments."""
        spec = self._spec
        while self._next * spec.step < self._n_seen:
            n_left = self._n_seen - self._next * spec.step
            yield self._cut(min(n_left, spec.length), is_last=n_left <= spec.step)

    @property
    def _n_seen(self) -> int:
        return self._start + self._buffer.shape[1]

    def _cut(self, n_kept: int, *, is_last: bool) -> Segment:
        spec = self._spec
        missing = spec.length - n_kept
        before = missing // 2 if spec.centre_last else 0
        first = self._next * spec.step - before - self._start
        found = self._buffer[:, first : first + spec.length]
        waveform = np.pad(found, ((0, 0), (0, spec.length - found.shape[1])))
        self._next += 1
        drop = max(0, self._next * spec.step - self._history - self._start)
        self._buffer = self._buffer[:, drop:]
        self._start += drop
        return Segment(waveform, slice(before, before + n_kept), is_last)


class SegmentJoin:
    """What became of the kept samples of each segment in, one waveform out."""

    def __init__(self, spec: SegmentSpec) -> None:
        self._spec = spec
        self._sum: FloatArray | None = None
        self._weight = np.zeros(0, dtype=np.float32)
        self._to_drop = spec.lead

    def process(self, estimates: FloatArray, *, is_last: bool) -> FloatArray:
        """Take ``(channels, samples)``; return the samples that no later segment can change."""
        weights = self._spec.weights[: estimates.shape[-1]]
        if self._sum is None:
            self._sum = np.zeros((len(estimates), 0), dtype=np.float32)
        missing = max(0, len(weights) - len(self._weight))
        total = np.pad(self._sum, ((0, 0), (0, missing)))
        weight = np.pad(self._weight, (0, missing))
        total[:, : len(weights)] += weights * estimates
        weight[: len(weights)] += weights
        done = len(weight) if is_last else self._spec.step
        self._sum, self._weight = total[:, done:], weight[done:]
        joined = np.divide(total, weight, out=np.zeros_like(total), where=weight > 0)[:, :done]
        dropped = min(self._to_drop, joined.shape[1])
        self._to_drop -= dropped
        return joined[:, dropped:]
