"""What can be told of stems without knowing the true ones: how loud they are, and how good they should be.

If each mask is the share that its target has in the energy of a bin, then ``mask * (1 - mask)`` of that
energy is expected to be error. Summed up, this is what a stem has in common with the rest of the song:
waveforms are enough to know it.
"""

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray

from stemsplit.types import FloatArray

MOST_SDR_DB = 100.0  # of a stem that is the song itself


class StemMeter:
    """Adds up what the stems of a song have in common with it, block by block.

    Examples
    --------
    >>> meter = StemMeter()
    >>> song = np.array([[1.0, 0.2, 0.0, 0.4]], dtype=np.float32)
    >>> meter.hear(song, {"drums": song * [0.9, 0.2, 0.5, 0.1], "vocals": 0 * song})
    >>> meter.levels_db(), meter.expected_sdr_db()
    ({'drums': -1.69, 'vocals': None}, {'drums': 9.21, 'vocals': None})
    """

    def __init__(self) -> None:
        self._song = 0.0
        self._stems: dict[str, float] = {}
        self._common: dict[str, float] = {}

    def hear(self, mixture: FloatArray, stems: Mapping[str, FloatArray]) -> None:
        """Take the next block of the song and of every stem, each ``(channels, samples)``."""
        with np.errstate(invalid="ignore", over="ignore"):  # a stem of NaN or infinity is refused later
            self._song += energy(mixture)
            for name, samples in stems.items():
                self._stems[name] = self._stems.get(name, 0.0) + energy(samples)
                self._common[name] = self._common.get(name, 0.0) + product(samples, mixture)

    def levels_db(self) -> dict[str, float | None]:
        """Return the energy of each stem over that of the song, in dB; None where one of them is silent."""
        return {
            name: round(10 * math.log10(stem / self._song), 2) if stem and self._song else None
            for name, stem in self._stems.items()
        }

    def expected_sdr_db(self) -> dict[str, float | None]:
        """Return the SDR in dB that ratio masks promise for each stem.

        It is None where a stem is silent or has nothing in common with the song, else 0 to `MOST_SDR_DB`.
        Of stems that no ratio mask made it tells nothing.
        """
        return {
            name: round(float(expected_sdr_db(common, common - self._stems[name])), 2) if common > 0 else None
            for name, common in self._common.items()
        }


def expected_sdr_db(common: ArrayLike, with_rest: ArrayLike) -> NDArray[np.float64]:
    """SDR of a ratio mask's estimate, as the masks themselves promise it.

    Parameters
    ----------
    common
        Product of the estimate with the mixture: the expected energy of the stem.
    with_rest
        Product of the estimate with what it leaves of the mixture: the expected energy of the error.

    Returns
    -------
    NDArray
        In dB, at most `MOST_SDR_DB`, 0 where there is nothing.
    """
    expected = np.maximum(np.asarray(common, np.float64), 1e-30)
    error = np.clip(with_rest, expected * 10 ** (-MOST_SDR_DB / 10), expected)
    return np.where(np.asarray(common) > 0, 10 * np.log10(expected / error), 0.0)


def energy(samples: FloatArray) -> float:
    """Sum of the squares of all samples, added up in double precision."""
    return product(samples, samples)


def product(one: FloatArray, other: FloatArray) -> float:
    """Sum of the products of all samples of two waveforms, added up in double precision."""
    return float((one * other).sum(dtype=np.float64))
