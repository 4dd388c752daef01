"""Recorded guitars: synthesised or sampled strings, amplifiers, double-tracking left and right."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pedalboard as pb
from numpy.random import Generator

from stemsplit.training import SAMPLE_RATE
from stemsplit.training.data.library import Item, Library
from stemsplit.training.synthesis.amplifier import (
    amplify,
    apply_cabinet,
    cabinet_response,
    draw_amplifier,
    draw_cabinet,
)
from stemsplit.training.synthesis.effects import (
    add_reverb,
    apply_plugins,
    compress,
    equalise,
    normalise_peak,
    place_in_stereo,
)
from stemsplit.training.synthesis.figures import humanise
from stemsplit.training.synthesis.midi import MidiPart, Note
from stemsplit.training.synthesis.modulation import apply_tremolo, apply_wah, bend_notes
from stemsplit.training.synthesis.plucked import draw_string, play_plucked
from stemsplit.training.synthesis.sampler import add_at, collect_instruments, play, trim_onset
from stemsplit.training.synthesis.soundfont import render_soundfont
from stemsplit.types import FloatArray

_SCRATCH_S = 0.05
_PROGRAMS = {"acoustic": (24, 25), "clean": (26, 27), "crunch": (27, 28), "high gain": (27, 28, 29)}

NotePlayer = Callable[[Sequence[Note], float], FloatArray]
EffectChain = Callable[[FloatArray], FloatArray]


@dataclass(frozen=True)
class GuitarTone:
    """Setup of a guitar: its `sound` is "clean", "crunch", "high gain" or "acoustic"."""

    sound: str
    is_doubled: bool = False
    is_lead: bool = False


class GuitarRenderer:
    """Renders guitar parts; `items` are the notes that may be used."""

    def __init__(self, library: Library, items: Sequence[Item], rooms: Sequence[FloatArray]) -> None:
        self._library, self._rooms = library, rooms
        named = [each for each in collect_instruments(items) if "guitar" in each.name]
        self._acoustic = [each for each in named if "acoustic" in each.name]
        self._electric = [each for each in named if "acoustic" not in each.name]
        self._scratches = [item for item in items if "muted str" in item.instrument]

    def render(
        self, notes: Sequence[Note], tone: GuitarTone, *, length_s: float, rng: Generator
    ) -> FloatArray:
        """Render notes through amplifier and room, once or double-tracked left and right."""
        sides = (-1.0, 1.0) if tone.is_doubled else (float(np.clip(rng.normal(0, 0.35), -0.9, 0.9)),)
        width = float(rng.uniform(0.65, 1.0)) if tone.is_doubled else 1.0
        player = self._draw_player(tone, rng)
        finish = self._acoustic_chain(rng) if tone.sound == "acoustic" else self._electric_chain(tone, rng)
        out = np.zeros((2, round(length_s * SAMPLE_RATE)), np.float32)
        for side in sides:
            performance = humanise(notes, rng) if tone.is_doubled else tuple(notes)
            dry = self._play_dry(performance, player, tone, length_s, rng)
            if tone.is_lead:
                dry = bend_notes(dry, performance, rng)
            out += place_in_stereo(finish(dry), side * width)
        if tone.is_lead and rng.random() < 0.5:
            out = apply_plugins(
                out, [pb.Delay(float(rng.uniform(0.2, 0.6)), float(rng.uniform(0.1, 0.4)), 0.25)]
            )
        return add_reverb(rng, out, self._rooms, float(rng.uniform(0.02, 0.35 if tone.is_lead else 0.15)))

    def _play_dry(
        self, notes: Sequence[Note], player: NotePlayer, tone: GuitarTone, length_s: float, rng: Generator
    ) -> FloatArray:
        """Play the notes once, dry and mono; muted strokes are recordings where the library has them."""
        if not self._scratches or tone.is_lead:
            return player(notes, length_s)
        ringing = [note for note in notes if note.length_s >= _SCRATCH_S]
        out = player(ringing, length_s) if ringing else _silence(length_s)
        level, last_s = 0.5 * float(np.abs(out).max(initial=0.0)), -1.0
        for note in notes:
            if note.length_s < _SCRATCH_S and note.start_s - last_s > 0.06:
                item = self._scratches[int(rng.integers(len(self._scratches)))]
                sound = trim_onset(self._library.audio(item)).mean(0, keepdims=True)[:, : SAMPLE_RATE // 8]
                add_at(out, sound * level, round(note.start_s * SAMPLE_RATE))
                last_s = note.start_s
        return out

    def _draw_player(self, tone: GuitarTone, rng: Generator) -> NotePlayer:
        """Draw what plays the notes: synthesised strings, recorded notes, or the soundfont."""
        sampled = self._acoustic if tone.sound == "acoustic" else self._electric
        draw = rng.random()
        if draw < 0.4 and sampled:
            instrument = sampled[int(rng.integers(len(sampled)))]
            return lambda notes, length_s: play(
                self._library, instrument, notes, length_s=length_s, rng=rng
            ).mean(0, keepdims=True)
        if draw > 0.85:
            program = int(rng.choice(_PROGRAMS[tone.sound]))
            return lambda notes, length_s: render_soundfont(
                [MidiPart(program, tuple(notes))], length_s=length_s, pans=[64]
            ).mean(0, keepdims=True)
        kind = "electric" if tone.sound != "acoustic" else str(rng.choice(["steel", "steel", "nylon"]))
        string, muted = draw_string(rng, kind), draw_string(rng, "muted")
        return lambda notes, length_s: play_plucked(string, notes, length_s=length_s, rng=rng, muted=muted)

    def _electric_chain(self, tone: GuitarTone, rng: Generator) -> EffectChain:
        """Return pedal, amplifier and cabinet; each performance has its own microphone position."""
        amplifier, cabinet = draw_amplifier(rng, tone.sound), draw_cabinet(rng)
        pedal = _draw_pedal(rng, tone)

        def finish(dry: FloatArray) -> FloatArray:
            driven = amplify(amplifier, pedal(dry))
            return apply_cabinet(driven, cabinet_response(cabinet, rng))

        return finish

    def _acoustic_chain(self, rng: Generator) -> EffectChain:
        """Return body resonances followed by the bright and compressed sound of a record."""
        body = [
            pb.HighpassFilter(float(rng.uniform(80, 180))),
            pb.PeakFilter(float(rng.uniform(95, 125)), float(rng.uniform(0, 5)), 2.0),
            pb.PeakFilter(float(rng.uniform(190, 240)), float(rng.uniform(0, 5)), 2.0),
            pb.PeakFilter(float(rng.uniform(350, 800)), float(rng.uniform(-6, 0)), 0.8),
            pb.HighShelfFilter(float(rng.uniform(3000, 7000)), float(rng.uniform(0, 9))),
        ]
        return lambda dry: compress(rng, equalise(rng, apply_plugins(normalise_peak(dry), body), 1.5))


def _draw_pedal(rng: Generator, tone: GuitarTone) -> EffectChain:
    """Draw the effect between guitar and amplifier; often there is none."""
    draw, rate_hz = rng.random(), float(rng.uniform(0.2, 2))
    if tone.sound == "clean" and draw < 0.2:
        return lambda dry: apply_plugins(dry, [pb.Chorus(rate_hz, 0.3, mix=0.5)])
    if draw < 0.3:
        return lambda dry: apply_plugins(dry, [pb.Phaser(rate_hz, 0.6, 900.0, 0.3, 0.5)])
    if draw < 0.4:
        return lambda dry: apply_wah(dry, rate_hz)
    if tone.sound == "clean" and draw < 0.5:
        return lambda dry: apply_tremolo(rng, dry)
    if draw > 0.7:
        return lambda dry: compress(rng, dry, heavy=True)
    return lambda dry: dry


def _silence(length_s: float) -> FloatArray:
    return np.zeros((1, round(length_s * SAMPLE_RATE)), np.float32)
