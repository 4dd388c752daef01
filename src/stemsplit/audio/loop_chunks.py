"""What samplers and loop players read of a WAV file: loop, root note, tempo and markers.

They lie in the chunks ``smpl`` and ``cue `` of the RIFF standard (Microsoft 1994), and in ``acid``, which is
that of Sony ACID and read by most audio workstations.
"""

import os
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_ONE_SHOT, _HAS_ROOT, _STRETCHES = 0x01, 0x02, 0x04
_MIDDLE_C: Final = 60
_MAX_BYTES: Final = 2**32 - 2**16


@dataclass(frozen=True)
class LoopInfo:
    """What is known of a sample.

    Attributes
    ----------
    n_samples
        Its length, of which a loop plays all.
    is_loop
        Whether it is played as a loop; else once.
    n_beats
        How many beats it lasts; 0 if it has no tempo.
    bpm
        Its tempo; 0 if it has none.
    root
        MIDI pitch at which it plays as it is; None if it has none.
    markers
        Places in it, in samples.
    """

    n_samples: int
    is_loop: bool = False
    n_beats: int = 0
    bpm: float = 0.0
    root: int | None = None
    markers: Sequence[int] = ()


def append_loop_chunks(path: Path, info: LoopInfo, sample_rate: int) -> None:
    """Append the chunks to a finished WAV file; its audio is not touched.

    Raises
    ------
    OSError
        If the file cannot be written, or would grow beyond 4 GiB.
    """
    chunks = _make_sampler(info, sample_rate) + _make_cues(info.markers) + _make_acid(info)
    with path.open("rb+") as file:
        size = file.seek(0, os.SEEK_END)
        if size + len(chunks) > _MAX_BYTES:
            raise OSError(f"{path}: too long for loop points")
        file.write(b"\0" * (size % 2) + chunks)
        end = file.tell()
        file.seek(4)
        file.write(struct.pack("<I", end - 8))


def _make_sampler(info: LoopInfo, sample_rate: int) -> bytes:
    loops = [struct.pack("<6I", 0, 0, 0, info.n_samples - 1, 0, 0)] if info.is_loop else []
    root = _MIDDLE_C if info.root is None else info.root
    head = struct.pack("<9I", 0, 0, round(1e9 / sample_rate), root, 0, 0, 0, len(loops), 0)
    return _chunk(b"smpl", head + b"".join(loops))


def _make_cues(markers: Sequence[int]) -> bytes:
    if not markers:
        return b""
    points = [
        struct.pack("<2I4s3I", number, place, b"data", 0, 0, place) for number, place in enumerate(markers, 1)
    ]
    return _chunk(b"cue ", struct.pack("<I", len(points)) + b"".join(points))


def _make_acid(info: LoopInfo) -> bytes:
    flags = _STRETCHES if info.is_loop and info.bpm else _ONE_SHOT
    flags |= 0 if info.root is None else _HAS_ROOT
    root = _MIDDLE_C if info.root is None else info.root
    # two fields in between have values that every writer sets and nobody documents
    return _chunk(b"acid", struct.pack("<IHHfIHHf", flags, root, 0x8000, 0.0, info.n_beats, 4, 4, info.bpm))


def _chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack("<4sI", name, len(body)) + body + b"\0" * (len(body) % 2)
