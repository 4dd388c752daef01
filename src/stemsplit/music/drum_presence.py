"""Where drums play in a song, by a small network that tells windows with drums from others.

The network is one of the works (``docs/works.md``): windows of 200 ms are normalised by their peak; their
spectrum, in groups of ten bins, goes through a one-dimensional convolutional network, which gives the
probability of drums. A single window is often unclear, so what counts is the mean over windows around it.
"""

from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from stemsplit.dsp.resample import Resampler
from stemsplit.models.device import Device
from stemsplit.models.package import package_file
from stemsplit.models.session import Session
from stemsplit.types import FloatArray

SAMPLE_RATE: Final = 44100
WINDOW_SAMPLES: Final = 8820
HOP_SAMPLES: Final = 4410
PEAK_FLOOR: Final = 1e-3  # softer windows are silence
_GROUP: Final = 10  # bins
_HOP_S: Final = HOP_SAMPLES / SAMPLE_RATE
_MEAN_WINDOWS: Final = 21  # 2 s
_LEAST_PROBABILITY: Final = 0.5
_LONGEST_GAP_S: Final = 2.0
_SHORTEST_S: Final = 2.0


class DrumPresence:
    """Finds where drums play in a waveform, block by block.

    Parameters
    ----------
    sample_rate
        Of the waveform, in Hz.
    """

    def __init__(self, sample_rate: int) -> None:
        self._resampler = Resampler(from_hz=sample_rate, to_hz=SAMPLE_RATE)
        self._rest = np.zeros(0, dtype=np.float32)
        self._probabilities: list[FloatArray] = []

    def process(self, waveform: FloatArray) -> None:
        """Take ``(channels, samples)``."""
        self._take(self._resampler.process(waveform.mean(axis=0, keepdims=True))[0])

    def flush(self) -> None:
        """Take what is left in the resampler; nothing can follow."""
        self._take(self._resampler.flush()[0])

    def intervals_s(self) -> list[tuple[float, float]]:
        """Return from when to when drums play, in seconds, to a tenth of a second."""
        return find_intervals(np.concatenate([np.zeros(0, np.float32), *self._probabilities]))

    def _take(self, samples: FloatArray) -> None:
        self._rest = np.concatenate([self._rest, samples])
        n_windows = max(0, (len(self._rest) - WINDOW_SAMPLES) // HOP_SAMPLES + 1)
        if n_windows:
            windows = np.lib.stride_tricks.sliding_window_view(self._rest, WINDOW_SAMPLES)[::HOP_SAMPLES]
            self._probabilities.append(estimate_probabilities(windows))
            self._rest = self._rest[n_windows * HOP_SAMPLES :].copy()


def estimate_probabilities(windows: FloatArray) -> FloatArray:
    """Return the probability of drums in windows ``(windows, samples)``; 0 for silence."""
    (found,) = _session()(compute_values(windows))
    is_loud = np.abs(windows).max(axis=-1) > PEAK_FLOOR
    return np.asarray(np.where(is_loud, found[:, 0], np.float32(0)))


def compute_values(windows: FloatArray) -> FloatArray:
    """Return the network's input, ``(windows, 441)``: the logarithm of the mean magnitude of ten bins."""
    peaks = np.maximum(np.abs(windows).max(axis=-1, keepdims=True), PEAK_FLOOR)
    magnitudes = np.abs(np.fft.rfft(windows / peaks))[:, :-1]
    means = magnitudes.reshape(len(windows), -1, _GROUP).mean(axis=-1)
    values: FloatArray = np.log(means + np.float32(0.1))
    return values


def find_intervals(probabilities: FloatArray) -> list[tuple[float, float]]:
    """Return the intervals in which drums play, in seconds, from the probability of each window.

    It counts where the mean over 2 s is above a half; gaps of less than 2 s do not count, nor do drums that
    play for less.
    """
    if len(probabilities) < _MEAN_WINDOWS:
        return []
    found: list[tuple[float, float]] = []
    for start, stop in _find_runs(_smooth(probabilities) > _LEAST_PROBABILITY) * _HOP_S:
        goes_on = bool(found) and start - found[-1][1] < _LONGEST_GAP_S
        found.append((found.pop()[0] if goes_on else float(start), float(stop) + _HOP_S))
    return [(round(start, 1), round(stop, 1)) for start, stop in found if stop - start >= _SHORTEST_S]


def _smooth(probabilities: FloatArray) -> FloatArray:
    """Return the mean over `_MEAN_WINDOWS`, of the windows that are there at both ends."""
    kernel = np.ones(_MEAN_WINDOWS, dtype=np.float32)
    counts = np.convolve(np.ones_like(probabilities), kernel, mode="same")
    return np.asarray(np.convolve(probabilities, kernel, mode="same") / counts)


def _find_runs(flags: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Return where runs of True begin and end, ``(runs, 2)``."""
    return np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]]))).reshape(-1, 2)


@cache
def _session() -> Session:
    return Session(package_file("analysis/drum-presence.onnx"), device=Device("cpu"), threads=1)
