"""Levels of stems, and their expected SDR, measured without reference stems.

A ratio mask ``m`` estimates the share of a target in the energy ``|x|**2`` of a bin. If it is right, the
energy of the target is expected to be ``m |x|**2`` and that of the error ``m (1 - m) |x|**2``. By Parseval's
theorem the sums over all bins are the inner products of the stem's waveform with the mixture and with what
is left of it, so that waveforms are enough to compute the ratio.
"""

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray

from stemsplit.types import FloatArray

MAX_SDR_DB = 100.0  # of a stem that equals the mixture


class StemMeter:
    """Accumulates the energies of a song and its stems, block by block.

    Examples
    --------
    >>> meter = StemMeter()
    >>> mixture = np.array([[1.0, 0.2, 0.0, 0.4]], dtype=np.float32)
    >>> meter.update(mixture, {"drums": mixture * [0.9, 0.2, 0.5, 0.1], "vocals": 0 * mixture})
    >>> meter.levels_db(), meter.expected_sdr_db()
    ({'drums': -1.69, 'vocals': None}, {'drums': 9.21, 'vocals': None})
    """

    def __init__(self) -> None:
        self._mixture_energy = 0.0
        self._energies: dict[str, float] = {}
        self._products: dict[str, float] = {}

    def update(self, mixture: FloatArray, stems: Mapping[str, FloatArray]) -> None:
        """Add the next block of the mixture and of every stem, each ``(channels, samples)``."""
        with np.errstate(invalid="ignore", over="ignore"):  # the separator rejects NaN and infinity
            self._mixture_energy += energy(mixture)
            for name, samples in stems.items():
                self._energies[name] = self._energies.get(name, 0.0) + energy(samples)
                self._products[name] = self._products.get(name, 0.0) + inner_product(samples, mixture)

    def levels_db(self) -> dict[str, float | None]:
        """Return the energy of each stem relative to the mixture in dB; None where one of them is silent."""
        mixture = self._mixture_energy
        return {
            name: round(10 * math.log10(stem / mixture), 2) if stem and mixture else None
            for name, stem in self._energies.items()
        }

    def expected_sdr_db(self) -> dict[str, float | None]:
        """Return the expected SDR of each stem in dB, 0 to `MAX_SDR_DB`.

        It is None where a stem is silent or not correlated with the mixture, and has no meaning for stems
        that were not made by ratio masks.
        """
        return {
            name: (
                round(float(expected_sdr_db(product, product - self._energies[name])), 2)
                if product > 0
                else None
            )
            for name, product in self._products.items()
        }


def expected_sdr_db(target_energy: ArrayLike, error_energy: ArrayLike) -> NDArray[np.float64]:
    """Return the expected SDR of the estimate of a ratio mask.

    Parameters
    ----------
    target_energy
        Inner product of the estimate with the mixture: the expected energy of the target.
    error_energy
        Inner product of the estimate with the mixture minus the estimate: the expected energy of the error.

    Returns
    -------
    NDArray
        In dB, from 0 to `MAX_SDR_DB`; 0 where `target_energy` is not positive.
    """
    target = np.maximum(np.asarray(target_energy, np.float64), 1e-30)
    error = np.clip(error_energy, target * 10 ** (-MAX_SDR_DB / 10), target)
    return np.where(np.asarray(target_energy) > 0, 10 * np.log10(target / error), 0.0)


def energy(samples: FloatArray) -> float:
    """Return the sum of the squares of all samples, accumulated in double precision."""
    return inner_product(samples, samples)


def inner_product(one: FloatArray, other: FloatArray) -> float:
    """Return the sum of the products of two waveforms' samples, accumulated in double precision."""
    return float((one * other).sum(dtype=np.float64))
