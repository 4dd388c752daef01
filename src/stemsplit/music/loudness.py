"""Loudness after EBU R 128, and where a waveform sounds, block by block."""

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

from stemsplit.types import FloatArray

_STEP_S: Final = 0.1  # gating blocks of 0.4 s begin every 0.1 s (ITU-R BS.1770-5)
_STEPS_PER_BLOCK: Final = 4
_ABSOLUTE_GATE_LUFS: Final = -70.0
_RELATIVE_GATE_LU: Final = -10.0
_FLOOR_DB: Final = -60.0  # below full scale nothing sounds
_BELOW_LOUDEST_DB: Final = -40.0  # nor below the loudest tenth of a second by so much
_SHORTEST_GAP_S: Final = 0.5


class LoudnessMeter:
    """Integrated loudness of a waveform, and its level over time.

    Parameters
    ----------
    sample_rate
        In Hz.
    n_channels
        One or two; of more, all count alike.
    """

    def __init__(self, sample_rate: int, n_channels: int) -> None:
        import pyloudnorm
        from scipy.signal import lfilter

        filters = pyloudnorm.Meter(sample_rate)._filters.values()
        self._filter = lfilter
        self._coefficients = [
            (np.asarray(each.b), np.asarray(each.a), each.passband_gain) for each in filters
        ]
        self._states = [np.zeros((n_channels, 2)) for _ in self._coefficients]
        self._n_step = round(_STEP_S * sample_rate)
        self._tail = np.zeros((2, n_channels, 0))
        self._powers: list[NDArray[np.float64]] = []

    def process(self, waveform: FloatArray) -> None:
        """Take ``(channels, samples)``."""
        weighted = waveform.astype(np.float64)
        for number, (numerator, denominator, gain) in enumerate(self._coefficients):
            weighted, self._states[number] = self._filter(
                numerator, denominator, weighted, axis=-1, zi=self._states[number]
            )
            weighted = gain * weighted
        both = np.concatenate([self._tail, np.stack([weighted, waveform])], axis=-1)
        n_steps = both.shape[-1] // self._n_step
        whole = both[..., : n_steps * self._n_step].reshape(*both.shape[:2], n_steps, self._n_step)
        self._powers.append((whole**2).mean(axis=-1).sum(axis=1))
        self._tail = both[..., n_steps * self._n_step :]

    @property
    def integrated_lufs(self) -> float | None:
        """Integrated loudness in LUFS; None for silence, or for less than 0.4 s."""
        steps = self._joined()[0]
        if len(steps) < _STEPS_PER_BLOCK:
            return None
        blocks = np.convolve(steps, np.full(_STEPS_PER_BLOCK, 1 / _STEPS_PER_BLOCK), mode="valid")
        kept = blocks[_lufs(blocks) >= _ABSOLUTE_GATE_LUFS]
        if not len(kept):
            return None
        kept = kept[_lufs(kept) >= _lufs(kept.mean()) + _RELATIVE_GATE_LU]
        return round(float(_lufs(kept.mean())), 2)

    @property
    def powers(self) -> NDArray[np.float64]:
        """Mean power of every tenth of a second, of all channels together."""
        powers: NDArray[np.float64] = self._joined()[1]
        return powers

    def intervals_s(self) -> list[tuple[float, float]]:
        """Return from when to when the waveform sounds, in seconds, to a tenth of a second.

        It sounds where a tenth of a second is louder than -60 dB of full scale, and than -40 dB of the
        loudest one. Gaps of less than half a second do not count.
        """
        level_db = 10 * np.log10(np.maximum(self.powers, 1e-20))
        if not len(level_db):
            return []
        sounds = level_db >= max(_FLOOR_DB, float(level_db.max()) + _BELOW_LOUDEST_DB)
        edges = np.flatnonzero(np.diff(np.concatenate([[False], sounds, [False]]).astype(int)))
        found: list[tuple[float, float]] = []
        for start, stop in edges.reshape(-1, 2) * _STEP_S:
            goes_on = bool(found) and start - found[-1][1] < _SHORTEST_GAP_S
            begin = found.pop()[0] if goes_on else round(float(start), 1)
            found.append((begin, round(float(stop), 1)))
        return found

    def _joined(self) -> NDArray[np.float64]:
        """Mean power of every step, weighted and as it is, ``(2, steps)``."""
        return np.concatenate([np.zeros((2, 0)), *self._powers], axis=1)


def _lufs(power: NDArray[np.float64] | np.float64) -> NDArray[np.float64]:
    return np.asarray(-0.691 + 10 * np.log10(np.maximum(power, 1e-30)))


def is_audible(lufs: float | None) -> bool:
    """Tell whether a loudness is that of a sound."""
    return lufs is not None and math.isfinite(lufs)
