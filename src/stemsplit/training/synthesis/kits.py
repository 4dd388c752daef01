"""Drum kits made of the library's hits: pieces layered, equalised and balanced as on a record."""

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pedalboard as pb
from numpy.random import Generator

from stemsplit.training import SAMPLE_RATE
from stemsplit.training.data.library import Item, Library
from stemsplit.training.examples.augment import change_speed
from stemsplit.training.synthesis.drum_synth import synthesise_hit
from stemsplit.training.synthesis.effects import apply_plugins
from stemsplit.training.synthesis.sampler import trim_onset
from stemsplit.types import FloatArray

BRUSH = 31
_PIECES = {
    "kick": (35, 36),
    "snare": (38, 40),
    "rim": (37,),
    "clap": (39,),
    "hihat_closed": (22, 42, 44),
    "hihat_open": (26, 46),
    "tom": (41, 43, 45, 47, 48, 50, 58),
    "crash": (49, 52, 55, 57),
    "ride": (51, 59),
    "ride_bell": (53,),
    "tambourine": (54,),
    "cowbell": (56,),
    "conga": (60, 61, 62, 63, 64),
    "shaker": (69, 70, 82),
    "brush": (BRUSH,),
}
PIECE_OF_PITCH = {pitch: piece for piece, pitches in _PIECES.items() for pitch in pitches}
# Median and standard deviation of the peak level of each piece, in dB relative to the kick.
_LEVELS_DB = {
    "kick": (0.0, 2.5),
    "snare": (0.0, 2.5),
    "rim": (-6.0, 3.0),
    "clap": (-4.0, 3.0),
    "hihat_closed": (-13.0, 4.0),
    "hihat_open": (-13.0, 3.5),
    "tom": (-2.0, 2.5),
    "crash": (-9.0, 3.5),
    "ride": (-13.0, 4.0),
    "ride_bell": (-12.0, 4.0),
    "tambourine": (-16.0, 4.0),
    "cowbell": (-13.0, 4.0),
    "conga": (-8.0, 4.0),
    "shaker": (-18.0, 4.0),
    "brush": (-8.0, 3.0),
    "percussion": (-10.0, 4.0),
}
# Pieces that the index files under another name: the first match wins.
_TRUE_PIECES = (
    (r"CL \w+ Hat|STMP Hat|-ch$|hat_|hihat-", "hihat_closed"),
    (r"OP \w+ Hat|-oh$", "hihat_open"),
    (r"symph", "percussion"),
    (r"Kdrum", "kick"),
    (r"univox-sd", "snare"),
    (r"tamb", "tambourine"),
    (r"cowb", "cowbell"),
    (r"conga|bongo", "conga"),
    (r"cabasa|shak|marac", "shaker"),
    (r"guiro|clave|CR-78 rim", "percussion"),
    (r"cymb", "crash"),
)
_RIDE_BELL = r"ride[lr]?bell|bell ride"  # the bell is tonal, other strokes on a ride are noisy
_N_STRENGTHS = 6
_SHORTEST_S = {"crash": 0.5, "ride": 0.5, "ride_bell": 0.5, "hihat_open": 0.3, "kick": 0.15, "snare": 0.1}


@dataclass(frozen=True)
class Drum:
    """One piece of a kit: its sounds from soft to loud, ``(2, samples)`` at peak one, and its level in dB."""

    sounds: tuple[FloatArray, ...]
    level_db: float

    def hit(self, strength: float, rng: Generator) -> FloatArray:
        """Return a sound of about the given strength, 0 to 1."""
        place = np.clip(strength + rng.normal(0, 0.1), 0, 0.999)
        return self.sounds[int(place * len(self.sounds))]


def classify_piece(item: Item) -> str:
    """Return the piece of a kit that a hit is, which the index may file under another name."""
    if re.search(_RIDE_BELL, item.instrument, re.IGNORECASE):
        return "ride_bell"
    if item.piece in ("hihat_closed", "hihat_open", "ride"):
        return item.piece
    found = (piece for pattern, piece in _TRUE_PIECES if re.search(pattern, item.instrument, re.IGNORECASE))
    return next(found, item.piece)


def is_machine(item: Item) -> bool:
    """Return whether a hit comes from a drum machine."""
    return "acoustic" not in item.instrument and not item.instrument.startswith("drum_")


class Kits:
    """Draws kits from a selection of hits.

    Parameters
    ----------
    library : Library
        Source of the hits.
    items : sequence of Item
        Hits that may be used.
    """

    def __init__(self, library: Library, items: Sequence[Item]) -> None:
        self._library = library
        self._families: dict[str, dict[tuple[str, str], list[Item]]] = defaultdict(lambda: defaultdict(list))
        for item in items:
            if item.kind == "hit" and item.piece:
                label = re.sub(r"[\d_ ]+$", "", item.instrument)
                self._families[classify_piece(item)][(item.source, label)].append(item)

    def draw(self, rng: Generator, pieces: Iterable[str], *, machine: bool) -> dict[str, Drum]:
        """Draw a kit of the given pieces, mostly from one source.

        Parameters
        ----------
        rng : Generator
            Random generator of all choices.
        pieces : iterable of str
            Names as in `PIECE_OF_PITCH`; a piece that the library lacks is synthesised.
        machine : bool
            Whether electronic sounds are preferred to acoustic ones.
        """
        sources = {s for families in self._families.values() for s, _ in families}
        favourite = str(rng.choice(sorted(sources))) if sources else ""
        return {
            piece: self._draw_drum(piece, favourite, rng, machine=machine) for piece in sorted(set(pieces))
        }

    def _draw_drum(self, piece: str, favourite: str, rng: Generator, *, machine: bool) -> Drum:
        sounds = self._draw_sounds(piece, favourite, rng, machine=machine)
        layers = {"snare": (0, 0, 1, 1, 2), "kick": (0, 0, 1), "clap": (0, 1)}.get(piece, (0,))
        for _ in range(int(rng.choice(layers))):
            second = "clap" if piece == "snare" and rng.random() < 0.25 else piece
            others = self._draw_sounds(second, "", rng, machine=bool(rng.random() < 0.5))
            gain = float(rng.uniform(0.25, 0.9))
            sounds = [
                _add_padded(s, gain * others[i * len(others) // len(sounds)]) for i, s in enumerate(sounds)
            ]
        tone = _draw_tone(piece, rng)
        if piece == "hihat_closed" and rng.random() < 0.75:
            sounds = _damp(sounds, float(np.exp(rng.uniform(np.log(0.02), np.log(0.12)))))
        shaped = [_normalise(_fade_out(apply_plugins(sound, tone))) for sound in sounds]
        middle_db, spread_db = _LEVELS_DB.get(piece, _LEVELS_DB["percussion"])
        return Drum(tuple(shaped), float(middle_db + np.clip(rng.normal(0, spread_db), -8, 8)))

    def _draw_sounds(self, piece: str, favourite: str, rng: Generator, *, machine: bool) -> list[FloatArray]:
        """Draw the sounds of one piece, from soft to loud."""
        keys = self._candidates(piece, favourite, rng, machine=machine)
        if not keys or (machine and rng.random() < 0.2):
            sounds = [synthesise_hit(piece, rng)]
        else:
            items = self._families[piece][keys[int(rng.integers(len(keys)))]]
            chosen = [items[i] for i in rng.permutation(len(items))[:_N_STRENGTHS]]
            recorded = [self._library.audio(item) for item in chosen]
            sounds = [trim_onset(x) for x in sorted(recorded, key=lambda x: float(np.abs(x).max(initial=0)))]
        speed = float(np.exp(np.clip(rng.normal(0, 0.07), -0.2, 0.2)))
        sounds = [np.repeat(change_speed(s, speed), 3 - s.shape[0], axis=0)[:2] for s in sounds]
        if len(sounds) == 1:  # a soft stroke is duller
            soft = pb.LowpassFilter(float(rng.uniform(2500, 7000)))
            sounds = [_normalise(apply_plugins(sounds[0], [soft])), *sounds]
        return sounds

    def _candidates(
        self, piece: str, favourite: str, rng: Generator, *, machine: bool
    ) -> list[tuple[str, str]]:
        families = self._families.get(piece, {})
        long_enough = _SHORTEST_S.get(piece, 0.02)
        keys = [key for key in sorted(families) if families[key][0].duration_s >= long_enough]
        alike = [key for key in keys if is_machine(families[key][0]) == machine]
        own = [key for key in alike if key[0] == favourite]
        if own and rng.random() < 0.6:
            return own
        return alike if alike and rng.random() < 0.85 else keys


def _draw_tone(piece: str, rng: Generator) -> list[pb.Plugin]:
    """Draw the equaliser of one microphone."""
    if piece == "kick":
        return [
            pb.PeakFilter(float(rng.uniform(45, 90)), float(rng.uniform(-2, 6)), 1.0),
            pb.PeakFilter(float(rng.uniform(250, 500)), float(rng.uniform(-9, 1)), 0.9),
            pb.PeakFilter(float(rng.uniform(2200, 5000)), float(rng.uniform(-3, 9)), 0.9),
        ]
    if piece in ("snare", "clap", "rim", "tom", "conga"):
        return [
            pb.HighpassFilter(float(rng.uniform(40, 90))),
            pb.PeakFilter(float(rng.uniform(150, 260)), float(rng.uniform(-3, 6)), 1.0),
            pb.HighShelfFilter(float(rng.uniform(3000, 7000)), float(rng.uniform(-4, 7))),
        ]
    if piece == "percussion":
        return [pb.PeakFilter(float(rng.uniform(300, 3000)), float(rng.normal(0, 4)), 0.8)]
    return [
        pb.HighpassFilter(float(rng.uniform(150, 500))),
        pb.PeakFilter(float(rng.uniform(800, 3500)), float(rng.uniform(-6, 3)), 0.8),
        pb.HighShelfFilter(float(rng.uniform(6000, 10000)), float(rng.uniform(-5, 5))),
    ]


def _add_padded(one: FloatArray, other: FloatArray) -> FloatArray:
    n_samples = max(one.shape[1], other.shape[1])
    padded = [np.pad(each, ((0, 0), (0, n_samples - each.shape[1]))) for each in (one, other)]
    return np.asarray(padded[0] + padded[1], np.float32)


def _normalise(sound: FloatArray) -> FloatArray:
    return np.asarray(sound / max(1e-5, float(np.abs(sound).max(initial=0.0))), np.float32)


def _damp(sounds: Sequence[FloatArray], time_s: float) -> list[FloatArray]:
    """Let sounds decay with a time constant of `time_s`, as cymbals pressed together do."""
    return [
        np.asarray(s * np.exp(-np.arange(s.shape[1]) / (time_s * SAMPLE_RATE)), np.float32) for s in sounds
    ]


def _fade_out(sound: FloatArray) -> FloatArray:
    """Fade the end: recordings of cymbals stop before they have decayed."""
    n_fade = min(sound.shape[1] // 4, SAMPLE_RATE)
    out = sound.copy()
    if n_fade:
        out[:, -n_fade:] *= np.linspace(1, 0, n_fade, dtype=np.float32) ** 1.5
    return out
