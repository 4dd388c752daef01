"""Guitar amplifiers: clipping gain stages, a sagging power supply, a cabinet in front of a microphone.

Several performances may share one `Amplifier`; each of them draws its own microphone position.
"""

from dataclasses import dataclass

import numpy as np
import pedalboard as pb
import soxr
from numpy.random import Generator
from scipy.signal import oaconvolve

from stemsplit.training import SAMPLE_RATE
from stemsplit.training.synthesis.effects import apply_plugins, normalise_peak
from stemsplit.types import FloatArray

_OVERSAMPLING = 4
_CABINET_SAMPLES = 1024


@dataclass(frozen=True)
class Amplifier:
    """Settings of an amplifier.

    Parameters
    ----------
    gains_db : tuple of float
        Gain before each clipping stage.
    bias : float
        Asymmetry of the clipping, 0 to 0.5: even harmonics.
    tight_hz : float
        What is lower is cut before the first stage.
    middle_hz, middle_db : float
        Tone before the clipping.
    sag : float
        How much loud playing lowers the gain, 0 to 1.
    """

    gains_db: tuple[float, ...]
    bias: float = 0.1
    tight_hz: float = 120.0
    middle_hz: float = 800.0
    middle_db: float = 4.0
    sag: float = 0.3


@dataclass(frozen=True)
class Cabinet:
    """A loudspeaker cabinet as a microphone picks it up; frequencies in Hz, levels in dB."""

    resonance_hz: float
    resonance_db: float
    scoop_db: float
    presence_hz: float
    presence_db: float
    roll_off_hz: float
    slope_db: float


def draw_amplifier(rng: Generator, kind: str) -> Amplifier:
    """Draw random settings of a kind: "clean", "crunch" or "high gain"."""
    gains_db = {
        "clean": (float(rng.uniform(-6, 6)),),
        "crunch": (float(rng.uniform(12, 24)), float(rng.uniform(0, 8))),
        "high gain": (float(rng.uniform(18, 30)), float(rng.uniform(8, 18)), float(rng.uniform(0, 8))),
    }[kind]
    tight_hz = float(rng.uniform(60, 110) if kind == "clean" else rng.uniform(90, 280))
    middle_hz, middle_db = float(rng.uniform(500, 1500)), float(rng.uniform(0, 9))
    return Amplifier(
        gains_db, float(rng.uniform(0.02, 0.4)), tight_hz, middle_hz, middle_db, float(rng.uniform(0, 0.7))
    )


def draw_cabinet(rng: Generator) -> Cabinet:
    """Draw a random guitar cabinet."""
    return Cabinet(
        resonance_hz=float(rng.uniform(90, 125)),
        resonance_db=float(rng.uniform(1, 7)),
        scoop_db=float(rng.uniform(0, 7)),
        presence_hz=float(rng.uniform(2000, 4000)),
        presence_db=float(rng.uniform(2, 10)),
        roll_off_hz=float(rng.uniform(4500, 6000)),
        slope_db=float(rng.uniform(22, 44)),
    )


def amplify(amplifier: Amplifier, waveform: FloatArray) -> FloatArray:
    """Pass a mono waveform through the gain stages, without a cabinet; shape ``(1, samples)``.

    The peak is that of `normalise_peak`.
    """
    tone = [
        pb.HighpassFilter(amplifier.tight_hz),
        pb.PeakFilter(amplifier.middle_hz, amplifier.middle_db, 0.7),
    ]
    out = normalise_peak(apply_plugins(waveform, tone))
    if amplifier.sag:
        squeezed = normalise_peak(apply_plugins(out, [pb.Compressor(-22, 4, 15, 180)]))
        out = (1 - amplifier.sag) * out + amplifier.sag * squeezed
    out = soxr.resample(out[0], SAMPLE_RATE, _OVERSAMPLING * SAMPLE_RATE, quality="LQ")
    for gain_db in amplifier.gains_db:
        out = _clip_stage(out, gain_db, amplifier.bias)
    out = soxr.resample(out, _OVERSAMPLING * SAMPLE_RATE, SAMPLE_RATE, quality="LQ")
    n_samples = waveform.shape[1]
    padded = np.pad(out[:n_samples], (0, max(0, n_samples - out.size)))[None]
    return normalise_peak(apply_plugins(padded, [pb.HighpassFilter(30)]))


def cabinet_response(cabinet: Cabinet, rng: Generator) -> FloatArray:
    """Return the impulse response of a cabinet at a random microphone position, shape ``(samples,)``.

    It is of minimum phase; the position adds a comb (sound that arrives twice) and a ripple of its own.
    """
    n_fft = 4 * _CABINET_SAMPLES
    frequency_hz = np.maximum(10.0, np.fft.rfftfreq(n_fft, 1 / SAMPLE_RATE))
    octaves = np.log2(frequency_hz)
    level_db = _curve_db(cabinet, frequency_hz)
    ripple = sum(
        rng.uniform(0.3, 1.2) * np.sin(2 * np.pi * (rate * octaves + rng.random()))
        for rate in (0.7, 1.3, 2.1)
    )
    delay_s, share = rng.uniform(0.0001, 0.0012), rng.uniform(0.1, 0.5)
    comb = np.abs(1 + share * np.exp(-2j * np.pi * frequency_hz * delay_s))
    magnitude = 10 ** ((level_db + ripple) / 20) * comb
    return _minimum_phase(np.maximum(magnitude, 1e-5), n_fft)[:_CABINET_SAMPLES]


def apply_cabinet(waveform: FloatArray, response: FloatArray) -> FloatArray:
    """Convolve a mono waveform with an impulse response; the length stays the same."""
    out = oaconvolve(waveform[0], response)[: waveform.shape[1]]
    return normalise_peak(np.asarray(out, np.float32)[None])


def _clip_stage(samples: FloatArray, gain_db: float, bias: float) -> FloatArray:
    """Apply one gain stage: biased tanh, without an offset, at the same peak whatever the gain."""
    driven = samples * np.float32(10 ** (gain_db / 20))
    driven += np.float32(bias)
    np.tanh(driven, out=driven)
    driven -= driven.mean()
    driven *= np.float32(0.5 / max(1e-6, float(np.abs(driven[::7]).max(initial=0.0))))
    return driven


def _curve_db(cabinet: Cabinet, frequency_hz: FloatArray) -> FloatArray:
    """Return the smooth part of a cabinet's magnitude response in dB."""
    octaves = np.log2(frequency_hz)

    def bell(centre_hz: float, width: float) -> FloatArray:
        return np.asarray(np.exp(-(((octaves - np.log2(centre_hz)) / width) ** 2)))

    level_db = cabinet.resonance_db * bell(cabinet.resonance_hz, 0.45)
    level_db = level_db - cabinet.scoop_db * bell(450, 0.8)
    level_db = level_db + cabinet.presence_db * bell(cabinet.presence_hz, 0.7)
    level_db = level_db - 24 * np.maximum(0, np.log2(0.85 * cabinet.resonance_hz) - octaves)
    return np.asarray(
        level_db - cabinet.slope_db * np.maximum(0, octaves - np.log2(cabinet.roll_off_hz)), np.float64
    )


def _minimum_phase(magnitude: FloatArray, n_fft: int) -> FloatArray:
    """Return the minimum-phase impulse response of a magnitude, by folding its cepstrum."""
    cepstrum = np.fft.irfft(np.log(magnitude), n_fft)
    folded = np.zeros(n_fft)
    folded[0], folded[n_fft // 2] = cepstrum[0], cepstrum[n_fft // 2]
    folded[1 : n_fft // 2] = 2 * cepstrum[1 : n_fft // 2]
    return np.asarray(np.fft.irfft(np.exp(np.fft.rfft(folded)), n_fft), np.float32)
