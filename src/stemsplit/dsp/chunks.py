"""Overlapping chunks of a spectrogram, each with context on both sides.

Chunk ``k`` covers the frames from ``k * step - lead`` to ``k * step - lead + step + fade``; the model also
gets `context` real frames on either side of them, where the song has any. Neighbours share `fade` frames,
which `stemsplit.dsp.cross_fade.CrossFade` joins. The first chunk begins and the last one ends with the song.
All positions follow from the number of frames alone, never from how they were read.
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
    lead
        Frames by which the first chunk is shorter than the others, less than `step`.

    Raises
    ------
    SettingsError
        If a length is out of its range.
    """

    step: int
    fade: int
    context: int
    lead: int = 0

    def __post_init__(self) -> None:
        lengths_fit = 0 <= self.fade <= self.step and 0 <= self.lead < max(self.step, 1)
        if self.step < 1 or self.context < 0 or not lengths_fit:
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
        while self._n_received >= self._next_stop + max(spec.context, 1):
            stop = self._next_stop
            yield self._cut(stop, stop + spec.context, is_last=False)

    def flush(self) -> Iterator[Chunk]:
        """Yield the remaining chunks; the last one may be shorter than the others."""
        spec = self._spec
        while self._n_received:
            stop = self._next_stop
            is_last = stop >= self._n_received
            yield self._cut(
                min(stop, self._n_received), min(stop + spec.context, self._n_received), is_last=is_last
            )
            if is_last:
                return

    @property
    def _next_start(self) -> int:
        return max(0, self._next * self._spec.step - self._spec.lead)

    @property
    def _next_stop(self) -> int:
        spec = self._spec
        return self._next * spec.step - spec.lead + spec.step + spec.fade

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
        start = self._next_start
        first = max(0, start - self._spec.context)
        spectrogram = joined[..., first - self._start : context_stop - self._start]
        self._next += 1
        n_dropped = max(0, self._next_start - self._spec.context) - self._start
        self._pieces = [joined[..., n_dropped:]]
        self._start += n_dropped
        return Chunk(spectrogram, slice(start - first, stop - first), is_last)
