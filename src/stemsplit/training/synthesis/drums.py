"""Drum stems: parts played on kits of the library's hits and mixed as on a record."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from stemsplit.training import SAMPLE_RATE
from stemsplit.training.data.library import Item, Library
from stemsplit.training.data.rendered_stem import RenderedStem
from stemsplit.training.examples.augment import change_speed
from stemsplit.training.synthesis.drum_mix import mix_drums
from stemsplit.training.synthesis.effects import (
    apply_drum_bus,
    normalise_peak,
    place_in_stereo,
    remove_infrasound,
)
from stemsplit.training.synthesis.groove_styles import GROOVE_STYLES
from stemsplit.training.synthesis.kits import PIECE_OF_PITCH, Drum, Kits
from stemsplit.training.synthesis.ladder import apply_ladder_filter
from stemsplit.training.synthesis.loops import loop_items, play_loop
from stemsplit.training.synthesis.midi import MidiPart, Note
from stemsplit.training.synthesis.sampler import add_at
from stemsplit.training.synthesis.soundfont import render_soundfont
from stemsplit.types import FloatArray

KICKS = (35, 36)
_SOUNDFONT_KITS = (0, 8, 16, 24, 25, 32, 40)
_BUSES = {"kick": "kick", "snare": "snare", "rim": "snare", "clap": "snare", "brush": "snare", "tom": "toms"}
_CYMBALS = ("hihat_closed", "hihat_open", "crash", "ride", "ride_bell")
# Positions of the pieces from the audience's perspective, -1 left to 1 right.
_PLACES = {42: 0.45, 46: 0.45, 49: 0.55, 57: -0.6, 52: -0.35, 51: -0.5, 53: -0.5, 55: 0.1}
_PLACES |= {50: 0.4, 48: 0.25, 47: 0.05, 45: -0.15, 43: -0.4, 41: -0.55, 54: 0.6, 56: -0.3, 70: -0.6, 62: 0.5}


@dataclass(frozen=True)
class Touch:
    """A drummer's playing style: width of the stereo image, and exponent from velocity to level."""

    width: float
    exponent: float

    def pan(self, pitch: int) -> float:
        """Return the position of a MIDI pitch in the stereo image, -1 to 1."""
        return float(np.clip(self.width * _PLACES.get(pitch, _PLACES.get(pitch - 1, 0.0)), -0.9, 0.9))


class DrumRenderer:
    """Renders drum stems.

    Parameters
    ----------
    library : Library
        Source of the hits.
    items : sequence of Item
        Hits and loops that may be used.
    rooms : sequence of FloatArray
        Impulse responses.
    """

    def __init__(self, library: Library, items: Sequence[Item], rooms: Sequence[FloatArray]) -> None:
        self._library, self._rooms = library, rooms
        self._kits, self._loops = Kits(library, items), loop_items(items)

    def render(self, part: MidiPart, *, length_s: float, rng: Generator) -> RenderedStem:
        """Render a drum part, processed by the drum bus."""
        out = np.zeros((2, round(length_s * SAMPLE_RATE)), np.float32)
        draw = rng.random()
        alone = self._loops and draw < 0.04
        if not alone and draw < 0.92:
            out += normalise_peak(self._render_kit(part, rng, length_s))
        if draw > 0.84:  # the soundfont, layered with the kit or alone
            gain = 1.0 if draw >= 0.92 else float(rng.uniform(0.3, 1.0))
            kit = int(rng.choice(_SOUNDFONT_KITS))
            dry = render_soundfont([part], length_s=length_s, pans=[64], drum_kit=kit)
            out += gain * normalise_peak(apply_drum_bus(rng, dry, self._rooms))
        if self._loops and (alone or rng.random() < 0.1):
            loop = self._loops[int(rng.integers(len(self._loops)))]
            played = play_loop(self._library, loop, part, length_s=length_s, rng=rng)
            out += float(rng.uniform(0.2, 0.9)) * normalise_peak(apply_drum_bus(rng, played, self._rooms))
        out = _sweep_open(rng, out) if rng.random() < 0.06 else out
        return RenderedStem(remove_infrasound(rng, out))

    def _render_kit(self, part: MidiPart, rng: Generator, length_s: float) -> FloatArray:
        machine = bool(
            rng.random() < (GROOVE_STYLES[part.name].machine if part.name in GROOVE_STYLES else 0.25)
        )
        kit = self._kits.draw(rng, {piece_of(note.pitch) for note in part.notes}, machine=machine)
        width = float(rng.choice([1.0, -1.0], p=[0.7, 0.3]) * rng.choice([0.0, 0.5, 0.8, 1.2]))
        touch = Touch(width * (0.5 if machine else 1.0), float(rng.uniform(0.7, 1.8)))
        buses = play_kit(kit, part, touch, rng, length_s)
        kicks = [note.start_s for note in part.notes if note.pitch in KICKS]
        return mix_drums(rng, buses, self._rooms, kicks)


def play_kit(
    kit: dict[str, Drum], part: MidiPart, touch: Touch, rng: Generator, length_s: float
) -> dict[str, FloatArray]:
    """Return the close-microphone sound of a kit, by bus."""
    names = ("kick", "snare", "toms", "cymbals", "percussion")
    buses = {name: np.zeros((2, round(length_s * SAMPLE_RATE)), np.float32) for name in names}
    closing = [n.start_s for n in part.notes if piece_of(n.pitch) == "hihat_closed"]
    tuned: dict[tuple[int, int], FloatArray] = {}
    for note in part.notes:
        piece = piece_of(note.pitch)
        drum = kit[piece]
        sound = drum.hit(note.velocity / 127, rng)
        if piece in ("tom", "conga"):
            key = (note.pitch, id(sound))
            if key not in tuned:
                tuned[key] = change_speed(sound, 2 ** ((note.pitch - (46 if piece == "tom" else 63)) / 18))
            sound = tuned[key]
        if piece == "hihat_open":
            sound = choke(sound, note, closing)
        gain = 10 ** ((drum.level_db + rng.normal(0, 0.6)) / 20) * (note.velocity / 110) ** touch.exponent
        bus = "cymbals" if piece in _CYMBALS else _BUSES.get(piece, "percussion")
        add_at(
            buses[bus],
            place_in_stereo(sound * gain, touch.pan(note.pitch)),
            round(note.start_s * SAMPLE_RATE),
        )
    return buses


def choke(sound: FloatArray, note: Note, closing: Sequence[float]) -> FloatArray:
    """Cut an open hi-hat where the hi-hat is closed next; other open strokes let it ring."""
    following = [start_s for start_s in closing if start_s > note.start_s + 0.03]
    if not following:
        return sound
    n_samples = round((min(following) - note.start_s) * SAMPLE_RATE) + 1000
    cut = sound[:, :n_samples].copy()
    n_fade = min(1000, cut.shape[1])
    if n_fade and n_samples < sound.shape[1]:
        cut[:, -n_fade:] *= np.linspace(1, 0, n_fade, dtype=np.float32)
    return cut


def _sweep_open(rng: Generator, waveform: FloatArray) -> FloatArray:
    """Open a low-pass filter over some seconds, as before a drop."""
    n_samples = waveform.shape[1]
    start = int(rng.uniform(0, 0.7) * n_samples)
    n_sweep = min(n_samples - start, round(float(rng.uniform(4, 10)) * SAMPLE_RATE))
    cutoff_hz = np.geomspace(float(rng.uniform(150, 500)), 16000, max(1, n_sweep))
    out = waveform.copy()
    out[:, start : start + n_sweep] = apply_ladder_filter(
        out[:, start : start + n_sweep], cutoff_hz, resonance=0.2
    )
    return out


def piece_of(pitch: int) -> str:
    return PIECE_OF_PITCH.get(pitch, "percussion")
