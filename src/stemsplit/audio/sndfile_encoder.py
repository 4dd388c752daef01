"""Encoding with libsndfile: FLAC, AIFF, mp3, Ogg Vorbis and Opus.

It writes into a `FileSink`, which keeps the operating system's own error: libsndfile reports a full disk as a
short write, an unnamed internal error, or not at all.
"""

import contextlib
from typing import Any, BinaryIO, Final

import numpy as np
import numpy.typing as npt
import soundfile

from stemsplit.audio.bit_rates import find_mp3_range, limit_bitrate
from stemsplit.audio.channel_order import VORBIS_PLACES
from stemsplit.audio.encoding import Encoding
from stemsplit.audio.file_sink import FileSink
from stemsplit.audio.pcm import quantise
from stemsplit.audio.sndfile import PlainSoundFile
from stemsplit.audio.vorbis_quality import find_quality
from stemsplit.types import FloatArray

# libsndfile keeps a block on its stack while it encodes Vorbis: large ones crash it.
_LIBRARY_BLOCK: Final = 4096
# Near-transparent variable rates: mp3 about 250, Vorbis 260, Opus 200 kbit/s for stereo music.
_LEVELS: Final[dict[str, dict[str, float | str]]] = {
    "mp3": {"compression_level": 0.0, "bitrate_mode": "VARIABLE"},
    "ogg": {"compression_level": 0.2},
    "opus": {"compression_level": 0.6},
    "flac": {},
    "aiff": {},
}
_CONTAINERS: Final = {"mp3": "MP3", "ogg": "OGG", "opus": "OGG", "flac": "FLAC", "aiff": "AIFF"}
_FAILURES: Final = (soundfile.SoundFileError, RuntimeError, AssertionError)


class SndfileEncoder:
    """Writes FLAC, AIFF, mp3, Ogg Vorbis and Opus with libsndfile."""

    def __init__(
        self, file: BinaryIO, encoding: Encoding, *, sample_rate: int, n_channels: int, gain: float
    ) -> None:
        self._sink = FileSink(file)
        self._bits = encoding.bits
        self._gain = gain
        places = VORBIS_PLACES.get(n_channels) if encoding.format in ("ogg", "opus") else None
        self._order = None if places is None else np.argsort(places)
        self._sound: PlainSoundFile | None = None
        try:
            with self._sink.raising(*_FAILURES):
                self._sound = PlainSoundFile(
                    self._sink,
                    "w",
                    sample_rate,
                    n_channels,
                    encoding.subtype,
                    format=_CONTAINERS[encoding.format],
                    **_find_level(encoding, sample_rate, n_channels),
                )
        except BaseException:
            self.abort()
            raise

    def write(self, samples: FloatArray) -> None:
        """Encode some samples."""
        data: npt.NDArray[Any]
        if self._order is not None:
            samples = samples[:, self._order]
        if self._bits is None:
            data = samples if self._gain == 1.0 else samples * np.float32(self._gain)
        else:
            values, _ = quantise(samples, self._bits, gain=self._gain)
            # libsndfile takes the upper bits of an int32.
            data = values if self._bits == 16 else values << (32 - self._bits)
        with self._sink.raising(*_FAILURES):
            assert self._sound is not None
            for start in range(0, len(data), _LIBRARY_BLOCK):
                self._sound.write(data[start : start + _LIBRARY_BLOCK])

    def finish(self) -> None:
        """Flush the encoder and complete the header."""
        with self._sink.raising(*_FAILURES):
            assert self._sound is not None
            self._sound.close()

    def abort(self) -> None:
        """Let go of the file as it is."""
        self._sink.detach()
        if self._sound is not None:
            with contextlib.suppress(soundfile.SoundFileError):
                self._sound.close()


def _find_level(encoding: Encoding, sample_rate: int, n_channels: int) -> dict[str, float | str]:
    """Return libsndfile's way to say a bit rate: a level from 0, the best, to 1."""
    kbits = limit_bitrate(encoding, sample_rate, n_channels)
    if kbits is None or encoding.format not in ("mp3", "ogg"):
        return _LEVELS[encoding.format]
    if encoding.format == "ogg":
        return {"compression_level": 1 - find_quality(kbits, sample_rate, n_channels)}
    least, most = find_mp3_range(sample_rate)
    # half a kbit/s more, as it is rounded down
    level = (most - kbits - 0.5) / (most - least)
    return {"compression_level": max(0.0, level), "bitrate_mode": "CONSTANT"}
