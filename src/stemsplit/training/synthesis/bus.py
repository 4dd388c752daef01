"""The bus of the accompaniment: the effects that a whole mix of layers passes through on a record."""

from collections.abc import Sequence

import numpy as np
import pedalboard as pb
from numpy.random import Generator

from stemsplit.training import SAMPLE_RATE
from stemsplit.training.examples.augment import scale_width
from stemsplit.training.synthesis.effects import (
    add_reverb,
    apply_plugins,
    compress,
    equalise,
    normalise_peak,
    saturate,
)
from stemsplit.training.synthesis.modulation import apply_wow
from stemsplit.types import FloatArray


def apply_accompaniment_bus(rng: Generator, waveform: FloatArray, rooms: Sequence[FloatArray]) -> FloatArray:
    """Mix the accompaniment as on a record: low cut, tone, width, compression, saturation.

    The lows are mostly left to the bass. Halls, tape and low bit depths are rare.
    """
    lowest_hz, poles = _draw_low_cut(rng)
    out = apply_plugins(normalise_peak(waveform), [pb.HighpassFilter(lowest_hz)] * poles)
    out = equalise(rng, out, 2.0)
    if rng.random() < 0.5:
        out = apply_plugins(
            out, [pb.HighShelfFilter(float(rng.uniform(3000, 8000)), float(rng.uniform(0, 7)))]
        )
    draw = rng.random()
    if draw < 0.4:
        out = widen_image(rng, out)
    elif draw < 0.6:
        # Not all that is centred in a record is vocals.
        out = scale_width(out, float(rng.uniform(0.05, 0.6)))
    if rng.random() < 0.12:
        out = add_reverb(rng, out, rooms, float(rng.uniform(0.15, 0.5)))
    if rng.random() < 0.45:
        out = compress(rng, out)
    if rng.random() < 0.35:
        out = saturate(normalise_peak(out, 0.8), float(rng.uniform(0, 8)))
    if rng.random() < 0.1:
        out = apply_wow(rng, out)
    if rng.random() < 0.06:
        out = crush_bits(rng, out)
    out = apply_plugins(normalise_peak(out), [pb.HighpassFilter(min(60.0, lowest_hz))])
    return limit_sides(out, float(rng.uniform(0.5, 1.0)))


def _draw_low_cut(rng: Generator) -> tuple[float, int]:
    """Draw the cutoff of the high-pass filter in Hz and its number of poles.

    One song in four keeps its lows.
    """
    if rng.random() < 0.27:
        return float(rng.uniform(18, 32)), 1
    lowest_hz = float(rng.uniform(35, 60) if rng.random() < 0.45 else rng.uniform(60, 140))
    return lowest_hz, int(rng.integers(1, 4))


def widen_image(rng: Generator, waveform: FloatArray) -> FloatArray:
    """Widen the stereo image by louder sides, or by delaying one side by 8 to 22 ms above the low notes."""
    middle, side = waveform.mean(0), (waveform[0] - waveform[1]) / 2
    if rng.random() < 0.5:
        side = side * rng.uniform(1.1, 2.2)
    else:
        lag = round(rng.uniform(0.008, 0.022) * SAMPLE_RATE)
        late = np.concatenate([np.zeros(lag), middle])[: middle.size].astype(np.float32)
        side = side + rng.uniform(0.25, 0.7) * apply_plugins(late[None], [pb.HighpassFilter(300)])[0]
    return np.stack([middle + side, middle - side]).astype(np.float32)


def limit_sides(waveform: FloatArray, most: float) -> FloatArray:
    """Limit the power of the sides to `most` times that of the middle, so that the mix survives in mono."""
    both = float(np.vdot(waveform, waveform)) / 2
    across = float(np.vdot(waveform[0], waveform[1]))
    middle, side = both + across, both - across
    return scale_width(waveform, float(np.sqrt(most * middle / side))) if side > most * middle else waveform


def crush_bits(rng: Generator, waveform: FloatArray) -> FloatArray:
    """Reduce the bit depth and the bandwidth."""
    return apply_plugins(
        waveform, [pb.Bitcrush(float(rng.uniform(7, 11))), pb.LowpassFilter(rng.uniform(3500, 8000))]
    )
