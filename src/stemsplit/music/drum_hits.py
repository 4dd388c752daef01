"""Drum hits of a stem: when, what, how strong.

The rise of the spectrum at a hit is explained as a sum of the spectra of a kick, a snare, a tom and a hi-hat
or cymbal, each with a weight of 0 or more. The spectra are the means of 563 recorded hits of many kits. A
weight counts if it is not small beside the others of its drum in the stem.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Final

import numpy as np
import soundfile
from numpy.typing import NDArray

from stemsplit.dsp.resample import Resampler
from stemsplit.dsp.stft import Analysis, StftSpec
from stemsplit.types import FloatArray

KINDS: Final = ("kick", "snare", "tom", "hat")
SAMPLE_RATE: Final = 44100
_SPEC: Final = StftSpec(1024, 256, analysis_window="hann", synthesis_window="hann", framing="centred")
_EDGES_HZ: Final = (30, 70, 120, 200, 350, 1000, 3000, 6000, 16000)
# mean magnitude of a hit in each band; of its norm
_SPECTRA: Final = {
    "kick": (0.47, 0.55, 0.55, 0.22, 0.11, 0.07, 0.04, 0.03),
    "snare": (0.04, 0.11, 0.39, 0.55, 0.44, 0.28, 0.20, 0.13),
    "tom": (0.11, 0.28, 0.61, 0.51, 0.30, 0.17, 0.09, 0.04),
    "hat": (0.04, 0.05, 0.09, 0.16, 0.32, 0.31, 0.45, 0.56),
}
# of a drum's strong hits; and of the strongest drum's, where weaker ones are the noise of the others
_LEAST_OF_OWN: Final = 0.25
_LEAST_OF_ALL: Final = {"kick": 0.15, "snare": 0.12, "tom": 0.2, "hat": 0.03}
_BLOCK_SAMPLES: Final = 65536
_FRAME_S: Final = _SPEC.hop_length / SAMPLE_RATE
_BEFORE: Final = 4  # frames whose mean is the background of a hit,
_LEAD: Final = 3  # so many frames before it: its window meets the hit early
_AFTER: Final = 6  # frames in which a hit reaches its peak
_LEAST_DISTANCE: Final = 8  # frames, 46 ms
_LEAST_RISE: Final = 0.08  # of the strongest, in any band
_FLOOR: Final = 1e-3
_SILENCE_S: Final = 0.1
_RANGE_DB: Final = 36.0


@dataclass(frozen=True)
class Hit:
    """A drum hit: its time in seconds, its kind, and its velocity from 1 to 127.

    `strength` is the magnitude by which its spectrum rises, as `measure_strength` has it of a sample.
    """

    time_s: float
    kind: str
    velocity: int
    strength: float


def find_hits(path: Path) -> list[Hit]:
    """Return the drum hits in a file, in order of time; several at one time for drums struck together.

    Parameters
    ----------
    path
        A file that libsndfile reads, a drums stem.
    """
    bands = _join(_measure_bands(_read_mono(path)))
    if bands.shape[1] <= _AFTER or bands.max() < _FLOOR:
        return []
    rises = _find_rises(bands)
    # the strongest rises of a band are its full strength; a band in which nothing happens has none
    full = np.maximum(np.percentile(rises, 99.5, axis=1, keepdims=True), 0.05 * rises.max())
    frames = _find_peaks(bands, full)
    if not len(frames):
        return []
    weights = _weigh(rises[:, frames])
    loudest = weights.max(axis=1)
    return [
        Hit(
            float(frames[hit] * _FRAME_S),
            KINDS[kind],
            _rate_velocity(weights[kind, hit] / loudest[kind]),
            float(weights[kind, hit]),
        )
        for hit, kind in np.argwhere(_choose(weights).T)
    ]


def measure_strength(waveform: FloatArray, sample_rate: int) -> float:
    """Return the strength of the one hit in ``(channels, samples)``, as `find_hits` measures it."""
    before = np.zeros(round(_SILENCE_S * sample_rate), dtype=np.float32)
    mono = np.concatenate([before, waveform.mean(axis=0), before])[np.newaxis]
    resampler = Resampler(from_hz=sample_rate, to_hz=SAMPLE_RATE)
    bands = _join(_measure_bands(iter([resampler.process(mono), resampler.flush()])))
    return float(np.linalg.norm(_find_rises(bands), axis=0).max())


def _join(bands: Iterable[FloatArray]) -> FloatArray:
    return np.concatenate([np.zeros((len(_EDGES_HZ) - 1, 0)), *bands], axis=1)


def _measure_bands(blocks: Iterable[FloatArray]) -> Iterator[FloatArray]:
    """Yield the magnitude in the bands between `_EDGES_HZ`, ``(bands, frames)``."""
    hz = np.arange(_SPEC.n_bins) * SAMPLE_RATE / _SPEC.n_fft
    masks = np.stack([(hz >= low) & (hz < high) for low, high in pairwise(_EDGES_HZ)]).astype(np.float32)
    analysis = Analysis(_SPEC, n_channels=1)
    n_samples = 0
    for samples in blocks:
        n_samples += samples.shape[-1]
        yield np.sqrt(masks @ np.abs(analysis.process(samples))[0] ** 2)
    if n_samples:
        yield np.sqrt(masks @ np.abs(analysis.flush())[0] ** 2)


def _read_mono(path: Path) -> Iterator[FloatArray]:
    with soundfile.SoundFile(path) as file:
        resampler = Resampler(from_hz=file.samplerate, to_hz=SAMPLE_RATE)
        while len(block := file.read(_BLOCK_SAMPLES, dtype="float32", always_2d=True)):
            yield resampler.process(block.mean(axis=1)[np.newaxis])
    yield resampler.flush()


def _find_rises(bands: FloatArray) -> FloatArray:
    """How far the magnitude of each band rises after a frame above what was before it, 0 or more."""
    padded = np.pad(bands, ((0, 0), (_BEFORE + _LEAD, _AFTER)), mode="edge")
    before = np.lib.stride_tricks.sliding_window_view(padded, _BEFORE, axis=1)[:, : bands.shape[1]]
    after = np.lib.stride_tricks.sliding_window_view(padded[:, _BEFORE + _LEAD :], _AFTER, axis=1)
    return np.asarray(np.maximum(after[:, : bands.shape[1]].max(axis=2) - before.mean(axis=2), 0))


def _find_peaks(bands: FloatArray, full: FloatArray) -> NDArray[np.intp]:
    """Return the frames in which hits begin: where one of the bands rises most steeply."""
    from scipy.signal import find_peaks

    padded = np.pad(bands / full, ((0, 0), (2, 1)), mode="edge")
    steepness = (padded[:, 3:] - padded[:, :-3]).max(axis=0)
    frames, _ = find_peaks(
        np.concatenate([[0.0], steepness, [0.0]]), height=_LEAST_RISE, distance=_LEAST_DISTANCE
    )
    return np.asarray(frames - 1)


def _weigh(rises: FloatArray) -> NDArray[np.float64]:
    """Return the weight of each of `KINDS` in each column of ``(bands, hits)``, ``(kinds, hits)``."""
    from scipy.optimize import nnls

    spectra = np.array([_SPECTRA[kind] for kind in KINDS]).T
    scale = 1 / spectra.mean(axis=1, keepdims=True)  # so that the weak bands of the highs count as well
    return np.stack([nnls(scale * spectra, scale[:, 0] * rise)[0] for rise in rises.T], axis=1)


def _choose(weights: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return which drums are struck in each hit, ``(kinds, hits)``."""
    strong = np.percentile(weights, 95, axis=1, keepdims=True)
    least = np.array([[_LEAST_OF_ALL[kind]] for kind in KINDS]) * strong.max()
    struck = np.asarray(weights >= np.maximum(least, _LEAST_OF_OWN * strong))
    kick, snare, tom = (weights[KINDS.index(kind)] for kind in ("kick", "snare", "tom"))
    # a tom is struck alone; beside others it stands for what is different in them
    struck[KINDS.index("tom")] &= tom > 1.5 * np.maximum(kick, snare)
    return struck


def _rate_velocity(strength: float) -> int:
    return int(np.clip(round(115 + 80 * 20 * np.log10(max(strength, 1e-3)) / _RANGE_DB), 1, 127))
