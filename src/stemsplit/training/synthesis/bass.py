"""Bass stems: recorded and synthesised basses, played one note at a time, through an amplifier."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.random import Generator

from stemsplit.training import SAMPLE_RATE
from stemsplit.training.data.library import Item, Library
from stemsplit.training.data.rendered_stem import RenderedStem
from stemsplit.training.synthesis.bass_lines import HIGHEST, LOWEST
from stemsplit.training.synthesis.bass_player import draw_fingers, play_bass
from stemsplit.training.synthesis.bass_synth import KINDS, synth_bass, widen_highs
from stemsplit.training.synthesis.effects import (
    apply_bass_amplifier,
    compress,
    duck,
    equalise,
    limit_peaks,
    normalise_peak,
    remove_infrasound,
)
from stemsplit.training.synthesis.midi import MidiPart, Note
from stemsplit.training.synthesis.sampler import Instrument, collect_instruments
from stemsplit.training.synthesis.soundfont import render_soundfont
from stemsplit.types import FloatArray

_SOUNDFONT_BASSES = range(32, 40)
# Share of synthesised basses by the name of the line, and the kinds that may play it.
_SYNTHETIC = {"808": 0.9, "off-beat": 0.85, "held": 0.35, "octaves": 0.45, "walking": 0.03, "gallop": 0.08}
_SYNTHS = {"808": ("808", "808", "808", "sub"), "off-beat": ("pluck", "square", "stack", "acid")}
_SELDOM = {"arco": 0.15, "upright": 0.6, "glitch": 0.1}


class BassRenderer:
    """Renders bass stems; `items` are the notes that may be used."""

    def __init__(self, library: Library, items: Sequence[Item]) -> None:
        self._library = library
        self._instruments = collect_instruments(items)

    def render(
        self, part: MidiPart, *, length_s: float, rng: Generator, kicks: Sequence[float] = ()
    ) -> RenderedStem:
        """Render a bass part, processed as on a record.

        Parameters
        ----------
        part : MidiPart
            The line; a name out of `bass_lines.LINES` influences the sound.
        length_s : float
            Length in seconds.
        rng : Generator
            Random generator of all choices.
        kicks : sequence of float
            Times of the kick in seconds, at which a synthesiser may be ducked.
        """
        notes = articulate(part.notes, rng)
        draw = rng.random()
        if not notes:
            return RenderedStem(np.zeros((2, round(length_s * SAMPLE_RATE)), np.float32))
        if draw < _SYNTHETIC.get(part.name, 0.22) or not self._instruments:
            out = self._synthesise(part.name, notes, length_s, rng, kicks)
            return RenderedStem(remove_infrasound(rng, out))
        if draw > 0.95:
            program = int(rng.choice(_SOUNDFONT_BASSES))
            dry = render_soundfont([MidiPart(program, tuple(notes))], length_s=length_s, pans=[64])
        else:
            dry = play_bass(
                self._library,
                self._draw_instrument(rng),
                notes,
                draw_fingers(rng, part.name),
                length_s=length_s,
                rng=rng,
            )
        return RenderedStem(remove_infrasound(rng, _narrow(_blend_amplifier(rng, dry), rng)))

    def _draw_instrument(self, rng: Generator) -> Instrument:
        shares = [
            min((share for word, share in _SELDOM.items() if word in each.name), default=1.0)
            for each in self._instruments
        ]
        place = rng.choice(len(shares), p=np.array(shares) / sum(shares))
        return self._instruments[int(place)]

    def _synthesise(
        self, line: str, notes: Sequence[Note], length_s: float, rng: Generator, kicks: Sequence[float]
    ) -> FloatArray:
        kind = str(rng.choice(_SYNTHS.get(line, tuple(KINDS))))
        if kind in ("808", "sub", "reese") and rng.random() < 0.35:
            notes = [
                replace(note, pitch=note.pitch - 12 if note.pitch > 35 else note.pitch) for note in notes
            ]
        out = synth_bass(rng, notes, length_s=length_s, kind=kind)
        if rng.random() < 0.35:
            out = compress(rng, out)
        if kicks and rng.random() < 0.35:
            out = duck(
                out, kicks, depth=float(rng.uniform(0.4, 1.0)), release_s=float(rng.uniform(0.05, 0.2))
            )
        return apply_bass_amplifier(rng, out) if rng.random() < 0.25 else out


def _blend_amplifier(rng: Generator, dry: FloatArray) -> FloatArray:
    """Blend the amplified and the direct sound in a random proportion; some basses are left almost dry."""
    draw = rng.random()
    if draw < 0.35:  # almost dry
        plain = equalise(rng, dry, 2.5)
        return compress(rng, plain) if draw < 0.15 else normalise_peak(plain)
    amplified = normalise_peak(apply_bass_amplifier(rng, dry))
    if rng.random() < 0.4:
        direct = compress(rng, dry, heavy=bool(rng.random() < 0.5))
        amplified = amplified + float(rng.uniform(0.2, 1.0)) * direct
    return (
        limit_peaks(normalise_peak(amplified, 0.7), float(rng.uniform(-12, -5)))
        if rng.random() < 0.3
        else amplified
    )


def articulate(notes: Sequence[Note], rng: Generator) -> list[Note]:
    """Reduce a line to one note at a time in the register of a bass, with random articulation.

    Notes of some lines are held until the next one, those of others are cut short. Velocities follow the
    written ones more or less, and vary.
    """
    ordered = move_to_register(sorted(notes, key=lambda note: (note.start_s, note.pitch)), rng)
    held = rng.random() < 0.35
    shortened = float(rng.uniform(0.25, 0.95) if rng.random() < 0.6 else 1.0)
    written, uneven = float(rng.uniform(0, 1)), float(np.exp(rng.uniform(np.log(3), np.log(22))))
    middle = float(np.median([note.velocity for note in ordered])) if ordered else 0.0
    out: list[Note] = []
    for index, note in enumerate(ordered):
        if out and note.start_s - out[-1].start_s < 0.04:
            continue  # skip upper notes of a chord
        later = [
            each.start_s for each in ordered[index + 1 : index + 8] if each.start_s > note.start_s + 0.04
        ]
        gap_s = later[0] - note.start_s if later else 1.0
        is_held = held and gap_s < 4 * note.length_s
        length_s = min(gap_s, 2.5) if is_held else min(note.length_s, gap_s) * shortened
        force = 100 + written * (note.velocity - middle) + rng.normal(0, uneven)
        velocity = int(np.clip(force, 35, 127))
        out.append(replace(note, length_s=max(0.03, length_s), velocity=velocity))
    return out


def move_to_register(notes: Sequence[Note], rng: Generator) -> list[Note]:
    """Transpose a line by octaves so that it lies mostly between E1 and G2, with no note above D3."""
    if not notes:
        return []
    middle = float(np.median([note.pitch for note in notes]))
    wanted = float(rng.choice([33, 36, 42], p=[0.55, 0.35, 0.1]))
    shift = 12 * round((wanted - middle) / 12)
    return [replace(note, pitch=_fold_octaves(note.pitch + shift)) for note in notes]


def _fold_octaves(pitch: int) -> int:
    while pitch > HIGHEST:
        pitch -= 12
    while pitch < LOWEST:
        pitch += 12
    return pitch


def _narrow(waveform: FloatArray, rng: Generator) -> FloatArray:
    """Centre a bass in the stereo image, almost always."""
    mono = np.repeat(waveform.mean(0, keepdims=True), 2, axis=0)
    draw = rng.random()
    if draw < 0.45:
        return widen_highs(rng, mono)
    width = rng.uniform(0, 1) if draw < 0.6 else 0.0
    return np.asarray(mono + width * (waveform - mono), np.float32)
