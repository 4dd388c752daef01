"""Sections of a song: how dense the arrangement is in each of them, and which notes of a layer they keep."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.random import Generator

from stemsplit.training.synthesis.harmony import Pulse
from stemsplit.training.synthesis.midi import Note

_FULL = 0.8


@dataclass(frozen=True)
class Section:
    """A section of a song and its density: 0 where almost nothing plays, 1 where everything plays."""

    start_s: float
    end_s: float
    density: float


def draw_sections(rng: Generator, pulse: Pulse, length_s: float) -> list[Section]:
    """Draw sections of two, four or eight bars that fill `length_s` seconds.

    Dense and sparse sections alternate more or less strongly; at least one section is dense.
    """
    contrast = float(rng.uniform(0.3, 1.0))
    full = bool(rng.random() < 0.5)
    sections: list[Section] = []
    start_s = 0.0
    while start_s < length_s:
        bars = int(rng.choice([2, 4, 8], p=[0.25, 0.55, 0.2]))
        end_s = start_s + 4 * bars * pulse.beat_s + (pulse.offset_s if not sections else 0.0)
        density = 1 - contrast * (rng.uniform(0, 0.15) if full else rng.uniform(0.6, 1.0))
        sections.append(Section(start_s, min(end_s, length_s), float(density)))
        start_s, full = end_s, bool(rng.random() < (0.3 if full else 0.75))
    if max(section.density for section in sections) < _FULL:
        index = int(rng.integers(len(sections)))
        sections[index] = replace(sections[index], density=1.0)
    return sections


def notes_in_sections(notes: Iterable[Note], sections: Sequence[Section], entry: float) -> tuple[Note, ...]:
    """Return the notes of a layer that plays where the density of a section reaches `entry`, 0 to 1.

    A note that is still sounding when its section ends is cut there, unless the layer plays on.
    """
    kept = []
    for note in notes:
        section = next((each for each in sections if each.start_s <= note.start_s < each.end_s), None)
        if section is not None and section.density >= entry:
            following = next((each for each in sections if each.start_s == section.end_s), None)
            stays = following is not None and following.density >= entry
            room_s = np.inf if stays else section.end_s - note.start_s
            length_s = max(0.03, min(note.length_s, float(room_s)))
            kept.append(Note(note.start_s, length_s, note.pitch, note.velocity))
    return tuple(kept)
