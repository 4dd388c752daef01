"""Channel layouts: which channels of a file a network hears together.

Left and right partners form a pair, centre and low-frequency channels stand alone. The order is that of
WAVE_FORMAT_EXTENSIBLE everywhere; Vorbis and Opus have one of their own, which libsndfile leaves as it is.
"""

_SURROUND: dict[int, tuple[tuple[int, ...], ...]] = {
    3: ((0, 1), (2,)),
    5: ((0, 1), (2,), (3, 4)),
    6: ((0, 1), (2,), (3,), (4, 5)),
    7: ((0, 1), (2,), (3,), (4,), (5, 6)),
    8: ((0, 1), (2,), (3,), (4, 5), (6, 7)),
}


def group_channels(n_channels: int, *, at_once: int) -> tuple[tuple[int, ...], ...]:
    """Split `n_channels` channels into groups of at most `at_once` (1 or 2).

    >>> group_channels(6, at_once=2)
    ((0, 1), (2,), (3,), (4, 5))
    """
    if at_once == 1:
        return tuple((channel,) for channel in range(n_channels))
    if n_channels in _SURROUND:
        return _SURROUND[n_channels]
    return tuple(tuple(range(first, min(first + 2, n_channels))) for first in range(0, n_channels, 2))
