"""FFmpeg's frames as float samples, all of one rate and one number of channels.

A file may change both on the way: recordings of broadcasts do, and so do songs that were joined.
"""

from collections.abc import Iterator
from itertools import chain, islice
from typing import Any, Final, NamedTuple

import av
import numpy as np
import soxr

from stemsplit.audio.channel_mask import LAYOUTS
from stemsplit.audio.condition import Condition
from stemsplit.errors import AudioError
from stemsplit.types import FloatArray

# beyond so many planes PyAV reads past the last, out of the process's memory
_MAX_PLANES: Final = 7
_FULL_SCALE: Final = {"u8": 2.0**7, "s16": 2.0**15, "s32": 2.0**31, "s64": 2.0**63}
# Decoders of AAC learn on the way that a core of half the rate, or of one channel, is to be extended.
_AHEAD_FRAMES: Final = 8


class KeptFrame(NamedTuple):
    """A frame of PyAV, and which of its samples belong to the song."""

    frame: Any
    first: int = 0
    last: int | None = None


class FrameConverter:
    """Iterates over the samples of frames, at one rate and in one layout.

    Parameters
    ----------
    frames : iterator of KeptFrame
    condition : Condition
        Where a change on the way is noted.
    least_rate, least_channels : int
        What is known to come later in the file, if more than its first frames have.

    Attributes
    ----------
    sample_rate : int
        In Hz.
    layout : av.AudioLayout
    start_s : float
        Where the first frame begins in the time of its container, in seconds.
    """

    def __init__(
        self,
        frames: Iterator[KeptFrame],
        condition: Condition,
        *,
        least_rate: int = 0,
        least_channels: int = 0,
    ) -> None:
        first, error = _look_ahead(frames)
        self._frames = chain(first, frames if error is None else _raise(error))
        self._condition = condition
        self.is_empty = not first
        self.start_s = float(first[0].frame.time or 0.0) if first else 0.0
        self.sample_rate = max([least_rate, *(kept.frame.sample_rate for kept in first)])
        layouts = [kept.frame.layout for kept in first]
        if least_channels > max((layout.nb_channels for layout in layouts), default=0):
            layouts = [av.AudioLayout(LAYOUTS[least_channels])]
        self.layout: Any = max(layouts, key=lambda layout: layout.nb_channels, default=None)
        self._mixer: Any = None
        self._mixed: tuple[object, ...] = ()

    @property
    def n_channels(self) -> int:
        """Channels of the samples."""
        return int(self.layout.nb_channels) if self.layout else 0

    def __iter__(self) -> Iterator[FloatArray]:
        rates = RateConverter(self.sample_rate, self.n_channels)
        n_yielded = 0
        for frame, first, last in self._frames:
            self._note_change(frame, n_yielded)
            samples = rates.process(self._convert_channels(frame)[:, first:last], frame.sample_rate)
            n_yielded += samples.shape[1]
            yield samples
        yield rates.flush()

    def _note_change(self, frame: Any, n_samples: int) -> None:
        there = n_samples / self.sample_rate
        if frame.sample_rate != self.sample_rate:
            self._condition.note(
                f"at {there:.1f} s it has {frame.sample_rate} Hz; that became {self.sample_rate} Hz",
                of=f"{frame.sample_rate} Hz",
            )
        if frame.layout.nb_channels != self.n_channels:
            self._condition.note(
                f"at {there:.1f} s it is {frame.layout.name}; that became {self.layout.name}",
                of=frame.layout.name,
            )

    def _convert_channels(self, frame: Any) -> FloatArray:
        """Return all samples of a frame: mono goes to all channels, others are mixed as FFmpeg does."""
        if frame.layout.nb_channels == self.n_channels:
            return to_samples(frame)
        if frame.layout.nb_channels == 1:
            return np.repeat(to_samples(frame), self.n_channels, axis=0)
        kind = (frame.layout.name, frame.sample_rate, frame.format.name)
        if kind != self._mixed:
            self._mixed = kind
            self._mixer = av.AudioResampler("flt", self.layout, frame.sample_rate)
        frame.pts = None
        pieces = [to_samples(piece) for piece in self._mixer.resample(frame)]
        return np.concatenate([np.empty((self.n_channels, 0), np.float32), *pieces], axis=1)


def _look_ahead(frames: Iterator[KeptFrame]) -> tuple[list[KeptFrame], AudioError | None]:
    """Take the first frames, and the error that ends them early: its turn comes when it is reached."""
    first: list[KeptFrame] = []
    try:
        for frame in islice(frames, _AHEAD_FRAMES):
            first.append(frame)
    except AudioError as error:
        if not first:
            raise
        return first, error
    return first, None


def _raise(error: AudioError) -> Iterator[KeptFrame]:
    raise error
    yield  # a generator, which raises only when it is asked


class RateConverter:
    """Brings samples to one rate; those that have it already pass unchanged."""

    def __init__(self, sample_rate: int, n_channels: int) -> None:
        self._sample_rate = sample_rate
        self._n_channels = n_channels
        self._source = sample_rate
        self._stream: Any = None

    def process(self, samples: FloatArray, sample_rate: int) -> FloatArray:
        """Return samples of a rate at the one of the converter, behind what a change of rate sets free."""
        before = self.flush() if sample_rate != self._source else None
        self._source = sample_rate
        if sample_rate != self._sample_rate:
            self._stream = self._stream or soxr.ResampleStream(
                sample_rate, self._sample_rate, self._n_channels, dtype="float32"
            )
            samples = self._stream.resample_chunk(np.ascontiguousarray(samples.T)).T
        return samples if before is None else np.concatenate([before, samples], axis=1)

    def flush(self) -> FloatArray:
        """Return what is left of the samples before."""
        rest = np.empty((0, self._n_channels), np.float32)
        if self._stream is not None:
            rest = self._stream.resample_chunk(rest, last=True)
            self._stream = None
        return rest.T


def to_samples(frame: Any) -> FloatArray:
    """Return the samples of a frame, float32 ``(channels, samples)``, full scale 1.0."""
    n_channels = frame.layout.nb_channels
    if frame.format.is_planar and n_channels > _MAX_PLANES:
        (frame,) = av.AudioResampler("flt", frame.layout, frame.sample_rate).resample(frame)
    data = frame.to_ndarray()
    samples = data if frame.format.is_planar else data.reshape(-1, n_channels).T
    kind = frame.format.name.rstrip("p")
    if kind == "flt":
        return np.asarray(samples, dtype=np.float32)
    # what overflows becomes infinite, and is refused by the reader, as NaN is
    with np.errstate(over="ignore", invalid="ignore"):
        values: FloatArray = samples.astype(np.float32)
    if kind not in _FULL_SCALE:
        return values
    return (values - 128 if kind == "u8" else values) / np.float32(_FULL_SCALE[kind])
