"""Recorded drum loops, conformed to the tempo of a part, whole or in slices."""

from collections.abc import Sequence

import numpy as np
from numpy.random import Generator

from stemsplit.training import SAMPLE_RATE
from stemsplit.training.data.library import Item, Library
from stemsplit.training.examples.augment import change_speed
from stemsplit.training.synthesis.harmony import coherence, onset_times
from stemsplit.training.synthesis.midi import MidiPart
from stemsplit.training.synthesis.sampler import add_at
from stemsplit.types import FloatArray

_KINDS = ("loop", "performance", "phrase")


def loop_items(items: Sequence[Item]) -> list[Item]:
    """Return the items that are recorded loops."""
    return [item for item in items if item.kind in _KINDS and item.duration_s > 0.5]


def half_bar_s(part: MidiPart) -> float:
    """Estimate two beats of a drum part in seconds: the usual distance of its backbeats, 0.7 to 1.6 s."""
    snares = [note.start_s for note in part.notes if note.pitch in (37, 38, 39, 40) and note.velocity > 80]
    gaps = np.diff(np.array(snares))
    gaps = gaps[gaps > 0.25]
    pulse = float(np.median(gaps)) if gaps.size else 1.0
    while pulse < 0.7:
        pulse *= 2
    while pulse > 1.6:
        pulse /= 2
    # An error of 5 ms would add up to half a sixteenth by the end of a song.
    starts = onset_times([part])
    near = pulse * np.linspace(0.98, 1.02, 161)
    return float(max(near, key=lambda each: coherence(starts, each / 8))) if starts.size else pulse


def play_loop(library: Library, item: Item, part: MidiPart, *, length_s: float, rng: Generator) -> FloatArray:
    """Repeat a loop through a song, resampled to a whole number of half bars of the part.

    Returns
    -------
    FloatArray, shape (2, samples)
        The loop, sometimes with reordered slices, as in breakbeats.
    """
    recorded = library.audio(item)
    sound = np.repeat(recorded, 3 - recorded.shape[0], axis=0)[:2]
    duration_s = sound.shape[1] / SAMPLE_RATE
    pulse = half_bar_s(part)
    n_pulses = max(1, round(duration_s / pulse))
    speed = duration_s / (n_pulses * pulse)
    sound = change_speed(sound, float(np.clip(speed, 0.6, 1.6)))
    turn = round(n_pulses * pulse * SAMPLE_RATE)
    out = np.zeros((2, round(length_s * SAMPLE_RATE)), np.float32)
    sliced = rng.random() < 0.4
    for start in range(0, out.shape[1], turn):
        piece = sound[:, :turn]
        add_at(
            out, _shuffle_slices(piece, 4 * n_pulses, rng) if sliced and rng.random() < 0.7 else piece, start
        )
    return out


def _shuffle_slices(sound: FloatArray, n_slices: int, rng: Generator) -> FloatArray:
    """Reorder the slices of a loop, most of which keep their place."""
    size = sound.shape[1] // max(1, n_slices)
    if size < 1000:
        return sound
    order = [i if rng.random() < 0.65 else int(rng.integers(n_slices)) for i in range(n_slices)]
    ramp = np.minimum(1, np.arange(size) / 64)
    window = (ramp * ramp[::-1]).astype(np.float32)
    return np.concatenate([sound[:, i * size : (i + 1) * size] * window for i in order], axis=1)
