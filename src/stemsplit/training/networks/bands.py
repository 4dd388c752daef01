"""Bands of the spectrum: how bins are grouped, and the powers that are the input of a network.

Inside the band-split network, the frequency axis is *compact*: ``n_low`` single bins, then groups of bins.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional


@dataclass(frozen=True)
class BandLayout:
    """Groups of STFT bins, and bands of groups.

    Parameters
    ----------
    n_bins : int
        Number of STFT bins (3073: ``n_fft`` 6144).
    group : int
        Bins per group in the upper part (32 bins are 230 Hz at 44.1 kHz).
    bands : tuple of (int, int)
        Runs of equal bands, from low to high: (number of bands, width of each on the compact axis).
    """

    n_bins: int = 3073
    group: int = 32
    bands: tuple[tuple[int, int], ...] = ((12, 6), (12, 10), (11, 35), (6, 3), (4, 15))

    @property
    def n_compact(self) -> int:
        """Length of the compact axis."""
        return sum(count * width for count, width in self.bands)

    @property
    def n_bands(self) -> int:
        """Number of bands."""
        return sum(count for count, _ in self.bands)

    @property
    def n_groups(self) -> int:
        """Number of groups of bins above the single bins."""
        # n_low + n_groups = n_compact and n_low + group * n_groups = n_bins
        return (self.n_bins - self.n_compact) // (self.group - 1)

    @property
    def n_low(self) -> int:
        """Number of single bins at the low end."""
        return self.n_compact - self.n_groups

    def __post_init__(self) -> None:
        if self.n_low + self.group * self.n_groups != self.n_bins or self.n_low < 0:
            raise ValueError(f"{self.bands} in groups of {self.group} do not cover {self.n_bins} bins")

    def gather(self, power: Tensor) -> Tensor:
        """Sum the bins of each group: ``(..., bins, frames) -> (..., compact, frames)``."""
        low, high = power[..., : self.n_low, :], power[..., self.n_low :, :]
        grouped = torch.unflatten(high, -2, (self.n_groups, self.group)).sum(-2)
        return torch.cat([low, grouped], -2)

    def expand(self, compact: Tensor) -> Tensor:
        """Repeat the value of each group for its bins: ``(..., compact, frames) -> (..., bins, frames)``."""
        low, high = compact[..., : self.n_low, :], compact[..., self.n_low :, :]
        spread = high.unsqueeze(-2).expand(*[-1] * (high.dim() - 1), self.group, -1).flatten(-3, -2)
        return torch.cat([low, spread], -2)

    def widths(self) -> Tensor:
        """Return the number of bins of each position of the compact axis."""
        return torch.cat([torch.ones(self.n_low), torch.full((self.n_groups,), float(self.group))])


def stereo_powers(first: Tensor, second: Tensor, difference: Tensor, *, is_mid_side: bool = False) -> Tensor:
    """Stack the powers of left, right, mid and side along axis 1.

    Mid and side have a floor 60 dB below the power of both channels: lower values are rounding errors.

    Parameters
    ----------
    first, second : Tensor
        Powers of left and right, or of mid and side.
    difference : Tensor
        Power of the difference of the two, divided by the root of two: of side, or of right.
    is_mid_side : bool
        Whether the two are mid and side.
    """
    both = first + second
    floor = 1e-6 * both
    rest = functional.relu(both - difference)
    if is_mid_side:
        return torch.stack([rest, difference, first + floor, second + floor], 1)
    return torch.stack([first, second, rest + floor, difference + floor], 1)
