"""What an mp3 says of its own length: the header that encoders put into its first frame.

libsndfile stops where that header says the song is over. Songs that were joined end to end have the header
of the first, so what follows is looked for here. Only layer III is known, as only it has such headers.
"""

from pathlib import Path
from typing import BinaryIO, Final

_START_BYTES: Final = 8192
_SEARCHED_BYTES: Final = 2**20  # behind the declared end; tags that stand there may hold a picture
_RUN_FRAMES: Final = 16  # so many in a row are sound, and more than any encoder miscounts
_MARKS: Final = (b"Xing", b"Info", b"VBRI")
_MARK_PLACES: Final = (36, 21, 13)  # in the first frame: behind its header and side information
_KBITS: Final = {
    True: (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),  # MPEG 1
    False: (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),  # MPEG 2 and 2.5
}
_RATES_HZ: Final = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}


def declares_mp3_length(path: Path) -> bool:
    """Tell whether an mp3 carries a header with its length; without one, libsndfile only estimates."""
    with path.open("rb") as file:
        _, start = _read_start(file)
    return any(mark in start for mark in _MARKS)


def goes_on_behind_its_end(path: Path) -> bool:
    """Tell whether there is more sound in an mp3 than its header declares."""
    with path.open("rb") as file:
        position, start = _read_start(file)
        found = _find_declared(start)
        if found is None:
            return False
        at, n_bytes = found
        file.seek(position + at + n_bytes)
        rest = file.read(_SEARCHED_BYTES)
    return _has_run(rest, start[at : at + 4])


def _read_start(file: BinaryIO) -> tuple[int, bytes]:
    """Return where the sound begins, behind all ID3 tags, and its first bytes."""
    position = 0
    while True:
        file.seek(position)
        start = file.read(_START_BYTES)
        if start[:3] != b"ID3" or len(start) < 10:
            return position, start
        size = sum((byte & 0x7F) << shift for byte, shift in zip(start[6:10], (21, 14, 7, 0), strict=True))
        position += 10 + size + (10 if start[5] & 0x10 else 0)  # some end as they begin


def _find_declared(start: bytes) -> tuple[int, int] | None:
    """Return where the first frame is in `start`, and how many bytes of frames are declared from there."""
    mark = min((at for name in _MARKS[:2] if (at := start.find(name)) >= 0), default=-1)
    for place in _MARK_PLACES:
        at = mark - place
        if mark >= place and _frame_bytes(start[at : at + 4]):
            flags = start[mark + 7]
            n_bytes = int.from_bytes(start[mark + 12 : mark + 16]) if flags & 3 == 3 else 0
            return (at, n_bytes) if n_bytes else None
    return None


def _has_run(data: bytes, like: bytes) -> bool:
    """Tell whether frames `like` the one of this header follow each other somewhere in `data`."""
    sync = like[:1] + bytes([like[1] & 0xFE])
    at = -1
    while (at := data.find(b"\xff", at + 1)) >= 0:
        position = at
        for _ in range(_RUN_FRAMES):
            header = data[position : position + 4]
            n_bytes = _frame_bytes(header)
            if not n_bytes or header[:1] + bytes([header[1] & 0xFE]) != sync or (header[2] ^ like[2]) & 0x0C:
                break
            position += n_bytes
        else:
            return True
    return False


def _frame_bytes(header: bytes) -> int:
    """Return the length of the frame that begins with these four bytes, 0 if none does."""
    if len(header) < 4 or header[0] != 0xFF or header[1] & 0xE6 != 0xE2:
        return 0
    version, kbits, rate = header[1] >> 3 & 3, header[2] >> 4, header[2] >> 2 & 3
    if version == 1 or kbits in (0, 15) or rate == 3:
        return 0
    is_first = version == 3
    per_kbit = (144 if is_first else 72) * 1000
    return per_kbit * _KBITS[is_first][kbits - 1] // _RATES_HZ[version][rate] + (header[2] >> 1 & 1)
