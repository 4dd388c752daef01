"""Encoding with FFmpeg: AAC and ALAC in m4a, AAC beside the picture of a video, Opus of a given bit rate."""

import contextlib
from typing import Any, Final

import av
import av.error
import numpy as np

from stemsplit.audio.bit_rates import limit_bitrate
from stemsplit.audio.channel_mask import LAYOUTS
from stemsplit.audio.encoding import Encoding
from stemsplit.audio.file_sink import FileSink
from stemsplit.audio.pcm import PcmArray, quantise
from stemsplit.audio.picture import Picture, VideoSource
from stemsplit.types import FloatArray

# FFmpeg's names of container and encoder, and the rate in kbit/s of a stereo stem where none is asked for
_ENCODERS: Final = {
    "m4a": ("ipod", "aac", 256),
    "mp4": ("mp4", "aac", 256),
    "alac": ("ipod", "alac", None),
    "opus": ("ogg", "libopus", 192),
}
# where an encoder takes another layout of so many channels
_OTHER_LAYOUTS: Final = {("libopus", 4): "quad"}
# the mapping that it takes by itself has five and seven channels in a wrong order
_SURROUND_OPTIONS: Final = {"libopus": {"mapping_family": "1"}}
FAILURES: Final = (av.error.FFmpegError, ValueError)
_DEFAULT_FRAME: Final = 4096
_SILENCE_SAMPLES: Final = 65536


class AvTrack:
    """One audio stream of a container that is being written.

    Parameters
    ----------
    container
        Of PyAV.
    codec : str
        FFmpeg's name of the encoder.
    sample_rate, n_channels : int
    bits : int or None
        16 or 24 of a lossless codec.
    bit_rate : int or None
        Of a lossy codec, in bit/s.
    """

    def __init__(
        self,
        container: Any,
        codec: str,
        *,
        sample_rate: int,
        n_channels: int,
        bits: int | None = None,
        bit_rate: int | None = None,
    ) -> None:
        self._container = container
        self._sample_rate = sample_rate
        self._layout = _OTHER_LAYOUTS.get((codec, n_channels), LAYOUTS[n_channels])
        self._position = 0
        options = _SURROUND_OPTIONS.get(codec, {}) if n_channels > 2 else {}
        self.stream: Any = container.add_stream(codec, rate=sample_rate, layout=self._layout, options=options)
        if bits:
            self.stream.format = "s16p" if bits == 16 else "s32p"
        elif bit_rate:
            self.stream.bit_rate = bit_rate
        self.stream.codec_context.open()
        self._resampler = av.AudioResampler(
            self.stream.format.name,
            self._layout,
            sample_rate,
            frame_size=self.stream.codec_context.frame_size or _DEFAULT_FRAME,
        )

    @property
    def end_s(self) -> float:
        """Where the samples that were written end, in seconds."""
        return self._position / self._sample_rate

    def write(self, samples: FloatArray | PcmArray) -> None:
        """Encode some samples, ``(samples, channels)``: float32, or integers of 16 or 24 bits."""
        if not len(samples):
            return
        kind = {"f": "flt", "h": "s16", "i": "s32"}[samples.dtype.char]
        data: Any = samples
        if kind == "s32":
            data = data << 8  # FFmpeg takes the upper bits
        frame = av.AudioFrame.from_ndarray(
            np.ascontiguousarray(data.reshape(1, -1)), format=kind, layout=self._layout
        )
        frame.sample_rate, frame.pts = self._sample_rate, self._position
        self._position += len(samples)
        self._encode(frame)

    def flush(self) -> None:
        """Encode what the resampler and the encoder still hold."""
        self._encode(None)
        self._container.mux(self.stream.encode(None))

    def _encode(self, frame: Any) -> None:
        for piece in self._resampler.resample(frame):
            self._container.mux(self.stream.encode(piece))


class AvEncoder:
    """Writes one stem with FFmpeg."""

    def __init__(
        self,
        sink: FileSink,
        encoding: Encoding,
        *,
        sample_rate: int,
        n_channels: int,
        gain: float,
        video: VideoSource | None = None,
    ) -> None:
        self._sink = sink
        self._bits = encoding.bits
        self._gain = gain
        self._n_channels = n_channels
        self._picture: Picture | None = None
        container, codec, usual_kbits = _ENCODERS[encoding.format]
        kbits = limit_bitrate(encoding, sample_rate, n_channels)
        if kbits is None and usual_kbits is not None:
            kbits = usual_kbits * max(1, n_channels) // 2
        with sink.raising(*FAILURES):
            self._container = open_output(sink, container, sample_rate=sample_rate)
            self._track = AvTrack(
                self._container,
                codec,
                sample_rate=sample_rate,
                n_channels=n_channels,
                bits=self._bits,
                bit_rate=kbits and 1000 * kbits,
            )
            if video is not None:
                self._picture = Picture(video, self._container)
        if self._picture is not None:
            self._write_silence(round(self._picture.lead_s * sample_rate))

    def _write_silence(self, n_samples: int) -> None:
        """Write what players would make of a sound that begins after its picture."""
        while n_samples > 0:
            n_block = min(n_samples, _SILENCE_SAMPLES)
            self.write(np.zeros((n_block, self._n_channels), np.float32))
            n_samples -= n_block

    def write(self, samples: FloatArray) -> None:
        """Encode some samples, ``(samples, channels)``."""
        with self._sink.raising(*FAILURES):
            self._track.write(scale(samples, self._bits, self._gain))
            if self._picture is not None:
                # side by side with the sound, so that the muxer need not keep either
                for packet in self._picture.packets(self._track.end_s):
                    self._container.mux(packet)

    def finish(self) -> None:
        """Flush the encoder and complete the file."""
        with self._sink.raising(*FAILURES):
            self._track.flush()
            if self._picture is not None:
                for packet in self._picture.packets():
                    self._container.mux(packet)
            self._container.close()

    def abort(self) -> None:
        """Let go of the file as it is."""
        self._sink.detach()
        if self._picture is not None:
            self._picture.close()
        with contextlib.suppress(av.error.FFmpegError, OSError):
            self._container.close()


def open_output(sink: FileSink, format: str, *, sample_rate: int) -> Any:
    """Open a container of FFmpeg's `format` for writing."""
    # in samples, so that what m4a declares as its length is exact
    options = {"movie_timescale": str(sample_rate)} if format != "ogg" else {}
    return av.open(sink, "w", format=format, options=options)


def scale(samples: FloatArray, bits: int | None, gain: float) -> FloatArray | PcmArray:
    """Return samples with a gain, as integers if they are to have `bits`."""
    if bits is not None:
        return quantise(samples, bits, gain=gain)[0]
    return samples if gain == 1.0 else samples * np.float32(gain)
