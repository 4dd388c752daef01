"""The mix of a drum kit: close microphones, room microphones, snare reverb, lo-fi effects."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pedalboard as pb
from numpy.random import Generator
from numpy.typing import NDArray
from scipy.signal import butter, oaconvolve, sosfilt

from stemsplit.training import SAMPLE_RATE
from stemsplit.training.synthesis.effects import (
    apply_drum_bus,
    apply_plugins,
    compress,
    duck,
    normalise_peak,
    saturate,
)
from stemsplit.types import FloatArray

# Gain of each bus in the room microphones.
_DISTANT = {"kick": 0.6, "snare": 1.0, "toms": 1.0, "cymbals": 1.3, "percussion": 0.7}


def mix_drums(
    rng: Generator, buses: Mapping[str, FloatArray], rooms: Sequence[FloatArray], kicks: Sequence[float]
) -> FloatArray:
    """Mix the buses of a kit.

    Parameters
    ----------
    rng : Generator
        Random generator of all settings.
    buses : mapping of str to FloatArray, shape (2, samples)
        "kick", "snare", "toms", "cymbals", "percussion".
    rooms : sequence of FloatArray
        Impulse responses; without any, decaying noise is used.
    kicks : sequence of float
        Times of the kick in seconds, at which the room may be ducked.

    Returns
    -------
    FloatArray, shape (2, samples)
    """
    close = _sum_buses(buses.values())
    peak = float(np.abs(close).max(initial=0.0))
    if peak < 1e-6:
        return close
    out = close
    if rng.random() < 0.75:
        sent = _sum_buses(_DISTANT[name] * bus for name, bus in buses.items())
        room = render_room_microphones(rng, sent, rooms)
        if rng.random() < 0.2:
            room = duck(room, kicks, depth=float(rng.uniform(0.4, 0.9)), release_s=0.15)
        out = out + _balance(close, room, float(rng.uniform(0.05, 0.4)))
    if rng.random() < 0.5:
        wet = reverberate_snare(rng, buses["snare"] + 0.5 * buses["toms"])
        out = out + _balance(buses["snare"], wet, float(rng.uniform(0.08, 0.4)))
    out = apply_drum_bus(rng, out, rooms)
    return degrade(rng, out) if rng.random() < 0.12 else out


def render_room_microphones(rng: Generator, waveform: FloatArray, rooms: Sequence[FloatArray]) -> FloatArray:
    """Render what overheads and room microphones pick up: late, wide and compressed."""
    echo = oaconvolve(waveform, draw_room_impulse(rng, rooms), axes=1)[:, : waveform.shape[1]]
    out = compress(rng, np.asarray(echo, np.float32), heavy=True)
    if rng.random() < 0.4:
        out = saturate(out, float(rng.uniform(3, 15)))
    return apply_plugins(out, [pb.HighpassFilter(float(rng.uniform(60, 300)))])


def draw_room_impulse(rng: Generator, rooms: Sequence[FloatArray]) -> FloatArray:
    """Draw a short stereo impulse response ``(2, samples)`` of unit energy: a measured room, or noise."""
    decay_s = float(np.exp(rng.uniform(np.log(0.02), np.log(0.14))))
    n_samples = round(5 * decay_s * SAMPLE_RATE)
    time_s = np.arange(n_samples) / SAMPLE_RATE
    impulse: NDArray[np.float64]
    if rooms and rng.random() < 0.4:
        room = rooms[int(rng.integers(len(rooms)))]
        first = int(np.argmax(np.abs(room).max(0) > 0.1 * np.abs(room).max()))
        room = np.broadcast_to(room[:, first : first + n_samples], (2, min(n_samples, room.shape[1] - first)))
        impulse = np.asarray(room * np.exp(-time_s[: room.shape[1]] / (1.5 * decay_s)), np.float64)
    else:
        both, sides = rng.normal(size=n_samples), rng.normal(size=(2, n_samples))
        noise = both + np.exp(rng.uniform(np.log(0.1), np.log(1.5))) * sides
        sos = butter(1, float(rng.uniform(2500, 12000)), "lowpass", fs=SAMPLE_RATE, output="sos")
        impulse = sosfilt(sos, noise * np.exp(-time_s / decay_s) * (rng.random(n_samples) < 0.3), axis=1)
    late = np.pad(impulse, ((0, 0), (round(rng.uniform(0.001, 0.02) * SAMPLE_RATE), 0)))
    return np.asarray(late / (np.sqrt(np.square(late).sum() / 2) + 1e-9), np.float32)


def reverberate_snare(rng: Generator, waveform: FloatArray) -> FloatArray:
    """Return only the reverberation of a plate, or of the gated reverb of the eighties."""
    if rng.random() < 0.65:
        plate = pb.Reverb(float(rng.uniform(0.2, 0.75)), float(rng.uniform(0.2, 0.7)), 1.0, 0.0, 1.0)
        return apply_plugins(waveform, [pb.HighpassFilter(float(rng.uniform(150, 500))), plate])
    n_samples = round(float(rng.uniform(0.12, 0.35)) * SAMPLE_RATE)
    gate: NDArray[np.float64] = rng.normal(size=(2, n_samples)) * np.linspace(1, 0.5, n_samples)
    gate[:, -400:] *= np.linspace(1, 0, 400)
    sos = butter(1, [200, float(rng.uniform(4000, 10000))], "bandpass", fs=SAMPLE_RATE, output="sos")
    return np.asarray(
        oaconvolve(waveform, sosfilt(sos, gate, axis=1), axes=1)[:, : waveform.shape[1]], np.float32
    )


def degrade(rng: Generator, waveform: FloatArray) -> FloatArray:
    """Reduce bit depth, sample rate and bandwidth, as lo-fi productions do."""
    out = normalise_peak(waveform, 0.9)
    if rng.random() < 0.6:
        out = apply_plugins(out, [pb.Bitcrush(float(rng.uniform(5, 10)))])
    if rng.random() < 0.4:
        held = int(rng.integers(2, 7))
        out = np.repeat(out[:, ::held], held, axis=1)[:, : waveform.shape[1]]
    return apply_plugins(out, [pb.LowpassFilter(float(rng.uniform(2500, 9000)))] * 2)


def _sum_buses(buses: Iterable[FloatArray]) -> FloatArray:
    return np.asarray(np.sum(list(buses), axis=0), np.float32)


def _balance(dry: FloatArray, wet: FloatArray, share: float) -> FloatArray:
    """Scale `wet` so that it is `share` of the whole."""
    dry_rms, wet_rms = (float(np.sqrt(np.square(each).mean())) for each in (dry, wet))
    return wet * (share / (1 - share) * dry_rms / max(1e-9, wet_rms))
