"""Words of speech, cut out of a recording by its loudness."""

from dataclasses import dataclass

import numpy as np
import pedalboard as pb

from stemsplit.training import SAMPLE_RATE
from stemsplit.training.synthesis.singing import FRAME_S
from stemsplit.training.synthesis.syllables import find_nuclei
from stemsplit.types import FloatArray

_FADE_S = 0.008
_LOUD_DB = 12.0  # a vowel starts where its level is this close to the peak


@dataclass(frozen=True)
class Word:
    """A word of one or two syllables; `attack_s` is the time at which its first vowel starts."""

    waveform: FloatArray
    attack_s: float


def cut_words(waveform: FloatArray, speed: float = 1.0) -> list[Word]:
    """Cut speech, ``(1, samples)``, into words, time-stretched to `speed` times its tempo."""
    if waveform.shape[1] < SAMPLE_RATE // 5:
        return []
    if speed != 1:
        waveform = pb.time_stretch(np.ascontiguousarray(waveform), SAMPLE_RATE, stretch_factor=speed)
    hop = round(FRAME_S * SAMPLE_RATE)
    power = np.square(waveform[0, : waveform.shape[1] // hop * hop]).reshape(-1, hop).mean(1)
    level_db = 10 * np.log10(np.convolve(power, np.full(7, 1 / 7), mode="same") + 1e-12).astype(np.float32)
    out = []
    found = find_nuclei(level_db)
    for first, last in zip(found[::2], found[1::2] + found[-1:], strict=False):
        start, stop = max(first[0], first[1] - 50), min(last[2], last[1] + 50)
        sound = waveform[:, start * hop : stop * hop].copy()
        loud = np.flatnonzero(level_db[start : first[1] + 1] > level_db[first[1]] - _LOUD_DB)
        out.append(Word(_fade_edges(sound), float(loud[0]) * FRAME_S))
    return out


def _fade_edges(sound: FloatArray) -> FloatArray:
    n = min(round(_FADE_S * SAMPLE_RATE), sound.shape[1])
    sound[:, :n] *= np.linspace(0, 1, n, dtype=np.float32)
    sound[:, sound.shape[1] - n :] *= np.linspace(1, 0, n, dtype=np.float32)
    return sound
