"""Features of one waveform, computed block by block.

Every feature is computed on the mean of the channels at `SAMPLE_RATE`. Frames are centred: frame ``t`` of a
feature stands at ``t * hop / SAMPLE_RATE`` seconds.
"""

from typing import Final

import numpy as np

from stemsplit.dsp.resample import Resampler
from stemsplit.dsp.stft import Analysis, StftSpec
from stemsplit.types import FloatArray

SAMPLE_RATE: Final = 22050
ONSET_HOP: Final = 512  # 23 ms
CHROMA_HOP: Final = 2048  # 93 ms
N_CHROMA: Final = 36  # three bins a semitone, so that a mistuned song can be brought to pitch

_ONSET_SPEC: Final = StftSpec(
    2048, ONSET_HOP, analysis_window="hann", synthesis_window="hann", framing="centred"
)
_CHROMA_SPEC: Final = StftSpec(
    8192, CHROMA_HOP, analysis_window="hann", synthesis_window="hann", framing="centred"
)
_N_MELS: Final = 64
_LOWS: Final = slice(1, round(120 * _ONSET_SPEC.n_fft / SAMPLE_RATE) + 1)
_LOWEST_HZ: Final = 55.0
_HIGHEST_HZ: Final = 2200.0


class _Frames:
    """The magnitudes of one waveform, frame by frame."""

    def __init__(self, spec: StftSpec, sample_rate: int) -> None:
        self._resampler = Resampler(from_hz=sample_rate, to_hz=SAMPLE_RATE)
        self._analysis = Analysis(spec, n_channels=1)
        self._n_samples = 0

    def process(self, waveform: FloatArray) -> FloatArray:
        """Take ``(channels, samples)``; return ``(bins, frames)``."""
        return self._analyse(self._resampler.process(waveform.mean(axis=0, keepdims=True)))

    def flush(self) -> FloatArray:
        """Return the last frames."""
        magnitudes = self._analyse(self._resampler.flush())
        if self._n_samples == 0:
            return magnitudes
        return np.concatenate([magnitudes, np.abs(self._analysis.flush())[0]], axis=1)

    def _analyse(self, waveform: FloatArray) -> FloatArray:
        self._n_samples += waveform.shape[-1]
        return np.asarray(np.abs(self._analysis.process(waveform))[0])


class OnsetFeatures:
    """Onset strength of a waveform: the rise of its mel spectrum in decibels, over all and in the lows.

    Attributes
    ----------
    strength : FloatArray
        ``(frames,)``, the mean rise over all mel bands, 0 or more.
    low : FloatArray
        ``(frames,)``, the rise of the magnitude below 120 Hz, where kick drums and bass notes begin.
    """

    def __init__(self, sample_rate: int) -> None:
        import librosa

        self._frames = _Frames(_ONSET_SPEC, sample_rate)
        self._mel = librosa.filters.mel(sr=SAMPLE_RATE, n_fft=_ONSET_SPEC.n_fft, n_mels=_N_MELS)
        self._last = np.full((_N_MELS, 1), np.nan, dtype=np.float32)
        self._last_low = np.float32(0)
        self._rises: list[FloatArray] = []

    def process(self, waveform: FloatArray) -> None:
        """Take ``(channels, samples)``."""
        self._add(self._frames.process(waveform))

    def flush(self) -> None:
        """Take the end of the waveform."""
        self._add(self._frames.flush())

    @property
    def strength(self) -> FloatArray:
        """The mean rise over all bands, ``(frames,)``."""
        return np.asarray(self._joined()[0])

    @property
    def low(self) -> FloatArray:
        """The rise in the lows, ``(frames,)``."""
        return np.asarray(self._joined()[1])

    def _joined(self) -> FloatArray:
        return np.concatenate([np.zeros((2, 0), dtype=np.float32), *self._rises], axis=1)

    def _add(self, magnitudes: FloatArray) -> None:
        if not magnitudes.shape[1]:
            return
        # a floor of -60 dB under full scale: what is fainter makes no onset
        level_db = 10 * np.log10(np.maximum(self._mel @ magnitudes**2, 1e-3))
        before = np.concatenate([self._last, level_db[:, :-1]], axis=1)
        rise = np.nan_to_num(np.maximum(level_db - before, 0), nan=0.0)
        self._last = level_db[:, -1:]
        lows = np.sqrt((magnitudes[_LOWS] ** 2).sum(axis=0))
        rise_of_lows = np.maximum(np.diff(lows, prepend=self._last_low), 0)
        self._last_low = lows[-1]
        self._rises.append(np.stack([rise.mean(axis=0), rise_of_lows]).astype(np.float32))


class ChromaFeatures:
    """Energy in each third of a semitone, folded to one octave.

    Attributes
    ----------
    chroma : FloatArray
        ``(N_CHROMA, frames)``; bin ``3 * c + 1`` is the middle of pitch class ``c`` (0 is C) at A = 440 Hz.
    """

    def __init__(self, sample_rate: int) -> None:
        self._frames = _Frames(_CHROMA_SPEC, sample_rate)
        self._fold = _fold_matrix()
        self._parts: list[FloatArray] = []

    def process(self, waveform: FloatArray) -> None:
        """Take ``(channels, samples)``."""
        self._add(self._frames.process(waveform))

    def flush(self) -> None:
        """Take the end of the waveform."""
        self._add(self._frames.flush())

    @property
    def chroma(self) -> FloatArray:
        """Energy by pitch, ``(N_CHROMA, frames)``."""
        return np.concatenate([np.zeros((N_CHROMA, 0), dtype=np.float32), *self._parts], axis=1)

    def _add(self, magnitudes: FloatArray) -> None:
        if magnitudes.shape[1]:
            self._parts.append((self._fold @ _peaks(magnitudes)).astype(np.float32))


def _peaks(magnitudes: FloatArray) -> FloatArray:
    """Keep the local maxima of ``(bins, frames)`` along the bins, with their square roots as weights.

    A partial of a note is a peak; what lies between peaks is noise and the skirts of the window. The square
    root keeps one loud note from hiding the chord.
    """
    middle = magnitudes[1:-1]
    is_peak = (middle > magnitudes[:-2]) & (middle >= magnitudes[2:])
    kept = np.zeros_like(magnitudes)
    kept[1:-1] = np.sqrt(middle) * is_peak
    return kept


def _fold_matrix() -> FloatArray:
    """Weights ``(N_CHROMA, bins)`` that add the bins of each pitch class up, over all octaves."""
    hz = np.arange(_CHROMA_SPEC.n_bins) * SAMPLE_RATE / _CHROMA_SPEC.n_fft
    used = (hz >= _LOWEST_HZ) & (hz <= _HIGHEST_HZ)
    pitch = 69 + 12 * np.log2(np.maximum(hz, 1) / 440)
    place = np.rint(3 * pitch + 1).astype(int) % N_CHROMA
    fold = np.zeros((N_CHROMA, len(hz)), dtype=np.float32)
    fold[place[used], np.flatnonzero(used)] = 1
    return fold
