"""The walk over a file of coded frames, from each to the next, past tags and what else stands between them.

Every byte is accounted for: it belongs to a frame or to a gap, and a gap says what it is.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import BinaryIO, Final

from stemsplit.audio.frame_headers import HEADER_BYTES, FrameHeader, ParseHeader

_BLOCK_BYTES: Final = 2**18
_LONGEST_FRAME: Final = 2**13
# So many headers at the right distances are no coincidence: chance has it once in 10^11 places.
_RUN_FRAMES: Final = 3
_AHEAD_BYTES: Final = (_RUN_FRAMES + 1) * _LONGEST_FRAME
_ID3V1_BYTES: Final = {b"TAG+": 227, b"TAG": 128}
_LYRICS_END: Final = (b"LYRICS200", b"LYRICSEND")


class GapKind(StrEnum):
    """What stands where a frame could be."""

    TAG = "tag"
    ZEROS = "zeros"
    UNKNOWN = "unknown"
    PARTIAL = "partial"


@dataclass(frozen=True, slots=True)
class Gap:
    """Bytes that are no frame; ``PARTIAL`` is a frame that the end of the file cuts."""

    position: int
    n_bytes: int
    kind: GapKind


@dataclass(frozen=True, slots=True)
class Frame:
    """One whole frame."""

    position: int
    header: FrameHeader
    data: bytes


class FrameWalk:
    """Iterates over the frames and gaps of ``file`` between two positions.

    Parameters
    ----------
    file : binary file
        Seekable; read in blocks.
    start, end : int
        Where the frames begin and end, in bytes.
    parse : callable
        `frame_headers.parse_mpeg` or `frame_headers.parse_adts`.
    """

    def __init__(self, file: BinaryIO, start: int, end: int, parse: ParseHeader) -> None:
        self._file = file
        self._end = end
        self._parse = parse
        self._position = start
        self._buffer = b""
        self._buffer_start = start

    def __iter__(self) -> Iterator[Frame | Gap]:
        last: FrameHeader | None = None
        while self._position < self._end:
            header = self._header_at(self._position)
            if header is not None and (_is_alike(header, last) or self._has_run(self._position)):
                left = self._end - self._position
                if header.n_bytes > left:
                    yield self._pass(left, GapKind.PARTIAL)
                    return
                frame = Frame(self._position, header, self._peek(self._position, header.n_bytes))
                self._position += header.n_bytes
                last = header
                yield frame
            else:
                yield self._pass_gap(last)

    def find_content(self) -> tuple[int, bool]:
        """Return where something else than tags and zeros begins, and whether frames do."""
        position = self._position
        while skipped := self._measure_tag(position) or self._count_zeros(position):
            position = min(position + skipped, self._end)
        return position, self._has_run(position)

    def _pass_gap(self, last: FrameHeader | None) -> Gap:
        if n_bytes := self._measure_tag(self._position):
            return self._pass(n_bytes, GapKind.TAG)
        if n_bytes := self._count_zeros(self._position):
            return self._pass(n_bytes, GapKind.ZEROS)
        position = self._find_run(self._position + 1, last)
        return self._pass(position - self._position, GapKind.UNKNOWN)

    def _count_zeros(self, position: int) -> int:
        start = position
        while ahead := self._peek(position, _BLOCK_BYTES):
            n_zeros = len(ahead) - len(ahead.lstrip(b"\0"))
            position += n_zeros
            if n_zeros < len(ahead):
                break
        return position - start

    def _pass(self, n_bytes: int, kind: GapKind) -> Gap:
        gap = Gap(self._position, min(n_bytes, self._end - self._position), kind)
        self._position += gap.n_bytes
        return gap

    def _find_run(self, position: int, last: FrameHeader | None) -> int:
        """Return where frames or a tag go on from `position`, or the end."""
        while position < self._end:
            block = self._peek(position, _BLOCK_BYTES)
            at = -1
            while (at := block.find(b"\xff", at + 1)) >= 0:
                if self._has_run(position + at) or self._is_cut_frame(position + at, last):
                    return position + at
            for name in (b"ID3", b"TAG", b"APETAGEX"):
                at = block.find(name)
                if at >= 0 and self._ends_with_tag(position + at):
                    return position + at
            position += max(1, len(block) - len(b"APETAGEX"))
        return self._end

    def _is_cut_frame(self, position: int, last: FrameHeader | None) -> bool:
        """Tell whether the file ends inside a frame that begins here."""
        header = self._header_at(position)
        return header is not None and _is_alike(header, last) and position + header.n_bytes > self._end

    def _ends_with_tag(self, position: int) -> bool:
        """Tell whether a tag begins here that ends with the file, or has frames behind it."""
        n_bytes = self._measure_tag(position)
        behind = position + n_bytes
        if not n_bytes:
            return False
        return behind >= self._end or self._has_run(behind) or bool(self._measure_tag(behind))

    def _has_run(self, position: int) -> bool:
        """Tell whether frames of one kind follow each other from here, or up to the end."""
        first = self._header_at(position)
        header = first
        for _ in range(_RUN_FRAMES):
            if header is None or not _is_alike(header, first):
                return False
            position += header.n_bytes
            if position == self._end or self._measure_tag(position):
                return True
            header = self._header_at(position)
        return True

    def _measure_tag(self, position: int) -> int:
        """Return the length of the tag that begins at a position, 0 if none does."""
        head = self._peek(position, 32)
        if head[:3] == b"ID3":
            return self._measure_id3(position, head)
        if head[:8] == b"APETAGEX" and len(head) == 32:
            size = int.from_bytes(head[12:16], "little")
            # a header counts neither itself nor a footer; a footer alone is the end of a tag
            is_header = bool(head[23] & 0x20)
            return 32 + size if is_header and self._may_end_tag(position + 32 + size) else 32
        if head[:11] == b"LYRICSBEGIN":
            body = self._peek(position, _BLOCK_BYTES)
            ends = [at + len(mark) for mark in _LYRICS_END if (at := body.find(mark)) >= 0]
            return min(ends, default=0)
        return next((size for mark, size in _ID3V1_BYTES.items() if head.startswith(mark)), 0)

    def _measure_id3(self, position: int, head: bytes) -> int:
        """Return the length of an ID3v2 tag; where it says more than there is, only that of its header."""
        if len(head) < 10 or max(head[6:10]) > 0x7F:
            return 0
        size = sum(byte << shift for byte, shift in zip(head[6:10], (21, 14, 7, 0), strict=True))
        size += 20 if head[5] & 0x10 else 10
        return size if self._may_end_tag(position + size) else 10

    def _may_end_tag(self, behind: int) -> bool:
        """Tell whether a tag may end here: a frame, a tag or zeros stand behind it, or the file ends."""
        after = self._peek(behind, 3)
        is_tag = after in (b"ID3", b"TAG", b"APE", b"LYR")
        return is_tag or after[:1] == b"\0" or behind == self._end or self._header_at(behind) is not None

    def _header_at(self, position: int) -> FrameHeader | None:
        return self._parse(self._peek(position, HEADER_BYTES))

    def _peek(self, position: int, n_bytes: int) -> bytes:
        """Return bytes at a position, fewer only at the end."""
        n_bytes = max(0, min(n_bytes, self._end - position))
        at = position - self._buffer_start
        if at < 0 or at + n_bytes > len(self._buffer):
            self._file.seek(position)
            self._buffer = self._file.read(max(_BLOCK_BYTES + _AHEAD_BYTES, n_bytes))
            self._buffer_start, at = position, 0
        return self._buffer[at : at + n_bytes]


def _is_alike(header: FrameHeader, other: FrameHeader | None) -> bool:
    """Tell whether two frames may follow each other without further proof."""
    return other is not None and (header.codec, header.sample_rate) == (other.codec, other.sample_rate)
