"""The header of a WAV stream: read straight through, as a pipe cannot seek.

Sizes that a writer could not know (a pipe, an interrupted recorder) are placeholders; here they are None.
"""

import struct
from typing import BinaryIO, Final

from stemsplit.audio.wav import WavFormat, parse_format
from stemsplit.errors import AudioError

# Longest chunk in front of the audio that is skipped on a pipe (cover art is the largest in practice).
_LARGEST_CHUNK: Final = 64 * 2**20


def is_placeholder(size: int) -> bool:
    """Tell whether a 32-bit chunk size is what a writer puts that does not know it.

    ffmpeg writes 0xFFFFFFFF, sox 0x7FFFF000, arecord about 2 GiB; some subtract their header.
    """
    return any(mark - 128 <= size <= mark for mark in (0x7FFFF000, 0x80000000, 0xFFFFFFFF))


def read_header(stream: BinaryIO, name: str = "stdin") -> tuple[WavFormat, int | None]:
    """Read from the start of a WAV stream, called `name` in errors, up to its first sample.

    Returns
    -------
    format : WavFormat
    data_bytes : int or None
        Bytes of audio that follow; None when the header does not know (then: until the stream ends).

    Raises
    ------
    AudioError
        The stream is not WAV, ends in its header, or holds samples other than PCM or float.
    """
    riff, _, wave = struct.unpack("<4sI4s", _exactly(stream, 12, name))
    if riff not in (b"RIFF", b"RF64", b"BW64") or wave != b"WAVE":
        raise AudioError(
            f"{name}: the data is not a wav stream; convert it on the way in, for example with "
            "`ffmpeg -i song.mp3 -f wav - | stemsplit -`, or save it to a file first"
        )
    wav_format: WavFormat | None = None
    data_bytes_64: int | None = None
    while True:
        chunk, size = struct.unpack("<4sI", _exactly(stream, 8, name))
        if chunk == b"data":
            break
        if size > _LARGEST_CHUNK:
            raise AudioError(f"{name}: the wav header is corrupt (chunk {chunk!r} claims {size} bytes)")
        body = _exactly(stream, size + size % 2, name)
        if chunk == b"fmt ":
            wav_format = parse_format(body, name)
        elif chunk == b"ds64" and size >= 16:
            data_bytes_64 = int.from_bytes(body[8:16], "little")
    if wav_format is None:
        raise AudioError(f"{name}: the wav header is corrupt (no 'fmt ' chunk before the audio)")
    if riff != b"RIFF" and size == 0xFFFFFFFF and data_bytes_64:
        return wav_format, data_bytes_64
    # 0 was written before the length was known; what follows shows whether there is any
    return wav_format, None if size == 0 or is_placeholder(size) else size


def _exactly(stream: BinaryIO, n_bytes: int, name: str) -> bytes:
    data = read_fully(stream, n_bytes)
    if not data and n_bytes:
        raise AudioError(f"{name}: no audio arrived; pipe a wav stream into it")
    if len(data) < n_bytes:
        raise AudioError(f"{name}: the stream ended inside the wav header; check the program that writes it")
    return data


def read_fully(stream: BinaryIO, n_bytes: int) -> bytes:
    """Read ``n_bytes`` or, only where the stream ends, fewer; a pipe may hand out less at a time."""
    pieces = []
    while n_bytes > 0 and (piece := stream.read(n_bytes)):
        pieces.append(piece)
        n_bytes -= len(piece)
    return b"".join(pieces)
