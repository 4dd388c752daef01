"""Which speakers the channels of a file are for, as bits of WAV's channel mask.

Each bit is a speaker, and the channels have the order of the bits; `dwChannelMask` of Microsoft's
WAVEFORMATEXTENSIBLE, which FLAC takes over for layouts other than its own.
"""

from typing import Any, Final

# fmt: off
_SPEAKERS: Final = (
    "FL", "FR", "FC", "LFE", "BL", "BR", "FLC", "FRC", "BC", "SL", "SR", "TC", "TFL", "TFC", "TFR", "TBL",
    "TBC", "TBR",
)
# fmt: on
# what is meant where a file names no speakers, by the number of channels
USUAL_MASKS: Final = {1: 0x4, 2: 0x3, 3: 0x7, 4: 0x33, 5: 0x37, 6: 0x3F, 7: 0x70F, 8: 0x63F}
# FFmpeg's names of the layouts that its encoders take, by the number of channels
LAYOUTS: Final = {1: "mono", 2: "stereo", 3: "3.0", 4: "4.0", 5: "5.0", 6: "5.1", 7: "6.1", 8: "7.1"}


def mask_of_layout(layout: Any) -> int:
    """Return the mask of a layout of FFmpeg; 0 if it has speakers that the mask does not know.

    Parameters
    ----------
    layout : av.AudioLayout
    """
    mask = 0
    for channel in layout.channels:
        if channel.name not in _SPEAKERS:
            return 0
        bit = 1 << _SPEAKERS.index(channel.name)
        if bit <= mask:  # another order, or a speaker twice
            return 0
        mask |= bit
    return mask
