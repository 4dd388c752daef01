"""Bass stems: real and synthesised basses, legato, through an amplifier."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.random import Generator

from stemsplit.training.effects import bass_amplifier, compressed, levelled, saturated
from stemsplit.training.library import Item, Library
from stemsplit.training.midi import Note, Part
from stemsplit.training.sampler import collect_instruments, play
from stemsplit.training.soundfont import render_soundfont
from stemsplit.training.synth import draw_voice, play_voice
from stemsplit.training.take import Take
from stemsplit.types import FloatArray

LOWEST, HIGHEST = 26, 55
_SOUNDFONT_BASSES = range(32, 40)


class BassMaker:
    """Renders bass stems; `items` are the notes that may be used."""

    def __init__(self, library: Library, items: Sequence[Item]) -> None:
        self._library = library
        self._instruments = collect_instruments(items)

    def render(self, part: Part, *, length_s: float, rng: Generator) -> Take:
        """Play a bass part, as it leaves the amplifier."""
        notes = legato(part.notes, rng)
        draw = rng.random()
        if draw < 0.6:
            instrument = self._instruments[int(rng.integers(len(self._instruments)))]
            dry = play(self._library, instrument, notes, length_s=length_s, rng=rng)
            return Take(_centred(bass_amplifier(rng, dry), rng))
        if draw < 0.72:
            program = int(rng.choice(_SOUNDFONT_BASSES))
            dry = render_soundfont([Part(program, tuple(notes))], length_s=length_s, pans=[64])
            return Take(_centred(bass_amplifier(rng, dry), rng))
        return Take(self._synthesised(notes, length_s, rng))

    def _synthesised(self, notes: Sequence[Note], length_s: float, rng: Generator) -> FloatArray:
        dry = play_voice(draw_voice(rng, "bass"), notes, length_s=length_s, rng=rng)
        if rng.random() < 0.5:
            sub = play_voice(draw_voice(rng, "sub"), notes, length_s=length_s, rng=rng)
            dry = levelled(dry) * rng.uniform(0.2, 1.0) + levelled(sub)
        out = compressed(rng, np.asarray(dry, np.float32))
        out = saturated(levelled(out, 0.8), float(rng.uniform(0, 8)))
        return bass_amplifier(rng, out) if rng.random() < 0.4 else out


def legato(notes: Sequence[Note], rng: Generator) -> list[Note]:
    """One note at a time in the register of a bass, some of them held until the next."""
    ordered = sorted(notes, key=lambda note: (note.start_s, note.pitch))
    held = rng.random() < 0.7
    out: list[Note] = []
    for index, note in enumerate(ordered):
        if out and note.start_s - out[-1].start_s < 0.04:
            continue  # an upper note of a chord
        later = [
            each.start_s for each in ordered[index + 1 : index + 8] if each.start_s > note.start_s + 0.04
        ]
        gap_s = later[0] - note.start_s if later else 1.0
        length_s = min(gap_s, 2.5) if held else min(note.length_s, gap_s)
        velocity = int(np.clip(100 + rng.normal(0, 8), 60, 127))
        out.append(replace(note, pitch=in_register(note.pitch), length_s=length_s, velocity=velocity))
    return out


def in_register(pitch: int) -> int:
    """Moved by octaves into the range of a bass."""
    while pitch > HIGHEST:
        pitch -= 12
    while pitch < LOWEST:
        pitch += 12
    return pitch


def _centred(waveform: FloatArray, rng: Generator) -> FloatArray:
    """In the middle of the image, almost always."""
    mono = waveform.mean(0, keepdims=True)
    width = rng.uniform(0, 1) if rng.random() < 0.2 else 0.0
    return np.asarray(mono + width * (waveform - mono), np.float32)
