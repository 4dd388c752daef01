"""Comparison of the size that the header of a container declares with the size of the file.

libsndfile silently shortens a file whose header declares more audio than there is, so the size is checked
here. Covered: RIFX, AIFF/AIFC, 8SVX, CAF, W64 and AU; `wav_chunks` has WAV.
"""

import os
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, Final

from stemsplit.audio.condition import Condition
from stemsplit.audio.wav_header import is_placeholder

_W64_RIFF: Final = bytes.fromhex("726966662e91cf11a5d628db04c10000")
_W64_DATA: Final = bytes.fromhex("64617461f3acd3118cd100c04f8edb8a")
_MAX_CHUNKS: Final = 10_000
# What a header may count that is not there, and what may lie behind the audio; no doubt about the rest.
SMALL_BYTES: Final = 1024


def check_size(path: Path, condition: Condition) -> None:
    """Compare the audio that a file's header declares with what the file holds.

    Raises
    ------
    AudioError
        By `condition`: there is less, or a second file follows.

    Examples
    --------
    >>> check_size(Path("cut.aiff"), Condition("cut.aiff"))  # doctest: +SKIP
    AudioError: cut.aiff: truncated: the header declares 10584000 bytes of audio, the file holds 6350356; ...
    """
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        head = file.read(40)
        audio = _find_audio_chunk(file, head)
        if audio is None:
            return
        start, declared = audio
        if start + declared > size:
            report_missing(declared, start, max(0, size - start), condition)
        elif head[:4] in (b"FORM", b"RIFX"):
            _check_second(file, head, condition)
        elif head[:4] in (b".snd", b"dns.") and size > start + declared + SMALL_BYTES:
            condition.damaged(f"it goes on for {size - start - declared} bytes behind its declared end")


def report_missing(declared: int, start: int, n_there: int, condition: Condition) -> None:
    """Report that audio which begins at byte `start` has `n_there` bytes, fewer than `declared`.

    A header that counts itself, or a few bytes too many, is noted.
    """
    n_missing = declared - n_there
    what = f"the header declares {declared} bytes of audio, the file holds {n_there}"
    if n_missing == 1:  # the pad byte, which some writers count and some leave out
        return
    if n_missing <= max(SMALL_BYTES, min(start, 4 * SMALL_BYTES)):
        condition.note(what)
    else:
        condition.damaged(f"truncated: {what}")


def _check_second(file: BinaryIO, head: bytes, condition: Condition) -> None:
    """Look for a second file behind the end of the first, of which only that would be read."""
    end = 8 + int.from_bytes(head[4:8])
    file.seek(end + end % 2)
    if file.read(4) == head[:4]:
        condition.damaged("several files were joined in it, and only the first can be read")


def _find_audio_chunk(file: BinaryIO, head: bytes) -> tuple[int, int] | None:
    """Return start and declared size of the audio in bytes, None if the header does not tell."""
    kind = head[:4]
    if kind == b"RIFX" and head[8:12] == b"WAVE":
        return _find_riff_data(file)
    if kind == b"FORM":
        return _find_chunk(file, b"SSND" if head[8:12] in (b"AIFF", b"AIFC") else b"BODY", ">")
    if kind == b"caff":
        return _find_caf_data(file)
    if head[:16] == _W64_RIFF:
        return _find_w64_data(file)
    if kind in (b".snd", b"dns.") and len(head) >= 12:
        start, declared = struct.unpack(">II" if kind == b".snd" else "<II", head[4:12])
        return None if declared == 0xFFFFFFFF else (start, declared)
    return None


def _find_riff_data(file: BinaryIO) -> tuple[int, int] | None:
    found = _find_chunk(file, b"data", ">")
    return None if found is None or is_placeholder(found[1]) else found


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
