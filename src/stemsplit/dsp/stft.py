"""The short-time Fourier transform and its inverse, as streams.

A spectrogram is ``(channels, bins, frames)``, complex64. The *framing* says at which sample of the waveform
frame ``t`` starts:

- ``covering``: ``t * hop_length - (n_fft - hop_length)``, with zeros around the waveform; every sample, the
  first and the last included, lies in equally many frames;
- ``centred``: ``t * hop_length - n_fft / 2``, with reflection padding (the default of torch and librosa);
- ``same``: ``t * hop_length - (n_fft - hop_length) / 2``, with reflection padding: one frame for each hop, as
  a convolution with the padding of that name gives (Demucs);
- ``delayed``: ``t * hop_length - n_fft``, with zeros around the waveform.

Windows are periodic; a window shorter than the transform is centred in it. The analysis is not normalised;
the synthesis window is divided by the overlap-add of both windows' product (Griffin & Lim 1984), so that the
inverse restores the waveform.

Arrays are built frame by frame: ``bins`` is the contiguous axis in memory.

References
----------
D. W. Griffin and J. S. Lim, "Signal estimation from modified short-time Fourier transform", IEEE Transactions
on Acoustics, Speech, and Signal Processing 32(2), 1984.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from stemsplit.dsp.reflection_padding import ReflectionPadding
from stemsplit.errors import ModelError
from stemsplit.types import ComplexArray, FloatArray

FRAMINGS = ("covering", "centred", "same", "delayed")
_MIRRORED = ("centred", "same")
WINDOWS = ("hann", "sqrt_hann", "hamming", "rectangular")


def make_window(name: str, length: int) -> FloatArray:
    """Return the periodic window `name`, one of `WINDOWS`, as ``(length,)``.

    >>> make_window("hann", 4).tolist()
    [0.0, 0.5, 1.0, 0.5]
    """
    if name not in WINDOWS:
        raise ModelError(f"unknown window {name!r}; the windows are {', '.join(WINDOWS)}")
    # computed here because importing scipy.signal takes longer than separating a minute of music
    mean = {"hann": 0.5, "sqrt_hann": 0.5, "hamming": 0.54, "rectangular": 1.0}[name]
    window = mean - (1 - mean) * np.cos(2 * np.pi * np.arange(length) / length)
    return np.asarray(np.sqrt(window) if name == "sqrt_hann" else window, dtype=np.float32)


@dataclass(frozen=True)
class StftSpec:
    """The parameters of one STFT, checked for perfect reconstruction.

    Parameters
    ----------
    n_fft
        Length of the transform in samples (6144 samples = 139 ms at 44,100 Hz).
    hop_length
        Samples from one frame to the next, 1 to `n_fft`.
    win_length
        Length of both windows in samples, at most `n_fft`; 0 means `n_fft`.
    analysis_window, synthesis_window
        Names from `WINDOWS`.
    framing
        One of `FRAMINGS`, as the module describes them.

    Raises
    ------
    ModelError
        If a length is out of its range, or if the windows and the hop cannot reconstruct every sample.
    """

    n_fft: int
    hop_length: int
    win_length: int = 0
    analysis_window: str = "sqrt_hann"
    synthesis_window: str = "sqrt_hann"
    framing: str = "covering"

    def __post_init__(self) -> None:
        if self.n_fft < 2 or self.n_fft % 2:
            raise ModelError(f"n_fft is {self.n_fft}; it must be even and at least 2")
        if not 0 < self.hop_length <= self.n_fft:
            raise ModelError(f"hop_length is {self.hop_length}; it must be from 1 to n_fft ({self.n_fft})")
        if not 0 <= self.win_length <= self.n_fft:
            raise ModelError(f"win_length is {self.win_length}; it must be from 0 to n_fft ({self.n_fft})")
        if self.framing not in FRAMINGS:
            raise ModelError(f"unknown framing {self.framing!r}; there are {', '.join(FRAMINGS)}")
        coverage = self._coverage
        if coverage.min() < 1e-3 * coverage.max():
            raise ModelError(
                f"the windows {self.analysis_window!r} and {self.synthesis_window!r} of "
                f"{self.win_length or self.n_fft} samples with hop_length {self.hop_length} cannot "
                "reconstruct their input; use a smaller hop_length"
            )

    @property
    def n_bins(self) -> int:
        """Number of bins of a frame, DC and Nyquist included."""
        return self.n_fft // 2 + 1

    @property
    def padding(self) -> int:
        """Number of samples by which the first frame starts before the waveform."""
        paddings = {
            "covering": self.overlap,
            "centred": self.n_fft // 2,
            "same": self.overlap // 2,
            "delayed": self.n_fft,
        }
        return paddings[self.framing]

    @property
    def is_mirrored(self) -> bool:
        """Whether the ends of the waveform are continued by reflection."""
        return self.framing in _MIRRORED

    @property
    def overlap(self) -> int:
        """Number of samples that a frame shares with its successors."""
        return self.n_fft - self.hop_length

    def n_frames(self, n_samples: int) -> int:
        """Return the number of frames that cover `n_samples` samples (1 or more)."""
        if self.framing == "centred":
            return n_samples // self.hop_length + 1
        if self.framing == "same":
            return -(-n_samples // self.hop_length)
        return (n_samples - 1 + self.padding) // self.hop_length + 1

    def n_samples(self, n_frames: int) -> int:
        """Return the number of samples, in whole hops, that exactly `n_frames` frames cover.

        It is below 1 if there is none.
        """
        if self.framing == "centred":
            return (n_frames - 1) * self.hop_length
        if self.framing == "same":
            return n_frames * self.hop_length
        return n_frames * self.hop_length - self.padding

    @cached_property
    def analysis(self) -> FloatArray:
        """The analysis window, ``(n_fft,)``."""
        return self._padded_window(self.analysis_window)

    @cached_property
    def synthesis(self) -> FloatArray:
        """The synthesis window divided by the overlap-add gain of both windows, ``(n_fft,)``."""
        repeats = -(-self.n_fft // self.hop_length)
        gain = np.tile(self._coverage, repeats)[: self.n_fft]
        window = self._padded_window(self.synthesis_window)
        return np.divide(window, gain, dtype=np.float32, casting="same_kind")

    @cached_property
    def _coverage(self) -> NDArray[np.float64]:
        """One period of the overlap-add gain of both windows, ``(hop_length,)``."""
        product = self._padded_window(self.analysis_window).astype(np.float64)
        product *= self._padded_window(self.synthesis_window)
        folded = np.zeros(-(-self.n_fft // self.hop_length) * self.hop_length)
        folded[: self.n_fft] = product
        return np.asarray(folded.reshape(-1, self.hop_length).sum(axis=0))

    def _padded_window(self, name: str) -> FloatArray:
        length = self.win_length or self.n_fft
        before = (self.n_fft - length) // 2
        return np.pad(make_window(name, length), (before, self.n_fft - length - before))


class Analysis:
    """The forward transform of a stream: a waveform in, its spectrogram out.

    The concatenated output does not depend on how the waveform is divided into blocks.
    """

    def __init__(self, spec: StftSpec, *, n_channels: int) -> None:
        self._spec = spec
        self._window = spec.analysis * np.float32(spec.n_fft)
        self._padding = _make_padding(spec, n_channels) if spec.is_mirrored else None
        self._tail = np.zeros((n_channels, 0 if spec.is_mirrored else spec.padding), dtype=np.float32)
        self._n_samples = 0
        self._n_frames = 0

    def process(self, waveform: FloatArray) -> ComplexArray:
        """Take ``(channels, samples)``; return the frames that it completes, ``(channels, bins, frames)``."""
        self._n_samples += waveform.shape[1]
        if self._padding is not None:
            waveform = self._padding.process(waveform)
        return self._transform(np.concatenate([self._tail, waveform], axis=1))

    def flush(self) -> ComplexArray:
        """Return the last frames, which reach beyond the end of the waveform."""
        if self._n_samples == 0:
            return self._transform(self._tail[:, :0])
        n_after = self._count_padding()
        if self._padding is not None:
            return self._transform(np.concatenate([self._tail, self._padding.flush(n_after)], axis=1))
        return self._transform(np.pad(self._tail, ((0, 0), (0, n_after))))

    def _count_padding(self) -> int:
        """Return by how many samples the last frame reaches beyond the waveform."""
        spec = self._spec
        n_covered = (spec.n_frames(self._n_samples) - 1) * spec.hop_length + spec.n_fft
        return max(0, n_covered - spec.padding - self._n_samples)

    def _transform(self, samples: FloatArray) -> ComplexArray:
        spec = self._spec
        n_frames = max(0, (samples.shape[1] - spec.n_fft) // spec.hop_length + 1)
        self._n_frames += n_frames
        self._tail = samples[:, n_frames * spec.hop_length :]
        if n_frames == 0:
            return np.zeros((samples.shape[0], spec.n_bins, 0), dtype=np.complex64)
        windows = np.lib.stride_tricks.sliding_window_view(samples, spec.n_fft, axis=1)
        frames = windows[:, :: spec.hop_length][:, :n_frames] * self._window  # (channels, frames, n_fft)
        # the window makes up for the norm, without which numpy computes in float64, 3.6 times as long
        return np.asarray(np.fft.rfft(frames, axis=-1, norm="forward"), np.complex64).transpose(0, 2, 1)


def _make_padding(spec: StftSpec, n_channels: int) -> ReflectionPadding:
    return ReflectionPadding(n_channels, n_before=spec.padding, most_after=spec.padding + spec.hop_length)


class Synthesis:
    """The inverse transform of a stream: a spectrogram in, its waveform out.

    Leading axes are free: ``(..., bins, frames)`` becomes ``(..., samples)``. At the ends of a mirrored
    spectrogram, where frames are missing, the sum of the windows that are there takes the place of the full
    overlap-add gain; with `silent_ends` the missing frames count as silence instead. The first `n_skipped`
    samples of the waveform are left out.
    """

    def __init__(self, spec: StftSpec, *, n_skipped: int = 0, silent_ends: bool = False) -> None:
        self._spec = spec
        self._signal = _OverlapAdd(spec)
        self._gain = _OverlapAdd(spec) if spec.is_mirrored and not silent_ends else None
        self._n_to_drop = spec.padding + n_skipped

    def process(self, spectrogram: ComplexArray) -> FloatArray:
        """Take ``(..., bins, frames)``; return the samples that no later frame can change."""
        spec = self._spec
        n_frames = spectrogram.shape[-1]
        frames = np.zeros((*spectrogram.shape[:-2], 0, spec.n_fft), dtype=np.float32)
        if n_frames:
            frames = np.fft.irfft(spectrogram.swapaxes(-1, -2), n=spec.n_fft, axis=-1)
            frames *= spec.synthesis  # (..., frames, n_fft)
        samples = self._signal.process(frames)
        if self._gain is not None:
            product = spec.analysis * spec.synthesis
            gain = self._gain.process(np.broadcast_to(product, (n_frames, spec.n_fft)))
            samples = _divide_by_gain(samples, gain)
        return self._drop(samples)

    def flush(self) -> FloatArray:
        """Return the remaining samples, including those of the last frames beyond the waveform's end."""
        samples = self._signal.flush()
        if self._gain is not None:
            samples = _divide_by_gain(samples, self._gain.flush())
        return self._drop(samples)

    def _drop(self, samples: FloatArray) -> FloatArray:
        """Drop the padding before the waveform and the samples to skip."""
        n_dropped = min(self._n_to_drop, samples.shape[-1])
        self._n_to_drop -= n_dropped
        return samples[..., n_dropped:]


def _divide_by_gain(samples: FloatArray, gain: FloatArray) -> FloatArray:
    """Divide by the gain where it is positive; it is 1 wherever no frame is missing."""
    return np.divide(samples, gain, out=np.zeros_like(samples), where=gain > 1e-6)


class _OverlapAdd:
    """The overlap-add of frames ``(..., frames, n_fft)`` to a waveform ``(..., samples)``."""

    def __init__(self, spec: StftSpec) -> None:
        self._spec = spec
        self._tail: FloatArray | None = None

    def process(self, frames: FloatArray) -> FloatArray:
        """Return the samples that no later frame can change."""
        spec = self._spec
        n_frames = frames.shape[-2]
        summed = np.zeros((*frames.shape[:-2], n_frames * spec.hop_length + spec.overlap), dtype=np.float32)
        if self._tail is not None:
            summed[..., : spec.overlap] = self._tail
        if n_frames:
            for shift, columns in self._slices():
                self._add(summed, shift, frames[..., columns])
        n_done = n_frames * spec.hop_length
        self._tail = summed[..., n_done:].copy()
        return summed[..., :n_done]

    def flush(self) -> FloatArray:
        """Return the remaining samples."""
        assert self._tail is not None, "nothing was processed"
        return self._tail

    def _slices(self) -> Iterator[tuple[int, slice]]:
        """Yield the pieces of one frame that fall on successive hops, as (hop, columns of the frame)."""
        for start in range(0, self._spec.n_fft, self._spec.hop_length):
            yield start, slice(start, min(start + self._spec.hop_length, self._spec.n_fft))

    def _add(self, summed: FloatArray, shift: int, pieces: FloatArray) -> None:
        """Add piece ``t`` of ``(..., frames, columns)`` at sample ``t * hop_length + shift``."""
        hop = self._spec.hop_length
        n_frames, width = pieces.shape[-2:]
        if shift + n_frames * hop <= summed.shape[-1]:
            target = summed[..., shift : shift + n_frames * hop]
            target.reshape(*target.shape[:-1], n_frames, hop)[..., :width] += pieces
            return
        self._add(summed, shift, pieces[..., :-1, :])
        last = shift + (n_frames - 1) * hop
        summed[..., last : last + width] += pieces[..., -1, :]
