"""Separate what comes from a microphone while it comes: ``python microphone.py SECONDS vocals.wav``.

The microphone is simulated: a generator that yields blocks of a tenth of a second. A real one, of the package
`sounddevice` for instance, yields arrays of the same shape.
"""

import sys
from collections.abc import Iterator

import numpy as np
import soundfile
from numpy.typing import NDArray

from stemsplit import Separator

SAMPLE_RATE = 44100
BLOCK_S = 0.1


def record(seconds: float) -> Iterator[NDArray[np.float32]]:
    """Yield blocks ``(channels, samples)`` of a tone in noise."""
    n_samples = round(BLOCK_S * SAMPLE_RATE)
    noise = np.random.default_rng(0)
    for start in range(0, round(seconds * SAMPLE_RATE), n_samples):
        time_s = (start + np.arange(n_samples)) / SAMPLE_RATE
        tone = 0.2 * np.sin(2 * np.pi * 220 * time_s)
        yield (tone + 0.05 * noise.standard_normal((2, n_samples))).astype(np.float32)


def main(seconds: str, output: str) -> None:
    """Write the vocals of `seconds` of microphone to `output` as they are separated, in bounded memory."""
    with (
        Separator(["vocals"], chunk_s=4, overlap_s=0.5, device="cpu") as separator,
        soundfile.SoundFile(output, "w", SAMPLE_RATE, channels=2) as file,
    ):
        for stems in separator.stream(record(float(seconds)), sample_rate=SAMPLE_RATE, n_channels=2):
            file.write(stems["vocals"].T)


if __name__ == "__main__":
    main(*sys.argv[1:])
