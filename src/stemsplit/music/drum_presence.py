"""Where drums play in a song, by a small network that tells windows with drums from others.

The network is one of the works (``docs/works.md``): windows of 200 ms are normalised by their peak; their
spectrum, in groups of ten bins, goes through a one-dimensional convolutional network, which gives the
probability of drums. A single window is often unclear, so what counts is the mean over windows around it; and
where there is a drums stem, it must not be much softer than the song. Either alone is often wrong: the
network misses soft drums, and a separation takes other things for drums where there are none.
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
_LEAST_PROBABILITY: Final = 0.4
_LEAST_BESIDE_STEM: Final = 0.2
_LEAST_STEM_DB: Final = -18.0  # beside the song
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
        self._take(self._resampler.flush().reshape(-1))

    def intervals_s(
        self, song: NDArray[np.float64], drums: NDArray[np.float64] | None = None
    ) -> list[tuple[float, float]]:
        """Return from when to when drums play, in seconds, to a tenth of a second.

        Parameters
        ----------
        song, drums
            Mean power of every tenth of a second of the song and of its drums stem; None if it has none.
        """
        probabilities = np.concatenate([np.zeros(0, dtype=np.float32), *self._probabilities])
        if len(probabilities) < _MEAN_WINDOWS:
            return []
        if drums is None:
            return join_intervals(_smooth(probabilities) > _LEAST_PROBABILITY)
        is_likely = _smooth(probabilities) > _LEAST_BESIDE_STEM
        is_loud = _smooth(drums) > 10 ** (_LEAST_STEM_DB / 10) * _smooth(song)
        n_windows = min(len(is_likely), len(is_loud))
        return join_intervals(is_likely[:n_windows] & is_loud[:n_windows])

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


def join_intervals(flags: NDArray[np.bool_]) -> list[tuple[float, float]]:
    """Return the intervals of windows in which drums play, in seconds, from a flag for each window.

    Gaps of less than 2 s do not count, nor do drums that play for less.
    """
    found: list[tuple[float, float]] = []
    for start, stop in _find_runs(flags) * _HOP_S:
        goes_on = bool(found) and start - found[-1][1] < _LONGEST_GAP_S
        found.append((found.pop()[0] if goes_on else float(start), float(stop) + _HOP_S))
    return [(round(start, 1), round(stop, 1)) for start, stop in found if stop - start >= _SHORTEST_S]


def _smooth(values: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the mean over `_MEAN_WINDOWS`, of the windows that are there at both ends."""
    kernel = np.ones(_MEAN_WINDOWS)
    counts = np.convolve(np.ones(len(values)), kernel, mode="same")
    return np.convolve(values, kernel, mode="same") / counts


def _find_runs(flags: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Return where runs of True begin and end, ``(runs, 2)``."""
    return np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]]))).reshape(-1, 2)


@cache
def _session() -> Session:
    return Session(package_file("analysis/drum-presence.onnx"), device=Device("cpu"), threads=1)
