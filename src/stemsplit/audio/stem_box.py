"""The ``stem`` box of Native Instruments' stem files: which stems an mp4 has, and how players show them.

An mp4 consists of boxes, each with its size (32 bits, big-endian) and its kind (four letters) in front; a
size of 1 means that 64 bits follow. The box is in ``moov/udta`` and holds JSON: a version, the settings of
the limiter and compressor through which a player plays the stems together, and name and colour of each stem.
The first audio track is the mixture, the stems follow in the order of the box.
"""

import json
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple

from stemsplit.audio.file_sink import write_all
from stemsplit.errors import AudioError

N_STEMS: Final = 4
_MAX_BYTES: Final = 2**20
# those that Native Instruments' own program begins with
_COLOURS: Final = ("#009E73", "#D55E00", "#CC79A7", "#56B4E9")
# both are off: what is played is what was separated
_MASTERING: Final = {
    "compressor": {
        "enabled": False,
        "input_gain": 0.5,
        "output_gain": 0.5,
        "threshold": 0,
        "ratio": 3,
        "attack": 0.003,
        "release": 0.3,
        "hp_cutoff": 300,
        "dry_wet": 50,
    },
    "limiter": {"enabled": False, "threshold": 0, "ceiling": -0.35, "release": 0.05},
}


class _Box(NamedTuple):
    kind: bytes
    start: int
    content: int
    end: int


def make_stem_box(names: Sequence[str]) -> bytes:
    """Return the content of the box for stems of these names."""
    stems = [{"name": name, "color": colour} for name, colour in zip(names, _COLOURS, strict=True)]
    return json.dumps({"mastering_dsp": _MASTERING, "version": 1, "stems": stems}).encode()


def append_stem_box(file: BinaryIO, content: bytes) -> None:
    """Put the box into an mp4 whose ``moov`` comes last and ends with ``udta``, as FFmpeg writes them."""
    *_, moov = _boxes(file, 0, file.seek(0, 2))
    *_, udta = _boxes(file, moov.content, moov.end)
    assert moov.kind == b"moov" and udta.kind == b"udta" and udta.end == moov.end == file.seek(0, 2)
    box = struct.pack(">I4s", 8 + len(content), b"stem") + content
    write_all(file, box)
    for parent in (moov, udta):
        file.seek(parent.start)
        write_all(file, struct.pack(">I", parent.end - parent.start + len(box)))


def has_stem_box(path: Path) -> bool:
    """Tell whether a file is an mp4 with the box."""
    try:
        with path.open("rb") as file:
            return _find_stem_box(file) is not None
    except OSError:
        return False


def read_stem_names(path: Path) -> tuple[str, ...]:
    """Return the names of the stems in the box; none for a file without it.

    Raises
    ------
    AudioError
        The box is there and cannot be understood.
    OSError
        The file cannot be read.
    """
    with path.open("rb") as file:
        box = _find_stem_box(file)
        if box is None:
            return ()
        file.seek(box.content)
        content = file.read(min(box.end - box.content, _MAX_BYTES))
    try:
        return tuple(str(stem["name"]) for stem in json.loads(content)["stems"])
    except (ValueError, KeyError, TypeError) as error:
        raise AudioError(
            f"{path}: the box that names its stems is damaged ({error}); get another copy"
        ) from error


def _find_stem_box(file: BinaryIO) -> _Box | None:
    start, end = 0, file.seek(0, 2)
    found = None
    for kind in (b"moov", b"udta", b"stem"):
        found = next((box for box in _boxes(file, start, end) if box.kind == kind), None)
        if found is None:
            return None
        start, end = found.content, found.end
    return found


def _boxes(file: BinaryIO, start: int, end: int) -> Iterator[_Box]:
    """Yield the boxes between two places; what is no box ends them."""
    while start + 8 <= end:
        file.seek(start)
        size, kind = struct.unpack(">I4s", file.read(8))
        content = start + 8
        if size == 1:
            size, content = struct.unpack(">Q", file.read(8).ljust(8, b"\0"))[0], start + 16
        stop = end if size == 0 else start + size
        if not content <= stop <= end:
            return
        yield _Box(kind, start, content, stop)
        start = stop
