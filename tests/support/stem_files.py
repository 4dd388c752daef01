"""Files of the stems format: a mixture and its parts in one mp4."""

from collections.abc import Sequence
from pathlib import Path

import av

from stemsplit.types import FloatArray


def write_stem_file(path: Path, streams: Sequence[FloatArray]) -> None:
    """Write stereo waveforms at 44,100 Hz as the audio streams of a file, without loss."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w", format="mp4") as container:
        kept = [container.add_stream("alac", rate=44_100, layout="stereo") for _ in streams]
        for stream, waveform in zip(kept, streams, strict=True):
            resampler = av.AudioResampler(stream.format.name, "stereo", 44_100, frame_size=4096)
            frame = av.AudioFrame.from_ndarray(
                waveform.T.reshape(1, -1).copy(), format="flt", layout="stereo"
            )
            frame.sample_rate, frame.pts = 44_100, 0
            for piece in [*resampler.resample(frame), *resampler.resample(None)]:
                container.mux(stream.encode(piece))
            container.mux(stream.encode(None))
