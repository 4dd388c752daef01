"""Turning float samples into the bytes of a file.

WAV is written here directly: the rounding, the 4 GiB limit and a full disk are then under control.
Everything else is encoded by libsndfile (`sndfile_encoder`) or FFmpeg (`av_encoder`).
"""

from typing import TYPE_CHECKING, BinaryIO, Protocol

import numpy as np
import soxr

from stemsplit.audio.encoding import Encoding, written_rate
from stemsplit.audio.file_sink import FileSink, write_all
from stemsplit.audio.pcm import quantise
from stemsplit.audio.wav import WavFormat, build_header, encode_samples
from stemsplit.types import FloatArray

if TYPE_CHECKING:
    from stemsplit.audio.picture import VideoSource


class Encoder(Protocol):
    """Takes interleaved samples, ``(samples, channels)``, and makes a file of them."""

    def write(self, samples: FloatArray) -> None:
        """Encode some samples."""
        ...

    def finish(self) -> None:
        """Complete the file, which stays open; raise `OSError` if that fails."""
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
    written_hz = written_rate(encoding, sample_rate)
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
        from stemsplit.audio.sndfile_encoder import SndfileEncoder

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
