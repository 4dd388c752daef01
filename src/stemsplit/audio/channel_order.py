"""The order of channels in files, where it differs from that of WAV."""

from typing import Final

# where each channel stands in a stream of Vorbis or Opus (RFC 7845, 5.1.1.2), by the number of channels
VORBIS_PLACES: Final[dict[int, tuple[int, ...]]] = {
    3: (0, 2, 1),
    5: (0, 2, 1, 3, 4),
    6: (0, 2, 1, 5, 3, 4),
    7: (0, 2, 1, 6, 5, 3, 4),
    8: (0, 2, 1, 7, 5, 6, 3, 4),
}
