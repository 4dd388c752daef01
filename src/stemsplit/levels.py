"""How loud each stem is beside its song: what tells whether an instrument plays in it at all."""

import math
from collections.abc import Mapping

import numpy as np

from stemsplit.types import FloatArray


class LevelMeter:
    """Adds up the energy of a song and of its stems, block by block.

    The two may be heard in different threads; the levels are right once both are through.

    Examples
    --------
    >>> meter = LevelMeter()
    >>> song = np.ones((1, 4), dtype=np.float32)
    >>> meter.hear_song(song)
    >>> meter.hear_stems({"drums": song / 10, "vocals": 0 * song})
    >>> meter.levels_db()
    {'drums': -20.0, 'vocals': None}
    """

    def __init__(self) -> None:
        self._song = 0.0
        self._stems: dict[str, float] = {}

    def hear_song(self, mixture: FloatArray) -> None:
        """Take the next block of the song, ``(channels, samples)``."""
        self._song += energy(mixture)

    def hear_stems(self, stems: Mapping[str, FloatArray]) -> None:
        """Take the next block of every stem, ``(channels, samples)``."""
        for name, samples in stems.items():
            self._stems[name] = self._stems.get(name, 0.0) + energy(samples)

    def levels_db(self) -> dict[str, float | None]:
        """Return the energy of each stem over that of the song, in dB; None where one of them is silent."""
        return {name: self._level_db(stem) for name, stem in self._stems.items()}

    def _level_db(self, stem: float) -> float | None:
        if not stem or not self._song:
            return None
        return round(10 * math.log10(stem / self._song), 2)


def energy(samples: FloatArray) -> float:
    """Sum of the squares of all samples, in double precision."""
    return float(np.square(samples, dtype=np.float64).sum())
