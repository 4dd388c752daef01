"""Room on the disk: a song is taken only if its stems will fit there, beside those of the songs before it."""

import shutil
import threading
from pathlib import Path
from typing import Final

from stemsplit.audio.encoding import choose_encoding
from stemsplit.audio.info import AudioInfo
from stemsplit.errors import OutputError
from stemsplit.jobs.request import SeparationRequest
from stemsplit.service.tracks import needs_copy

_PREVIEW_BYTES: Final = 2  # of a sample of the mixture that the page plays
_FLOAT_BYTES: Final = 4


def estimate_bytes(info: AudioInfo, wanted: SeparationRequest, n_stems: int) -> int:
    """Return the bytes of the stems of a song as uncompressed files, and of what is played beside them.

    A song that does not say how long it is counts as 0.
    """
    encoding = choose_encoding(wanted.format, wanted.bits, info, wanted.bitrate_kbps)
    sample_bytes = _FLOAT_BYTES if encoding.is_float else (encoding.bits or 8 * _PREVIEW_BYTES) // 8
    n_files = 2 if needs_copy(encoding.extension) else 1
    n_samples = (info.n_samples or 0) * info.n_channels
    return n_samples * (n_stems * n_files * sample_bytes + _PREVIEW_BYTES)


class Room:
    """Disk space of a folder that is reserved for songs which are not finished; thread-safe."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._reserved: dict[str, int] = {}
        self._lock = threading.Lock()

    def reserve(self, id: str, n_bytes: int) -> None:
        """Reserve `n_bytes` for a song.

        Raises
        ------
        OutputError
            If there is not enough free space.
        """
        with self._lock:
            free = shutil.disk_usage(self._folder).free - sum(self._reserved.values())
            if n_bytes > free:
                needed_mb, left_mb = n_bytes / 1e6, max(0, free) / 1e6
                raise OutputError(
                    f"the disk is full: the stems need {needed_mb:.0f} MB, and {left_mb:.0f} MB are left; "
                    "remove songs that are done, or send it again later"
                )
            self._reserved[id] = n_bytes

    def release(self, id: str) -> None:
        """End the reservation of a song that is finished or removed."""
        with self._lock:
            self._reserved.pop(id, None)
