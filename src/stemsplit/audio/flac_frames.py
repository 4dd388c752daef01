"""Headers of FLAC frames (RFC 9639), as far as they tell where a file ends."""

from pathlib import Path
from typing import Final

_HEAD_BYTES: Final = 2**16
_TAIL_BYTES: Final = 2**18
_HEADER_BYTES: Final = 16
# bytes that a frame's header spends on its size or rate, by their codes
_SIZE_BYTES: Final = {6: 1, 7: 2}
_RATE_BYTES: Final = {12: 1, 13: 2, 14: 2}


def ends_at(path: Path, n_samples: int) -> bool:
    """Tell whether the last frame of a file ends at a sample, counted from the beginning of the song.

    It serves to announce a length: the samples themselves are counted when they are decoded.
    """
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
        size = file.seek(0, 2)
        file.seek(max(0, size - _TAIL_BYTES))
        tail = file.read()
    marker = head.find(b"fLaC")
    nominal = int.from_bytes(head[marker + 8 : marker + 10]) if marker >= 0 else 0
    at = len(tail)
    while (at := tail.rfind(b"\xff", 0, at)) >= 0:
        end = _find_end(tail[at : at + _HEADER_BYTES], nominal)
        if end is not None:
            return end == n_samples
    return False


def _find_end(header: bytes, nominal: int) -> int | None:
    """Return the sample behind the frame that begins with `header`, None if none does.

    Frames of one size are numbered; `nominal` is that size, which only the last falls short of.
    """
    if len(header) < _HEADER_BYTES or header[1] & 0xFE != 0xF8 or header[3] & 1:
        return None
    size_code, rate_code = header[2] >> 4, header[2] & 15
    n_leading = _count_leading_ones(header[4])
    if size_code == 0 or rate_code == 15 or n_leading in (1, 8):
        return None
    number_end = 4 + max(1, n_leading)
    size_end = number_end + _SIZE_BYTES.get(size_code, 0)
    end = size_end + _RATE_BYTES.get(rate_code, 0)
    if end >= _HEADER_BYTES or _crc8(header[:end]) != header[end]:
        return None
    number = _read_number(header[4:number_end])
    n_samples = _read_size(size_code, header[number_end:size_end])
    return (number if header[1] & 1 else number * nominal) + n_samples


def _count_leading_ones(byte: int) -> int:
    return 8 - (byte ^ 0xFF).bit_length()


def _read_number(coded: bytes) -> int:
    """Read a number that is coded as UTF-8 codes a character, up to 36 bits."""
    if len(coded) == 1:
        return coded[0]
    number = coded[0] & (0x7F >> len(coded))
    for byte in coded[1:]:
        number = number << 6 | byte & 0x3F
    return number


def _read_size(code: int, stored: bytes) -> int:
    if stored:
        return int.from_bytes(stored) + 1
    if code == 1:
        return 192
    return 576 << (code - 2) if code < 6 else 256 << (code - 8)


def _crc8(data: bytes) -> int:
    crc = 0
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc << 1 ^ 0x07) & 0xFF if crc & 0x80 else crc << 1
    return crc
