"""Analysis and synthesis of voices by the WORLD vocoder, with one frame every 5 ms.

Frames hold the pitch in Hz (0 where unvoiced), the spectral envelope as log power, and the aperiodic share of
each bin. Changes of pitch, time, formants and breath are changes of frames.

M. Morise, F. Yokomori, K. Ozawa, "WORLD: a vocoder-based high-quality speech synthesis system for
real-time applications", IEICE Trans. E99-D, 2016.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyworld
from numpy.typing import NDArray
from scipy.ndimage import median_filter

from stemsplit.training import SAMPLE_RATE
from stemsplit.types import FloatArray

FRAME_S = 0.005
N_FFT = 2048
N_BINS = N_FFT // 2 + 1
LOWEST_HZ, HIGHEST_HZ = 65.0, 1050.0
SILENCE = -30.0  # log power of an inaudible frame
_MIN_VOICED = 5  # frames; shorter voiced runs are errors of the pitch detector
_COARSE = 2  # aperiodicity is expensive and changes slowly: it is analysed at every second frame
_MIN_SAMPLES = 4 * N_FFT


@dataclass(frozen=True)
class VoiceFrames:
    """A voice, frame by frame.

    Parameters
    ----------
    pitch_hz : FloatArray, shape (frames,)
        Fundamental frequency, 0 where unvoiced.
    log_power : FloatArray, shape (frames, bins)
        Natural logarithm of the power envelope.
    aperiodicity : FloatArray, shape (frames, bins)
        Share of noise, 0 to 1.
    """

    pitch_hz: FloatArray
    log_power: FloatArray
    aperiodicity: FloatArray

    @property
    def n_frames(self) -> int:
        """Number of frames."""
        return int(self.pitch_hz.size)

    def at(self, places: NDArray[Any]) -> "VoiceFrames":
        """Return the voice at fractional frame numbers: stretched, cut or reordered.

        The envelope is interpolated between frames, so that a vowel can be held.
        """
        places = np.clip(places, 0, self.n_frames - 1)
        low = np.minimum(places.astype(np.intp), max(0, self.n_frames - 2))
        high = np.minimum(low + 1, self.n_frames - 1)
        weight = (places - low).astype(np.float32)[:, None]
        return VoiceFrames(
            self.pitch_hz[np.rint(places).astype(np.intp)],
            self.log_power[low] * (1 - weight) + self.log_power[high] * weight,
            self.aperiodicity[low] * (1 - weight) + self.aperiodicity[high] * weight,
        )

    def with_formants(self, ratio: float) -> "VoiceFrames":
        """Scale the formant frequencies: a ratio above one models a smaller head, below one a larger one."""
        if abs(ratio - 1) < 1e-3:
            return self
        places = np.clip(np.arange(N_BINS) / ratio, 0, N_BINS - 1)
        low = np.minimum(places.astype(np.intp), N_BINS - 2)
        weight = (places - low).astype(np.float32)
        moved = self.log_power[:, low] * (1 - weight) + self.log_power[:, low + 1] * weight
        return replace(self, log_power=np.asarray(moved, np.float32))

    def with_pitch(self, pitch_hz: NDArray[Any]) -> "VoiceFrames":
        """Replace the pitch of voiced frames; unvoiced frames stay unvoiced."""
        limited = np.clip(pitch_hz, 40, 2 * HIGHEST_HZ)
        return replace(self, pitch_hz=np.where(self.pitch_hz > 0, limited, 0).astype(np.float32))

    def transpose(self, semitones: float | NDArray[Any]) -> "VoiceFrames":
        """Transpose by an interval, constant or per frame, and keep the formants."""
        return self.with_pitch(np.asarray(self.pitch_hz * 2 ** (np.asarray(semitones) / 12)))

    def with_breath(self, amount: float) -> "VoiceFrames":
        """Add breath noise, `amount` 0 to 1, from about 1 kHz upwards, where breath is audible."""
        frequency_hz = np.arange(N_BINS) * SAMPLE_RATE / N_FFT
        share = amount / (1 + (1500 / np.maximum(frequency_hz, 1)) ** 2)
        airy = 1 - (1 - self.aperiodicity) * (1 - share)
        return replace(self, aperiodicity=np.asarray(airy, np.float32))

    def with_air(self) -> "VoiceFrames":
        """Fill in the highest octave where a recording has none: speech is often recorded at 16 kHz.

        The band above the cutoff continues the level below it as noise, with a slope.
        """
        level_db = 10 / np.log(10) * np.log(np.exp(self.log_power).mean(0) + 1e-13)
        occupied = np.flatnonzero(level_db > level_db[_bin(2000) : _bin(4500)].mean() - 30)
        cut = int(occupied[-1]) if occupied.size else N_BINS
        if not _bin(4500) < cut < _bin(11_500):
            return self
        cut -= _bin(500)
        edge = self.log_power[:, cut - _bin(600) : cut].mean(1, keepdims=True)
        slope = (np.arange(N_BINS - cut) * (SAMPLE_RATE / N_FFT / 1000) * 1.5 * np.log(10) / 10)[None]
        log_power, aperiodicity = self.log_power.copy(), self.aperiodicity.copy()
        log_power[:, cut:] = np.maximum(edge - slope, SILENCE)
        aperiodicity[:, cut:] = np.maximum(aperiodicity[:, cut:], 0.9)
        return replace(self, log_power=log_power, aperiodicity=aperiodicity)

    def whisper(self) -> "VoiceFrames":
        """Replace the pitch by noise and attenuate the lowest octaves."""
        frequency_hz = np.arange(N_BINS) * SAMPLE_RATE / N_FFT
        thinner = -np.log1p((500 / np.maximum(frequency_hz, 20)) ** 2)
        return VoiceFrames(
            np.zeros_like(self.pitch_hz),
            np.asarray(self.log_power + thinner, np.float32),
            np.ones_like(self.aperiodicity),
        )

    def tilt(self, high_db: float) -> "VoiceFrames":
        """Raise the level above some 2 kHz by `high_db` (lower it if negative): loud voices are brighter."""
        frequency_hz = np.arange(N_BINS) * SAMPLE_RATE / N_FFT
        shelf = high_db * np.log(10) / 10 / (1 + (1800 / np.maximum(frequency_hz, 1)) ** 2)
        return replace(self, log_power=np.asarray(self.log_power + shelf, np.float32))

    def waveform(self) -> FloatArray:
        """Synthesise the voice, shape (1, samples), with a peak of at most one."""
        if not self.n_frames:
            return np.zeros((1, 0), np.float32)
        sound = pyworld.synthesize(
            self.pitch_hz.astype(np.float64),
            np.ascontiguousarray(np.exp(self.log_power.astype(np.float64))),
            np.ascontiguousarray(np.clip(self.aperiodicity.astype(np.float64), 1e-3, 1 - 1e-9)),
            SAMPLE_RATE,
            1000 * FRAME_S,
        )
        peak = float(np.abs(sound).max(initial=0.0))
        return np.asarray(sound[None] / max(1.0, peak), np.float32)


def analyse_voice(waveform: FloatArray) -> VoiceFrames:
    """Analyse a voice, ``(channels, samples)``, into frames; silence gives unvoiced frames."""
    mono = waveform.mean(0).astype(np.float64) if waveform.size else np.zeros(0)
    mono = np.pad(mono, (0, max(0, _MIN_SAMPLES - mono.size)))
    pitch_hz, times = pyworld.dio(
        mono, SAMPLE_RATE, f0_floor=LOWEST_HZ, f0_ceil=HIGHEST_HZ, frame_period=1000 * FRAME_S
    )
    pitch_hz = _remove_octave_errors(pyworld.stonemask(mono, pitch_hz, times, SAMPLE_RATE))
    power = pyworld.cheaptrick(mono, pitch_hz, times, SAMPLE_RATE, fft_size=N_FFT)
    coarse = slice(None, None, _COARSE)
    noise = pyworld.d4c(
        mono, np.ascontiguousarray(pitch_hz[coarse]), np.ascontiguousarray(times[coarse]), SAMPLE_RATE,
        fft_size=N_FFT,
    )  # fmt: skip
    noise = np.repeat(noise, _COARSE, axis=0)[: pitch_hz.size]
    log_power = np.log(np.maximum(power, np.exp(SILENCE)))
    return VoiceFrames(*(np.asarray(each, np.float32) for each in (pitch_hz, log_power, noise)))


def _bin(frequency_hz: float) -> int:
    return round(frequency_hz * N_FFT / SAMPLE_RATE)


def _remove_octave_errors(pitch_hz: NDArray[np.float64]) -> NDArray[np.float64]:
    """Remove single frames that are an octave off, and voiced runs too short to be a voice."""
    steady = median_filter(pitch_hz, 5)
    off = (
        (pitch_hz > 0)
        & (steady > 0)
        & (np.abs(np.log2(np.maximum(pitch_hz, 1) / np.maximum(steady, 1))) > 0.4)
    )
    out = np.where(off, steady, pitch_hz)
    edges = np.flatnonzero(np.diff(np.concatenate([[0], (out > 0).astype(np.int8), [0]])))
    for start, stop in edges.reshape(-1, 2):
        if stop - start < _MIN_VOICED:
            out[start:stop] = 0
    return out
