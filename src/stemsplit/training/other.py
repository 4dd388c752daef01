"""Accompaniment stems: everything that is neither voice, drums nor bass, arranged, played and mixed."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.random import Generator

from stemsplit.training import SAMPLE_RATE
from stemsplit.training.arrangement import Section, draw_sections, heard
from stemsplit.training.bus import accompaniment_bus
from stemsplit.training.effects import ducked
from stemsplit.training.ensemble import Ensemble, riser
from stemsplit.training.figures import (
    arpeggio,
    line,
    octaves,
    power_chords,
    raised,
    riff,
    stabs,
    strummed,
    sustained,
)
from stemsplit.training.guitars import Guitarist, Tone
from stemsplit.training.harmony import Chord, Pulse, find_chords, find_pulse
from stemsplit.training.library import Item, Library
from stemsplit.training.midi import Note, Part
from stemsplit.training.take import Take
from stemsplit.types import FloatArray

GUITARS = range(24, 32)
DRIVEN = (29, 30)
BASSES = range(32, 40)
VOICES = frozenset({52, 53, 54, 85, 91})
EFFECT_SOUNDS = range(119, 128)

# How often each kind of layer is drawn in a style; "parts" are MIDI parts as they are.
STYLES: dict[str, dict[str, float]] = {
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
# Loudness of a kind of layer, dB.
_LEVELS_DB = {"clean": -4, "acoustic": -3, "lead": -1, "solo": -1, "strings": -5, "pad": -7, "bell": -8}
_LEVELS_DB |= {
    "texture": -9,
    "riser": -9,
    "arpeggio": -4,
    "chip": -6,
    "e-piano": -4,
    "organ": -4,
    "skank": -3,
}
_DISTORTED = frozenset({"crunch", "high gain"})


@dataclass(frozen=True)
class Score:
    """What all layers share: parts of a piece, its pulse, chords and sections, a length in seconds."""

    parts: tuple[Part, ...]
    pulse: Pulse
    chords: tuple[Chord, ...]
    sections: tuple[Section, ...]
    length_s: float


class OtherMaker:
    """Renders accompaniment stems; `items` are the notes that may be used."""

    def __init__(self, library: Library, items: Sequence[Item], rooms: Sequence[FloatArray]) -> None:
        self._rooms = rooms
        self._guitarist = Guitarist(library, items, rooms)
        self._ensemble = Ensemble(library, items, rooms)

    def render(self, parts: Sequence[Part], *, length_s: float, rng: Generator) -> Take:
        """Arrange and play the parts, as they leave the accompaniment's bus."""
        score = _score(parts, length_s, rng)
        style = list(STYLES)[int(rng.choice(len(STYLES), p=np.array(_STYLE_WEIGHTS) / sum(_STYLE_WEIGHTS)))]
        out = np.zeros((2, round(length_s * SAMPLE_RATE)), np.float32)
        ingredients: set[str] = set()
        for kind, entry in _draw_layers(STYLES[style], rng):
            layer, tone = self._layer(kind, entry, score, rng)
            if tone is not None and tone.sound in _DISTORTED and layer.any():
                ingredients.add("distortion")
            level_db = _LEVELS_DB.get(kind, 0) + rng.normal(0, 2.5)
            out += at_loudness(layer, level_db - 20)
        if style == "electronic" and rng.random() < 0.6:
            beats_s = score.pulse.grid(1, length_s)
            depth, release_s = (
                float(rng.uniform(0.3, 0.95)),
                score.pulse.beat_s * float(rng.uniform(0.1, 0.4)),
            )
            out = ducked(out, beats_s, depth=depth, release_s=release_s)
        return Take(accompaniment_bus(rng, out, self._rooms), tuple(sorted(ingredients)))

    def _layer(self, kind: str, entry: float, score: Score, rng: Generator) -> tuple[FloatArray, Tone | None]:
        """One layer, silent where it does not enter; and the tone of a guitar."""
        if kind == "riser":
            return self._risers(score, rng), None
        if kind == "texture":
            sound = self._ensemble.texture(length_s=score.length_s, rng=rng)
            return _gated(sound, score.sections, entry), None
        if kind == "parts":
            parts = _heard_parts(score, entry, rng)
            return self._ensemble.parts(parts, length_s=score.length_s, rng=rng), None
        notes, tone = heard(_figure(kind, score, rng), score.sections, entry), _draw_tone(kind, rng)
        if not notes:
            return np.zeros((2, round(score.length_s * SAMPLE_RATE)), np.float32), None
        if tone is not None:
            return self._guitarist.render(notes, tone, length_s=score.length_s, rng=rng), tone
        return self._ensemble.render(kind, notes, length_s=score.length_s, rng=rng), None

    def _risers(self, score: Score, rng: Generator) -> FloatArray:
        out = np.zeros((2, round(score.length_s * SAMPLE_RATE)), np.float32)
        for section in score.sections[1:]:
            start_s = max(0.0, section.start_s - score.pulse.beat_s * float(rng.choice([4, 8])))
            out += riser(rng, start_s=start_s, end_s=section.start_s, length_s=score.length_s)
        return out


def at_loudness(waveform: FloatArray, level_db: float) -> FloatArray:
    """Scaled to a root mean square of `level_db` over what sounds, pauses left out."""
    n_blocks = waveform.shape[1] // 2048
    if not n_blocks:
        return waveform
    powers = np.square(waveform[:, : 2048 * n_blocks]).reshape(2, n_blocks, 2048).mean((0, 2))
    sounding = powers[powers > 1e-4 * powers.max()]
    if not sounding.size or powers.max() < 1e-12:
        return waveform
    return waveform * np.float32(10 ** (level_db / 20) / np.sqrt(sounding.mean()))


def _score(parts: Sequence[Part], length_s: float, rng: Generator) -> Score:
    usable = [part for part in parts if part.program not in EFFECT_SOUNDS and part.program not in VOICES]
    chosen = [replace(part, notes=raised(part.notes)) for part in usable or parts if part.notes]
    pulse = find_pulse(chosen)
    chords = find_chords(chosen, pulse, length_s=length_s, beats=int(rng.choice([2, 4, 4])))
    sections = draw_sections(rng, pulse, length_s)
    return Score(tuple(chosen), pulse, tuple(chords), tuple(sections), length_s)


def _draw_layers(style: dict[str, float], rng: Generator) -> list[tuple[str, float]]:
    """Two to seven kinds, with the fullness at which each enters; the first is nearly always there."""
    weights = np.array(list(style.values()))
    n_layers = int(rng.choice([2, 3, 4, 5, 6, 7], p=[0.1, 0.2, 0.25, 0.2, 0.15, 0.1]))
    kinds = [kind for kind in style for _ in range(2)]
    n_layers = min(n_layers, len(kinds))
    drawn = rng.choice(kinds, n_layers, replace=False, p=np.repeat(weights, 2) / weights.sum() / 2)
    entries = [float(rng.uniform(0, 0.15)), *rng.uniform(0.1, 0.9, n_layers - 1)]
    return [(str(kind), float(entry)) for kind, entry in zip(drawn, entries, strict=True)]


def _figure(kind: str, score: Score, rng: Generator) -> tuple[Note, ...]:
    """What a kind of layer plays."""
    chords, pulse = score.chords, score.pulse
    draw = rng.random()
    if kind == "power":
        return power_chords(chords, pulse, rng)
    if kind in ("lead", "solo", "synth lead"):
        notes = (
            _melody(score, rng) if draw < 0.4 else line(chords, pulse, rng, lowest=int(rng.integers(55, 68)))
        )
        notes = riff(notes, chords) if rng.random() < 0.25 else notes
        return octaves(notes) if kind == "lead" and rng.random() < 0.2 else notes
    if kind in ("skank", "brass") or (kind == "supersaw" and draw < 0.4):
        return stabs(chords, pulse, rng)
    if kind in ("arpeggio", "chip", "bell") or (kind in ("clean", "acoustic", "piano") and draw < 0.35):
        return arpeggio(chords, pulse, rng, lowest=int(rng.integers(52, 72)))
    if kind in ("pad", "strings", "organ", "supersaw"):
        return sustained(chords, rng) if draw < 0.8 else stabs(chords, pulse, rng)
    return strummed(chords, pulse, rng)


def _draw_tone(kind: str, rng: Generator) -> Tone | None:
    """How a guitar layer sounds; none for what is no guitar."""
    is_doubled = bool(rng.random() < 0.7)
    tones = {
        "power": Tone("high gain", is_doubled=True),
        "crunch": Tone("crunch", is_doubled=is_doubled),
        "clean": Tone("clean", is_doubled=bool(rng.random() < 0.3)),
        "skank": Tone("clean"),
        "acoustic": Tone("acoustic", is_doubled=is_doubled),
        "lead": Tone("high gain" if rng.random() < 0.6 else "crunch", is_lead=True),
    }
    return tones.get(kind)


def _melody(score: Score, rng: Generator) -> tuple[Note, ...]:
    """The highest notes of one of the parts, one at a time."""
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


def _heard_parts(score: Score, entry: float, rng: Generator) -> list[Part]:
    """One to four of the fullest parts, where the layer enters."""
    ordered = sorted(score.parts, key=lambda part: -len(part.notes))[: int(rng.integers(1, 5))]
    parts = [replace(part, notes=heard(part.notes, score.sections, entry)) for part in ordered]
    # An overdriven guitar of the soundfont would go unmarked: a clean one plays it.
    plain = [replace(part, program=27) if part.program in DRIVEN else part for part in parts]
    return [part for part in plain if part.notes]


def _gated(waveform: FloatArray, sections: Sequence[Section], entry: float) -> FloatArray:
    """Only the sections that are full enough, faded in and out."""
    gain = np.zeros(waveform.shape[1], np.float32)
    for section in sections:
        if section.fullness >= entry:
            gain[round(section.start_s * SAMPLE_RATE) : round(section.end_s * SAMPLE_RATE)] = 1
    ramp = np.ones(1024, np.float32) / 1024
    return np.asarray(waveform * np.convolve(gain, ramp, "same"), np.float32)
