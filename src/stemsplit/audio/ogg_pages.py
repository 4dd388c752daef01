"""The pages of an Ogg (RFC 3533), and the streams that were joined in it.

A chain is several songs one after another, each a link of its own, whatever serial numbers they have. Streams
side by side, of a video for example, all begin before any of them goes on.
"""

import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Final

from stemsplit.audio.condition import Condition

_BLOCK_BYTES: Final = 2**20
_HEADER_BYTES: Final = 27
_LARGEST_PAGE: Final = _HEADER_BYTES + 255 + 255 * 255
_MARK: Final = b"OggS\0"
_FIRST, _LAST = 2, 4
_NO_GRANULE: Final = -1
_REVERSED_BITS: Final = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


@dataclass(frozen=True, slots=True)
class Page:
    """One page; `granule` is the position of its end in samples, -1 where no packet ends in it."""

    position: int
    n_bytes: int
    is_first: bool
    is_last: bool
    granule: int
    serial: int
    number: int
    body: bytes


@dataclass
class _Stream:
    """What is known of one stream of a link."""

    head: bytes
    number: int
    has_data: bool = False
    granule: int = 0
    has_end: bool = False


@dataclass
class OggLink:
    """One song of a chain: its bytes, and the streams side by side in it by their serial numbers."""

    start: int
    end: int = 0
    streams: dict[int, _Stream] = field(default_factory=dict)
    starts_late: bool = False

    @property
    def has_data(self) -> bool:
        """Whether a stream has gone on after its first page."""
        return any(stream.has_data for stream in self.streams.values())

    @property
    def has_end(self) -> bool:
        """Whether every stream has the page that ends it."""
        return all(stream.has_end for stream in self.streams.values())

    @property
    def audio(self) -> "OggAudio | None":
        """The first stream whose rate, channels and length are known here: Vorbis, Opus or FLAC."""
        found = (_describe(stream) for stream in self.streams.values())
        return next((audio for audio in found if audio is not None), None)


@dataclass(frozen=True)
class OggAudio:
    """What an audio stream says of itself; `n_samples` is 0 where its pages do not number them."""

    sample_rate: int
    n_channels: int
    n_samples: int


def scan_ogg(path: Path, condition: Condition) -> list[OggLink]:
    """Return the links of an Ogg after a look at all its pages: checksums, numbers, ends.

    Raises
    ------
    AudioError
        By `condition`: a page is damaged or missing, or the file ends inside one.
    """
    links: list[OggLink] = []
    with path.open("rb") as file:
        for page in _read_pages(file, condition):
            if page.is_first and (not links or links[-1].has_data):
                links.append(OggLink(page.position))
            if not links:
                condition.damaged("damaged: its beginning is missing")
                continue
            _add(links[-1], page, condition)
            links[-1].end = page.position + page.n_bytes
    for link in links:
        if not link.has_end:
            condition.note("the page that ends the stream is missing, as in a recording that was stopped")
    return links


def _add(link: OggLink, page: Page, condition: Condition) -> None:
    if page.is_first:
        link.streams[page.serial] = _Stream(page.body, page.number, has_end=page.is_last)
        return
    stream = link.streams.get(page.serial)
    if stream is None:
        condition.note("it holds pages of a stream that does not begin in it")
        return
    if page.number != stream.number + 1:
        if stream.granule == 0:  # who tunes in to a broadcast gets the headers, and then what is on
            link.starts_late = True
            condition.note("it begins in the middle of a stream")
        else:
            n_missing = page.number - stream.number - 1
            condition.damaged(
                f"damaged: {n_missing} pages are missing before byte {page.position}", of="pages"
            )
    stream.number = page.number
    stream.has_data = True
    stream.has_end = stream.has_end or page.is_last
    if page.granule != _NO_GRANULE:
        stream.granule = page.granule


def _read_pages(file: BinaryIO, condition: Condition) -> Iterator[Page]:
    """Yield the intact pages of a file from its beginning."""
    size = file.seek(0, 2)
    position, buffer, buffer_start = 0, b"", 0
    while position < size:
        at = position - buffer_start
        if at + _LARGEST_PAGE > len(buffer) and buffer_start + len(buffer) < size:
            file.seek(position)
            buffer, buffer_start, at = file.read(_BLOCK_BYTES), position, 0
        page = _parse_page(buffer, at, position)
        if page is not None:
            yield page
            position += page.n_bytes
            continue
        behind = buffer.find(_MARK, at + 1)
        if behind < 0:
            is_last_buffer = buffer_start + len(buffer) >= size
            behind = len(buffer) - (0 if is_last_buffer else len(_MARK))
        _report_gap(buffer[at:behind], position, position + behind - at == size, condition)
        position += behind - at


def _report_gap(data: bytes, position: int, is_end: bool, condition: Condition) -> None:
    if not data.startswith(_MARK):
        condition.note(f"bytes from byte {position} on are no page of an Ogg", of="no page")
    elif is_end:
        condition.damaged("truncated: its last page is incomplete")
    else:
        condition.damaged(f"damaged: the page at byte {position} is not intact", of="pages")


def _parse_page(buffer: bytes, at: int, position: int) -> Page | None:
    header = buffer[at : at + _HEADER_BYTES]
    if len(header) < _HEADER_BYTES or not header.startswith(_MARK):
        return None
    lacing = buffer[at + _HEADER_BYTES : at + _HEADER_BYTES + header[26]]
    body_at = at + _HEADER_BYTES + header[26]
    body = buffer[body_at : body_at + sum(lacing)]
    if len(lacing) < header[26] or len(body) < sum(lacing):
        return None
    checked = header[:22] + bytes(4) + header[26:] + lacing + body
    if _checksum(checked) != int.from_bytes(header[22:26], "little"):
        return None
    flags = header[5]
    return Page(
        position,
        body_at + len(body) - at,
        bool(flags & _FIRST),
        bool(flags & _LAST),
        int.from_bytes(header[6:14], "little", signed=True),
        int.from_bytes(header[14:18], "little"),
        int.from_bytes(header[18:22], "little"),
        body if flags & _FIRST else b"",
    )


def _checksum(data: bytes) -> int:
    """Return Ogg's CRC-32, which is that of zlib with all bits in reverse and nothing inverted."""
    reverse = zlib.crc32(data.translate(_REVERSED_BITS), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int.from_bytes(reverse.to_bytes(4, "little").translate(_REVERSED_BITS), "big")


def _describe(stream: _Stream) -> OggAudio | None:
    """Read the first packet of a stream."""
    head = stream.head
    if head.startswith(b"\1vorbis") and len(head) >= 16:
        return OggAudio(int.from_bytes(head[12:16], "little"), head[11], stream.granule)
    if head.startswith(b"OpusHead") and len(head) >= 12:
        n_leading = int.from_bytes(head[10:12], "little")
        return OggAudio(48000, head[9], max(0, stream.granule - n_leading))
    if head.startswith(b"\x7fFLAC") and len(head) >= 51:
        fields = int.from_bytes(head[27:35])
        return OggAudio(fields >> 44, (fields >> 41 & 7) + 1, stream.granule)
    return None
