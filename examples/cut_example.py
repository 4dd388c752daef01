"""Cut the example song out of a song's separate stems: ``python cut_example.py STEM... caesium.mp3``.

The stems of a song sum to its mixture; the last path is the mp3 to write.
"""

import sys
from pathlib import Path

import numpy as np
import soundfile
import soxr
from mutagen.id3 import COMM, ID3, TALB, TBPM, TCOP, TIT2, TPE1, TRCK, WCOP
from numpy.typing import NDArray

START_S, STOP_S = 174.0, 201.0
FADE_IN_S, FADE_OUT_S = 0.3, 1.5
SAMPLE_RATE = 44100
# libsndfile maps 0..1 to 320..32 kbit/s for constant-rate MPEG-1 layer III
COMPRESSION_LEVEL = (320 - 192) / (320 - 32)


def read_passage(path: Path) -> NDArray[np.float32]:
    """The passage of one stem at the example's sample rate, ``(channels, samples)``."""
    with soundfile.SoundFile(path) as file:
        file.seek(round(START_S * file.samplerate))
        samples = file.read(round((STOP_S - START_S) * file.samplerate), dtype="float32", always_2d=True)
        resampled: NDArray[np.float32] = soxr.resample(samples, file.samplerate, SAMPLE_RATE)
    return resampled.T


def fade_weights(n_samples: int) -> NDArray[np.float32]:
    """One in the middle, half a cosine up and down at the ends."""
    weights = np.ones(n_samples, dtype=np.float32)
    for length_s, part in ((FADE_IN_S, slice(None)), (FADE_OUT_S, slice(None, None, -1))):
        length = round(length_s * SAMPLE_RATE)
        weights[part][:length] = 0.5 - 0.5 * np.cos(np.pi * np.arange(length) / length)
    return weights


def write_tags(path: Path) -> None:
    """Say in the file whose song it is and what may be done with it."""
    tags = ID3()
    tags.add(TIT2(text="Caesium (excerpt)"))
    tags.add(TPE1(text="Software-Entwicklungskit"))
    tags.add(TALB(text="Everything is Free"))
    tags.add(TRCK(text="6"))
    tags.add(TBPM(text="130"))
    tags.add(TCOP(text="CC0 1.0 Universal"))
    tags.add(WCOP(url="https://creativecommons.org/publicdomain/zero/1.0/"))
    tags.add(COMM(lang="eng", desc="", text="Excerpt, 2:54 to 3:21, mixed from the published stems"))
    tags.save(path)


def main(stems: list[str], target: str) -> None:
    """Mix `stems`, fade, and write `target`."""
    mixture = np.sum([read_passage(Path(stem)) for stem in stems], axis=0)
    mixture *= fade_weights(mixture.shape[-1])
    soundfile.write(
        target,
        mixture.T,
        SAMPLE_RATE,
        format="MP3",
        subtype="MPEG_LAYER_III",
        bitrate_mode="CONSTANT",
        compression_level=COMPRESSION_LEVEL,
    )
    write_tags(Path(target))


if __name__ == "__main__":
    main(sys.argv[1:-1], sys.argv[-1])
