"""Audio files that PyAV writes for the tests: any codec in any container, cut and joined."""

from pathlib import Path
from typing import Any

import av
import numpy as np
from av.stream import Disposition

from tests.support.audio_files import FloatArray

LAYOUTS = {1: "mono", 2: "stereo", 6: "5.1", 8: "7.1"}


def encode(
    path: Path,
    waveform: FloatArray,
    codec: str,
    sample_rate: int,
    *,
    format: str | None = None,
    sample_format: str | None = None,
    with_video: bool = False,
    **options: Any,
) -> Path:
    """Write ``waveform``, float32 ``(channels, samples)``; options are those of the muxer."""
    layout = LAYOUTS[waveform.shape[0]]
    with av.open(str(path), "w", format=format, options=options) as container:
        if with_video:
            video = container.add_stream("mpeg4", rate=25)
            video.width = video.height = 16
        stream: Any = container.add_stream(codec, rate=sample_rate, layout=layout)
        if sample_format:
            stream.format = sample_format
        if codec.startswith("wma"):  # which has no rate of its own
            stream.bit_rate = 128_000
        # packed: PyAV takes eight planes for endless ones
        frame = av.AudioFrame.from_ndarray(waveform.T.reshape(1, -1).copy(), format="flt", layout=layout)
        frame.sample_rate, frame.pts = sample_rate, 0
        for piece in _frames(frame, stream, layout, sample_rate):
            container.mux(stream.encode(piece))
        container.mux(stream.encode(None))
        if with_video:
            picture = av.VideoFrame(16, 16, "yuv420p")
            container.mux([*video.encode(picture), *video.encode(None)])
    return path


def encode_video(
    path: Path,
    waveform: FloatArray,
    *,
    sample_rate: int = 48_000,
    video_codec: str = "libx264",
    audio_codec: str = "aac",
    seconds: float = 2.0,
    sound_start_s: float = 0.0,
    tracks: int = 1,
) -> Path:
    """Write moving pictures of 64 x 48 at 25 a second, and a sound; each further track has half of it."""
    layout = LAYOUTS[waveform.shape[0]]
    with av.open(str(path), "w") as container:
        video: Any = container.add_stream(video_codec, rate=25)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        sounds: list[Any] = [
            container.add_stream(audio_codec, rate=sample_rate, layout=layout) for _ in range(tracks)
        ]
        rng = np.random.default_rng(0)
        for _ in range(round(seconds * 25)):
            picture = rng.integers(0, 255, (48, 64, 3), dtype=np.uint8)
            container.mux(video.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(video.encode(None))
        for number, stream in enumerate(sounds):
            data = (waveform * np.float32(0.5**number)).T.reshape(1, -1).copy()
            frame = av.AudioFrame.from_ndarray(data, format="flt", layout=layout)
            frame.sample_rate, frame.pts = sample_rate, round(sound_start_s * sample_rate)
            for piece in _frames(frame, stream, layout, sample_rate):
                container.mux(stream.encode(piece))
            container.mux(stream.encode(None))
    return path


def read_picture(path: Path) -> list[tuple[float, bool, bytes]]:
    """Return the packets of the picture: when they are shown in s, whether they are keys, their bytes."""
    with av.open(str(path)) as container:
        return [
            (float(packet.pts * packet.time_base), packet.is_keyframe, bytes(packet))
            for packet in container.demux(container.streams.video[0])
            if packet.size
        ]


def _frames(frame: Any, stream: Any, layout: str, sample_rate: int) -> list[Any]:
    resampler = av.AudioResampler(
        stream.format.name, layout, sample_rate, frame_size=stream.frame_size or 1024
    )
    return [*resampler.resample(frame), *resampler.resample(None)]


def count_packets(path: Path, *, format: str | None = None) -> tuple[int, int]:
    """Return how many packets FFmpeg finds in the first audio stream, and the samples that they last.

    It is the count of another program: stemsplit counts the frames of mp3, mp2 and AAC by itself.
    """
    with av.open(str(path), format=format) as container:
        stream = container.streams.audio[0]
        lengths = [packet.duration or 0 for packet in container.demux(stream) if packet.size]
        ticks = sum(lengths) * stream.time_base * stream.codec_context.sample_rate
    return len(lengths), round(float(ticks))


def noise(n_bytes: int, seed: int = 0) -> bytes:
    """Return bytes without any sense."""
    return np.random.default_rng(seed).bytes(n_bytes)


def encode_tracks(path: Path, tracks: list[FloatArray], *, sample_rate: int, codec: str = "aac") -> Path:
    """Write an mp4 with several audio tracks and no titles, all of them enabled."""
    with av.open(str(path), "w", format="mp4", options={"movie_timescale": str(sample_rate)}) as container:
        streams: list[Any] = []
        for track in tracks:
            stream: Any = container.add_stream(codec, rate=sample_rate, layout=LAYOUTS[track.shape[0]])
            stream.disposition = Disposition.default
            streams.append(stream)
        for stream, track in zip(streams, tracks, strict=True):
            layout = LAYOUTS[track.shape[0]]
            frame = av.AudioFrame.from_ndarray(track.T.reshape(1, -1).copy(), format="flt", layout=layout)
            frame.sample_rate, frame.pts = sample_rate, 0
            for piece in _frames(frame, stream, layout, sample_rate):
                container.mux(stream.encode(piece))
            container.mux(stream.encode(None))
    return path
