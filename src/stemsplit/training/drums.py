"""Drum stems: human performances (Groove MIDI) on kits made of the library's hits."""

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.random import Generator

from stemsplit.training import SAMPLE_RATE
from stemsplit.training.effects import drum_bus, levelled, panned
from stemsplit.training.library import Item, Library
from stemsplit.training.midi import Note, Part
from stemsplit.training.sampler import add_at, at_speed, trimmed
from stemsplit.training.soundfont import render_soundfont
from stemsplit.training.take import Take
from stemsplit.types import FloatArray

_PIECES = {
    "kick": (35, 36),
    "snare": (38, 40),
    "rim": (37,),
    "clap": (39,),
    "hihat_closed": (22, 42, 44),
    "hihat_open": (26, 46),
    "tom": (41, 43, 45, 47, 48, 50, 58),
    "crash": (49, 52, 55, 57),
    "ride": (51, 53, 59),
}
PIECE_OF_PITCH = {pitch: piece for piece, pitches in _PIECES.items() for pitch in pitches}
# Peak level of each piece in a kit, decibels below the kick.
_LEVELS_DB = {
    "kick": 0.0,
    "snare": -1.0,
    "rim": -8.0,
    "clap": -5.0,
    "hihat_closed": -13.0,
    "hihat_open": -12.0,
    "tom": -4.0,
    "crash": -8.0,
    "ride": -12.0,
    "percussion": -10.0,
}
_SOUNDFONT_KITS = (0, 8, 16, 24, 25, 32, 40)
# Where one piece has no sound of its own, another one stands in.
_STAND_INS = {"rim": "snare", "clap": "snare", "hihat_open": "hihat_closed", "ride": "hihat_closed"}


@dataclass(frozen=True)
class Kit:
    """Hits by piece, from soft to loud, each piece with its place in the stereo image."""

    hits: dict[str, list[Item]]
    pans: dict[str, float]


class DrumMaker:
    """Renders drum stems.

    Parameters
    ----------
    library : Library
        Where hits come from.
    items : sequence of Item
        Hits that may be used.
    rooms : sequence of FloatArray
        Impulse responses.
    """

    def __init__(self, library: Library, items: Sequence[Item], rooms: Sequence[FloatArray]) -> None:
        self._library, self._rooms = library, rooms
        self._families: dict[str, dict[tuple[str, str], list[Item]]] = defaultdict(lambda: defaultdict(list))
        for item in items:
            if item.kind == "hit" and item.piece:
                label = re.sub(r"[\d_ ]+$", "", item.instrument)
                self._families[item.piece][(item.source, label)].append(item)

    def render(self, part: Part, *, length_s: float, rng: Generator) -> Take:
        """Play a drum part, as it leaves the drum bus."""
        draw = rng.random()
        out = np.zeros((2, round(length_s * SAMPLE_RATE)), np.float32)
        if draw > 0.2:
            out += levelled(self._play(self._draw_kit(rng), part, rng, length_s))
        if draw < 0.45:
            gain = 1.0 if draw < 0.2 else float(rng.uniform(0.3, 1.0))
            kit = int(rng.choice(_SOUNDFONT_KITS))
            dry = render_soundfont([part], length_s=length_s, pans=[64], drum_kit=kit)
            out += gain * levelled(dry)
        return Take(drum_bus(rng, out, self._rooms))

    def _draw_kit(self, rng: Generator) -> Kit:
        """Mostly pieces of one maker, filled up from others; a machine's kick and snare fit any kit."""
        makers = sorted({source for source, _ in self._families["snare"]})
        favourite = str(rng.choice(makers))
        hits: dict[str, list[Item]] = {}
        for piece, families in self._families.items():
            keys = sorted(families)
            own = [key for key in keys if key[0] == favourite]
            chosen = own if own and rng.random() < 0.75 else keys
            items = families[chosen[int(rng.integers(len(chosen)))]]
            hits[piece] = sorted(items, key=self._loudness)
        pans = {piece: float(rng.normal(0, 0.25)) for piece in _LEVELS_DB}
        pans |= {"kick": 0.0, "snare": float(rng.normal(0, 0.05))}
        return Kit(hits, pans)

    def _play(self, kit: Kit, part: Part, rng: Generator, length_s: float) -> FloatArray:
        out = np.zeros((2, round(length_s * SAMPLE_RATE)), np.float32)
        offsets_db = {piece: level + rng.normal(0, 2.5) for piece, level in _LEVELS_DB.items()}
        tuning = {piece: float(np.exp(rng.normal(0, 0.06))) for piece in _LEVELS_DB}
        hats = [note.start_s for note in part.notes if _piece(note.pitch).startswith("hihat")]
        for note in part.notes:
            piece = _piece(note.pitch)
            speed = tuning[piece]
            if piece == "tom":
                speed *= 2 ** ((note.pitch - 45) / 24)
            sound = self._hit(kit, piece, note, speed, rng)
            if piece.startswith("hihat"):
                sound = _choked(sound, note, hats)
            gain = 10 ** (offsets_db[piece] / 20) * (note.velocity / 110) ** 1.6
            add_at(out, panned(sound * gain, kit.pans[piece]), round(note.start_s * SAMPLE_RATE))
        return out

    def _hit(self, kit: Kit, piece: str, note: Note, speed: float, rng: Generator) -> FloatArray:
        """A hit about as hard as the note, never quite the same one twice."""
        items = kit.hits.get(piece) or kit.hits.get(_STAND_INS.get(piece, "percussion")) or kit.hits["snare"]
        place = np.clip(note.velocity / 127 + rng.normal(0, 0.1), 0, 0.999)
        item = items[int(place * len(items))]
        return trimmed(at_speed(self._library.audio(item), speed))

    def _loudness(self, item: Item) -> float:
        return float(np.abs(self._library.audio(item)).max(initial=0.0))


def looped(part: Part, length_s: float) -> Part:
    """A part repeated until it fills `length_s`."""
    end_s = part.notes[-1].start_s + 0.25
    notes = [
        replace(note, start_s=note.start_s + turn * end_s)
        for turn in range(int(length_s / end_s) + 1)
        for note in part.notes
    ]
    return replace(part, notes=tuple(note for note in notes if note.start_s < length_s))


def _piece(pitch: int) -> str:
    return PIECE_OF_PITCH.get(pitch, "percussion")


def _choked(sound: FloatArray, note: Note, hats: list[float]) -> FloatArray:
    """Cut a hi-hat where the next one sounds."""
    following = [start_s for start_s in hats if start_s > note.start_s + 0.03]
    if not following:
        return sound
    n_samples = round((following[0] - note.start_s) * SAMPLE_RATE) + 200
    cut = sound[:, :n_samples].copy()
    n_fade = min(200, cut.shape[1])
    if n_fade:
        cut[:, -n_fade:] *= np.linspace(1, 0, n_fade, dtype=np.float32)
    return cut
