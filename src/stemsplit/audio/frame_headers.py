"""Headers of coded frames that stand one after another in a file: MPEG audio (ISO 11172-3) and ADTS (AAC).

Such files have no index: each frame begins with a sync word and says how long it is.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, TypeAlias

HEADER_BYTES: Final = 7

# kbit/s by version (MPEG 1 or later) and layer
_KBITS: Final = {
    (True, 1): (32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (True, 2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (True, 3): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (False, 1): (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (False, 2): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (False, 3): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_MPEG_RATES_HZ: Final = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}
# fmt: off
_ADTS_RATES_HZ: Final = (
    96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350
)
# fmt: on
_ADTS_CHANNELS: Final = (0, 1, 2, 3, 4, 5, 6, 8)
_MONO: Final = 3


@dataclass(frozen=True, slots=True)
class FrameHeader:
    """What the header of one frame says.

    Attributes
    ----------
    n_bytes : int
        Length of the frame, its header included.
    n_samples : int
        Samples a channel that it decodes to; of AAC those of its core, half of what SBR makes of it.
    sample_rate : int
        In Hz; of AAC that of its core.
    n_channels : int
        0 where ADTS leaves it to the frame.
    codec : str
        "mp1", "mp2", "mp3" or "aac".
    side_bytes : int
        Where layer III has its main data: the note of an encoder stands there in place of sound.
    """

    n_bytes: int
    n_samples: int
    sample_rate: int
    n_channels: int
    codec: str
    side_bytes: int = 0


ParseHeader: TypeAlias = Callable[[bytes], FrameHeader | None]


def parse_mpeg(data: bytes) -> FrameHeader | None:
    """Parse the header of an MPEG audio frame; None if `data` does not begin with one.

    Frames of free format, which do not say how long they are, are not known.
    """
    if len(data) < 4 or data[0] != 0xFF or data[1] & 0xE0 != 0xE0:
        return None
    return _parse_mpeg_fields(data[1], data[2], data[3] >> 6)


@lru_cache(4096)
def _parse_mpeg_fields(kind: int, rate_bits: int, mode: int) -> FrameHeader | None:
    version, layer = kind >> 3 & 3, 4 - (kind >> 1 & 3)
    kbits_at, rate_at, padding = rate_bits >> 4, rate_bits >> 2 & 3, rate_bits >> 1 & 1
    if version == 1 or layer == 4 or kbits_at in (0, 15) or rate_at == 3:
        return None
    is_first = version == 3
    n_channels = 1 if mode == _MONO else 2
    bits_per_s = _KBITS[is_first, layer][kbits_at - 1] * 1000
    sample_rate = _MPEG_RATES_HZ[version][rate_at]
    if layer == 1:
        return FrameHeader(
            (12 * bits_per_s // sample_rate + padding) * 4, 384, sample_rate, n_channels, "mp1"
        )
    n_samples = 576 if layer == 3 and not is_first else 1152
    side_bytes = (17 if n_channels == 1 else 32) if is_first else (9 if n_channels == 1 else 17)
    return FrameHeader(
        n_samples // 8 * bits_per_s // sample_rate + padding,
        n_samples,
        sample_rate,
        n_channels,
        f"mp{layer}",
        side_bytes if layer == 3 else 0,
    )


def parse_adts(data: bytes) -> FrameHeader | None:
    """Parse the header of an ADTS frame; None if `data` does not begin with one."""
    if len(data) < HEADER_BYTES or data[0] != 0xFF or data[1] & 0xF6 != 0xF0:
        return None
    rate_at = data[2] >> 2 & 15
    n_bytes = (data[3] & 3) << 11 | data[4] << 3 | data[5] >> 5
    if rate_at >= len(_ADTS_RATES_HZ) or n_bytes <= HEADER_BYTES:
        return None
    n_channels = _ADTS_CHANNELS[(data[2] & 1) << 2 | data[3] >> 6]
    return FrameHeader(n_bytes, 1024 * ((data[6] & 3) + 1), _ADTS_RATES_HZ[rate_at], n_channels, "aac")
