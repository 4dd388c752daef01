"""Syllables of a voice: an onset of consonants, a vowel that can be held, a coda."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter1d
from scipy.signal import find_peaks

from stemsplit.training import SAMPLE_RATE
from stemsplit.training.synthesis.singing import FRAME_S, N_FFT, VoiceFrames
from stemsplit.types import FloatArray

_ONSET, _CODA = 40, 24  # longest onset and coda in frames
_MIN_VOWEL, _MAX_VOWEL = 8, 160
_QUIETEST_DB = -26.0  # quietest vowel, relative to the loudest one
_EDGE_DB = 6.0  # level below its peak at which a vowel ends


@dataclass(frozen=True)
class Syllable:
    """One syllable.

    Parameters
    ----------
    frames : VoiceFrames
        The whole syllable, scaled so that all syllables' vowels have one level.
    vowel : slice
        Frames of the vowel, all of them voiced.
    """

    frames: VoiceFrames
    vowel: slice


def loudness_db(frames: VoiceFrames) -> FloatArray:
    """Return the level per frame between 200 and 4000 Hz, where vowels stand out, smoothed over 45 ms."""
    bins = slice(round(200 * N_FFT / SAMPLE_RATE), round(4000 * N_FFT / SAMPLE_RATE))
    power = np.exp(frames.log_power[:, bins]).mean(1)
    return np.asarray(10 * np.log10(uniform_filter1d(power, 9) + 1e-12), np.float32)


def find_nuclei(level_db: FloatArray) -> list[tuple[int, int, int]]:
    """Find the peaks of loudness as (start, peak, stop) in frames.

    Neighbours meet at the dip between them.
    """
    padded = np.concatenate([[-130.0], level_db, [-130.0]])
    peaks = find_peaks(padded, height=float(level_db.max(initial=-130)) + _QUIETEST_DB,
                       prominence=2.5, distance=round(0.07 / FRAME_S))[0] - 1  # fmt: skip
    dips = [int(a + np.argmin(level_db[a:b])) for a, b in pairwise(peaks)]
    edges = [0, *dips, level_db.size]
    return [(edges[i], int(peak), edges[i + 1]) for i, peak in enumerate(peaks)]


def find_syllables(frames: VoiceFrames) -> list[Syllable]:
    """Find the syllables of a voice; unvoiced sound has none."""
    level_db = loudness_db(frames)
    found = []
    for start, peak, stop in find_nuclei(level_db):
        held = (frames.pitch_hz > 0) & (level_db > level_db[peak] - _EDGE_DB)
        if not held[peak]:
            continue
        first = peak - _leading_run(held[start : peak + 1][::-1]) + 1
        last = min(peak + _leading_run(held[peak:stop]), first + _MAX_VOWEL)
        if last - first < _MIN_VOWEL:
            continue
        begin, end = max(start, first - _ONSET), min(stop, last + _CODA)
        vowel = slice(first - begin, last - begin)
        found.append(Syllable(_normalise_level(frames.at(np.arange(begin, end)), vowel), vowel))
    return found


def _normalise_level(frames: VoiceFrames, vowel: slice) -> VoiceFrames:
    level = np.log(np.exp(frames.log_power[vowel]).mean())
    return VoiceFrames(frames.pitch_hz, frames.log_power - level + _COMMON_LOG_POWER, frames.aperiodicity)


_COMMON_LOG_POWER = np.float32(-9.0)


def _leading_run(flags: NDArray[np.bool_]) -> int:
    """Return how many flags are set from the beginning on."""
    return int(np.argmin(flags)) if not flags.all() else int(flags.size)
