"""Where the audio is in a WAV file, whose header may be wrong about it.

A header that declares a little more than there is counted itself, or a pad byte; one that declares nothing
was written before the recording, which was then interrupted. Files beyond 4 GiB with sizes of 32 bits have
what is left of the size. Behind the audio other chunks follow, and nothing else.
"""

from dataclasses import dataclass
from typing import BinaryIO, Final

from stemsplit.audio.condition import Condition
from stemsplit.audio.integrity import SMALL_BYTES, report_missing
from stemsplit.audio.wav_header import is_placeholder

_RIFF_KINDS: Final = (b"RIFF", b"RF64", b"BW64")
_MAX_CHUNKS: Final = 10_000
_UNKNOWN_SIZE: Final = 0xFFFFFFFF


@dataclass(frozen=True)
class WavAudio:
    """Where the audio is: the body of the ``fmt`` chunk, and the bytes from `start` up to `end`."""

    fmt: bytes
    start: int
    end: int


def is_wav(head: bytes) -> bool:
    """Tell by its first 12 bytes whether a file is WAV, RF64 or BW64."""
    return head[:4] in _RIFF_KINDS and head[8:12] == b"WAVE"


def find_wav_audio(file: BinaryIO, condition: Condition) -> WavAudio | None:
    """Find the audio of a WAV file; None if it has no ``data`` or ``fmt`` chunk.

    Raises
    ------
    AudioError
        By `condition`: audio is missing, or lies where no chunk is.
    """
    n_file = file.seek(0, 2)
    fmt, n_bytes_64 = b"", 0
    position = 12
    for _ in range(_MAX_CHUNKS):
        name, size = _read_chunk_header(file, position)
        position += 8
        if name == b"data":
            if size == _UNKNOWN_SIZE and n_bytes_64:
                size = n_bytes_64
            return (
                WavAudio(fmt, position, _find_end(file, position, size, n_file, condition)) if fmt else None
            )
        if name == b"fmt ":
            fmt = file.read(min(size, 4096))
        elif name == b"ds64":
            n_bytes_64 = int.from_bytes(file.read(16)[8:], "little")
        elif not name:
            return None
        position += size + size % 2
    return None


def _read_chunk_header(file: BinaryIO, position: int) -> tuple[bytes, int]:
    file.seek(position)
    header = file.read(8)
    return (header[:4], int.from_bytes(header[4:], "little")) if len(header) == 8 else (b"", 0)


def _find_end(file: BinaryIO, start: int, size: int, n_file: int, condition: Condition) -> int:
    """Return where the audio ends that begins at `start` and has `size` bytes by its header."""
    n_there = n_file - start
    if is_placeholder(size) and size != n_there:
        return n_file
    if size > n_there:
        report_missing(size, start, n_there, condition)
        return n_file
    end = start + size
    chunks = end + size % 2
    behind = _skip_chunks(file, chunks, n_file)
    has_chunks = behind > chunks
    n_behind = n_file - behind
    if n_behind <= 0 or (has_chunks and n_behind <= SMALL_BYTES):
        return end
    if size == 0:
        condition.note("its header says that no audio follows, as of an interrupted recording; all is read")
        return n_file
    if n_there > 2**32 and not has_chunks:
        condition.note("its header holds no sizes beyond 4 GiB; all is read")
        return n_file
    _report_rest(n_behind, condition)
    return end


def _report_rest(n_bytes: int, condition: Condition) -> None:
    """Report bytes behind the audio that are no chunk."""
    if n_bytes <= SMALL_BYTES:
        condition.note(f"{n_bytes} bytes behind the audio are no chunk of it")
    else:
        condition.damaged(f"it goes on for {n_bytes} bytes behind the end that its header declares")


def _skip_chunks(file: BinaryIO, position: int, n_file: int) -> int:
    """Return where a row of chunks ends that begins at a position."""
    for _ in range(_MAX_CHUNKS):
        name, size = _read_chunk_header(file, position)
        is_chunk = len(name) == 4 and all(32 <= byte < 127 for byte in name) and name not in _RIFF_KINDS
        if not is_chunk or position + 8 + size > n_file + 1:
            return position
        position += 8 + size + size % 2
    return position
