"""Decoding with libsndfile: PCM in AIFF, CAF, AU, W64 and many older containers.

python-soundfile seeks after every block that it reads. That is slow, and it hides damage: the seek jumps over
the hole, and the count of samples comes out right. Telling it that files cannot seek turns this off.
"""

from pathlib import Path
from typing import Final

import numpy as np
import soundfile

from stemsplit.audio.condition import Condition
from stemsplit.audio.info import AudioInfo, os_path
from stemsplit.audio.native_output import without_native_output
from stemsplit.errors import AudioError
from stemsplit.types import FloatArray

_UNKNOWN_LENGTH: Final = 2**62
# what it reads only up to a length that it estimates, or that a header declares
_READ_ELSEWHERE: Final = frozenset({"MP3", "OGG", "FLAC"})
_UNKNOWN: Final = "is not audio in any format known here; check that the file is what its name says"
# Without these, soundfile's own mistakes (a headerless .raw file) would escape as TypeError or ValueError.
_FAILURES: Final = (soundfile.SoundFileError, RuntimeError, TypeError, ValueError, OSError)


class PlainSoundFile(soundfile.SoundFile):  # type: ignore[misc, unused-ignore]
    """A sound file that is read or written straight through."""

    def seekable(self) -> bool:
        """Say no, so that python-soundfile does not seek after every block."""
        return False


class SndfileDecoder:
    """Decodes one file that libsndfile understands."""

    def __init__(self, path: Path, condition: Condition) -> None:
        self._path = path
        self._condition = condition
        try:
            with without_native_output():
                self._file = PlainSoundFile(os_path(path))
        except _FAILURES as error:
            raise AudioError(f"{path}: {_explain_open(error, path)}") from error
        file = self._file
        if file.format in _READ_ELSEWHERE:
            self.close()
            raise AudioError(f"{path}: {_UNKNOWN}")
        n_samples = None if file.frames >= _UNKNOWN_LENGTH else file.frames
        self.info = AudioInfo(file.samplerate, file.channels, n_samples, file.format, file.subtype)
        self._n_read = 0

    def read(self, n_samples: int) -> FloatArray:
        """Decode the next block.

        Raises
        ------
        AudioError
            The decoder met something that is not audio.
        """
        buffer = np.empty((n_samples, self.info.n_channels), np.float32)
        try:
            interleaved = self._file.read(out=buffer)
        except _FAILURES as error:
            time_s = self._n_read / self.info.sample_rate
            self._condition.damaged(f"damaged near {time_s:.1f} s ({_reason(error)})")
            interleaved = buffer[:0]
        self._n_read += len(interleaved)
        return np.ascontiguousarray(interleaved.T)

    def close(self) -> None:
        """Release the file."""
        try:
            self._file.close()
        except _FAILURES:
            # Closing a file that was only read loses nothing.
            return


def _reason(error: Exception) -> str:
    text = getattr(error, "error_string", None) or str(error)
    return str(text).removeprefix("Error : ").rstrip(".")


def _explain_open(error: Exception, path: Path) -> str:
    if path.suffix.lower() == ".raw":
        return "raw samples have no header; convert them to wav first"
    reason = _reason(error)
    if "not recognised" in reason:
        return _UNKNOWN
    # libsndfile has these words for an mp3 without a single frame as well, and the file is there
    detail = "" if reason.startswith("File does not exist") else f" ({reason})"
    return f"cannot be read as audio{detail}; the file is damaged or of an unknown kind, get another copy"
