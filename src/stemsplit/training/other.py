"""Accompaniment stems: everything that is neither voice, drums nor bass, in several layers."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.random import Generator

from stemsplit.training.effects import (
    compressed,
    equalised,
    guitar_amplifier,
    in_room,
    instrument_bus,
    levelled,
    panned,
)
from stemsplit.training.library import Item, Library
from stemsplit.training.midi import Note, Part
from stemsplit.training.sampler import Instrument, collect_instruments, play
from stemsplit.training.soundfont import render_soundfont
from stemsplit.training.synth import draw_voice, play_voice
from stemsplit.training.take import Take
from stemsplit.types import FloatArray

GUITARS = range(24, 32)
DRIVEN = (29, 30)
BASSES = range(32, 40)
VOICES = frozenset({52, 53, 54, 85, 91})
EFFECT_SOUNDS = range(119, 128)
# General-MIDI families an instrument may be replaced from: keys, organs, guitars, strings, winds, synths.
_FAMILIES = (range(0, 8), range(16, 24), range(24, 32), range(40, 52), range(56, 80), range(80, 96))


class OtherMaker:
    """Renders accompaniment stems; `items` are the notes that may be used."""

    def __init__(self, library: Library, items: Sequence[Item], rooms: Sequence[FloatArray]) -> None:
        self._library, self._rooms = library, rooms
        self._instruments = collect_instruments(items)
        self._guitars = [each for each in self._instruments if "guitar" in each.name]

    def render(self, parts: Sequence[Part], *, length_s: float, rng: Generator) -> Take:
        """Play the parts together, as they leave the accompaniment's bus."""
        chosen = _chosen(parts, rng)
        layers: list[FloatArray] = []
        soft: list[Part] = []
        for part in chosen:
            draw = rng.random()
            if part.program in DRIVEN or (part.program in GUITARS and draw < 0.3):
                layers += self._driven_guitars(part, length_s, rng)
            elif draw < 0.3:
                layers.append(self._sampled(part, length_s, rng))
            elif draw < 0.5:
                layers.append(self._synthesised(part, length_s, rng))
            else:
                soft.append(_recast(part, rng))
        layers += self._from_soundfont(soft, length_s, rng)
        layers += self._fillings(chosen, length_s, rng)
        out = np.sum([layer * 10 ** (rng.normal(-1, 3) / 20) for layer in layers], axis=0)
        return Take(self._bus(np.asarray(out, np.float32), rng))

    def _driven_guitars(self, part: Part, length_s: float, rng: Generator) -> list[FloatArray]:
        """Distorted rhythm guitars, doubled left and right, or one lead."""
        is_double = rng.random() < 0.6
        takes = []
        for side in (-1.0, 1.0) if is_double else (float(rng.normal(0, 0.2)),):
            played = replace(part, notes=tuple(_humanised(part.notes, rng)))
            dry = self._guitar(played, length_s, rng)
            takes.append(
                panned(guitar_amplifier(rng, dry.mean(0, keepdims=True)), side * rng.uniform(0.5, 1))
            )
        wet = float(rng.uniform(0, 0.2))
        return [in_room(rng, take, self._rooms, wet) * 0.8 for take in takes]

    def _guitar(self, part: Part, length_s: float, rng: Generator) -> FloatArray:
        if self._guitars and rng.random() < 0.5:
            guitar = self._guitars[int(rng.integers(len(self._guitars)))]
            return play(self._library, guitar, part.notes, length_s=length_s, rng=rng)
        program = int(rng.choice([26, 27, 28, 29]))
        return render_soundfont([replace(part, program=program)], length_s=length_s, pans=[64])

    def _sampled(self, part: Part, length_s: float, rng: Generator) -> FloatArray:
        instrument = self._instruments[int(rng.integers(len(self._instruments)))]
        notes = [replace(note, pitch=_nearest_octave(note.pitch, instrument)) for note in part.notes]
        dry = play(
            self._library, instrument, notes, length_s=length_s, rng=rng, release_s=rng.uniform(0.05, 0.4)
        )
        if rng.random() < 0.6:
            dry = panned(dry.mean(0, keepdims=True), float(np.clip(rng.normal(0, 0.5), -1, 1)))
        return instrument_bus(rng, dry, self._rooms)

    def _synthesised(self, part: Part, length_s: float, rng: Generator) -> FloatArray:
        role = str(rng.choice(["pad", "lead", "pluck"]))
        dry = play_voice(draw_voice(rng, role), part.notes, length_s=length_s, rng=rng)
        return instrument_bus(rng, dry, self._rooms)

    def _from_soundfont(self, parts: list[Part], length_s: float, rng: Generator) -> list[FloatArray]:
        if not parts:
            return []
        pans = [int(np.clip(64 + rng.normal(0, 28), 0, 127)) for _ in parts]
        dry = render_soundfont(parts[:15], length_s=length_s, pans=pans[:15])
        return [instrument_bus(rng, dry, self._rooms) * len(parts[:15]) ** 0.4]

    def _fillings(self, parts: Sequence[Part], length_s: float, rng: Generator) -> list[FloatArray]:
        """What makes a record dense: a pad under the chords, power chords over their roots."""
        densest = max(parts, key=lambda part: len(part.notes))
        layers = []
        if rng.random() < 0.35:
            pad = sustained(densest, rng)
            layers.append(self._synthesised_pad(pad, length_s, rng))
        if rng.random() < 0.3:
            layers += self._driven_guitars(power_chords(densest, rng), length_s, rng)
        return layers

    def _synthesised_pad(self, part: Part, length_s: float, rng: Generator) -> FloatArray:
        if rng.random() < 0.5:
            program = int(rng.choice([16, 17, 18, 19, 48, 49, 50, 51, 61, 62, 88, 89, 90, 92, 94, 95]))
            dry = render_soundfont([replace(part, program=program)], length_s=length_s, pans=[64])
        else:
            dry = play_voice(draw_voice(rng, "pad"), part.notes, length_s=length_s, rng=rng)
        return instrument_bus(rng, dry, self._rooms) * 0.7

    def _bus(self, waveform: FloatArray, rng: Generator) -> FloatArray:
        out = equalised(rng, levelled(waveform), 2.5)
        return compressed(rng, out) if rng.random() < 0.6 else out


def sustained(part: Part, rng: Generator) -> Part:
    """Chords held for a second or two each, from what the part plays."""
    step_s = float(rng.choice([1.0, 1.5, 2.0, 2.5]))
    notes: list[Note] = []
    end_s = part.notes[-1].start_s + 1
    for index in range(int(end_s / step_s) + 1):
        start_s = index * step_s
        near = {n.pitch for n in part.notes if start_s - 0.05 <= n.start_s < start_s + step_s}
        notes += [Note(start_s, step_s * 0.98, 48 + (p - 48) % 24, 90) for p in sorted(near)[:4]]
    return replace(part, notes=tuple(notes) or part.notes)


def power_chords(part: Part, rng: Generator) -> Part:
    """Root, fifth and octave of the lowest notes, chugged in eighths or held."""
    step_s = float(rng.uniform(0.16, 0.3)) if rng.random() < 0.6 else float(rng.uniform(0.7, 1.6))
    palm_mute = rng.random() < 0.4 and step_s < 0.5
    notes: list[Note] = []
    root = 40
    for index in range(int((part.notes[-1].start_s + 1) / step_s)):
        start_s = index * step_s
        near = [n.pitch for n in part.notes if start_s - 0.02 <= n.start_s < start_s + step_s]
        root = 40 + (min(near) - 40) % 12 if near else root
        length_s = step_s * (0.45 if palm_mute else 0.95)
        notes += [Note(start_s, length_s, root + up, int(rng.integers(85, 120))) for up in (0, 7, 12)]
    return replace(part, program=30, notes=tuple(notes))


def _chosen(parts: Sequence[Part], rng: Generator) -> list[Part]:
    """Up to seven parts that carry the music, the fullest first."""
    usable = [part for part in parts if part.program not in EFFECT_SOUNDS and part.program not in VOICES]
    ordered = sorted(usable or parts, key=lambda part: -len(part.notes))
    return ordered[: int(rng.integers(2, 8))]


def _recast(part: Part, rng: Generator) -> Part:
    """Now and then another instrument of the same family, or of any."""
    draw = rng.random()
    if draw < 0.6:
        return part
    families = [family for family in _FAMILIES if draw > 0.85 or part.program in family]
    if not families:
        return part
    family = families[int(rng.integers(len(families)))]
    program = int(rng.choice(family))
    return part if program in VOICES else replace(part, program=program)


def _humanised(notes: Sequence[Note], rng: Generator) -> list[Note]:
    """A second take: nobody plays twice at the same time."""
    shifts = rng.normal(0, 0.008, len(notes))
    return [replace(n, start_s=max(0.0, n.start_s + s)) for n, s in zip(notes, shifts, strict=True)]


def _nearest_octave(pitch: int, instrument: Instrument) -> int:
    low, high = min(instrument.notes) - 3, max(instrument.notes) + 3
    while pitch > high and pitch - 12 >= low:
        pitch -= 12
    while pitch < low and pitch + 12 <= high:
        pitch += 12
    return pitch
