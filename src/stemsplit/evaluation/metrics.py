"""How good estimates are: uSDR, its improvement over the mixture, SI-SDR; and how good they should be.

All accept ``(channels, samples)`` and return decibels. A ratio to a silent reference has no meaning:
it is NaN here, and `leakage_db` says instead how much was left in the estimate.
"""

import numpy as np

from stemsplit.dsp.meter import energy, expected_sdr_db, inner_product
from stemsplit.types import FloatArray

SILENCE = 1e-7  # mean power below which a reference counts as silent (-70 dB full scale)
WORST_SI_SDR_DB = -120.0  # of an estimate that is silent: no gain brings it nearer


def sdr(reference: FloatArray, estimate: FloatArray) -> float:
    """Energy of the reference over energy of the error, over the whole excerpt (uSDR).

    >>> round(sdr(np.ones((1, 4), np.float32), np.full((1, 4), 0.9, np.float32)), 3)
    20.0
    """
    if is_silent(reference):
        return float("nan")
    return _ratio_db(energy(reference), energy(reference - estimate))


def sdr_improvement(reference: FloatArray, estimate: FloatArray, mixture: FloatArray) -> float:
    """By how much the estimate is nearer to the reference than the mixture was."""
    return sdr(reference, estimate) - sdr(reference, mixture)


def si_sdr(reference: FloatArray, estimate: FloatArray) -> float:
    """SDR that forgives a wrong gain (Le Roux et al., "SDR - half-baked or well done?", 2019)."""
    if is_silent(reference):
        return float("nan")
    if not estimate.any():
        return WORST_SI_SDR_DB
    gain = float(np.vdot(reference, estimate)) / energy(reference)
    scaled = gain * reference
    return _ratio_db(energy(scaled), energy(scaled - estimate))


def expected_sdr(reference: FloatArray, estimate: FloatArray, mixture: FloatArray) -> float:
    """Return the SDR that masks let expect, see `stemsplit.dsp.meter`; NaN if the reference is silent."""
    if is_silent(reference):
        return float("nan")
    return float(
        expected_sdr_db(inner_product(estimate, mixture), inner_product(estimate, mixture - estimate))
    )


def leakage_db(estimate: FloatArray, mixture: FloatArray) -> float:
    """Energy of an estimate against the mixture: what is wrongly there if the reference is silent."""
    return _ratio_db(energy(estimate), energy(mixture))


def is_silent(reference: FloatArray) -> bool:
    """Whether a reference holds nothing to be separated."""
    return energy(reference) / max(1, reference.size) < SILENCE


def _ratio_db(numerator: float, denominator: float) -> float:
    return float(10 * np.log10((numerator + 1e-12) / (denominator + 1e-12)))
