"""A time-varying low-pass filter, as in a synthesiser: a four-pole ladder with resonance, solved in blocks.

The poles of a ladder of four equal stages with feedback k, over its cutoff, are -1 + c (+-1 +- j) with
c = k^(1/4) / sqrt 2. Each pair is one complex recurrence z[n] = a[n] z[n-1] + g[n] x[n], whose imaginary part
is the output: such a filter follows its cutoff from sample to sample without a click.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stemsplit.training import SAMPLE_RATE
from stemsplit.types import FloatArray

Samples = NDArray[np.float64]
_BLOCK = 64  # the largest decay in one block, e^(2 x 64 x 2.6), is representable
_PIECE = 128 * _BLOCK  # samples processed at a time, few enough for the processor's cache


def apply_ladder_filter(waveform: FloatArray, cutoff_hz: Samples, *, resonance: float) -> FloatArray:
    """Apply a ladder filter whose cutoff varies.

    Parameters
    ----------
    waveform : FloatArray, shape (channels, samples)
        The sound, with a peak near 1: louder sound saturates.
    cutoff_hz : array, shape (samples,)
        Cutoff per sample, clipped to 20 Hz to 18 kHz.
    resonance : float
        Resonance, 0 to 1; near one the filter almost oscillates.
    """
    feedback = 4 * (0.1 + 0.88 * resonance)
    corner = feedback**0.25 / np.sqrt(2)
    turn = np.clip(cutoff_hz, 20, 18_000) * (2 * np.pi / SAMPLE_RATE)
    gain = (1 + feedback / 2) / (1 + feedback)
    states = np.zeros((2, waveform.shape[0]), np.complex128)
    out = np.empty(waveform.shape, np.float32)
    for start in range(0, turn.size, _PIECE):
        angles = _Angles.of(turn[start : start + _PIECE], corner)
        piece = gain * waveform[:, start : start + _PIECE].astype(np.float64)
        for state, real in zip(states, (-1 - corner, -1 + corner), strict=True):
            piece = _two_poles(piece, angles, real, state)
        out[:, start : start + _PIECE] = np.tanh(piece)
    return out


@dataclass(frozen=True)
class _Angles:
    """Angles of the poles, per sample and accumulated since the beginning of each block; ``(blocks, block)``.

    Parameters
    ----------
    turn, since : array
        The cutoff in radians, and its cumulative sum in the block.
    cosine, sine, cosines, sines : array
        Cosine and sine of the poles' angle per sample, and of the angle since the beginning of the block.
    """

    turn: Samples
    since: Samples
    cosine: Samples
    sine: Samples
    cosines: Samples
    sines: Samples

    @classmethod
    def of(cls, turn: Samples, corner: float) -> "_Angles":
        """Compute the angles of a cutoff in radians per sample.

        The last block is padded with its last value.
        """
        blocks = np.pad(turn, (0, -turn.size % _BLOCK), mode="edge").reshape(-1, _BLOCK)
        since = np.cumsum(blocks, axis=1)
        one, more = corner * blocks, corner * since
        return cls(blocks, since, np.cos(one), np.sin(one), np.cos(more), np.sin(more))


def _two_poles(sound: Samples, angles: _Angles, real: float, state: NDArray[np.complex128]) -> Samples:
    """Apply a pole and its conjugate, of unit gain at 0 Hz.

    `state` carries over to the next piece, by channel.

    Within a block z[n] = d[n] (z[-1] + sum of g x / d), where d[n] is the product of all a until n.
    """
    step, decay = np.exp(real * angles.turn), np.exp(real * angles.since)
    gain = (1 - 2 * step * angles.cosine + step**2) / (step * angles.sine * decay)
    last = decay[:, -1] * (angles.cosines[:, -1] + 1j * angles.sines[:, -1])
    out = np.empty_like(sound)
    for channel, samples in enumerate(sound):
        weighted = gain * np.pad(samples, (0, gain.size - samples.size)).reshape(gain.shape)
        reals, imags = (
            np.cumsum(weighted * angles.cosines, axis=1),
            np.cumsum(-weighted * angles.sines, axis=1),
        )
        before, state[channel] = _carry_states(
            last, last * (reals[:, -1] + 1j * imags[:, -1]), state[channel]
        )
        reals += before.real[:, None]
        imags += before.imag[:, None]
        output = decay * (angles.cosines * imags + angles.sines * reals)
        out[channel] = output.ravel()[: samples.size]
    return out


def _carry_states(
    decays: NDArray[np.complex128], ends: NDArray[np.complex128], state: complex
) -> tuple[NDArray[np.complex128], complex]:
    """Return the state before every block and after the last one."""
    out = []
    for decay, end in zip(decays.tolist(), ends.tolist(), strict=True):
        out.append(state)
        state = decay * state + end
    return np.array(out, np.complex128), state
