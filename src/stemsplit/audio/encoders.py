"""Turning float samples into the bytes of a file.

WAV is written here directly: the rounding, the 4 GiB limit and a full disk are then under control.
Everything else goes through libsndfile into a `FileSink`, which keeps the operating system's own error:
libsndfile reports a full disk as a short write, an unnamed internal error, or not at all.
"""

import contextlib
import errno
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, BinaryIO, Final, Protocol

import numpy as np
import numpy.typing as npt
import soundfile
import soxr

from stemsplit.audio.channel_order import VORBIS_PLACES
from stemsplit.audio.encoding import Encoding, quantise, written_rate
from stemsplit.audio.file_sink import FileSink, write_all
from stemsplit.audio.sndfile import PlainSoundFile
from stemsplit.audio.wav import WavFormat, build_header, encode_samples
from stemsplit.types import FloatArray

if TYPE_CHECKING:
    from stemsplit.audio.picture import VideoSource

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
# Nominal rates of Vorbis in kbit/s, of stereo, by its quality from 0 to 1.
_VORBIS_KBITS: Final = (64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 500)


class Encoder(Protocol):
    """Takes interleaved samples, ``(samples, channels)``, and makes a file of them."""

    def write(self, samples: FloatArray) -> None:
        """Encode some samples."""
        ...

    def finish(self) -> None:
        """Complete the file, which stays open; raise `OSError` if any byte could not be written."""
        ...

    def abort(self) -> None:
        """Let go of the file as it is. May follow `finish`."""
        ...


def open_encoder(
    file: BinaryIO,
    encoding: Encoding,
    *,
    sample_rate: int,
    n_channels: int,
    n_samples: int | None,
    gain: float = 1.0,
    channel_mask: int = 0,
    video: "VideoSource | None" = None,
) -> Encoder:
    """Start writing ``file``; ``n_samples`` None means that the length is not known yet (WAV only).

    A rate that the format lacks is converted. The picture of `video` is put beside the sound.
    """
    if encoding.format == "wav":
        wav_format = WavFormat(sample_rate, n_channels, encoding.subtype, channel_mask)
        return WavEncoder(file, wav_format, bits=encoding.bits, n_samples=n_samples, gain=gain)
    written_hz = written_rate(encoding.format, sample_rate)
    encoder = _open_coder(
        file, encoding, sample_rate=written_hz, n_channels=n_channels, gain=gain, video=video
    )
    if written_hz == sample_rate:
        return encoder
    return ResamplingEncoder(encoder, from_hz=sample_rate, to_hz=written_hz, n_channels=n_channels)


def _open_coder(
    file: BinaryIO,
    encoding: Encoding,
    *,
    sample_rate: int,
    n_channels: int,
    gain: float,
    video: "VideoSource | None",
) -> Encoder:
    # FFmpeg's mp3 may be longer than the song, as it notes at most one frame of padding
    is_of_ffmpeg = encoding.format in ("m4a", "mp4", "alac")
    if not is_of_ffmpeg and not (encoding.format == "opus" and encoding.bitrate_kbps):
        return SndfileEncoder(file, encoding, sample_rate=sample_rate, n_channels=n_channels, gain=gain)
    from stemsplit.audio.av_encoder import AvEncoder

    return AvEncoder(
        FileSink(file), encoding, sample_rate=sample_rate, n_channels=n_channels, gain=gain, video=video
    )


class ResamplingEncoder:
    """Brings samples to another rate on their way to an encoder."""

    def __init__(self, encoder: Encoder, *, from_hz: int, to_hz: int, n_channels: int) -> None:
        self._encoder = encoder
        self._stream = soxr.ResampleStream(from_hz, to_hz, n_channels, dtype="float32", quality="VHQ")
        self._n_channels = n_channels

    def write(self, samples: FloatArray) -> None:
        """Convert and encode some samples."""
        self._encoder.write(self._stream.resample_chunk(np.ascontiguousarray(samples)))

    def finish(self) -> None:
        """Flush both and complete the file."""
        rest = np.empty((0, self._n_channels), np.float32)
        self._encoder.write(self._stream.resample_chunk(rest, last=True))
        self._encoder.finish()

    def abort(self) -> None:
        """Let go of the file as it is."""
        self._encoder.abort()


class WavEncoder:
    """Writes WAV; RF64 when the audio is beyond 4 GiB.

    With an unknown length the place of the 64-bit sizes is reserved, so that the header can be completed.
    """

    def __init__(
        self, file: BinaryIO, wav_format: WavFormat, *, bits: int | None, n_samples: int | None, gain: float
    ) -> None:
        self._file = file
        self._format = wav_format
        self._bits = bits
        self._gain = gain
        self._announced = n_samples
        self._n_samples = 0
        write_all(file, build_header(wav_format, n_samples or 0, reserve=n_samples is None))

    def write(self, samples: FloatArray) -> None:
        """Encode some samples."""
        self._n_samples += len(samples)
        if self._bits is None:
            scaled = samples if self._gain == 1.0 else samples * np.float32(self._gain)
            write_all(self._file, encode_samples(scaled, self._format.subtype))
        else:
            values, _ = quantise(samples, self._bits, gain=self._gain)
            write_all(self._file, encode_samples(values, self._format.subtype))

    def finish(self) -> None:
        """Pad, and complete the header."""
        if self._n_samples * self._format.frame_bytes % 2:
            write_all(self._file, b"\0")
        if self._announced is None:
            self._file.seek(0)
            write_all(self._file, build_header(self._format, self._n_samples, reserve=True))
        else:
            assert self._announced == self._n_samples

    def abort(self) -> None:
        """Let go of the file as it is."""


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
            with _raising_errors_of(self._sink):
                self._sound = PlainSoundFile(
                    self._sink,
                    "w",
                    sample_rate,
                    n_channels,
                    encoding.subtype,
                    format=_CONTAINERS[encoding.format],
                    **_find_level(encoding, sample_rate),
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
        with _raising_errors_of(self._sink):
            assert self._sound is not None
            for start in range(0, len(data), _LIBRARY_BLOCK):
                self._sound.write(data[start : start + _LIBRARY_BLOCK])

    def finish(self) -> None:
        """Flush the encoder and complete the header."""
        with _raising_errors_of(self._sink):
            assert self._sound is not None
            self._sound.close()

    def abort(self) -> None:
        """Let go of the file as it is."""
        self._sink.detach()
        if self._sound is not None:
            with contextlib.suppress(soundfile.SoundFileError):
                self._sound.close()


def _find_level(encoding: Encoding, sample_rate: int) -> dict[str, float | str]:
    """Return libsndfile's way to say a bit rate: a level from 0, the best, to 1."""
    kbits = encoding.bitrate_kbps
    if kbits is None or encoding.format not in ("mp3", "ogg"):
        return _LEVELS[encoding.format]
    if encoding.format == "ogg":
        qualities = np.linspace(0, 1, len(_VORBIS_KBITS))
        return {"compression_level": 1 - float(np.interp(kbits, _VORBIS_KBITS, qualities))}
    most, least = (320, 32) if sample_rate >= 32000 else (160, 8) if sample_rate >= 16000 else (64, 8)
    # half a kbit/s more, as it is rounded down
    level = (most - min(most, max(least, kbits)) - 0.5) / (most - least)
    return {"compression_level": max(0.0, level), "bitrate_mode": "CONSTANT"}


@contextlib.contextmanager
def _raising_errors_of(sink: FileSink) -> Iterator[None]:
    """Raise as `OSError` what went wrong in the sink, or else in libsndfile."""
    try:
        yield
    except (soundfile.SoundFileError, RuntimeError, AssertionError) as error:
        raise sink.error or OSError(errno.EIO, str(error)) from error
    if sink.error is not None:
        raise sink.error
