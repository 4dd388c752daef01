"""Activity of the targets in a recording, in steps of half a second.

Two independent detectors measure it. One is the separation by a model; the other is the signal itself, whose
energy in the lowest octaves indicates bass and whose onsets in the highest octaves indicate drums. The
correlation of the model's estimates also gives their expected quality, see `pseudo_labels`.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from stemsplit.files.atomic import whole_file
from stemsplit.separation.separator import Separator
from stemsplit.training import SAMPLE_RATE, TARGETS
from stemsplit.types import FloatArray

STEP_S = 0.5
STEP = round(STEP_S * SAMPLE_RATE)
LOW_HZ, HIGH_HZ = 130, 6000
_FLOOR = 1e-12

Separate = Callable[[FloatArray], Mapping[str, FloatArray]]


@dataclass(frozen=True)
class Activity:
    """Measurements of each half-second of a recording.

    Parameters
    ----------
    mixture_db : FloatArray, shape (steps,)
        Level in dB against full scale.
    products : FloatArray, shape (targets, targets, steps)
        Mean product, over samples, of each pair of a model's estimates; the diagonal holds their powers.
    low_db : FloatArray, shape (steps,)
        Level below 130 Hz.
    onset_db : FloatArray, shape (steps,)
        Largest rise in dB of the spectrum above 6 kHz within 20 ms, mean over its bins.
    """

    mixture_db: FloatArray
    products: FloatArray
    low_db: FloatArray
    onset_db: FloatArray

    @property
    def estimates_db(self) -> FloatArray:
        """Levels of the estimates in dB, ``(targets, steps)``."""
        return _decibels(np.diagonal(self.products).T)

    def save(self, path: Path) -> None:
        """Write the measurements atomically."""
        with whole_file(path) as file:
            np.savez(file, **asdict(self))

    @classmethod
    def load(cls, path: Path) -> "Activity | None":
        """Read what `save` wrote; None for a file of an earlier version with other measurements."""
        with np.load(path) as arrays:
            is_current = set(arrays) == {field.name for field in fields(cls)}
            return cls(**arrays) if is_current else None


def measure_activity(waveform: FloatArray, estimates: Mapping[str, FloatArray]) -> Activity:
    """Measure a recording ``(2, samples)``; samples after the last whole half-second are ignored."""
    return Activity(_levels_db(waveform), _mean_products(estimates), _low_db(waveform), _onset_db(waveform))


def model_separator(model: Path, *, threads: int, transpositions: int = 1) -> Separate:
    """Return a function that separates by a model file, on the CPU, by the mean of so many keys."""
    separator = Separator(
        TARGETS, models=[model], device="cpu", threads=threads, transpositions=transpositions
    )
    return lambda waveform: separator(waveform, SAMPLE_RATE)


def _split_steps(waveform: FloatArray) -> FloatArray:
    """Reshape ``(channels, samples)`` to ``(channels, steps, samples of a step)``."""
    n_steps = waveform.shape[-1] // STEP
    return waveform[:, : n_steps * STEP].reshape(waveform.shape[0], n_steps, STEP)


def _levels_db(waveform: FloatArray) -> FloatArray:
    power: FloatArray = np.square(_split_steps(waveform)).mean((0, 2))
    return _decibels(power)


def _mean_products(estimates: Mapping[str, FloatArray]) -> FloatArray:
    steps = [_split_steps(estimates[target]) for target in TARGETS]
    means = [[(one * other).mean((0, 2)) for other in steps] for one in steps]
    return np.array(means, np.float32)


def _low_db(waveform: FloatArray) -> FloatArray:
    steps = _split_steps(waveform)
    spectra = np.fft.rfft(steps * np.hanning(STEP), axis=-1)
    n_low = round(LOW_HZ * STEP_S) + 1
    # Parseval's theorem; the window keeps 3/8 of the power
    power = 2 * np.square(np.abs(spectra[..., 1:n_low])).sum(-1).mean(0) / STEP**2 / 0.375
    return _decibels(power)


def _onset_db(waveform: FloatArray) -> FloatArray:
    """Return the largest mean rise in dB above 6 kHz over 20 ms, for each half-second."""
    size, hop = 1024, 441
    n_steps = waveform.shape[-1] // STEP
    mono = np.pad(waveform.mean(0), size // 2)
    frames = sliding_window_view(mono, size)[::hop]
    window = np.hanning(size).astype(np.float32)
    low = round(HIGH_HZ * size / SAMPLE_RATE)
    power = np.square(np.abs(np.fft.rfft(frames * window)[:, low:]))
    loud = np.percentile(np.square(frames).sum(-1), 90) * size / 2
    # a hi-hat 40 dB below the music still rises by about 10 dB
    level = 10 * np.log10(power + 10**-7.5 * loud + _FLOOR)
    rise = np.maximum(level[2:] - level[:-2], 0).mean(1)
    per_step = STEP // hop
    rise = np.pad(rise, (0, max(0, n_steps * per_step - rise.size)))[: n_steps * per_step]
    return np.asarray(rise.reshape(n_steps, per_step).max(1), np.float32)


def _decibels(power: NDArray[np.floating]) -> FloatArray:
    return np.asarray(10 * np.log10(power + _FLOOR), np.float32)
