"""One bar of drums in each of the styles of popular music.

A bar has sixteen sixteenths in 4/4. A stroke is (place in sixteenths, General MIDI pitch, velocity); places
between the sixteenths belong to rolls and flams.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from stemsplit.training.synthesis.kits import BRUSH

Stroke = tuple[float, int, int]
KICK, RIM, SNARE, CLAP, CLOSED, PEDAL, OPEN = 36, 37, 38, 39, 42, 44, 46
CRASHES, RIDE, BELL, TOMS = (49, 57, 52), 51, 53, (50, 48, 47, 45, 43, 41)
SHAKER, TAMBOURINE, CONGAS, COWBELL = 70, 54, (62, 63, 64), 56


@dataclass(frozen=True)
class GrooveStyle:
    """How a style is played.

    Parameters
    ----------
    bar : callable
        Draws a bar; its second argument asks for a loud one, as in choruses.
    tempos : tuple of float
        Lowest and highest tempo in beats per minute, at least a factor of two apart.
    swing : tuple of float
        Range of the delay of every other step, in steps; a third gives triplets.
    swung : int
        Sixteenths per step: 1 or 2.
    machine : float
        Share of electronic kits, which play exactly in time.
    """

    bar: Callable[[Generator, bool], list[Stroke]]
    tempos: tuple[float, float] = (70, 150)
    swing: tuple[float, float] = (0.0, 0.06)
    swung: int = 1
    machine: float = 0.1


def _row(places: Iterable[float], pitch: int, velocity: int) -> list[Stroke]:
    return [(float(place), pitch, velocity) for place in places]


def _some(rng: Generator, places: Iterable[float], share: float) -> list[float]:
    return [place for place in places if rng.random() < share]


def _hats(rng: Generator, pitch: int, step: float, velocity: int, accent: int = 18) -> list[Stroke]:
    """Return steady strokes with accents on the beat."""
    lift = accent if rng.random() < 0.7 else 0
    return [
        (place, pitch, min(127, velocity + (lift if place % 4 == 0 else 0)))
        for place in np.arange(0, 16, step)
    ]


def _ghosts(rng: Generator, share: float) -> list[Stroke]:
    places = _some(rng, (1, 3, 5, 6, 7, 9, 10, 11, 13, 15), share)
    return [(place, SNARE, int(rng.integers(18, 45))) for place in places]


def _rock(rng: Generator, loud: bool) -> list[Stroke]:
    wash = [OPEN, OPEN, RIDE, CRASHES[0]]
    cymbal = int(rng.choice(wash)) if loud else int(rng.choice([CLOSED, CLOSED, CLOSED, RIDE]))
    step = 4 if cymbal in CRASHES or rng.random() < 0.3 else 2
    kicks = [0, 8, *_some(rng, (2, 3, 6, 7, 10, 11, 14), 0.28)]
    out = _row(kicks, KICK, 112) + _row((4, 12), SNARE, 115)
    return out + _hats(rng, cymbal, step, 95 if loud else 80) + _ghosts(rng, float(rng.choice([0, 0.12])))


def _four_floor(rng: Generator, loud: bool) -> list[Stroke]:
    out = _row((0, 4, 8, 12), KICK, 118)
    out += _row((2, 6, 10, 14), OPEN if loud or rng.random() < 0.6 else CLOSED, 96)
    out += _row((4, 12), CLAP if rng.random() < 0.7 else SNARE, 105) if loud or rng.random() < 0.7 else []
    out += _hats(rng, CLOSED, 1, 55, 10) if rng.random() < 0.5 else []
    return out + (_hats(rng, SHAKER, 1, 60) if rng.random() < 0.35 else [])


def _disco(rng: Generator, loud: bool) -> list[Stroke]:
    out = _row((0, 4, 8, 12), KICK, 110) + _row((4, 12), SNARE, 112)
    out += _row([p for p in range(16) if p % 4 != 2], CLOSED, 70) + _row((2, 6, 10, 14), OPEN, 92)
    if loud and rng.random() < 0.6:
        out += _row((4, 12), CLAP, 95) + _hats(rng, TAMBOURINE, 1, 60)
    return out


def _trap(rng: Generator, loud: bool) -> list[Stroke]:
    out = _row([0, *_some(rng, (3, 6, 7, 10, 11, 14, 15), 0.28)], KICK, 115)
    out += _row((8,), CLAP, 112) + (_row((8,), SNARE, 100) if rng.random() < 0.5 else [])
    out += _hats(rng, CLOSED, float(rng.choice([1, 2])), 82, 12)
    for start in _some(rng, (2, 6, 10, 12, 14), 0.45 if loud else 0.3):
        step = float(rng.choice([1 / 2, 1 / 3, 2 / 3, 1 / 4]))
        roll = np.arange(start, min(16, start + 2), step)
        out += [(float(p), CLOSED, int(60 + 40 * i / len(roll))) for i, p in enumerate(roll)]
    return out + _row(_some(rng, (6, 14), 0.25), OPEN, 85)


def _boom_bap(rng: Generator, loud: bool) -> list[Stroke]:
    out = _row([0, *_some(rng, (2, 5, 7, 9, 10, 13, 15), 0.3)], KICK, 114) + _row((4, 12), SNARE, 116)
    out += _hats(rng, CLOSED, 2, 78) + _row(_some(rng, (3, 7, 11, 15), 0.3), CLOSED, 55)
    return out + _ghosts(rng, 0.1) + (_row((14,), OPEN, 80) if loud and rng.random() < 0.5 else [])


def _breakbeat(rng: Generator, loud: bool) -> list[Stroke]:
    out = _row([0, 2, *_some(rng, (3, 10, 11, 14), 0.55)], KICK, 110)
    out += _row([4, 12, *_some(rng, (7, 9, 15), 0.4)], SNARE, 108) + _ghosts(rng, 0.25)
    return out + _hats(rng, RIDE if loud and rng.random() < 0.5 else CLOSED, 2, 82)


def _drum_and_bass(rng: Generator, loud: bool) -> list[Stroke]:
    out = _row([0, 10, *_some(rng, (7, 11, 14), 0.2)], KICK, 114) + _row((4, 12), SNARE, 116)
    return out + _ghosts(rng, 0.25) + _hats(rng, OPEN if loud and rng.random() < 0.3 else CLOSED, 2, 78)


def _one_drop(rng: Generator, loud: bool) -> list[Stroke]:
    snare = RIM if rng.random() < 0.65 else SNARE
    out = _row((0, 4, 8, 12) if loud and rng.random() < 0.5 else (8,), KICK, 108) + _row((8,), snare, 108)
    out += _hats(rng, CLOSED, 2, 78) + _row(_some(rng, (3, 7, 11, 15), 0.25), CLOSED, 60)
    return out + _row(_some(rng, (6, 14), 0.2), OPEN, 82) + _row(_some(rng, (5, 13, 15), 0.15), RIM, 70)


def _metal(rng: Generator, loud: bool) -> list[Stroke]:
    kicks = np.arange(16) if rng.random() < 0.6 else [p for p in range(16) if p % 4 != 1]
    snares = (8,) if rng.random() < 0.4 else (4, 12)
    cymbal = int(rng.choice([CRASHES[0], CRASHES[2], OPEN, BELL] if loud else [RIDE, CLOSED, BELL]))
    return _row(kicks, KICK, 108) + _row(snares, SNARE, 120) + _hats(rng, cymbal, 4 if loud else 2, 100)


def _blast(rng: Generator, loud: bool) -> list[Stroke]:
    cymbal = CRASHES[0] if loud else RIDE
    out = _row(np.arange(0, 16, 2), KICK, 112) + _row(np.arange(1, 16, 2), SNARE, 104)
    return out + _row(np.arange(0, 16, 4 if rng.random() < 0.4 else 2), cymbal, 98)


def _punk(rng: Generator, loud: bool) -> list[Stroke]:
    out = _row([0, 3, 8, 10] if rng.random() < 0.5 else [0, 2, 8, 10], KICK, 114)
    cymbal = CRASHES[1] if loud and rng.random() < 0.4 else OPEN
    return out + _row((4, 12), SNARE, 120) + _hats(rng, cymbal, float(rng.choice([2, 4])), 104)


def _half_time(rng: Generator, loud: bool) -> list[Stroke]:
    out = _row([0, *_some(rng, (3, 6, 10, 11, 14), 0.35)], KICK, 114) + _row((8,), SNARE, 120)
    cymbal = int(rng.choice([CRASHES[0], OPEN, RIDE])) if loud else CLOSED
    return out + _hats(rng, cymbal, 4 if loud else 2, 92) + _ghosts(rng, 0.08)


def _ballad(rng: Generator, loud: bool) -> list[Stroke]:
    out = _row([0, *_some(rng, (7, 10, 14), 0.4)], KICK, 96) + _row((4, 12), SNARE if loud else RIM, 95)
    return out + _hats(rng, RIDE if loud or rng.random() < 0.3 else CLOSED, float(rng.choice([1, 2])), 62)


def _brushes(rng: Generator, loud: bool) -> list[Stroke]:
    out = _hats(rng, BRUSH, float(rng.choice([2, 4])), 75) + _row((4, 12), PEDAL, 80)
    out += _row(_some(rng, (0, 8, 10), 0.6), KICK, 75) + _row(_some(rng, (6, 12, 14), 0.35), SNARE, 60)
    return out + (_row([0, 4, 6, 8, 12, 14], RIDE, 80) if loud else [])


def _funk(rng: Generator, loud: bool) -> list[Stroke]:
    out = _row([0, *_some(rng, (2, 3, 6, 7, 9, 10, 11, 14, 15), 0.35)], KICK, 110)
    out += _row((4, 12), SNARE, 116) + _ghosts(rng, 0.35) + _hats(rng, CLOSED, 1, 68, 25)
    return out + _row(_some(rng, (6, 7, 14, 15), 0.25), OPEN, 88) + (_row((0,), BELL, 90) if loud else [])


def _backbeat_tambourine(rng: Generator, loud: bool) -> list[Stroke]:
    out = _row((0, 6, 8, 14) if rng.random() < 0.5 else (0, 7, 8), KICK, 110)
    out += _row(np.arange(0, 16, 4) if loud or rng.random() < 0.3 else (4, 12), SNARE, 112)
    return out + _hats(rng, TAMBOURINE, float(rng.choice([2, 4])), 85) + _hats(rng, CLOSED, 2, 70)


def _toms(rng: Generator, loud: bool) -> list[Stroke]:
    low, middle = int(rng.choice([41, 43])), int(rng.choice([45, 47]))
    out = _row((0, 8, *_some(rng, (3, 6, 11, 14), 0.4)), KICK, 112) + _hats(rng, low, 2, 92)
    return (
        out
        + _row(_some(rng, (3, 7, 11, 13, 15), 0.4), middle, 88)
        + _row((4, 12) if loud else (12,), SNARE, 108)
    )


def _latin(rng: Generator, loud: bool) -> list[Stroke]:
    out = _row((0, 3, 8, 11), KICK, 100) + _row((3, 6, 10, 12), RIM if not loud else SNARE, 90)
    out += [(p, int(rng.choice(CONGAS)), int(rng.integers(60, 100))) for p in _some(rng, range(16), 0.6)]
    return out + _hats(rng, SHAKER, 1, 70) + _row(_some(rng, (0, 4, 8, 12), 0.3), COWBELL, 85)


GROOVE_STYLES = {
    "rock": GrooveStyle(_rock),
    "hard rock": GrooveStyle(lambda rng, _: _rock(rng, True), (80, 170)),
    "house": GrooveStyle(_four_floor, (90, 185), machine=0.95),
    "disco": GrooveStyle(_disco, (85, 170), machine=0.3),
    "trap": GrooveStyle(_trap, (90, 185), (0, 0), machine=1.0),
    "boom bap": GrooveStyle(_boom_bap, (60, 125), (0.1, 0.34), machine=0.5),
    "breakbeat": GrooveStyle(_breakbeat, (80, 165), (0.0, 0.2), machine=0.3),
    "drum and bass": GrooveStyle(_drum_and_bass, (110, 225), machine=0.6),
    "reggae": GrooveStyle(_one_drop, (60, 125), (0.0, 0.3), machine=0.15),
    "metal": GrooveStyle(_metal, (80, 165), (0, 0)),
    "blast": GrooveStyle(_blast, (85, 175), (0, 0)),
    "punk": GrooveStyle(_punk, (100, 205)),
    "half time": GrooveStyle(_half_time, (70, 145), (0.0, 0.15), machine=0.3),
    "ballad": GrooveStyle(_ballad, (50, 105), (0.0, 0.2)),
    "brushes": GrooveStyle(_brushes, (60, 125), (0.2, 0.36), 2),
    "shuffle": GrooveStyle(_rock, (70, 145), (0.2, 0.36), 2),
    "funk": GrooveStyle(_funk, (65, 135), (0.0, 0.2), machine=0.15),
    "soul": GrooveStyle(_backbeat_tambourine, (70, 145), (0.0, 0.2)),
    "toms": GrooveStyle(_toms, (70, 150)),
    "latin": GrooveStyle(_latin, (65, 135), machine=0.2),
}
_SHARES = {
    "rock": 4,
    "hard rock": 3,
    "half time": 2,
    "house": 2,
    "trap": 2,
    "boom bap": 2,
    "funk": 1.5,
    "punk": 1.5,
}


def draw_groove_style(rng: Generator) -> str:
    """Draw the name of a style; the common ones are more frequent."""
    names = sorted(GROOVE_STYLES)
    shares = np.array([_SHARES.get(name, 1.0) for name in names])
    return str(rng.choice(names, p=shares / shares.sum()))
