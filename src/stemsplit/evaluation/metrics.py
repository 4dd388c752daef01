"""Metrics of estimates: uSDR, its improvement over the mixture, SI-SDR, expected SDR and leakage.

All functions accept ``(channels, samples)`` and return decibels. A ratio to a silent reference is undefined:
it is NaN, and `leakage_db` measures what the estimate contains instead.
"""

import numpy as np

from stemsplit.dsp.meter import energy, expected_sdr_db, inner_product
from stemsplit.types import FloatArray

SILENCE = 1e-7  # mean power below which a reference counts as silent (-70 dB full scale)
WORST_SI_SDR_DB = -120.0  # of a silent estimate, whose ratio would be minus infinity


def sdr(reference: FloatArray, estimate: FloatArray) -> float:
    """Return the energy of the reference over that of the error, in the whole excerpt (uSDR).

    >>> round(sdr(np.ones((1, 4), np.float32), np.full((1, 4), 0.9, np.float32)), 3)
    20.0
    """
    if is_silent(reference):
        return float("nan")
    return _ratio_db(energy(reference), energy(reference - estimate))


def sdr_improvement(reference: FloatArray, estimate: FloatArray, mixture: FloatArray) -> float:
    """Return by how much the SDR of the estimate exceeds that of the mixture."""
    return sdr(reference, estimate) - sdr(reference, mixture)


def si_sdr(reference: FloatArray, estimate: FloatArray) -> float:
    """Return the scale-invariant SDR (Le Roux et al., "SDR - half-baked or well done?", 2019)."""
    if is_silent(reference):
        return float("nan")
    if not estimate.any():
        return WORST_SI_SDR_DB
    gain = float(np.vdot(reference, estimate)) / energy(reference)
    scaled = gain * reference
    return _ratio_db(energy(scaled), energy(scaled - estimate))


def expected_sdr(reference: FloatArray, estimate: FloatArray, mixture: FloatArray) -> float:
    """Return the SDR expected from the masks (see `stemsplit.dsp.meter`), NaN if the reference is silent."""
    if is_silent(reference):
        return float("nan")
    return float(
        expected_sdr_db(inner_product(estimate, mixture), inner_product(estimate, mixture - estimate))
    )


def leakage_db(estimate: FloatArray, mixture: FloatArray) -> float:
    """Return the energy of an estimate relative to the mixture: the error where the reference is silent."""
    return _ratio_db(energy(estimate), energy(mixture))


def is_silent(reference: FloatArray) -> bool:
    """Tell whether a reference is silent."""
    return energy(reference) / max(1, reference.size) < SILENCE


def _ratio_db(numerator: float, denominator: float) -> float:
    return float(10 * np.log10((numerator + 1e-12) / (denominator + 1e-12)))
