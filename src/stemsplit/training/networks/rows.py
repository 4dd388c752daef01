"""Rows of a spectrogram: neighbouring bins that share one mask, few at the low end, many at the high end."""

import numpy as np
import torch
from torch import Tensor


class MelRows:
    """Rows whose widths follow the mel scale, each of one bin or more.

    Parameters
    ----------
    n_rows : int
        Number of rows.
    n_bins : int
        Number of bins, from 0 Hz to half the sample rate.
    sample_rate : int
        In Hz.
    """

    def __init__(self, n_rows: int, n_bins: int, sample_rate: int) -> None:
        highest = 2595 * np.log10(1 + sample_rate / 2 / 700)
        edges_hz = 700 * (10 ** (np.linspace(0, highest, n_rows + 1) / 2595) - 1)
        edges = np.rint(edges_hz / (sample_rate / 2) * n_bins).astype(int)
        # a row has one bin at least: edges that coincide move up
        edges = np.maximum.accumulate(edges - np.arange(n_rows + 1)) + np.arange(n_rows + 1)
        edges[-1] = n_bins
        self._widths = [int(width) for width in np.diff(edges)]
        if min(self._widths) < 1:
            raise ValueError(f"{n_bins} bins are too few for {n_rows} rows")
        self._row_of_bin = torch.from_numpy(np.repeat(np.arange(n_rows), self._widths))

    def widths(self) -> Tensor:
        """Return the number of bins of each row."""
        return torch.tensor(self._widths, dtype=torch.float32)

    def gather(self, power: Tensor) -> Tensor:
        """Average the bins of each row: ``(..., bins, frames) -> (..., rows, frames)``."""
        parts = torch.split(power, self._widths, -2)
        return torch.cat([part.mean(-2, keepdim=True) for part in parts], -2)

    def expand(self, rows: Tensor) -> Tensor:
        """Repeat the value of each row for its bins: ``(..., rows, frames) -> (..., bins, frames)``."""
        return rows.index_select(-2, self._row_of_bin.to(rows.device))
