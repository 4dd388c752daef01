"""Drum kits rendered apart: kick, snare and cymbals of one performance, which sum to its drums.

All processing is linear, or one gain over time for all of them, so that the sum of what is processed apart is
what is processed together.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import pedalboard as pb
import soundfile
from numpy.random import Generator
from scipy.signal import lfilter, oaconvolve

from stemsplit.training import SAMPLE_RATE
from stemsplit.training.data.library import Item, Library
from stemsplit.training.synthesis.drum_mix import draw_room_impulse
from stemsplit.training.synthesis.drums import Touch, piece_of, play_kit
from stemsplit.training.synthesis.effects import apply_plugins
from stemsplit.training.synthesis.grooves import draw_groove
from stemsplit.training.synthesis.kits import Kits
from stemsplit.training.synthesis.midi import MidiPart
from stemsplit.types import FloatArray

PARTS: Final = ("kick", "snare", "cymbals")
# toms go with the snare; percussion is left out, since it is none of them
_PART_OF_BUS: Final = {"kick": "kick", "snare": "snare", "toms": "snare", "cymbals": "cymbals"}
_PEAK: Final = 0.8


class KitRenderer:
    """Renders the parts of drum kits.

    Parameters
    ----------
    library : Library
        Source of the hits.
    split : str
        "train" or "valid": which hits and rooms are used.
    """

    def __init__(self, library: Library, *, split: str) -> None:
        items: Sequence[Item] = library.select(split=split, category="drums", kinds=["hit"])
        self._kits = Kits(library, items)
        rooms = library.select(split="train", kinds=["impulse_response"])
        self._rooms = [library.audio(item) for item in rooms]

    def render(self, rng: Generator, *, length_s: float) -> dict[str, FloatArray]:
        """Render a drum part drawn at random; return each of `PARTS`, ``(2, samples)``."""
        part = draw_groove(rng, tempo=float(rng.uniform(70, 170)), length_s=length_s)
        return self.render_part(part, rng, length_s=length_s)

    def render_part(self, part: MidiPart, rng: Generator, *, length_s: float) -> dict[str, FloatArray]:
        """Render a drum part."""
        kit = self._kits.draw(rng, {piece_of(note.pitch) for note in part.notes}, machine=rng.random() < 0.35)
        touch = Touch(float(rng.choice([0.0, 0.5, 0.8, 1.2])), float(rng.uniform(0.7, 1.8)))
        buses = play_kit(kit, part, touch, rng, length_s)
        parts = {name: np.zeros_like(buses["kick"]) for name in PARTS}
        for bus, name in _PART_OF_BUS.items():
            parts[name] += buses[bus] * np.float32(10 ** (rng.normal(0, 2) / 20))
        return _mix(rng, parts, self._rooms)


def _mix(
    rng: Generator, parts: Mapping[str, FloatArray], rooms: Sequence[FloatArray]
) -> dict[str, FloatArray]:
    """Put parts into a room, equalise and compress them together, and bring them to a level."""
    mixed = dict(parts)
    if rng.random() < 0.7:
        room = draw_room_impulse(rng, rooms) * np.float32(rng.uniform(0.05, 0.35))
        mixed = {name: wave + _echo(wave, room) for name, wave in mixed.items()}
    tone: list[pb.Plugin] = [
        pb.LowShelfFilter(float(rng.uniform(80, 200)), float(rng.normal(0, 3))),
        pb.PeakFilter(float(rng.uniform(300, 3000)), float(rng.normal(0, 3)), 0.7),
        pb.HighShelfFilter(float(rng.uniform(4000, 10000)), float(rng.normal(0, 4))),
    ]
    mixed = {name: apply_plugins(wave, tone) for name, wave in mixed.items()}
    whole = np.sum(list(mixed.values()), axis=0)
    gain = _compress(rng, whole) if rng.random() < 0.6 else np.ones(whole.shape[1], np.float32)
    peak = float(np.abs(gain * whole).max(initial=1e-6))
    level = np.float32(_PEAK / peak * 10 ** (rng.uniform(-12, 0) / 20))
    return {name: np.asarray(level * gain * wave, np.float32) for name, wave in mixed.items()}


def _echo(waveform: FloatArray, room: FloatArray) -> FloatArray:
    return np.asarray(oaconvolve(waveform, room, axes=1)[:, : waveform.shape[1]], np.float32)


def _compress(rng: Generator, waveform: FloatArray) -> FloatArray:
    """Return the gain over time of a compressor, ``(samples,)``."""
    decay = np.exp(-1 / (float(rng.uniform(0.02, 0.15)) * SAMPLE_RATE))
    power = lfilter([1 - decay], [1, -decay], np.square(waveform).mean(axis=0))
    threshold = float(rng.uniform(0.1, 0.6)) * np.sqrt(power.max(initial=1e-9))
    over = np.maximum(np.sqrt(power) / threshold, 1.0)
    return np.asarray(over ** -float(rng.uniform(0.2, 0.7)), np.float32)


def write_kit_songs(
    library: Library, folder: Path, *, n_songs: int, length_s: float, split: str, seed: int
) -> Iterator[Path]:
    """Write songs of `PARTS` as folders of flac files, and yield each; those that exist are left out."""
    renderer = KitRenderer(library, split=split)
    for number in range(n_songs):
        song = folder / f"{split}-{number:04d}"
        if not song.exists():
            parts = renderer.render(np.random.default_rng((seed, number)), length_s=length_s)
            started = folder / f".{song.name}"
            started.mkdir(parents=True, exist_ok=True)
            for name, waveform in parts.items():
                soundfile.write(started / f"{name}.flac", waveform.T, SAMPLE_RATE, subtype="PCM_16")
            started.rename(song)
        yield song
