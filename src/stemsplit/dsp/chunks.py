"""Overlapping chunks of a spectrogram, each with context on both sides.

Chunk ``k`` covers the frames from ``k * step`` to ``k * step + step + fade``; the model also gets `context`
real frames on either side of them, where the song has any. Neighbours share `fade` frames, which
`stemsplit.dsp.cross_fade.CrossFade` joins. The last chunk ends with the song. All positions follow from the
number of frames alone, never from how they were read.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from stemsplit.errors import SettingsError
from stemsplit.types import ComplexArray


@dataclass(frozen=True)
class ChunkSpec:
    """Lengths of the chunks in frames.

    Parameters
    ----------
    step
        Frames from one chunk to the next, at least 1.
    fade
        Frames that two neighbours share, from 0 to `step`.
    context
        Frames on either side that are input of the model and discarded from its output.

    Raises
    ------
    SettingsError
        If a length is out of its range.
    """

    step: int
    fade: int
    context: int

    def __post_init__(self) -> None:
        if self.step < 1 or self.context < 0 or not 0 <= self.fade <= self.step:
            raise SettingsError(
                f"chunks of {self.step + self.fade} frames cannot overlap by {self.fade} frames; "
                "use a longer chunk or a shorter overlap (at most half of the chunk)"
            )

    @property
    def reach(self) -> int:
        """Frames from the start of a chunk to the last one that is needed to tell that it is not the last."""
        return self.step + self.fade + max(self.context, 1)

    @classmethod
    def from_seconds(
        cls, *, chunk_s: float, overlap_s: float, context_s: float, frames_per_s: float
    ) -> "ChunkSpec":
        """Make a spec from lengths in seconds, rounded to frames; the context is rounded up."""
        fade = round(overlap_s * frames_per_s)
        step = max(1, round(chunk_s * frames_per_s) - fade)
        return cls(step=step, fade=fade, context=int(np.ceil(context_s * frames_per_s - 1e-6)))


@dataclass(frozen=True)
class Chunk:
    """Input frames of a model, ``(channels, bins, frames)``; `kept` are those that the chunk covers."""

    spectrogram: ComplexArray
    kept: slice
    is_last: bool


class Chunker:
    """Cuts a stream of frames into chunks."""

    def __init__(self, spec: ChunkSpec) -> None:
        self._spec = spec
        self._buffer: ComplexArray | None = None
        self._buffer_start = 0
        self._next = 0

    def process(self, spectrogram: ComplexArray) -> Iterator[Chunk]:
        """Take ``(channels, bins, frames)``; yield the chunks that are complete and not the last."""
        spec = self._spec
        self._append(spectrogram)
        while self._n_received >= self._next * spec.step + spec.reach:
            stop = self._next * spec.step + spec.step + spec.fade
            yield self._cut(stop, stop + spec.context, is_last=False)

    def flush(self) -> Iterator[Chunk]:
        """Yield the remaining chunks; the last one may be shorter than the others."""
        spec = self._spec
        while self._n_received:
            stop = self._next * spec.step + spec.step + spec.fade
            is_last = stop >= self._n_received
            yield self._cut(
                min(stop, self._n_received), min(stop + spec.context, self._n_received), is_last=is_last
            )
            if is_last:
                return

    @property
    def _n_received(self) -> int:
        return self._buffer_start + (0 if self._buffer is None else self._buffer.shape[-1])

    def _append(self, spectrogram: ComplexArray) -> None:
        if self._buffer is None:
            self._buffer = spectrogram
        elif spectrogram.shape[-1]:
            # frame by frame in memory, as the STFT builds them
            frames = [self._buffer.swapaxes(-1, -2), spectrogram.swapaxes(-1, -2)]
            self._buffer = np.concatenate(frames, axis=-2).swapaxes(-1, -2)

    def _cut(self, stop: int, context_stop: int, *, is_last: bool) -> Chunk:
        assert self._buffer is not None
        start = self._next * self._spec.step
        first = max(0, start - self._spec.context)
        spectrogram = self._buffer[..., first - self._buffer_start : context_stop - self._buffer_start]
        self._next += 1
        drop = max(0, self._next * self._spec.step - self._spec.context) - self._buffer_start
        self._buffer = self._buffer[..., drop:]
        self._buffer_start += drop
        return Chunk(spectrogram, slice(start - first, stop - first), is_last)
