"""What a container's own header promises, held against the size of the file.

libsndfile silently shortens a file whose header promises more than there is, so the promise is checked
here. Covered: WAV, RF64, RIFX, AIFF/AIFC, 8SVX, CAF, W64, AU (sizes of the audio chunk) and Ogg (the mark of
the last page). FLAC and mp3 are checked while decoding, by their declared count of samples.
"""

import os
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, Final

from stemsplit.audio.wav import is_placeholder

_W64_RIFF: Final = bytes.fromhex("726966662e91cf11a5d628db04c10000")
_W64_DATA: Final = bytes.fromhex("64617461f3acd3118cd100c04f8edb8a")
_MAX_CHUNKS: Final = 10_000
_OGG_START_BYTES: Final = 2**16
_OGG_TAIL_BYTES: Final = 2**17
_OGG_FIRST_PAGE: Final = 2
_OGG_LAST_PAGE: Final = 4


def find_truncation(path: Path) -> str | None:
    """Say how a file is cut short, None when nothing shows it.

    Examples
    --------
    >>> find_truncation(Path("cut.wav"))  # doctest: +SKIP
    'the header promises 10584000 bytes of audio, the file holds 6350356'
    """
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        head = file.read(40)
        if head[:4] == b"OggS":
            return _find_ogg_truncation(file, size)
        audio = _find_audio_chunk(file, head)
    if audio is None:
        return None
    start, promised = audio
    # One byte less is the pad byte that some writers count.
    if start + promised <= size + 1:
        return None
    return f"the header promises {promised} bytes of audio, the file holds {max(0, size - start)}"


def _find_audio_chunk(file: BinaryIO, head: bytes) -> tuple[int, int] | None:
    """Return start and promised size of the audio in bytes, None if the header does not tell."""
    kind = head[:4]
    if kind in (b"RIFF", b"RF64", b"RIFX") and head[8:12] == b"WAVE":
        return _find_riff_data(file, ">" if kind == b"RIFX" else "<")
    if kind == b"FORM":
        return _find_chunk(file, b"SSND" if head[8:12] in (b"AIFF", b"AIFC") else b"BODY", ">")
    if kind == b"caff":
        return _find_caf_data(file)
    if head[:16] == _W64_RIFF:
        return _find_w64_data(file)
    if kind in (b".snd", b"dns.") and len(head) >= 12:
        start, promised = struct.unpack(">II" if kind == b".snd" else "<II", head[4:12])
        return None if promised == 0xFFFFFFFF else (start, promised)
    return None


def _find_riff_data(file: BinaryIO, order: str) -> tuple[int, int] | None:
    found = _find_chunk(file, b"data", order)
    if found is None:
        return None
    start, promised = found
    if promised == 0xFFFFFFFF:
        ds64 = _find_chunk(file, b"ds64", "<")
        if ds64 is None:
            return None
        file.seek(ds64[0] + 8)
        field = file.read(8)
        promised = int.from_bytes(field, "little") if len(field) == 8 else 0
        return (start, promised) if promised else None
    return None if is_placeholder(promised) else (start, promised)


def _find_chunk(file: BinaryIO, wanted: bytes, order: str) -> tuple[int, int] | None:
    """Return start and size of the first chunk of an IFF or RIFF file that is called ``wanted``."""
    return _walk(
        file, wanted, position=12, header_bytes=8, aligned=2, read=struct.Struct(f"{order}4sI").unpack
    )


def _find_caf_data(file: BinaryIO) -> tuple[int, int] | None:
    return _walk(file, b"data", position=8, header_bytes=12, aligned=1, read=struct.Struct(">4sq").unpack)


def _find_w64_data(file: BinaryIO) -> tuple[int, int] | None:
    return _walk(file, _W64_DATA, position=40, header_bytes=24, aligned=8, read=_read_w64_header)


def _read_w64_header(header: bytes) -> tuple[bytes, int]:
    size = int.from_bytes(header[16:], "little")  # of the header too
    return header[:16], size - len(header) if size < 2**62 else -1


def _walk(
    file: BinaryIO,
    wanted: bytes,
    *,
    position: int,
    header_bytes: int,
    aligned: int,
    read: Callable[[bytes], tuple[Any, ...]],
) -> tuple[int, int] | None:
    """Walk chunks from `position` on; return start and size of the first one that is called ``wanted``.

    ``read`` takes a header and gives name and size of the chunk, below zero where it is damaged or not known.
    """
    for _ in range(_MAX_CHUNKS):
        file.seek(position)
        header = file.read(header_bytes)
        if len(header) < header_bytes:
            return None
        name, size = read(header)
        if size < 0:
            return None
        position += header_bytes
        if name == wanted:
            return position, size
        position += size + -size % aligned
    return None


def _find_ogg_truncation(file: BinaryIO, size: int) -> str | None:
    """Look for the last page: it must be whole and carry the end-of-stream mark (RFC 3533)."""
    file.seek(max(0, size - _OGG_TAIL_BYTES))
    tail = file.read()
    at = tail.rfind(b"OggS\0")
    if at < 0 or len(tail) < at + 27:
        return "its last page is incomplete"
    n_segments = tail[at + 26]
    lacing = tail[at + 27 : at + 27 + n_segments]
    if len(lacing) < n_segments or len(tail) < at + 27 + n_segments + sum(lacing):
        return "its last page is incomplete"
    if not tail[at + 5] & _OGG_LAST_PAGE:
        return "the page that ends the stream is missing"
    return None


def is_chained_ogg(path: Path) -> bool:
    """Tell whether streams follow one another in an Ogg (RFC 3533): libsndfile reads the first of them only.

    Streams side by side, of a video for example, all begin before any of them goes on.
    """
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        start = file.read(_OGG_START_BYTES)
        file.seek(max(0, size - _OGG_TAIL_BYTES))
        tail = file.read()
    serials = set()
    position = 0
    while len(start) >= position + 27 and start[position + 5] & _OGG_FIRST_PAGE:
        serials.add(start[position + 14 : position + 18])
        n_segments = start[position + 26]
        position += 27 + n_segments + sum(start[position + 27 : position + 27 + n_segments])
    at = tail.rfind(b"OggS\0")
    return tail[at + 14 : at + 18] not in serials


def has_vorbis_order(path: Path) -> bool:
    """Tell whether the channels of an Ogg have the order of Vorbis; those of Opus may have none at all."""
    with path.open("rb") as file:
        start = file.read(_OGG_START_BYTES)
    at = start.find(b"OpusHead")
    return at < 0 or start[at + 18 : at + 19] == b"\1"
