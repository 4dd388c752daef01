"""Where containers that FFmpeg reads should end, held against the size of the file.

FFmpeg reads a truncated file as far as it goes, and of files that were joined only the first, both in
silence.
"""

import mmap
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, Final, TypeAlias

import numpy as np

from stemsplit.audio.condition import Condition
from stemsplit.audio.integrity import SMALL_BYTES

_Check: TypeAlias = Callable[[BinaryIO, int, Condition], None]

_ASF_HEADER: Final = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
_ASF_FILE: Final = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
_EBML: Final = b"\x1aE\xdf\xa3"
_SEGMENT: Final = b"\x18S\x80g"
_HEAD_BYTES: Final = 400
_TS_SYNC: Final = 0x47
_PACK: Final = b"\0\0\1\xba"
_TAIL_BYTES: Final = 2**17
_MAX_CHUNKS: Final = 100_000
_JOINED: Final = "several files were joined in it, and only the first can be read"
# containers whose first bytes appear nowhere else, and how many of them do
_UNIQUE_BYTES: Final = {
    _ASF_HEADER: 16,
    b"FLV\1": 13,
    b"TTA1": 12,
    b"caff": 12,
    b"Crea": 20,
    b"riff": 16,
    b"nut/": 25,
    b".RMF": 8,
}
_NUT_INDEX: Final = bytes.fromhex("4e58dd672f23e64e")
_FLV_SIZE: Final = b"\0\x08filesize\0"
_FLV_HEAD_BYTES: Final = 2**14
# the header of RealMedia's data counts itself or not, as writers please
_RM_SLACK_BYTES: Final = 18


def check_container_end(path: Path, condition: Condition) -> None:
    """Compare the end of a file with what its container declares.

    Raises
    ------
    AudioError
        By `condition`: the file is truncated, or others were joined to it that would not be read.
    """
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(0)
        head = file.read(_HEAD_BYTES)
        for mark, n_bytes in _UNIQUE_BYTES.items():
            if head.startswith(mark) and _appears_again(file, head[:n_bytes]):
                condition.damaged(_JOINED)
        check = _find_check(head)
        if check is not None:
            check(file, size, condition)


def _appears_again(file: BinaryIO, mark: bytes) -> bool:
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        return data.find(mark, 1) >= 0


def _find_check(head: bytes) -> _Check | None:
    if head[4:8] in (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip"):
        return _check_boxes
    if head.startswith(_EBML):
        return _check_matroska
    if head.startswith(_ASF_HEADER):
        return _check_asf
    if head[:4] == b"RIFF" and head[8:12] == b"AVI ":
        return _check_avi
    for mark, check in _CHECKS.items():
        if head.startswith(mark):
            return check
    is_transport = len(head) == _HEAD_BYTES and (
        head[0] == head[188] == head[376] == _TS_SYNC or head[4] == head[196] == head[388] == _TS_SYNC
    )
    return _check_transport_stream if is_transport else None


def _report_missing(end: int, size: int, condition: Condition) -> None:
    if end > size:
        condition.damaged(f"truncated: it should have {end} bytes, and has {size}")


def _walk_chunks(
    file: BinaryIO, measure: Callable[[bytes], int], *, start: int = 0
) -> Iterator[tuple[bytes, int]]:
    """Yield the header of each chunk of a container and where the chunk ends.

    `measure` returns the length of a chunk in bytes by its header of 16 bytes, of which the end of the file
    may leave fewer; 0 where there is no chunk.
    """
    end = start
    for _ in range(_MAX_CHUNKS):
        file.seek(end)
        header = file.read(16)
        n_bytes = measure(header)
        if not n_bytes:
            return
        end += n_bytes
        yield header, end


def _check_boxes(file: BinaryIO, size: int, condition: Condition) -> None:
    """Walk the boxes of an mp4 or mov; a second beginning is that of a second file."""
    n_beginnings = 0
    for header, end in _walk_chunks(file, _measure_box):
        n_beginnings += header[4:8] == b"ftyp"
        if n_beginnings > 1:
            condition.damaged(_JOINED)
            return
        if end > size + SMALL_BYTES:
            _report_missing(end, size, condition)
            return


def _measure_box(header: bytes) -> int:
    """Return the length of a box of ISO 14496-12; 0 for one up to the end, and for what is not a box."""
    n_bytes = int.from_bytes(header[:4])
    if n_bytes == 1:
        n_bytes = int.from_bytes(header[8:16])
    is_box = len(header) >= 8 and all(31 < byte < 127 or byte == 0xA9 for byte in header[4:8])
    return n_bytes if is_box and n_bytes >= 8 else 0


def _check_matroska(file: BinaryIO, size: int, condition: Condition) -> None:
    """Read the size of the segment behind the header of a Matroska (RFC 9559), where it is known."""
    file.seek(4)
    n_header, position = _read_size(file, 4)
    position += n_header
    file.seek(position)
    if n_header < 0 or file.read(4) != _SEGMENT:
        return
    n_segment, start = _read_size(file, position + 4)
    if n_segment >= 0:
        _report_missing(start + n_segment, size, condition)


def _read_size(file: BinaryIO, position: int) -> tuple[int, int]:
    """Return a size of EBML, -1 if it is unknown, and where it ends."""
    file.seek(position)
    first = file.read(1)
    n_bytes = 9 - first[0].bit_length() if first and first[0] else 8
    value = (first[0] if first else 0) & ((1 << (8 - n_bytes)) - 1)
    value = value << 8 * (n_bytes - 1) | int.from_bytes(file.read(n_bytes - 1))
    return (-1 if value == (1 << 7 * n_bytes) - 1 else value), position + n_bytes


def _check_asf(file: BinaryIO, size: int, condition: Condition) -> None:
    file.seek(0)
    header = file.read(2**16)
    at = header.find(_ASF_FILE)
    flags = int.from_bytes(header[at + 88 : at + 92], "little")
    is_broadcast = bool(flags & 1)
    if at >= 0 and not is_broadcast:
        _report_missing(int.from_bytes(header[at + 40 : at + 48], "little"), size, condition)


def _check_avi(file: BinaryIO, size: int, condition: Condition) -> None:
    file.seek(4)
    _report_missing(8 + int.from_bytes(file.read(4), "little"), size, condition)


def _check_flv(file: BinaryIO, size: int, condition: Condition) -> None:
    """Each tag of an FLV is followed by its size, the last one too."""
    file.seek(0)
    head = file.read(_FLV_HEAD_BYTES)
    at = head.find(_FLV_SIZE) + len(_FLV_SIZE)
    if at >= len(_FLV_SIZE) and len(head) >= at + 8:
        (declared,) = struct.unpack(">d", head[at : at + 8])
        if size < declared < 2**62:
            _report_missing(int(declared), size, condition)
            return
    file.seek(max(0, size - 4))
    n_bytes = int.from_bytes(file.read(4))
    file.seek(max(0, size - 4 - n_bytes))
    tag = file.read(4)
    if tag[:1] not in (b"\x08", b"\x09", b"\x12") or int.from_bytes(tag[1:4]) + 11 != n_bytes:
        condition.damaged("truncated: it ends inside a tag")


def _check_transport_stream(file: BinaryIO, size: int, condition: Condition) -> None:
    """Packets of an MPEG transport stream have one size; those of a Blu-ray have a time stamp each, too."""
    file.seek(0)
    packet_bytes = 188 if file.read(1)[0] == _TS_SYNC else 192
    if size % packet_bytes:
        condition.damaged("truncated: it ends inside a packet")
    n_damaged = _count_lost_packets(file, packet_bytes)
    if n_damaged:
        condition.note(f"{n_damaged} of its packets of {packet_bytes} bytes are damaged")


def _count_lost_packets(file: BinaryIO, packet_bytes: int) -> int:
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        sync_bytes = np.frombuffer(data, np.uint8)[packet_bytes - 188 :: packet_bytes]
        n_lost = int(np.count_nonzero(sync_bytes != _TS_SYNC))
        del sync_bytes
    return n_lost


def _check_program_stream(file: BinaryIO, size: int, condition: Condition) -> None:
    """The packets of an MPEG programme stream say how long they are; the last pack is looked at."""
    start = max(0, size - _TAIL_BYTES)
    file.seek(start)
    tail = file.read()
    position = tail.rfind(_PACK)
    if position < 0:
        return
    is_second_version = tail[position + 4 : position + 5] >= b"\x40"
    position += 14 + (tail[position + 13 : position + 14] or b"\0")[0] % 8 if is_second_version else 12
    while tail[position : position + 3] == _PACK[:3] and len(tail) >= position + 6:
        position += 6 + int.from_bytes(tail[position + 4 : position + 6])
    _report_missing(start + position, size, condition)


def _check_nut(file: BinaryIO, size: int, condition: Condition) -> None:
    """A NUT ends with its index, which ends with its own length and a checksum."""
    file.seek(max(0, size - 12))
    n_bytes = int.from_bytes(file.read(8))
    file.seek(max(0, size - n_bytes))
    if not 0 < n_bytes < size or file.read(8) != _NUT_INDEX:
        condition.damaged("truncated: it ends without its index")


def _check_real_media(file: BinaryIO, size: int, condition: Condition) -> None:
    """The chunks of a RealMedia say how long they are."""
    for _, end in _walk_chunks(file, _measure_real_media):
        if end > size + _RM_SLACK_BYTES:
            _report_missing(end, size, condition)
            return


def _measure_real_media(header: bytes) -> int:
    n_bytes = int.from_bytes(header[4:8])
    return n_bytes if len(header) >= 8 and n_bytes >= 8 else 0


def _check_voc(file: BinaryIO, size: int, condition: Condition) -> None:
    """The blocks of a VOC say how long they are; the last has no length, and is left out by some writers."""
    file.seek(20)
    start = int.from_bytes(file.read(2), "little")
    for _, end in _walk_chunks(file, _measure_voc, start=start):
        if end > size:
            _report_missing(end, size, condition)
            return


def _measure_voc(header: bytes) -> int:
    return 4 + int.from_bytes(header[1:4], "little") if len(header) >= 4 and header[0] else 0


def _check_mmf(file: BinaryIO, size: int, condition: Condition) -> None:
    file.seek(4)
    end = 8 + int.from_bytes(file.read(4))
    _report_missing(end, size, condition)
    file.seek(end)
    if file.read(4) == b"MMMD":
        condition.damaged(_JOINED)


_CHECKS: Final[dict[bytes, _Check]] = {
    b"FLV\1": _check_flv,
    b"nut/": _check_nut,
    b".RMF": _check_real_media,
    b"Crea": _check_voc,
    b"MMMD": _check_mmf,
    _PACK: _check_program_stream,
}
