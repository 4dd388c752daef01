"""Layers of an accompaniment: which ones a style has, when they enter, and what each of them plays."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.random import Generator

from stemsplit.training.synthesis.arrangement import Section, draw_sections, notes_in_sections
from stemsplit.training.synthesis.figures import (
    add_octaves,
    arpeggio,
    held_chords,
    melody_line,
    power_chords,
    raise_octaves,
    repeat_riff,
    stabs,
    strums,
)
from stemsplit.training.synthesis.harmony import Chord, Pulse, find_chords
from stemsplit.training.synthesis.midi import MidiPart, Note

DRIVEN = range(29, 31)
VOICES = frozenset({52, 53, 54, 85, 91})
# General MIDI programs that are drums or noises although they have pitches: timpani, bells, taiko, ...
UNPITCHED = frozenset({47, *range(112, 128)})

# Relative frequency of each kind of layer in a style; "parts" are unchanged MIDI parts.
ACCOMPANIMENT_STYLES: dict[str, dict[str, float]] = {
    "rock": {
        "power": 2,
        "crunch": 3,
        "clean": 1,
        "acoustic": 1,
        "lead": 2,
        "organ": 1,
        "piano": 0.7,
        "parts": 1,
    },
    "metal": {
        "power": 6,
        "lead": 2,
        "clean": 0.7,
        "pad": 0.7,
        "strings": 0.5,
        "synth lead": 0.5,
        "parts": 0.5,
    },
    "pop": {
        "piano": 2,
        "clean": 2,
        "acoustic": 1,
        "pad": 2,
        "supersaw": 1.5,
        "arpeggio": 2,
        "bell": 1,
        "parts": 1,
    },
    "hip-hop": {
        "e-piano": 2,
        "piano": 1.5,
        "strings": 1,
        "solo": 1,
        "bell": 1,
        "texture": 2,
        "pad": 1,
        "parts": 1,
    },
    "electronic": {
        "supersaw": 3,
        "arpeggio": 3,
        "synth lead": 2,
        "pad": 2,
        "chip": 1,
        "texture": 1,
        "riser": 1,
    },
    "songwriter": {"acoustic": 5, "piano": 2, "clean": 1, "solo": 1, "strings": 1, "organ": 0.7, "parts": 1},
    "indie": {
        "clean": 3,
        "crunch": 2,
        "lead": 1,
        "pad": 1,
        "synth lead": 1,
        "organ": 1,
        "acoustic": 1,
        "bell": 0.5,
    },
    "reggae": {"skank": 5, "organ": 3, "brass": 1, "solo": 1, "clean": 1, "piano": 1, "parts": 1},
    "soul": {
        "e-piano": 2,
        "clean": 3,
        "brass": 2,
        "strings": 2,
        "organ": 2,
        "solo": 1.5,
        "piano": 1,
        "parts": 1,
    },
    "score": {"parts": 6, "strings": 2, "solo": 2, "pad": 1, "texture": 0.5, "piano": 1},
}
_STYLE_WEIGHTS = (2.2, 1.6, 1.4, 1.0, 1.4, 1.2, 1.3, 0.6, 1.0, 1.2)
# General MIDI programs whose parts of the piece a kind of layer may play.
_FAMILIES = {"power": DRIVEN, "crunch": range(26, 32), "clean": range(24, 29), "acoustic": range(24, 27)}
_FAMILIES |= {"lead": DRIVEN, "piano": range(8), "organ": range(16, 24), "strings": range(40, 52)}
_FAMILIES |= {
    "brass": range(56, 64),
    "solo": range(64, 80),
    "synth lead": range(80, 88),
    "pad": range(88, 96),
}
_VOICE_LIKE = ("solo", "solo", "lead", "synth lead")  # layers that resemble a voice


@dataclass(frozen=True)
class LayerScore:
    """The music that all layers share.

    Parts of a piece, its pulse, chords and sections, and its length in seconds.
    """

    parts: tuple[MidiPart, ...]
    pulse: Pulse
    chords: tuple[Chord, ...]
    sections: tuple[Section, ...]
    length_s: float


def read_score(parts: Sequence[MidiPart], pulse: Pulse, length_s: float, rng: Generator) -> LayerScore:
    """Estimate the chords of some parts over a given beat and draw sections for them.

    Bass notes are raised by octaves.
    """
    pitched = [part for part in parts if part.program not in UNPITCHED]
    usable = [part for part in pitched if part.program not in VOICES]
    chosen = [replace(part, notes=raise_octaves(part.notes)) for part in usable or pitched if part.notes]
    chords = find_chords(chosen, pulse, length_s=length_s, beats=int(rng.choice([2, 4, 4])))
    sections = draw_sections(rng, pulse, length_s)
    return LayerScore(tuple(chosen), pulse, tuple(chords), tuple(sections), length_s)


def draw_accompaniment_style(rng: Generator) -> str:
    """Draw a style, one of `ACCOMPANIMENT_STYLES`."""
    return list(ACCOMPANIMENT_STYLES)[
        int(rng.choice(len(ACCOMPANIMENT_STYLES), p=np.array(_STYLE_WEIGHTS) / sum(_STYLE_WEIGHTS)))
    ]


def draw_layers(style: dict[str, float], rng: Generator) -> list[tuple[str, float]]:
    """Draw two to seven kinds of layers, each with the density at which it enters.

    The first plays most of the time.
    """
    weights = np.array(list(style.values()))
    n_layers = int(rng.choice([2, 3, 4, 5, 6], p=[0.12, 0.23, 0.3, 0.2, 0.15]))
    kinds = [kind for kind in style for _ in range(2)]
    n_layers = min(n_layers, len(kinds))
    drawn = rng.choice(kinds, n_layers, replace=False, p=np.repeat(weights, 2) / weights.sum() / 2)
    entries = [float(rng.choice([0.0, 0.35], p=[0.7, 0.3])), *rng.uniform(0.1, 0.9, n_layers - 1)]
    layers = [(str(kind), float(entry)) for kind, entry in zip(drawn, entries, strict=True)]
    if rng.random() < 0.3:
        layers.append((str(rng.choice(_VOICE_LIKE)), float(rng.uniform(0, 0.7))))
    return layers


def layer_notes(kind: str, score: LayerScore, rng: Generator) -> tuple[Note, ...]:
    """Return what a kind of layer plays.

    A part written for such an instrument, or a figure over the chords.
    """
    written = [part for part in score.parts if part.program in _FAMILIES.get(kind, ())]
    if written and rng.random() < 0.5:
        return written[int(rng.integers(len(written)))].notes
    return _draw_figure(kind, score, rng)


def _draw_figure(kind: str, score: LayerScore, rng: Generator) -> tuple[Note, ...]:
    chords, pulse, draw = score.chords, score.pulse, rng.random()
    if kind == "power":
        return power_chords(chords, pulse, rng)
    if kind in ("lead", "solo", "synth lead"):
        notes = (
            _top_melody(score, rng)
            if draw < 0.4
            else melody_line(chords, pulse, rng, lowest=int(rng.integers(55, 68)))
        )
        notes = repeat_riff(notes, chords) if rng.random() < 0.25 else notes
        return add_octaves(notes) if kind == "lead" and rng.random() < 0.2 else notes
    if kind in ("skank", "brass") or (kind == "supersaw" and draw < 0.4):
        return stabs(chords, pulse, rng)
    if kind in ("arpeggio", "chip", "bell") or (kind in ("clean", "acoustic", "piano") and draw < 0.35):
        return arpeggio(chords, pulse, rng, lowest=int(rng.integers(52, 72)))
    if kind in ("pad", "strings", "organ", "supersaw"):
        return held_chords(chords, rng) if draw < 0.8 else stabs(chords, pulse, rng)
    return strums(chords, pulse, rng)


def parts_in_sections(score: LayerScore, entry: float, rng: Generator) -> list[MidiPart]:
    """Return one to four of the parts with the most notes, cut to the sections in which the layer plays."""
    ordered = sorted(score.parts, key=lambda part: -len(part.notes))[: int(rng.integers(1, 5))]
    parts = [replace(part, notes=notes_in_sections(part.notes, score.sections, entry)) for part in ordered]
    # The soundfont's overdriven guitars would not be tagged as distortion: a clean guitar plays instead.
    plain = [replace(part, program=27) if part.program in DRIVEN else part for part in parts]
    return [part for part in plain if part.notes]


def _top_melody(score: LayerScore, rng: Generator) -> tuple[Note, ...]:
    """Return the highest notes of a randomly drawn part, one at a time."""
    if not score.parts:
        return ()
    part = score.parts[int(rng.integers(len(score.parts)))]
    notes: list[Note] = []
    for note in sorted(part.notes, key=lambda each: (each.start_s, -each.pitch)):
        if not notes or note.start_s > notes[-1].start_s + 0.06:
            if notes:
                room_s = note.start_s - notes[-1].start_s
                notes[-1] = replace(notes[-1], length_s=min(notes[-1].length_s, room_s))
            notes.append(note)
    return tuple(notes)
