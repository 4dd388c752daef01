"""Accompanying instruments except guitars: keys, strings, winds, synthesisers, textures, MIDI parts."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pedalboard as pb
from numpy.random import Generator

from stemsplit.training import SAMPLE_RATE
from stemsplit.training.data.library import Item, Library
from stemsplit.training.examples.augment import change_speed
from stemsplit.training.synthesis.effects import (
    add_reverb,
    apply_instrument_bus,
    apply_plugins,
    compress,
    normalise_peak,
    place_in_stereo,
)
from stemsplit.training.synthesis.harmony import Pulse
from stemsplit.training.synthesis.midi import MidiPart, Note
from stemsplit.training.synthesis.modulation import apply_rotary, apply_tremolo, bend_notes
from stemsplit.training.synthesis.sampler import Instrument, add_at, collect_instruments, play
from stemsplit.training.synthesis.soundfont import render_soundfont
from stemsplit.training.synthesis.synth import SYNTH_ROLES, play_synth
from stemsplit.types import FloatArray

# General MIDI programs of each kind of layer.
PROGRAMS: dict[str, tuple[int, ...]] = {
    "piano": (0, 1, 2, 3),
    "e-piano": (4, 5, 7),
    "organ": (16, 17, 18, 19),
    "strings": (44, 48, 48, 49, 50, 51),
    "brass": (61, 61, 62, 63),
    "solo": (22, 40, 41, 42, 56, 57, 59, 64, 65, 66, 68, 71, 73, 75, 79),
    "pad": (48, 50, 51, 88, 89, 90, 92, 93, 94, 95),
    "bell": (8, 9, 10, 11, 12, 13, 98),
}
_NAMES = {
    "piano": ("piano", "electric grand"),
    "e-piano": ("e-piano",),
    "solo": ("sax", "flute", "shehnai", "cello", "bowed zinc string single", "bassoon"),
    "strings": ("strings", "string synth"),
}
_ROLES = {"supersaw": "supersaw", "arpeggio": "pluck", "synth lead": "lead", "chip": "chip"}


class EnsembleRenderer:
    """Renders layers; `items` are the sounds that may be used."""

    def __init__(self, library: Library, items: Sequence[Item], rooms: Sequence[FloatArray]) -> None:
        self._library, self._rooms = library, rooms
        self._instruments = collect_instruments(items)
        self._textures = [item for item in items if item.kind in ("loop", "phrase", "performance")]

    def render(self, kind: str, notes: Sequence[Note], *, length_s: float, rng: Generator) -> FloatArray:
        """Render one layer of a kind with its own effects, ``(2, samples)``."""
        if kind in _ROLES:
            return self._synthesise(_ROLES[kind], notes, length_s, rng)
        if kind in ("pad", "bell") and rng.random() < 0.5:
            return self._synthesise(kind, notes, length_s, rng)
        dry = self._play_dry(kind, notes, length_s, rng)
        if kind == "solo":
            # A solo instrument resembles a voice most: in the middle, with vibrato and slides.
            moved = bend_notes(dry, notes, rng) if rng.random() < 0.7 else dry
            dry = place_in_stereo(moved.mean(0, keepdims=True), float(np.clip(rng.normal(0, 0.3), -1, 1)))
        return _FINISHES.get(kind, apply_instrument_bus)(rng, dry, self._rooms)

    def parts(self, parts: Sequence[MidiPart], *, length_s: float, rng: Generator) -> FloatArray:
        """Render MIDI parts: some on sampled instruments or synthesisers, the rest by the soundfont."""
        out = np.zeros((2, round(length_s * SAMPLE_RATE)), np.float32)
        soft: list[MidiPart] = []
        for part in (_recast(part, rng) for part in parts):
            draw = rng.random()
            if draw < 0.25 and self._instruments:
                instrument = self._instruments[int(rng.integers(len(self._instruments)))]
                out += self._place(self._play_sampled(instrument, part.notes, length_s, rng), rng)
            elif draw < 0.45:
                role = str(rng.choice(["pad", "lead", "pluck"]))
                out += self._synthesise(role, part.notes, length_s, rng)
            else:
                soft.append(part)
        if soft:
            pans = [int(np.clip(64 + rng.normal(0, 36), 0, 127)) for _ in soft[:15]]
            dry = render_soundfont(soft[:15], length_s=length_s, pans=pans)
            out += apply_instrument_bus(rng, dry, self._rooms) * len(pans) ** 0.4
        return out

    def texture(self, pulse: Pulse, *, length_s: float, rng: Generator) -> FloatArray:
        """Render recorded music cut up on the beat, a loop at another speed, or a bed of coloured noise."""
        draw = rng.random()
        if not self._textures or draw < 0.15:
            noise = rng.normal(0, 0.1, (2, round(length_s * SAMPLE_RATE))).astype(np.float32)
            lowest_hz, highest_hz = float(rng.uniform(200, 3000)), float(rng.uniform(3000, 12000))
            return 0.4 * apply_plugins(noise, [pb.HighpassFilter(lowest_hz), pb.LowpassFilter(highest_hz)])
        item = self._textures[int(rng.integers(len(self._textures)))]
        speed = float(rng.choice([0.5, 0.75, 0.9, 1.0, 1.1, 1.5]))
        sound = change_speed(self._library.audio(item)[:, : 20 * SAMPLE_RATE], speed)
        if rng.random() < 0.2:
            sound = sound[:, ::-1]
        step_s = pulse.beat_s * float(rng.choice([0.5, 1, 2]))
        step = round(step_s * SAMPLE_RATE) if draw < 0.6 else max(SAMPLE_RATE // 2, sound.shape[1])
        return self._place(chop(sound, rng, step=step, length_s=length_s), rng)

    def _play_dry(self, kind: str, notes: Sequence[Note], length_s: float, rng: Generator) -> FloatArray:
        named = [i for i in self._instruments if any(name in i.name for name in _NAMES.get(kind, ()))]
        if named and rng.random() < 0.6:
            return self._play_sampled(named[int(rng.integers(len(named)))], notes, length_s, rng)
        program = int(rng.choice(PROGRAMS[kind]))
        return render_soundfont([MidiPart(program, tuple(notes))], length_s=length_s, pans=[64])

    def _play_sampled(
        self, instrument: Instrument, notes: Sequence[Note], length_s: float, rng: Generator
    ) -> FloatArray:
        moved = [replace(note, pitch=nearest_octave(note.pitch, instrument)) for note in notes]
        release_s = float(rng.uniform(0.05, 0.4))
        return play(self._library, instrument, moved, length_s=length_s, rng=rng, release_s=release_s)

    def _synthesise(self, role: str, notes: Sequence[Note], length_s: float, rng: Generator) -> FloatArray:
        dry = play_synth(SYNTH_ROLES[role](rng), notes, length_s=length_s, rng=rng)
        return apply_instrument_bus(rng, dry, self._rooms)

    def _place(self, dry: FloatArray, rng: Generator) -> FloatArray:
        if rng.random() < 0.6:
            dry = place_in_stereo(dry.mean(0, keepdims=True), float(np.clip(rng.normal(0, 0.6), -1, 1)))
        return apply_instrument_bus(rng, dry, self._rooms)


def chop(sound: FloatArray, rng: Generator, *, step: int, length_s: float) -> FloatArray:
    """Repeat pieces of `step` samples in a random order of eight, as a sampler does; stereo."""
    out = np.zeros((2, round(length_s * SAMPLE_RATE)), np.float32)
    n_pieces = max(1, sound.shape[1] // step)
    order = rng.integers(n_pieces, size=8)
    fade = np.minimum(1, np.minimum(np.arange(step), np.arange(step)[::-1]) / 200).astype(np.float32)
    for index, start in enumerate(range(0, out.shape[1], step)):
        first = int(order[index % 8]) * step
        piece = sound[:, first : first + step]
        add_at(out, np.broadcast_to(piece, (2, piece.shape[1])) * fade[: piece.shape[1]], start)
    return out


def riser(rng: Generator, *, start_s: float, end_s: float, length_s: float) -> FloatArray:
    """Return filtered noise that rises from `start_s` to `end_s`, where a new section starts."""
    out = np.zeros((2, round(length_s * SAMPLE_RATE)), np.float32)
    n_samples = max(1, round((end_s - start_s) * SAMPLE_RATE))
    noise = rng.normal(0, 0.3, (2, n_samples)).astype(np.float32)
    noise *= np.linspace(0, 1, n_samples, dtype=np.float32) ** 2
    ladder = pb.LadderFilter(pb.LadderFilter.BPF12, 300, float(rng.uniform(0.2, 0.7)))
    for start in range(0, n_samples, 512):
        ladder.cutoff_hz = 300 * 40 ** (start / n_samples)
        block = np.ascontiguousarray(noise[:, start : start + 512])
        noise[:, start : start + 512] = ladder.process(block, SAMPLE_RATE, reset=False)
    add_at(out, noise, round(start_s * SAMPLE_RATE))
    return out


def nearest_octave(pitch: int, instrument: Instrument) -> int:
    """Transpose a pitch by octaves into the range of an instrument."""
    low, high = min(instrument.notes) - 3, max(instrument.notes) + 3
    while pitch > high and pitch - 12 >= low:
        pitch -= 12
    while pitch < low and pitch + 12 <= high:
        pitch += 12
    return pitch


def _recast(part: MidiPart, rng: Generator) -> MidiPart:
    """Replace the instrument of a part, or leave it."""
    if rng.random() < 0.5:
        return part
    programs = PROGRAMS[str(rng.choice(list(PROGRAMS)))]
    return replace(part, program=int(rng.choice(programs)))


def _finish_piano(rng: Generator, dry: FloatArray, rooms: Sequence[FloatArray]) -> FloatArray:
    """Make a piano bright and compressed, as in pop."""
    out = apply_plugins(
        normalise_peak(dry), [pb.HighShelfFilter(float(rng.uniform(2000, 6000)), float(rng.uniform(-3, 8)))]
    )
    return add_reverb(rng, compress(rng, out, heavy=bool(rng.random() < 0.6)), rooms, rng.uniform(0.02, 0.3))


def _finish_electric_piano(rng: Generator, dry: FloatArray, rooms: Sequence[FloatArray]) -> FloatArray:
    out = apply_tremolo(rng, dry) if rng.random() < 0.5 else dry
    if rng.random() < 0.3:
        out = apply_plugins(out, [pb.Phaser(float(rng.uniform(0.2, 1.2)), mix=0.5)])
    return apply_instrument_bus(rng, out, rooms)


def _finish_organ(rng: Generator, dry: FloatArray, rooms: Sequence[FloatArray]) -> FloatArray:
    driven = (
        apply_plugins(normalise_peak(dry), [pb.Distortion(float(rng.uniform(0, 12)))])
        if rng.random() < 0.5
        else dry
    )
    return add_reverb(rng, apply_rotary(rng, normalise_peak(driven)), rooms, float(rng.uniform(0.02, 0.2)))


_Finish = Callable[[Generator, FloatArray, Sequence[FloatArray]], FloatArray]
_FINISHES: dict[str, _Finish] = {
    "piano": _finish_piano,
    "e-piano": _finish_electric_piano,
    "organ": _finish_organ,
}
