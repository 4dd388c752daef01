"""Songs of any length, made from the example song: real music, never silence."""

from pathlib import Path

import numpy as np
import soundfile

from stemsplit.types import FloatArray

EXAMPLE = Path(__file__).parent.parent / "examples" / "caesium.mp3"

_FADE_S = 1.5
_FORMATS = {".mp3": "MPEG_LAYER_III", ".wav": "PCM_16", ".flac": "PCM_16"}


def make_loop(sample_rate_wanted: int = 44100) -> FloatArray:
    """Return the example with its end mixed into its start, ``(samples, channels)``: it loops seamlessly."""
    samples, sample_rate = soundfile.read(EXAMPLE, dtype="float32", always_2d=True)
    assert sample_rate == sample_rate_wanted
    n_fade = round(_FADE_S * sample_rate)
    loop: FloatArray = samples[:-n_fade].copy()
    loop[:n_fade] += samples[-n_fade:]
    return loop


def make_song(path: Path, duration_s: float) -> Path:
    """Write `duration_s` seconds of the loop; the suffix of `path` gives the format."""
    loop = make_loop()
    left = round(duration_s * 44100)
    with soundfile.SoundFile(path, "w", 44100, loop.shape[1], subtype=_FORMATS[path.suffix]) as file:
        repeat = 0
        while left:
            # the repeats have different levels, so that no two passages are equal
            gain = np.float32(1 - 0.1 * (repeat % 4))
            file.write(gain * loop[:left])
            left -= min(left, len(loop))
            repeat += 1
    return path
