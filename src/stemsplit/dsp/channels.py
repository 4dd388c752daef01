"""Channel layouts: which channels of a recording go through a model together.

Left and right partners form a pair; centre and low-frequency channels stand alone. The order of the channels
is that of WAVE_FORMAT_EXTENSIBLE.
"""

from typing import Final

import numpy as np

from stemsplit.types import FloatArray

_ROOT_HALF: Final = np.float32(np.sqrt(0.5))

_SURROUND_GROUPS: dict[int, tuple[tuple[int, ...], ...]] = {
    3: ((0, 1), (2,)),
    5: ((0, 1), (2,), (3, 4)),
    6: ((0, 1), (2,), (3,), (4, 5)),
    7: ((0, 1), (2,), (3,), (4,), (5, 6)),
    8: ((0, 1), (2,), (3,), (4, 5), (6, 7)),
}


def group_channels(n_channels: int, *, group_size: int) -> tuple[tuple[int, ...], ...]:
    """Split `n_channels` channels into groups of at most `group_size` (1 or 2).

    >>> group_channels(6, group_size=2)
    ((0, 1), (2,), (3,), (4, 5))
    """
    if group_size == 1:
        return tuple((channel,) for channel in range(n_channels))
    if n_channels in _SURROUND_GROUPS:
        return _SURROUND_GROUPS[n_channels]
    return tuple(tuple(range(first, min(first + 2, n_channels))) for first in range(0, n_channels, 2))


def turn_pairs(waveform: FloatArray) -> FloatArray:
    """Turn left and right of each pair of channels into mid and side, or back; lone channels stay.

    Mid and side are ``(left + right) / sqrt(2)`` and ``(left - right) / sqrt(2)``: energies are kept, and a
    second turn undoes the first.

    Parameters
    ----------
    waveform
        ``(channels, samples)``.
    """
    turned = waveform.copy()
    for group in group_channels(waveform.shape[0], group_size=2):
        if len(group) == 2:
            first, second = group
            turned[first] = _ROOT_HALF * (waveform[first] + waveform[second])
            turned[second] = _ROOT_HALF * (waveform[first] - waveform[second])
    return turned
