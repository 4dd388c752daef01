"""The attack of a hit, to the sample: where a waveform changes from one noise to a stronger one.

The place is the minimum of Akaike's information criterion of two stretches of white noise (Maeda 1985), which
seismologists pick arrivals with.

References
----------
N. Maeda, "A method for reading and checking phase times in autoprocessing system of seismic wave data",
Zisin (Journal of the Seismological Society of Japan) 38(3), 1985.
"""

from typing import Final

import numpy as np

from stemsplit.types import FloatArray

_LEAST_SAMPLES: Final = 8  # on both sides of the attack
_SMOOTH_S: Final = 0.001
_FLOOR: Final = 1e-3  # of the energy at the peak: what is fainter is no attack


def find_attack(waveform: FloatArray, sample_rate: int) -> int:
    """Return the sample at which the strongest hit of a short waveform begins; 0 for silence.

    Parameters
    ----------
    waveform
        ``(channels, samples)``, from a little before the hit on.
    sample_rate
        In Hz.
    """
    # differences, so that the lows that ring on from before do not hide the attack
    energy = (np.diff(waveform.astype(np.float64), prepend=0.0) ** 2).mean(axis=0)
    n_smooth = max(1, round(_SMOOTH_S * sample_rate))
    padded = np.concatenate([np.zeros(2 * _LEAST_SAMPLES), energy])
    smooth = np.convolve(padded, np.full(n_smooth, 1 / n_smooth), mode="same")
    peak = int(np.argmax(smooth)) + n_smooth
    padded = padded[: peak + _LEAST_SAMPLES]
    if len(padded) < 2 * _LEAST_SAMPLES or not padded.any():
        return 0
    n_before = np.arange(_LEAST_SAMPLES, len(padded) - _LEAST_SAMPLES)
    n_after = len(padded) - n_before
    so_far = np.cumsum(padded)
    before = so_far[n_before - 1] / n_before
    after = (so_far[-1] - so_far[n_before - 1]) / n_after
    floor = _FLOOR * smooth.max()
    criterion = n_before * np.log(before + floor) + n_after * np.log(after + floor)
    return max(0, int(n_before[np.argmin(criterion)]) - 2 * _LEAST_SAMPLES)
