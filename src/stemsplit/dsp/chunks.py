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
        self._pieces: list[ComplexArray] = []  # joined when a chunk is cut
        self._start = 0  # of the first piece
        self._n_received = 0
        self._next = 0

    def process(self, spectrogram: ComplexArray) -> Iterator[Chunk]:
        """Take ``(channels, bins, frames)``; yield the chunks that are complete and not the last."""
        spec = self._spec
        self._append(spectrogram)
        reach = spec.step + spec.fade + max(spec.context, 1)
        while self._n_received >= self._next * spec.step + reach:
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

    def _append(self, spectrogram: ComplexArray) -> None:
        self._pieces.append(spectrogram)
        self._n_received += spectrogram.shape[-1]

    def _join(self) -> ComplexArray:
        """Return the frames from the first that is still needed."""
        if len(self._pieces) == 1:
            return self._pieces[0]
        # frame by frame in memory, as the STFT builds them
        return np.concatenate([piece.swapaxes(-1, -2) for piece in self._pieces], axis=-2).swapaxes(-1, -2)

    def _cut(self, stop: int, context_stop: int, *, is_last: bool) -> Chunk:
        joined = self._join()
        start = self._next * self._spec.step
        first = max(0, start - self._spec.context)
        spectrogram = joined[..., first - self._start : context_stop - self._start]
        self._next += 1
        n_dropped = max(0, self._next * self._spec.step - self._spec.context) - self._start
        self._pieces = [joined[..., n_dropped:]]
        self._start += n_dropped
        return Chunk(spectrogram, slice(start - first, stop - first), is_last)
