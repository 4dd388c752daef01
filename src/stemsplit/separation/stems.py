"""Stems as arrays: what comes out of a separation in memory."""

from collections.abc import Mapping
from functools import partial

import numpy as np

from stemsplit.errors import AudioError
from stemsplit.types import FloatArray


class Stems(dict[str, FloatArray]):
    """The stems of a song: float32 ``(channels, samples)`` by name, and the rate of all of them.

    Attributes
    ----------
    sample_rate
        In Hz.
    notes
        What was mended in the file of the song or, where it was salvaged, is missing; usually empty.
    """

    def __init__(
        self, stems: Mapping[str, FloatArray], sample_rate: int, *, notes: tuple[str, ...] = ()
    ) -> None:
        super().__init__(stems)
        self.sample_rate = sample_rate
        self.notes = notes

    def __repr__(self) -> str:
        n_channels, n_samples = next(iter(self.values())).shape if self else (0, 0)
        length = f"{n_channels} channels, {n_samples / self.sample_rate:.1f} s at {self.sample_rate} Hz"
        return f"<Stems {', '.join(self)}: {length}>"

    def __reduce__(self) -> tuple[object, ...]:
        return partial(Stems, notes=self.notes), (dict(self), self.sample_rate)


def sum_stems(stems: Mapping[str, FloatArray]) -> FloatArray:
    """Return the sum of stems, which is the mixture if they are all of them.

    Parameters
    ----------
    stems
        Arrays of one shape; at least one.

    Raises
    ------
    AudioError
        If there are none, or their shapes differ.

    Examples
    --------
    >>> ones = np.ones((2, 3), dtype=np.float32)
    >>> sum_stems({"vocals": ones, "drums": 0.5 * ones})[0, 0]
    np.float32(1.5)
    """
    shapes = {stem.shape for stem in stems.values()}
    if len(shapes) != 1:
        raise AudioError(f"stems of {len(shapes)} shapes cannot be summed; they must all have the same one")
    total = np.zeros(shapes.pop(), dtype=np.float32)
    for stem in stems.values():
        total += stem
    return total
