"""The short-time Fourier transform and its inverse, as streams.

Conventions: a spectrogram is ``(channels, bins, frames)``, complex64; where frame ``t`` starts is the
*framing*:

- ``covering``, at sample ``t * hop_length - (n_fft - hop_length)`` of the waveform, with silence around it:
  every sample lies in as many frames as any other, also the first and the last;
- ``centred``, at ``t * hop_length - n_fft / 2``, with the waveform mirrored at its ends (torch's default);
- ``delayed``, at ``t * hop_length - n_fft``, with silence around it.

Windows are periodic; a window shorter than the transform is
centred in it. Nothing is normalised in the analysis; the synthesis divides by the sum of the windows'
products once, in the window itself (Griffin & Lim 1984).

Arrays are built frame by frame, so ``bins`` is the axis that is contiguous in memory.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from stemsplit.dsp.reflection import Mirror
from stemsplit.errors import ModelError
from stemsplit.types import ComplexArray, FloatArray

FRAMINGS = ("covering", "centred", "delayed")
WINDOWS = ("hann", "sqrt_hann", "hamming", "rectangular")


def make_window(name: str, length: int) -> FloatArray:
    """Return the periodic window `name`, one of `WINDOWS`, as ``(length,)``.

    >>> make_window("hann", 4).tolist()
    [0.0, 0.5, 1.0, 0.5]
    """
    if name not in WINDOWS:
        raise ModelError(f"unknown window {name!r}; the windows are {', '.join(WINDOWS)}")
    # raised cosines, written out: importing scipy.signal would take longer than separating a minute of music
    mean = {"hann": 0.5, "sqrt_hann": 0.5, "hamming": 0.54, "rectangular": 1.0}[name]
    window = mean - (1 - mean) * np.cos(2 * np.pi * np.arange(length) / length)
    return np.asarray(np.sqrt(window) if name == "sqrt_hann" else window, dtype=np.float32)


@dataclass(frozen=True)
class StftSpec:
    """One STFT, checked for perfect reconstruction when it is made.

    Parameters
    ----------
    n_fft
        Length of the transform in samples (6144 samples = 139 ms at 44,100 Hz).
    hop_length
        Samples from one frame to the next.
    win_length
        Length of both windows in samples, `n_fft` at most; 0 means `n_fft`.
    analysis_window, synthesis_window
        Names out of `WINDOWS`.
    framing
        One of `FRAMINGS`, see the module.

    Raises
    ------
    ModelError
        If a length makes no sense, or if the windows and the hop leave samples that cannot be rebuilt.
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
        """Bins of one frame, DC and Nyquist included."""
        return self.n_fft // 2 + 1

    @property
    def padding(self) -> int:
        """Samples by which the first frame starts before the waveform."""
        leads = {"covering": self.overhang, "centred": self.n_fft // 2, "delayed": self.n_fft}
        return leads[self.framing]

    @property
    def overhang(self) -> int:
        """Samples that a frame shares with those after it."""
        return self.n_fft - self.hop_length

    def n_frames(self, n_samples: int) -> int:
        """Frames that cover `n_samples` samples (one or more)."""
        if self.framing == "centred":
            return n_samples // self.hop_length + 1
        return (n_samples - 1 + self.padding) // self.hop_length + 1

    def n_samples(self, n_frames: int) -> int:
        """Samples, whole hops of them, that are covered by exactly `n_frames` frames; below 1 if none are."""
        if self.framing == "centred":
            return (n_frames - 1) * self.hop_length
        return n_frames * self.hop_length - self.padding

    @cached_property
    def analysis(self) -> FloatArray:
        """The analysis window, ``(n_fft,)``."""
        return self._padded_window(self.analysis_window)

    @cached_property
    def synthesis(self) -> FloatArray:
        """The synthesis window, divided by the overlap-add gain of both, ``(n_fft,)``."""
        repeats = -(-self.n_fft // self.hop_length)
        gain = np.tile(self._coverage, repeats)[: self.n_fft]
        window = self._padded_window(self.synthesis_window)
        return np.divide(window, gain, dtype=np.float32, casting="same_kind")

    @cached_property
    def _coverage(self) -> NDArray[np.float64]:
        """Sum over all frames of analysis times synthesis window, one period ``(hop_length,)``."""
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
    """A waveform in, its spectrogram out, block by block.

    The concatenated output does not depend on how the waveform was cut into blocks.
    """

    def __init__(self, spec: StftSpec, *, n_channels: int) -> None:
        self._spec = spec
        self._mirror = Mirror(n_channels, reach=spec.padding) if spec.framing == "centred" else None
        silence = 0 if self._mirror else spec.padding
        self._tail = np.zeros((n_channels, silence), dtype=np.float32)
        self._n_samples = 0
        self._n_frames = 0

    def process(self, waveform: FloatArray) -> ComplexArray:
        """Take ``(channels, samples)``; return the frames completed by it, ``(channels, bins, frames)``."""
        self._n_samples += waveform.shape[1]
        if self._mirror is not None:
            waveform = self._mirror.process(waveform)
        return self._transform(np.concatenate([self._tail, waveform], axis=1))

    def flush(self) -> ComplexArray:
        """Return the last frames, which reach beyond the end of the waveform."""
        if self._n_samples == 0:
            return self._transform(self._tail[:, :0])
        if self._mirror is not None:
            return self._transform(np.concatenate([self._tail, self._mirror.flush()], axis=1))
        missing = self._spec.n_frames(self._n_samples) - self._n_frames
        wanted = (missing - 1) * self._spec.hop_length + self._spec.n_fft if missing else 0
        silence = max(0, wanted - self._tail.shape[1])
        return self._transform(np.pad(self._tail, ((0, 0), (0, silence))))

    def _transform(self, samples: FloatArray) -> ComplexArray:
        spec = self._spec
        n_frames = max(0, (samples.shape[1] - spec.n_fft) // spec.hop_length + 1)
        self._n_frames += n_frames
        self._tail = samples[:, n_frames * spec.hop_length :]
        if n_frames == 0:
            return np.zeros((samples.shape[0], spec.n_bins, 0), dtype=np.complex64)
        windows = np.lib.stride_tricks.sliding_window_view(samples, spec.n_fft, axis=1)
        frames = windows[:, :: spec.hop_length][:, :n_frames] * spec.analysis  # (channels, frames, n_fft)
        return np.asarray(scipy.fft.rfft(frames, axis=-1, overwrite_x=True)).transpose(0, 2, 1)


class Synthesis:
    """A spectrogram in, its waveform out, block by block; leading axes are free.

    A spectrogram ``(..., bins, frames)`` gives a waveform ``(..., samples)``: targets and channels pass
    through alike. Where frames are missing at the ends (framing ``centred``), the windows' products that are
    there take the place of the full sum. The first `lead` samples of the waveform are left out.
    """

    def __init__(self, spec: StftSpec, *, lead: int = 0) -> None:
        self._spec = spec
        self._signal = _OverlapAdd(spec)
        self._gain = _OverlapAdd(spec) if spec.framing == "centred" else None
        self._to_drop = spec.padding + lead

    def process(self, spectrogram: ComplexArray) -> FloatArray:
        """Take ``(..., bins, frames)``; return the samples that no later frame can change."""
        spec = self._spec
        n_frames = spectrogram.shape[-1]
        frames = np.zeros((*spectrogram.shape[:-2], 0, spec.n_fft), dtype=np.float32)
        if n_frames:
            frames = scipy.fft.irfft(spectrogram.swapaxes(-1, -2), n=spec.n_fft, axis=-1)
            frames *= spec.synthesis  # (..., frames, n_fft)
        samples = self._signal.process(frames)
        if self._gain is not None:
            product = spec.analysis * spec.synthesis
            samples = _level(samples, self._gain.process(np.broadcast_to(product, (n_frames, spec.n_fft))))
        return self._drop(samples)

    def flush(self) -> FloatArray:
        """Return the samples still held, the reach of the last frames beyond the end included."""
        samples = self._signal.flush()
        if self._gain is not None:
            samples = _level(samples, self._gain.flush())
        return self._drop(samples)

    def _drop(self, samples: FloatArray) -> FloatArray:
        """Cut what lies before the waveform, or is left out of it."""
        dropped = min(self._to_drop, samples.shape[-1])
        self._to_drop -= dropped
        return samples[..., dropped:]


def _level(samples: FloatArray, gain: FloatArray) -> FloatArray:
    """Divide by the gain where there is any; it is 1 wherever no frame is missing."""
    return np.divide(samples, gain, out=np.zeros_like(samples), where=gain > 1e-6)


class _OverlapAdd:
    """Frames ``(..., frames, n_fft)`` in, their sum ``(..., samples)`` out."""

    def __init__(self, spec: StftSpec) -> None:
        self._spec = spec
        self._tail: FloatArray | None = None

    def process(self, frames: FloatArray) -> FloatArray:
        """Return the samples that no later frame can change."""
        spec = self._spec
        n_frames = frames.shape[-2]
        summed = np.zeros((*frames.shape[:-2], n_frames * spec.hop_length + spec.overhang), dtype=np.float32)
        if self._tail is not None:
            summed[..., : spec.overhang] = self._tail
        if n_frames:
            for shift, columns in self._slices():
                self._add(summed, shift, frames[..., columns])
        done = n_frames * spec.hop_length
        self._tail = summed[..., done:].copy()
        return summed[..., :done]

    def flush(self) -> FloatArray:
        """Return the samples still held."""
        assert self._tail is not None, "nothing was processed"
        return self._tail

    def _slices(self) -> Iterator[tuple[int, slice]]:
        """The pieces of one frame that fall on successive hops, as (hop, columns of the frame)."""
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
