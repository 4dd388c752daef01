"""Effects of a mix: amplifiers, compressors, reverberation, buses. All of them return ``(2, samples)``."""

from collections.abc import Sequence

import numpy as np
import pedalboard as pb
from numpy.random import Generator
from scipy.signal import butter, oaconvolve, sosfilt

from stemsplit.training import SAMPLE_RATE
from stemsplit.training.examples.augment import copy_late, scale_width
from stemsplit.types import FloatArray


def apply_plugins(waveform: FloatArray, effects: Sequence[pb.Plugin]) -> FloatArray:
    """Run a chain of pedalboard plugins."""
    samples = np.ascontiguousarray(waveform, np.float32)
    for effect in effects:
        samples = effect(samples, SAMPLE_RATE)
    return samples


def normalise_peak(waveform: FloatArray, peak: float = 0.5) -> FloatArray:
    """Scale so that all but the rarest peaks stay below `peak`, the level that thresholds refer to."""
    loud = float(np.quantile(np.abs(waveform[:, ::7]), 0.999)) if waveform.size else 0.0
    return waveform * (peak / loud) if loud > 1e-6 else waveform


def saturate(waveform: FloatArray, drive_db: float) -> FloatArray:
    """Clip softly and keep the level of quiet sounds."""
    gain = 10 ** (drive_db / 20)
    return np.asarray(np.tanh(waveform * gain) / gain, np.float32)


def equalise(rng: Generator, waveform: FloatArray, spread_db: float = 5.0) -> FloatArray:
    """Apply a random equaliser of two shelves and two bells."""
    low_hz, high_hz = float(rng.uniform(80, 300)), float(rng.uniform(3000, 9000))
    bells = [
        pb.PeakFilter(
            float(rng.uniform(200, 6000)), float(rng.normal(0, spread_db)), float(rng.uniform(0.5, 2))
        )
        for _ in range(2)
    ]
    shelves = [
        pb.LowShelfFilter(low_hz, float(rng.normal(0, spread_db))),
        pb.HighShelfFilter(high_hz, float(rng.normal(0, spread_db))),
    ]
    return apply_plugins(waveform, [*shelves, *bells])


def add_reverb(rng: Generator, waveform: FloatArray, rooms: Sequence[FloatArray], wet: float) -> FloatArray:
    """Add reverberation by a measured room or an algorithm; `wet` is its level relative to the dry sound."""
    if rooms and rng.random() < 0.35:
        room = rooms[int(rng.integers(len(rooms)))][:, : 2 * SAMPLE_RATE]
        room = room / (np.sqrt(np.square(room).sum(1).mean()) + 1e-9)
        echo = oaconvolve(waveform, np.broadcast_to(room, (2, room.shape[1])), axes=1)
        return np.asarray(waveform + wet * echo[:, : waveform.shape[1]], np.float32)
    size = float(rng.uniform(0.1, 0.9))
    reverb = pb.Reverb(size, float(rng.uniform(0.2, 0.8)), wet, 1.0 - 0.5 * wet, float(rng.uniform(0.6, 1)))
    return apply_plugins(waveform, [reverb])


def compress_linked(
    waveform: FloatArray, curve: tuple[float, float], times_ms: tuple[float, float]
) -> FloatArray:
    """Compress both channels by one gain, derived from the louder one, so that the stereo image is stable.

    Parameters
    ----------
    waveform : FloatArray, shape (channels, samples)
        The sound.
    curve : tuple of float
        Threshold in dB and ratio.
    times_ms : tuple of float
        Attack and release in milliseconds.
    """
    # The key is never 0, so that the gain is the compressor's output divided by its input.
    key = np.maximum(np.abs(waveform).max(0, keepdims=True), 1e-5)
    return np.asarray(waveform * (apply_plugins(key, [pb.Compressor(*curve, *times_ms)]) / key), np.float32)


def compress(rng: Generator, waveform: FloatArray, *, heavy: bool = False) -> FloatArray:
    """Apply a compressor with random, musically plausible settings."""
    threshold_db = float(rng.uniform(-32, -18) if heavy else rng.uniform(-22, -10))
    ratio = float(rng.uniform(4, 10) if heavy else rng.uniform(1.8, 4))
    attack_ms, release_ms = float(rng.uniform(1, 25)), float(rng.uniform(50, 250))
    return normalise_peak(
        compress_linked(normalise_peak(waveform), (threshold_db, ratio), (attack_ms, release_ms))
    )


def limit_peaks(waveform: FloatArray, threshold_db: float) -> FloatArray:
    """Limit near a threshold by a fast compressor; peaks that pass its attack are saturated."""
    return saturate(normalise_peak(compress_linked(waveform, (threshold_db, 20.0), (1.0, 100.0)), 0.7), 0.0)


def apply_bass_amplifier(rng: Generator, waveform: FloatArray) -> FloatArray:
    """Apply random compression, distortion and cabinet equalisation of a bass amplifier."""
    draw = rng.random()
    out = compress(rng, waveform, heavy=bool(draw < 0.45)) if draw < 0.8 else normalise_peak(waveform)
    if rng.random() < 0.6:
        grit = apply_plugins(out, [pb.HighpassFilter(150), pb.Distortion(float(rng.uniform(5, 30)))])
        grit = apply_plugins(grit, [pb.LowpassFilter(float(rng.uniform(1500, 5000)))])
        out = out + float(rng.uniform(0.05, 0.5)) * normalise_peak(grit)
    out = saturate(normalise_peak(out, 0.7), float(min(10, rng.exponential(4))))
    tone = [
        pb.HighpassFilter(float(rng.uniform(25, 45))),
        pb.LowShelfFilter(float(rng.uniform(70, 140)), float(rng.uniform(-1, 7))),
        pb.PeakFilter(float(rng.uniform(200, 400)), float(rng.uniform(-6, 2)), 0.8),
        pb.PeakFilter(float(rng.uniform(700, 2500)), float(rng.uniform(-4, 6)), 0.8),
        pb.LowpassFilter(float(np.exp(rng.uniform(np.log(900), np.log(8000))))),
        pb.LowpassFilter(float(rng.uniform(3000, 12000))),
    ]
    return apply_plugins(out, tone)


def remove_infrasound(rng: Generator, waveform: FloatArray) -> FloatArray:
    """Apply a fourth-order high-pass filter at 24 to 32 Hz.

    Records reserve their headroom for audible sound.
    """
    sos = butter(4, float(rng.uniform(24, 32)), "highpass", fs=SAMPLE_RATE, output="sos")
    return np.asarray(sosfilt(sos, waveform, axis=1), np.float32)


def apply_drum_bus(rng: Generator, waveform: FloatArray, rooms: Sequence[FloatArray]) -> FloatArray:
    """Apply parallel compression, clipping and tone to a whole kit, sometimes a room.

    The image is mostly narrow.
    """
    out = normalise_peak(waveform, 0.7)
    if rng.random() < 0.3:
        out = add_reverb(rng, out, rooms, float(rng.uniform(0.02, 0.15)))
    draw = rng.random()
    if draw < 0.45:
        out = out + float(rng.uniform(0.1, 0.6)) * compress(rng, out, heavy=True)
    elif draw < 0.65:
        out = compress(rng, out)
    if rng.random() < 0.35:
        out = saturate(normalise_peak(out, 0.8), float(rng.uniform(0, 7)))
    elif rng.random() < 0.2:
        out = apply_plugins(normalise_peak(out, 1.0), [pb.Clipping(float(rng.uniform(-9, -1)))])
    out = scale_width(out, float(np.exp(rng.uniform(np.log(0.35), np.log(1.4)))))
    # Single hits are recorded closer than kits on records and are therefore brighter.
    corner_hz = float(np.exp(rng.uniform(np.log(1500), np.log(7000))))
    return equalise(rng, apply_plugins(out, [pb.HighShelfFilter(corner_hz, float(rng.uniform(-13, 2)))]), 2.5)


def duck(waveform: FloatArray, times_s: Sequence[float], *, depth: float, release_s: float) -> FloatArray:
    """Lower the level at each of the times, as sidechain compression by the kick; `depth` is from 0 to 1."""
    n_samples = waveform.shape[1]
    gain = np.ones(n_samples, np.float32)
    n_attack, n_fall = round(0.004 * SAMPLE_RATE), round(4 * release_s * SAMPLE_RATE)
    dip = np.exp(-np.arange(n_fall) / (release_s * SAMPLE_RATE))
    curve = 1 - depth * np.concatenate([np.linspace(0, 1, n_attack), dip]).astype(np.float32)
    for time_s in times_s:
        start = max(0, round(time_s * SAMPLE_RATE) - n_attack)
        piece = gain[start : start + curve.size]
        np.minimum(piece, curve[: piece.size], out=piece)
    return np.asarray(waveform * gain, np.float32)


def apply_instrument_bus(rng: Generator, waveform: FloatArray, rooms: Sequence[FloatArray]) -> FloatArray:
    """Apply tone, modulation, delay and room to one accompanying instrument; its lows are often cut."""
    low_cut = pb.HighpassFilter(float(np.exp(rng.uniform(np.log(35), np.log(200)))))
    out = equalise(rng, apply_plugins(normalise_peak(waveform), [low_cut] * int(rng.integers(0, 3))), 3.0)
    if rng.random() < 0.25:
        out = apply_plugins(
            out, [pb.Chorus(float(rng.uniform(0.3, 2)), float(rng.uniform(0.1, 0.4)), mix=0.4)]
        )
    if rng.random() < 0.2:
        out = apply_plugins(
            out, [pb.Delay(float(rng.uniform(0.15, 0.5)), float(rng.uniform(0.1, 0.4)), 0.25)]
        )
    out = add_reverb(rng, out, rooms, float(rng.uniform(0.02, 0.35)))
    return compress(rng, out) if rng.random() < 0.5 else out


def double_sides(rng: Generator, waveform: FloatArray) -> FloatArray:
    """Add two delayed copies with slightly varying delay, one left and one right."""
    out = waveform.copy()
    for side in range(2):
        copy = copy_late(rng, waveform.mean(0), (0.012, 0.035), (0.0005, 0.003))
        out[side] += 0.6 * copy
        out[1 - side] += 0.15 * copy
    return out


def place_in_stereo(waveform: FloatArray, pan: float) -> FloatArray:
    """Pan with constant power, `pan` from -1 (left) to 1 (right); mono becomes stereo."""
    angle = np.pi / 4 * (1 + pan)
    gains = np.sqrt(2) * np.array([[np.cos(angle)], [np.sin(angle)]])
    return np.asarray(np.broadcast_to(waveform, (2, waveform.shape[1])) * gains, np.float32)
