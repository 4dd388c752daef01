"""Sampled instruments made from single notes of the library."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from stemsplit.training import SAMPLE_RATE
from stemsplit.training.data.library import Item, Library
from stemsplit.training.examples.augment import change_speed
from stemsplit.training.synthesis.midi import Note
from stemsplit.types import FloatArray

RELEASE_S = 0.06
# Instruments that sound higher than their listed pitch, in cents: the median over all notes, measured
# from the first four partials.
_SHARP_CENTS = {
    "6-string banjo": 39.6,
    "bassoon": 24.4,
    "baritone/low sax short": 25.8,
    "steel acoustic guitar": -11.9,
}


@dataclass(frozen=True)
class Instrument:
    """The notes of one instrument, by the nearest key; a note may be out of tune with its key."""

    name: str
    notes: dict[int, list[Item]]

    def nearest(self, rng: Generator, pitch: int) -> tuple[Item, float]:
        """Return a note at the nearest available pitch, and the pitch at which it actually sounds."""
        choices = self.notes[min(self.notes, key=lambda each: (abs(each - pitch), each))]
        item = choices[int(rng.integers(len(choices)))]
        return item, sounding_pitch(item)

    @property
    def n_pitches(self) -> int:
        """Number of distinct pitches."""
        return len(self.notes)


def sounding_pitch(item: Item) -> float:
    """Return the pitch at which a note sounds.

    The one of the index, corrected for instruments known to be off.
    """
    assert item.pitch is not None
    return item.pitch + _SHARP_CENTS.get(item.instrument, 0.0) / 100


def collect_instruments(items: Sequence[Item], *, min_pitches: int = 5) -> list[Instrument]:
    """Group pitched notes by source and instrument.

    Instruments with fewer than `min_pitches` are left out.
    """
    grouped: dict[str, dict[int, list[Item]]] = defaultdict(lambda: defaultdict(list))
    for item in items:
        if item.pitch is not None:
            grouped[f"{item.source} {item.instrument}"][round(sounding_pitch(item))].append(item)
    instruments = [Instrument(name, dict(notes)) for name, notes in sorted(grouped.items())]
    return [each for each in instruments if each.n_pitches >= min_pitches]


def play(
    library: Library,
    instrument: Instrument,
    notes: Sequence[Note],
    *,
    length_s: float,
    rng: Generator,
    release_s: float = RELEASE_S,
) -> FloatArray:
    """Play notes on an instrument, dry.

    Returns
    -------
    FloatArray, shape (2, samples)
        Each note is resampled from the nearest recorded one, scaled by its velocity and faded out.
    """
    out = np.zeros((2, round(length_s * SAMPLE_RATE)), np.float32)
    sounds: dict[tuple[int, int], FloatArray] = {}
    for note in notes:
        key = (note.pitch, int(rng.integers(2)))
        if key not in sounds:
            sounds[key] = _resample_to(library, instrument, note.pitch, rng)
        sound = sounds[key][:, : round((note.length_s + release_s) * SAMPLE_RATE)].copy()
        _fade_out(sound, round(release_s * SAMPLE_RATE))
        add_at(out, sound * (note.velocity / 127) ** 1.5, round(note.start_s * SAMPLE_RATE))
    return out


def add_at(out: FloatArray, sound: FloatArray, start: int) -> None:
    """Add a sound to `out` in place, from sample `start` on; samples beyond its end are dropped."""
    start = max(0, start)
    stop = min(out.shape[1], start + sound.shape[1])
    if stop > start:
        out[:, start:stop] += sound[:, : stop - start]


def trim_onset(sound: FloatArray) -> FloatArray:
    """Cut the silence before the attack and normalise the peak to one."""
    peak = float(np.abs(sound).max(initial=0.0))
    if peak < 1e-5:
        return sound
    first = int(np.argmax(np.abs(sound).max(0) > 0.02 * peak))
    return sound[:, max(0, first - 64) :] / peak


def _resample_to(library: Library, instrument: Instrument, pitch: int, rng: Generator) -> FloatArray:
    item, found = instrument.nearest(rng, pitch)
    return trim_onset(change_speed(library.audio(item), 2 ** ((pitch - found) / 12)))


def _fade_out(sound: FloatArray, n_samples: int) -> None:
    n = min(n_samples, sound.shape[1])
    if n:
        sound[:, -n:] *= np.linspace(1, 0, n, dtype=np.float32)
