"""The note that encoders put into the first frame of an mp3 in place of sound: Xing, Info or VBRI.

It declares the number of frames and of their bytes and, where LAME or its like wrote it, what the encoder
added at both ends.
"""

from dataclasses import dataclass
from typing import Final

from stemsplit.audio.frame_walk import Frame

# what every decoder of layer III lags behind its input
DECODER_DELAY_SAMPLES: Final = 529
_VBRI_AT: Final = 36


@dataclass(frozen=True)
class Mp3Note:
    """What an encoder noted.

    Attributes
    ----------
    n_frames : int or None
        Frames behind the note; None where it does not say, or says 0.
    n_leading, n_trailing : int
        Samples a channel that the encoder added in front and behind; both 0 where it does not say.
    n_bytes : int or None
        Bytes of all frames, the note's own included; None where it does not say, or says 0.
    """

    n_frames: int | None
    n_leading: int = 0
    n_trailing: int = 0
    n_bytes: int | None = None


def find_note(frame: Frame) -> Mp3Note | None:
    """Return the note in a frame, None if the frame holds sound."""
    data = frame.data
    if frame.header.codec != "mp3":
        return None
    if data[_VBRI_AT : _VBRI_AT + 4] == b"VBRI":
        return Mp3Note(int.from_bytes(data[_VBRI_AT + 14 : _VBRI_AT + 18]) or None)
    # with a checksum behind the header or, as it should be, without
    for at in (4 + frame.header.side_bytes, 6 + frame.header.side_bytes):
        if data[at : at + 4] in (b"Xing", b"Info"):
            return _parse_xing(data[at:])
    return None


def _parse_xing(data: bytes) -> Mp3Note:
    flags = int.from_bytes(data[4:8])
    at = 8
    n_frames = None
    if flags & 1:
        n_frames = int.from_bytes(data[at : at + 4]) or None
        at += 4
    n_bytes = None
    if flags & 2:
        n_bytes = int.from_bytes(data[at : at + 4]) or None
        at += 4
    at += 100 * bool(flags & 4) + 4 * bool(flags & 8)
    # the name of the encoder has 9 bytes; a Xing encoder writes none
    if not data[at : at + 4].strip(b"\0") or len(data) < at + 24:
        return Mp3Note(n_frames, n_bytes=n_bytes)
    delays = int.from_bytes(data[at + 21 : at + 24])
    n_delay, n_padding = delays >> 12, delays & 0xFFF
    if not delays:
        return Mp3Note(n_frames, n_bytes=n_bytes)
    n_leading, n_trailing = n_delay + DECODER_DELAY_SAMPLES, max(0, n_padding - DECODER_DELAY_SAMPLES)
    return Mp3Note(n_frames, n_leading, n_trailing, n_bytes)
