"""Overlapping segments of a waveform, all of one length, and their weights.

Segment ``k`` begins ``k * step - lead`` samples into the song, and there is one for every ``k`` that begins
before the song ends. `stemsplit.dsp.cross_fade.WeightedOverlapAdd` joins them; the weight of a sample depends
on its place in the segment alone. All positions follow from the length of the song, never from how it was
read.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from stemsplit.errors import SettingsError
from stemsplit.types import FloatArray

FADES = ("linear", "hann", "triangle")
# weights are positive, so that the last sample of a song can be divided by its weight
_MIN_WEIGHT = 1e-8


@dataclass(frozen=True)
class SegmentSpec:
    """Lengths of the segments in samples.

    Parameters
    ----------
    length
        Samples of a segment.
    step
        Samples from one segment to the next.
    lead
        Samples of silence before the song in the first segment.
    trim
        Samples at either end of a segment that are discarded; `lead` at most.
    fade
        Weights of a segment: ``linear`` ramps over the overlap with a neighbour, ``triangle`` rises to the
        middle and falls from there, ``hann`` is a raised cosine.
    centre_last
        Move a segment that reaches beyond the end of the song back by half of the missing samples, instead of
        padding it with zeros.

    Raises
    ------
    SettingsError
        If the segments leave gaps.
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
                f"segments of {self.length} samples, {self.trim} discarded at either end and "
                f"{self.step} apart, do not cover the song; use a shorter overlap"
            )

    def delay(self, n_samples: int) -> "SegmentSpec":
        """Return a spec whose first segment has `n_samples` more before the song, as far as they fit."""
        return replace(self, lead=min(self.lead + n_samples, self.length - 1))

    @cached_property
    def weights(self) -> FloatArray:
        """The weight of every sample of a segment, ``(length,)``; 0 where it is trimmed."""
        n_kept = self.length - 2 * self.trim
        place = np.arange(n_kept)
        n_to_end = np.minimum(place, place[::-1]) + 1
        if self.fade == "hann":
            kept = np.hanning(n_kept) if self.step < n_kept else np.ones(n_kept)
        elif self.fade == "triangle":
            kept = n_to_end / n_to_end.max()
        else:
            kept = np.minimum(1, n_to_end / (n_kept - self.step + 1))
        return np.pad(np.maximum(kept, _MIN_WEIGHT), self.trim).astype(np.float32)


@dataclass(frozen=True)
class Segment:
    """Input of a model, ``(channels, length)``; `kept` are the samples of its output that are used."""

    waveform: FloatArray
    kept: slice
    is_last: bool


class Segmenter:
    """Cuts a stream of samples into segments."""

    def __init__(self, spec: SegmentSpec, *, n_channels: int) -> None:
        self._spec = spec
        # the samples into which a last segment may be moved back
        self._history = spec.length if spec.centre_last else 0
        self._buffer = np.zeros((n_channels, self._history + spec.lead), dtype=np.float32)
        self._start = -self._history  # of the buffer, relative to the first segment
        self._next = 0

    def process(self, waveform: FloatArray) -> Iterator[Segment]:
        """Take ``(channels, samples)``; yield the segments that are complete and not the last."""
        spec = self._spec
        self._buffer = np.concatenate([self._buffer, waveform], axis=1)
        while self._n_received > self._next * spec.step + max(spec.length, spec.step):
            yield self._cut(spec.length, is_last=False)

    def flush(self) -> Iterator[Segment]:
        """Yield the remaining segments."""
        spec = self._spec
        while self._next * spec.step < self._n_received:
            n_left = self._n_received - self._next * spec.step
            yield self._cut(min(n_left, spec.length), is_last=n_left <= spec.step)

    @property
    def _n_received(self) -> int:
        return self._start + self._buffer.shape[1]

    def _cut(self, n_kept: int, *, is_last: bool) -> Segment:
        spec = self._spec
        n_missing = spec.length - n_kept
        n_before = n_missing // 2 if spec.centre_last else 0
        first = self._next * spec.step - n_before - self._start
        available = self._buffer[:, first : first + spec.length]
        waveform = np.pad(available, ((0, 0), (0, spec.length - available.shape[1])))
        self._next += 1
        n_dropped = max(0, self._next * spec.step - self._history - self._start)
        self._buffer = self._buffer[:, n_dropped:]
        self._start += n_dropped
        return Segment(waveform, slice(n_before, n_before + n_kept), is_last)
