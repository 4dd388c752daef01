"""The kind of music of a song: log-mel spectra in windows of six seconds, which a small network names.

The levels of a window are relative to its mean, so that loudness tells nothing, and end at 8 kHz, so that the
codec tells little.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from stemsplit.dsp.resample import Resampler
from stemsplit.dsp.stft import Analysis, StftSpec
from stemsplit.models.device import Device
from stemsplit.models.package import package_file
from stemsplit.models.session import Session
from stemsplit.types import FloatArray

SAMPLE_RATE: Final = 22050
N_MELS: Final = 64
WINDOW_FRAMES: Final = 128  # 5.9 s
UNKNOWN: Final = "unknown"
LEAST_PROBABILITY: Final = 0.7  # of the likeliest style; below it the style is unknown
METADATA_KEY: Final = "stemsplit.styles"
_SPEC: Final = StftSpec(2048, 1024, analysis_window="hann", synthesis_window="hann", framing="centred")
_HIGHEST_HZ: Final = 8000.0
_RANGE_DB: Final = 70.0  # under the loudest level of a window
_SILENCE_DB: Final = -30.0  # the loudest level of a window that is silent, about -90 dB full scale


@dataclass(frozen=True)
class Style:
    """The kind of music: the name of the likeliest one, and the probability of each.

    The name is ``unknown`` where the likeliest has less than `LEAST_PROBABILITY`.
    """

    name: str
    probabilities: Mapping[str, float]

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON has them."""
        return {"name": self.name, "probabilities": dict(self.probabilities)}


class LogMelWindows:
    """Windows of a waveform's log-mel spectrum, as they are complete."""

    def __init__(self, sample_rate: int) -> None:
        import librosa

        self._resampler = Resampler(from_hz=sample_rate, to_hz=SAMPLE_RATE)
        self._analysis = Analysis(_SPEC, n_channels=1)
        self._mel = librosa.filters.mel(sr=SAMPLE_RATE, n_fft=_SPEC.n_fft, n_mels=N_MELS, fmax=_HIGHEST_HZ)
        self._frames = np.zeros((N_MELS, 0), dtype=np.float32)

    def process(self, waveform: FloatArray) -> FloatArray:
        """Take ``(channels, samples)``; return ``(windows, N_MELS, WINDOW_FRAMES)``, without silent ones."""
        mono = self._resampler.process(waveform.mean(axis=0, keepdims=True))
        power = self._mel @ np.square(np.abs(self._analysis.process(mono)[0]))
        level_db = 10 * np.log10(np.maximum(power, 1e-10)).astype(np.float32)
        frames = np.concatenate([self._frames, level_db], axis=1)
        n_windows = frames.shape[1] // WINDOW_FRAMES
        whole, self._frames = np.split(frames, [n_windows * WINDOW_FRAMES], axis=1)
        windows = whole.reshape(N_MELS, n_windows, WINDOW_FRAMES).swapaxes(0, 1)
        return normalise(windows)

    def flush(self) -> FloatArray:
        """Return the last frames, repeated to fill a window; none after a whole window."""
        n_frames = self._frames.shape[1]
        if not n_frames:
            return np.zeros((0, N_MELS, WINDOW_FRAMES), dtype=np.float32)
        repeated = np.tile(self._frames, -(-WINDOW_FRAMES // n_frames))[:, :WINDOW_FRAMES]
        return normalise(repeated[np.newaxis])


def normalise(windows: FloatArray) -> FloatArray:
    """Return windows in decibels relative to their mean, divided by 20; silent ones are left out."""
    peaks = windows.max(axis=(1, 2), initial=-200.0)
    kept, peaks = windows[peaks > _SILENCE_DB], peaks[peaks > _SILENCE_DB]
    floored = np.maximum(kept, peaks[:, np.newaxis, np.newaxis] - _RANGE_DB)
    return np.asarray((floored - floored.mean(axis=(1, 2), keepdims=True)) / 20, dtype=np.float32)


def style_model() -> Path:
    """Return the network of the package.

    Raises
    ------
    ModelError
        If the package has none.
    """
    return package_file("parts/style.onnx")


class StyleClassifier:
    """The network that names the kind of music; safe to use for several songs at a time.

    Parameters
    ----------
    path
        The ``.onnx`` file, whose metadata name the styles.
    """

    def __init__(self, path: Path) -> None:
        self._session = Session(path, device=Device("cpu"), threads=1)
        self.styles: Sequence[str] = json.loads(self._session.metadata[METADATA_KEY])

    def __call__(self, windows: FloatArray) -> FloatArray:
        """Return the probabilities of ``(windows, N_MELS, WINDOW_FRAMES)``, ``(windows, styles)``."""
        (probabilities,) = self._session(windows)
        return probabilities


class StyleMeter:
    """Names the kind of music of one song, block by block.

    Parameters
    ----------
    classifier
        The open network.
    sample_rate
        Of the song, in Hz.
    """

    def __init__(self, classifier: StyleClassifier, sample_rate: int) -> None:
        self._classifier = classifier
        self._windows = LogMelWindows(sample_rate)
        self._total = np.zeros(len(classifier.styles))
        self._n_windows = 0

    def process(self, waveform: FloatArray) -> None:
        """Take ``(channels, samples)``."""
        self._add(self._windows.process(waveform))

    def finish(self) -> Style | None:
        """Return the style of what was taken: the mean over all windows; None for silence."""
        if not self._n_windows:
            self._add(self._windows.flush())
        if not self._n_windows:
            return None
        mean = self._total / self._n_windows
        best = int(np.argmax(mean))
        name = self._classifier.styles[best] if mean[best] >= LEAST_PROBABILITY else UNKNOWN
        return Style(
            name, {style: round(float(p), 3) for style, p in zip(self._classifier.styles, mean, strict=True)}
        )

    def _add(self, windows: FloatArray) -> None:
        if len(windows):
            self._total += self._classifier(windows).sum(axis=0)
            self._n_windows += len(windows)
