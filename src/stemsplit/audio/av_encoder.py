"""Encoding with FFmpeg: AAC and ALAC in m4a, AAC beside the picture of a video, Opus of a given bit rate."""

import contextlib
import errno
from typing import Any, Final

import av
import av.error
import numpy as np
import numpy.typing as npt

from stemsplit.audio.encoding import Encoding, quantise
from stemsplit.audio.file_sink import FileSink
from stemsplit.audio.picture import Picture, VideoSource
from stemsplit.types import FloatArray

# FFmpeg's names of container and encoder, and the rate in kbit/s of a stereo stem where none is asked for
_ENCODERS: Final = {
    "m4a": ("ipod", "aac", 256),
    "mp4": ("mp4", "aac", 256),
    "alac": ("ipod", "alac", None),
    "opus": ("ogg", "libopus", 192),
}
_LAYOUTS: Final = {1: "mono", 2: "stereo", 3: "3.0", 4: "4.0", 5: "5.0", 6: "5.1", 7: "6.1", 8: "7.1"}
_DEFAULT_FRAME: Final = 4096
_SILENCE_SAMPLES: Final = 65536


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
        self._sample_rate = sample_rate
        self._layout = _LAYOUTS[n_channels]
        self._n_channels = n_channels
        self._position = 0
        self._picture: Picture | None = None
        container, codec, kbits = _ENCODERS[encoding.format]
        # in samples, so that what m4a declares as its length is exact
        options = {"movie_timescale": str(sample_rate)} if container != "ogg" else {}
        with self._writing():
            self._container: Any = av.open(sink, "w", format=container, options=options)
            stream: Any = self._container.add_stream(codec, rate=sample_rate, layout=self._layout)
            self._stream = stream
            if self._bits:
                self._stream.format = "s16p" if self._bits == 16 else "s32p"
            elif kbits:
                self._stream.bit_rate = 1000 * (encoding.bitrate_kbps or kbits * max(1, n_channels) // 2)
            self._stream.codec_context.open()
            if video is not None:
                self._picture = Picture(video, self._container)
        self._resampler = av.AudioResampler(
            self._stream.format.name,
            self._layout,
            sample_rate,
            frame_size=self._stream.codec_context.frame_size or _DEFAULT_FRAME,
        )
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
        if not len(samples):
            return
        data: npt.NDArray[Any] = samples if self._gain == 1.0 else samples * np.float32(self._gain)
        kind = "flt"
        if self._bits is not None:
            data, _ = quantise(samples, self._bits, gain=self._gain)
            kind = "s16" if self._bits == 16 else "s32"
            if self._bits == 24:
                data = data << 8  # FFmpeg takes the upper bits
        frame = av.AudioFrame.from_ndarray(
            np.ascontiguousarray(data.reshape(1, -1)), format=kind, layout=self._layout
        )
        frame.sample_rate, frame.pts = self._sample_rate, self._position
        self._position += len(samples)
        self._encode(frame)

    def finish(self) -> None:
        """Flush the encoder and complete the file."""
        self._encode(None)
        with self._writing():
            self._container.mux(self._stream.encode(None))
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

    def _encode(self, frame: Any) -> None:
        with self._writing():
            for piece in self._resampler.resample(frame):
                self._container.mux(self._stream.encode(piece))
            if self._picture is not None:
                # side by side with the sound, so that the muxer need not keep either
                for packet in self._picture.packets(self._position / self._sample_rate):
                    self._container.mux(packet)

    @contextlib.contextmanager
    def _writing(self) -> Any:
        try:
            yield
        except (av.error.FFmpegError, ValueError) as error:
            raise self._sink.error or OSError(errno.EIO, str(error)) from error
        if self._sink.error is not None:
            raise self._sink.error
