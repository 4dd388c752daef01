"""Tempo, beats and downbeats, from the onset strength of the drums."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from stemsplit.music.features import CHROMA_HOP, ONSET_HOP, SAMPLE_RATE
from stemsplit.types import FloatArray

FRAME_RATE: Final = SAMPLE_RATE / ONSET_HOP
SLOWEST_BPM: Final = 55.0
FASTEST_BPM: Final = 215.0
BEATS_PER_BAR: Final = 4

# A song has a beat if its onsets come back this much more than by chance.
_LEAST_PULSE: Final = 0.1
_PULSE_OF_NOISE: Final = 3.0  # times the spread of the autocorrelation of noise
# The spectrum of a frame rises before the onset is in its middle, by about so much.
_ATTACK_S: Final = 0.015
_FEWEST_BEATS: Final = 8
_HARMONY_WEIGHT: Final = 1.5
_WEAK_BEAT: Final = 0.55  # of the strength of a beat
# Tempos that people tap are spread around this one (McKinney & Moelants 2006), about so many octaves wide.
_USUAL_BPM: Final = 118.0
_WIDTH_OCTAVES: Final = 0.7


@dataclass(frozen=True)
class Beats:
    """The beats of a song.

    Attributes
    ----------
    bpm : float
        Beats a minute, the median over the song.
    times_s : NDArray
        Time of every beat, in seconds.
    downbeats_s : NDArray
        Times of the first beats of the bars, of `BEATS_PER_BAR` beats each.
    """

    bpm: float
    times_s: NDArray[np.float64]
    downbeats_s: NDArray[np.float64]


def estimate_beats(
    strength: FloatArray, low: FloatArray, *, song: FloatArray | None = None, chroma: FloatArray | None = None
) -> Beats | None:
    """Return the beats; None where nothing beats.

    Parameters
    ----------
    strength, low
        Onset strength ``(frames,)`` of the drums, or of the song where there are none; over all bands, and in
        the lows. See `stemsplit.music.features.OnsetFeatures`.
    song
        Onset strength of the whole song, which helps to settle the octave of the tempo.
    chroma
        Energy by pitch class ``(12, frames)``, see `stemsplit.music.features.ChromaFeatures`; chords change
        where bars begin.

    References
    ----------
    Ellis, "Beat tracking by dynamic programming", Journal of New Music Research 36, 2007.
    """
    import librosa

    onsets, lows = _level(strength), _level(low)
    bpm = _estimate_bpm(onsets)
    if bpm is None:
        return None
    accents = [onsets + lows] if song is None else [onsets + lows, _level(song)]
    _, frames = librosa.beat.beat_track(
        onset_envelope=onsets, sr=SAMPLE_RATE, hop_length=ONSET_HOP, bpm=bpm, tightness=300, trim=False
    )
    frames = _drop_weak_beats(accents, frames, bpm)
    if len(frames) < _FEWEST_BEATS:
        return None
    times_s = _refine(onsets, frames) / FRAME_RATE + _ATTACK_S
    first = _find_downbeat(lows, chroma, frames)
    median_s = float(np.median(np.diff(times_s)))
    slope_s = float(np.polyfit(np.arange(len(times_s)), times_s, 1)[0])
    # a steady song has one tempo, which the whole of it tells better than any beat
    is_steady = abs(slope_s - median_s) < 0.02 * median_s
    return Beats(60 / (slope_s if is_steady else median_s), times_s, times_s[first::BEATS_PER_BAR])


def _level(strength: FloatArray) -> FloatArray:
    """Divide onset strength by its mean over four seconds, so that soft passages count as loud ones do."""
    from scipy.ndimage import uniform_filter1d

    level = uniform_filter1d(strength.astype(np.float64), round(4 * FRAME_RATE), mode="nearest")
    return np.asarray(strength / np.maximum(level, 0.1 * max(float(level.max(initial=0)), 1e-9)), np.float32)


def _estimate_bpm(onsets: FloatArray) -> float | None:
    """Return the tempo whose beats and bars come back most clearly; None if nothing comes back."""
    lags = np.arange(1, round(8 * 60 / SLOWEST_BPM * FRAME_RATE) + 2)
    if len(onsets) < 2 * round(60 / SLOWEST_BPM * FRAME_RATE):
        return None
    returns = _autocorrelation(onsets, int(lags[-1]) + 1)
    bpms = np.geomspace(SLOWEST_BPM, FASTEST_BPM, 400)
    periods = 60 / bpms * FRAME_RATE
    places = np.arange(len(returns))
    # what comes back after one, two and four beats; half a beat is there in every faster level as well
    weights = {1: 1.0, 2: 0.75, 4: 0.75}
    parts = [weight * np.interp(beats * periods, places, returns) for beats, weight in weights.items()]
    salience = np.sum(parts, axis=0) / sum(weights.values())
    if salience.max() < _LEAST_PULSE + _PULSE_OF_NOISE / np.sqrt(len(onsets)):
        return None
    usual = np.exp(-0.5 * (np.log2(bpms / _USUAL_BPM) / _WIDTH_OCTAVES) ** 2)
    return float(bpms[np.argmax(np.maximum(salience, 0) * usual)])


def _autocorrelation(onsets: FloatArray, n_lags: int) -> NDArray[np.float64]:
    """Return the autocorrelation of onset strength for lags of 0 to `n_lags` frames; 1 at lag 0."""
    from scipy.signal import fftconvolve

    centred = onsets.astype(np.float64) - onsets.mean()
    full = fftconvolve(centred, centred[::-1])[len(centred) - 1 :]
    counts = np.arange(len(centred), 0, -1)
    if full[0] <= 0:
        return np.zeros(n_lags)
    found = full / counts * len(centred) / full[0]
    return np.pad(found, (0, max(0, n_lags - len(found))))[:n_lags]


def _drop_weak_beats(accents: Sequence[FloatArray], frames: NDArray[np.intp], bpm: float) -> NDArray[np.intp]:
    """Settle the octave of the tempo by accent: keep every other beat if those between are far weaker.

    On the beat there is a kick or a snare drum, between beats there is a hi-hat. The beats between must be
    weak in each of `accents`.
    """
    if bpm / 2 < SLOWEST_BPM or len(frames) < 2 * _FEWEST_BEATS:
        return frames
    by_place = np.array(
        [[np.median(_strength_at(accent, frames)[start::2]) for start in range(2)] for accent in accents]
    )
    even, odd = by_place[0]
    column = 1 if even > odd else 0
    is_weak = by_place[:, column] <= _WEAK_BEAT * by_place[:, 1 - column]
    return frames[1 - column :: 2] if is_weak.all() else frames


def _strength_at(strength: FloatArray, frames: NDArray[np.intp]) -> FloatArray:
    """The greatest strength within two frames (46 ms) of each place."""
    padded = np.pad(strength, 2)
    return np.asarray(np.max([padded[frames + shift] for shift in range(5)], axis=0))


def _refine(onsets: FloatArray, frames: NDArray[np.intp]) -> NDArray[np.float64]:
    """Move beats to the top of the parabola through the strengths around them, in fractions of a frame."""
    inner = np.clip(frames, 1, len(onsets) - 2)
    before, at, after = onsets[inner - 1], onsets[inner], onsets[inner + 1]
    bend = before - 2 * at + after
    shift = np.where(bend < 0, 0.5 * (before - after) / np.where(bend < 0, bend, -1.0), 0.0)
    return np.asarray(frames + np.clip(shift, -0.5, 0.5))


def _find_downbeat(low: FloatArray, chroma: FloatArray | None, frames: NDArray[np.intp]) -> int:
    """Return which of the first beats begins a bar.

    It is the one whose place in the bar has the strongest lows and the greatest changes of harmony.
    """
    score = _standardise(_by_place(_strength_at(low, frames)))
    if chroma is not None and chroma.shape[1]:
        score += _HARMONY_WEIGHT * _standardise(_by_place(_harmonic_change(chroma, frames)))
    return int(np.argmax(score))


def _by_place(values: NDArray[np.floating]) -> NDArray[np.float64]:
    """Mean of the values of each place in the bar, ``(BEATS_PER_BAR,)``."""
    return np.array([float(np.mean(values[place::BEATS_PER_BAR])) for place in range(BEATS_PER_BAR)])


def _standardise(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray((values - values.mean()) / max(float(values.std()), 1e-9))


def _harmonic_change(chroma: FloatArray, frames: NDArray[np.intp]) -> NDArray[np.float64]:
    """How much the pitch classes differ between the beat before each beat and the beat after it, 0 to 1."""
    places = np.clip(np.rint(frames * ONSET_HOP / CHROMA_HOP).astype(int), 0, chroma.shape[1] - 1)
    edges = np.concatenate([[0], places, [chroma.shape[1]]])
    parts = [chroma[:, start : max(stop, start + 1)].mean(axis=1) for start, stop in pairwise(edges)]
    unit = np.stack(parts) / np.maximum(np.linalg.norm(parts, axis=1, keepdims=True), 1e-9)
    return np.asarray(1 - np.sum(unit[:-1] * unit[1:], axis=1))
