"""The effects chain of a voice on a record. All waveforms are ``(2, samples)``."""

from collections.abc import Sequence

import numpy as np
import pedalboard as pb
from numpy.random import Generator
from scipy.ndimage import uniform_filter1d

from stemsplit.training import SAMPLE_RATE
from stemsplit.training.synthesis.effects import (
    add_reverb,
    apply_plugins,
    compress,
    compress_linked,
    double_sides,
    normalise_peak,
    remove_infrasound,
    saturate,
)
from stemsplit.types import FloatArray


def apply_vocal_chain(
    rng: Generator, waveform: FloatArray, rooms: Sequence[FloatArray], *, distance: float = 1.0
) -> FloatArray:
    """Apply the effects of a vocal track.

    Equaliser, compressors, de-esser, saturation, echoes, reverberation.

    Parameters
    ----------
    rng : Generator
        Random generator of all settings.
    waveform : FloatArray, shape (2, samples)
        The dry voice.
    rooms : sequence of FloatArray
        Measured impulse responses.
    distance : float
        Factor on the amount of reverberation, 1 for a lead voice.
    """
    out = _equalise_voice(rng, waveform)
    out = compress(rng, out, heavy=bool(rng.random() < 0.7))
    if rng.random() < 0.5:
        out = compress(rng, out)
    if rng.random() < 0.6:
        out = de_ess(rng, out)
    if rng.random() < 0.3:
        out = saturate(normalise_peak(out, 0.8), float(rng.uniform(2, 12)))
    if rng.random() < 0.08:
        out = _apply_in_places(rng, out, apply_telephone(rng, out))
    if rng.random() < 0.2:
        out = double_sides(rng, out)
    out = _add_echoes(rng, out)
    wet = float(rng.uniform(0.5, 1.0)) if rng.random() < 0.07 else float(min(0.5, rng.exponential(0.13)))
    # voices are asymmetric: saturation and compression shift their mean off zero
    return remove_infrasound(rng, add_reverb(rng, out, rooms, min(1.0, wet * distance)))


def de_ess(rng: Generator, waveform: FloatArray) -> FloatArray:
    """Attenuate sibilants with a fast compressor on the band above some 6 kHz."""
    out = normalise_peak(waveform)
    high = apply_plugins(out, [pb.HighpassFilter(float(rng.uniform(4500, 7500)))])
    threshold_db = float(rng.uniform(-40, -26))
    return out - high + compress_linked(high, (threshold_db, float(rng.uniform(2, 6))), (0.5, 40))


def apply_telephone(rng: Generator, waveform: FloatArray) -> FloatArray:
    """Make a voice narrow and distorted, as through a telephone, a radio or a megaphone."""
    low_hz, high_hz = float(rng.uniform(250, 700)), float(rng.uniform(2200, 5000))
    narrow = [pb.HighpassFilter(low_hz), pb.HighpassFilter(low_hz), pb.LowpassFilter(high_hz)]
    return normalise_peak(
        apply_plugins(waveform, [*narrow, pb.Distortion(float(rng.uniform(0, 26))), *narrow])
    )


def ping_pong_echoes(
    waveform: FloatArray, *, delay_s: float, feedback: float, roll_off_hz: float
) -> FloatArray:
    """Return only the echoes, alternately left and right, each `feedback` times as loud as the one before."""
    echo = apply_plugins(
        waveform.mean(0, keepdims=True), [pb.LowpassFilter(roll_off_hz), pb.HighpassFilter(200)]
    )[0]
    out = np.zeros_like(waveform)
    step = round(delay_s * SAMPLE_RATE)
    for number in range(1, 9):
        late, gain = number * step, feedback**number
        if late < out.shape[1] and gain > 0.02:
            out[(number + 1) % 2, late:] += gain * echo[: echo.size - late]
    return out


def _equalise_voice(rng: Generator, waveform: FloatArray) -> FloatArray:
    """Cut lows and mud, shape presence and air."""
    low_cut_hz = float(rng.uniform(60, 160))
    tone = [
        *[pb.HighpassFilter(low_cut_hz)] * int(rng.integers(1, 3)),
        pb.PeakFilter(float(rng.uniform(180, 500)), float(rng.uniform(-6, 2)), 0.9),
        pb.PeakFilter(float(rng.uniform(800, 1800)), float(rng.normal(0, 2)), 1.0),
        pb.PeakFilter(float(rng.uniform(2500, 6000)), float(rng.uniform(-2, 6)), 0.7),
        pb.HighShelfFilter(float(rng.uniform(7000, 12000)), float(rng.uniform(-3, 8))),
    ]
    return apply_plugins(waveform, tone)


def _add_echoes(rng: Generator, waveform: FloatArray) -> FloatArray:
    """Add a slap echo, ping-pong echoes, echoes on single words, or none."""
    draw = rng.random()
    roll_off_hz = float(rng.uniform(1500, 8000))
    if draw < 0.2:
        slap = pb.Delay(float(rng.uniform(0.06, 0.15)), 0.0, 1.0)
        return waveform + float(rng.uniform(0.08, 0.4)) * apply_plugins(
            waveform, [slap, pb.LowpassFilter(roll_off_hz)]
        )
    if draw < 0.6:
        is_throw = draw > 0.4
        sent = waveform * _draw_gate(rng, waveform.shape[1], share=0.08) if is_throw else waveform
        echoes = ping_pong_echoes(
            sent, delay_s=float(rng.uniform(0.15, 0.6)), feedback=float(rng.uniform(0.2, 0.6)),
            roll_off_hz=roll_off_hz,
        )  # fmt: skip
        return waveform + float(rng.uniform(0.4, 1.2) if is_throw else rng.uniform(0.1, 0.5)) * echoes
    return waveform


def _apply_in_places(rng: Generator, waveform: FloatArray, transform: FloatArray) -> FloatArray:
    """Replace the waveform by its processed version, throughout or in some places only."""
    if rng.random() < 0.5:
        return transform
    where = _draw_gate(rng, waveform.shape[1], share=0.4, length_s=6.0)
    return waveform * (1 - where) + transform * where


def _draw_gate(rng: Generator, n_samples: int, *, share: float, length_s: float = 0.8) -> FloatArray:
    """Draw a gain of one in some stretches of about `length_s` and zero elsewhere, with edges of 30 ms."""
    step = round(length_s * SAMPLE_RATE)
    chosen = rng.random(n_samples // step + 1) < share
    gates = np.repeat(chosen.astype(np.float32), step)[:n_samples]
    return np.asarray(uniform_filter1d(gates, round(0.03 * SAMPLE_RATE)), np.float32)
