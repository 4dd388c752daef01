"""Files of stems in which one can seek: what is mixed, played and analysed.

libsndfile opens stems in most formats at any sample. What lies in MPEG-4 (m4a, alac) is read by FFmpeg, from
its start, so a wav of the same depth is kept beside it.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from stemsplit.audio.encoders import open_encoder
from stemsplit.audio.encoding import choose_encoding
from stemsplit.audio.reader import open_audio
from stemsplit.files.atomic import whole_file

_COPIED: Final = frozenset({"m4a"})


def needs_copy(extension: str) -> bool:
    """Return whether stems with this ending are kept as wav as well.

    >>> needs_copy("m4a"), needs_copy("flac")
    (True, False)
    """
    return extension in _COPIED


def find_track(stem: Path, folder: Path) -> Path:
    """Return the file that stands for a stem: its own, or its copy in `folder`."""
    return folder / f"{stem.stem}.wav" if needs_copy(stem.suffix[1:]) else stem


def make_tracks(stems: Mapping[str, Path], folder: Path) -> dict[str, Path]:
    """Write the copies that are missing in `folder`, and return the track of each stem.

    Raises
    ------
    AudioError
        If a stem cannot be read.
    OSError
        If a copy cannot be written.
    """
    tracks = {name: find_track(path, folder) for name, path in stems.items()}
    for name, path in tracks.items():
        if path != stems[name] and not path.exists():
            _write_copy(stems[name], path)
    return tracks


def _write_copy(stem: Path, path: Path) -> None:
    with open_audio(stem) as reader, whole_file(path) as file:
        info = reader.info
        encoder = open_encoder(
            file,
            choose_encoding("wav", None, info),
            sample_rate=info.sample_rate,
            n_channels=info.n_channels,
            n_samples=None,
        )
        for block in reader.blocks():
            encoder.write(block.T)
        encoder.finish()
