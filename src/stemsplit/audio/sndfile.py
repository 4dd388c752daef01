"""Decoding with libsndfile.

python-soundfile seeks after every block that it reads. That is slow, and it hides damage: the seek jumps over
the hole, and the count of samples comes out right. Telling it that files cannot seek turns this off.
"""

from pathlib import Path
from typing import Final

import numpy as np
import soundfile

from stemsplit.audio.channel_order import VORBIS_PLACES
from stemsplit.audio.info import AudioInfo, os_path
from stemsplit.audio.integrity import find_truncation, has_vorbis_order, is_chained_ogg
from stemsplit.audio.mp3_header import declares_mp3_length, goes_on_behind_its_end
from stemsplit.errors import AudioError
from stemsplit.types import FloatArray

_UNKNOWN_LENGTH: Final = 2**62
_MP3_FRAME_SAMPLES: Final = 1152
_MORE_BEHIND_THE_END: Final = {"OGG": is_chained_ogg, "MP3": goes_on_behind_its_end}
# Without these, soundfile's own mistakes (a headerless .raw file) would escape as TypeError or ValueError.
_FAILURES: Final = (soundfile.SoundFileError, RuntimeError, TypeError, ValueError, OSError)


class PlainSoundFile(soundfile.SoundFile):  # type: ignore[misc, unused-ignore]
    """A sound file that is read or written straight through."""

    def seekable(self) -> bool:
        """Say no, so that python-soundfile does not seek after every block."""
        return False


class SndfileDecoder:
    """Decodes one file that libsndfile understands."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._file = PlainSoundFile(os_path(path))
        except _FAILURES as error:
            raise AudioError(f"{path}: {_explain_open(error, path)}") from error
        try:
            self._check_whole()
            self.info = self._read_info()
            self._places = self._find_places()
        except BaseException:
            self.close()
            raise
        # mp3 headers of some encoders count the frame that holds the header.
        self.slack_samples = _MP3_FRAME_SAMPLES if self.info.container == "MP3" else 0
        self._n_read = 0

    def _check_whole(self) -> None:
        try:
            problem = find_truncation(self._path)
            has_more = _MORE_BEHIND_THE_END.get(self._file.format)
            is_joined = has_more is not None and has_more(self._path)
        except OSError as error:
            raise AudioError(f"{self._path}: cannot be read ({error.strerror}); check the disk") from error
        if problem:
            raise AudioError(f"{self._path}: truncated: {problem}; get a whole copy of the file")
        if is_joined:
            raise AudioError(
                f"{self._path}: holds several streams one after another, and only the first could be read; "
                "make one of them, for example with `ffmpeg -i FILE song.flac`"
            )

    def _read_info(self) -> AudioInfo:
        file = self._file
        n_samples: int | None = file.frames
        if file.frames >= _UNKNOWN_LENGTH or (file.format == "MP3" and not declares_mp3_length(self._path)):
            n_samples = None
        return AudioInfo(file.samplerate, file.channels, n_samples, file.format, file.subtype)

    def _find_places(self) -> list[int] | None:
        """Return where each channel stands in the file, None if in their usual order."""
        places = VORBIS_PLACES.get(self.info.n_channels)
        if places is None or self.info.subtype not in ("VORBIS", "OPUS") or not has_vorbis_order(self._path):
            return None
        return list(places)

    def read(self, n_samples: int) -> FloatArray:
        """Decode the next block.

        Raises
        ------
        AudioError
            The decoder met something that is not audio.
        """
        if self.info.container == "FLAC" and self.info.n_samples is not None:
            # Beyond the declared end a tag may follow, which the FLAC decoder takes for damage.
            n_samples = min(n_samples, self.info.n_samples - self._n_read)
        buffer = np.empty((n_samples, self.info.n_channels), np.float32)
        try:
            interleaved = self._file.read(out=buffer) if n_samples else buffer
        except _FAILURES as error:
            raise AudioError(
                f"{self._path}: damaged near {self._n_read / self.info.sample_rate:.1f} s "
                f"({_reason(error)}); get a whole copy of the file"
            ) from error
        self._n_read += len(interleaved)
        if self._places is not None:
            interleaved = interleaved[:, self._places]
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
        return "is not audio in any format known here; check that the file is what its name says"
    # libsndfile has these words for an mp3 without a single frame as well, and the file is there
    detail = "" if reason.startswith("File does not exist") else f" ({reason})"
    return f"cannot be read as audio{detail}; the file is damaged or of an unknown kind, get another copy"
