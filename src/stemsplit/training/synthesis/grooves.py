"""Drum parts of songs: sections, variations, fills and breaks, in human or in machine timing."""

from dataclasses import replace

import numpy as np
from numpy.random import Generator

from stemsplit.training.synthesis.groove_styles import (
    CLOSED,
    CONGAS,
    CRASHES,
    GROOVE_STYLES,
    KICK,
    OPEN,
    SHAKER,
    SNARE,
    TAMBOURINE,
    TOMS,
    GrooveStyle,
    Stroke,
    draw_groove_style,
)
from stemsplit.training.synthesis.midi import MidiPart, Note

_STROKE_S = 0.1


def draw_groove(rng: Generator, *, tempo: float, length_s: float, style: str = "") -> MidiPart:
    """Generate a drum part.

    Parameters
    ----------
    rng : Generator
        Random generator of all choices.
    tempo : float
        Beats per minute; doubled or halved into the range of the style.
    length_s : float
        Length in seconds.
    style : str
        One of `GROOVE_STYLES`; drawn at random if empty.

    Returns
    -------
    MidiPart
        Strokes in order of time; the name of the part is its style.
    """
    style = style or draw_groove_style(rng)
    manner = GROOVE_STYLES[style]
    sixteenth_s = 15 / fit_tempo(tempo, manner.tempos)
    n_bars = int(np.ceil(length_s / (16 * sixteenth_s)))
    swing = float(rng.uniform(*manner.swing))
    jitter_s = 0.0 if rng.random() < manner.machine else float(rng.uniform(0.002, 0.009))
    notes: list[Note] = []
    for index, bar in enumerate(_draw_bars(rng, manner, n_bars)):
        for place, pitch, velocity in bar:
            late = swing if int(place / manner.swung) % 2 and place % manner.swung == 0 else 0.0
            start_s = (16 * index + place + late * manner.swung) * sixteenth_s
            start_s += float(rng.normal(0, jitter_s)) if jitter_s else 0.0
            loud = int(np.clip(velocity + rng.normal(0, 5 if jitter_s else 2), 1, 127))
            notes.append(Note(max(0.0, start_s), _STROKE_S, pitch, loud))
    ordered = sorted((note for note in notes if note.start_s < length_s), key=lambda note: note.start_s)
    return MidiPart(-1, tuple(ordered), style)


def fit_tempo(tempo: float, tempos: tuple[float, float]) -> float:
    """Double or halve a tempo until it lies within `tempos`, the slowest and the fastest."""
    lowest, highest = tempos
    tempo = float(np.clip(tempo, 20, 500))
    while tempo < lowest:
        tempo *= 2
    while tempo > highest and tempo / 2 >= lowest:
        tempo /= 2
    return tempo


def _draw_bars(rng: Generator, manner: GrooveStyle, n_bars: int) -> list[list[Stroke]]:
    """Draw the bars of a song.

    Sections of 4 or 8 bars, each with its pattern and a fill or a break at its end.
    """
    bars: list[list[Stroke]] = []
    loud = bool(rng.random() < 0.4)
    layer = _draw_percussion(rng) if rng.random() < 0.3 else []
    while len(bars) < n_bars:
        bars += _draw_section(rng, manner, layer if loud or rng.random() < 0.5 else [], loud=loud)
        loud = not loud if rng.random() < 0.7 else loud
    silent = int(rng.integers(1, 5)) if rng.random() < 0.1 else 0
    return [[] if index < silent and n_bars > 8 else bar for index, bar in enumerate(bars[:n_bars])]


def _draw_section(
    rng: Generator, manner: GrooveStyle, layer: list[Stroke], *, loud: bool
) -> list[list[Stroke]]:
    n_bars = int(rng.choice([4, 8]))
    first = manner.bar(rng, loud) + layer
    second = vary_bar(first, rng)
    bars = [list(second if index % 2 else first) for index in range(n_bars)]
    if rng.random() < (0.8 if loud else 0.45):
        bars[0] = [(0.0, int(rng.choice(CRASHES)), 115), *bars[0]]
    draw = rng.random()
    if draw < 0.55:
        bars[-1] = add_fill(bars[-1], rng)
    elif draw < 0.68:
        start = float(rng.choice([0, 4, 8, 12]))
        bars[-1] = [stroke for stroke in bars[-1] if stroke[0] < start]
    elif draw < 0.73:
        bars = [[s for s in bar if s[1] != KICK] for bar in bars]
    elif draw < 0.78:
        bars[:2] = [
            [s for s in bar if s[1] in (CLOSED, OPEN, SHAKER, TAMBOURINE, *CONGAS)] for bar in bars[:2]
        ]
    return bars


def vary_bar(bar: list[Stroke], rng: Generator) -> list[Stroke]:
    """Move some kicks of a bar."""
    out = [s for s in bar if s[1] != KICK or s[0] == 0 or rng.random() < 0.8]
    if any(stroke[1] == KICK for stroke in bar) and rng.random() < 0.6:
        out.append((float(rng.choice([6, 7, 10, 11, 14])), KICK, 104))
    return out


def add_fill(bar: list[Stroke], rng: Generator) -> list[Stroke]:
    """End a bar in a fill: down the toms, a snare roll, or a build-up."""
    start = float(rng.choice([8, 8, 12, 12, 14, 0], p=[0.2, 0.2, 0.25, 0.2, 0.1, 0.05]))
    step = float(rng.choice([1, 1, 0.5, 2 / 3, 2]))
    places = np.arange(start, 16, step)
    kind = int(rng.integers(3))
    out = [stroke for stroke in bar if stroke[0] < start]
    for index, place in enumerate(places):
        progress = index / len(places)
        pitch = SNARE if kind == 1 or (kind == 2 and index % 3 == 0) else TOMS[int(progress * len(TOMS))]
        velocity = int(80 + 35 * progress) if kind == 1 else int(rng.integers(90, 120))
        out.append((float(place), pitch, velocity))
        if kind != 1 and place % 4 == 0:
            out.append((float(place), KICK, 100))
        if rng.random() < 0.12:
            out.append((max(0.0, float(place) - 0.15), pitch, velocity // 2))  # a flam
    return out


def _draw_percussion(rng: Generator) -> list[Stroke]:
    """Draw percussion that runs through a whole section."""
    kind = int(rng.integers(4))
    if kind == 0:
        return [
            (float(place), CONGAS[int(rng.integers(3))], 85) for place in range(16) if rng.random() < 0.45
        ]
    if kind == 1:
        return [(4.0, 39, 100), (12.0, 39, 100)]
    pitch = SHAKER if kind == 2 else TAMBOURINE
    step = int(rng.choice([1, 2]))
    return [(float(place), pitch, 90 if place % 4 == 0 else 62) for place in range(0, 16, step)]


def loop_part(part: MidiPart, length_s: float, *, bar_s: float) -> MidiPart:
    """Repeat a part of whole bars until it fills `length_s`; a part without notes is returned as it is."""
    if not part.notes:
        return part
    # A stroke on the final bar line is the first of the next repetition.
    period_s = bar_s * max(1, np.ceil(part.notes[-1].start_s / bar_s - 0.05))
    once = [note for note in part.notes if note.start_s < period_s - 0.02 * bar_s]
    notes = [
        replace(note, start_s=note.start_s + repetition * period_s)
        for repetition in range(int(length_s / period_s) + 1)
        for note in once
    ]
    return replace(part, notes=tuple(note for note in notes if note.start_s < length_s))


def add_breaks(part: MidiPart, rng: Generator, *, bar_s: float) -> MidiPart:
    """Remove the notes of a bar or two in some places, as breaks in songs do."""
    if not part.notes:
        return part
    gaps = []
    for index in range(3, int(part.notes[-1].start_s / bar_s), 4):
        if rng.random() < 0.2:
            length = float(rng.choice([0.25, 0.5, 1, 1, 2]))
            gaps.append(((index + 1 - min(1.0, length)) * bar_s, (index + max(1.0, length)) * bar_s))
    notes = (n for n in part.notes if not any(start <= n.start_s + 0.02 < stop for start, stop in gaps))
    return replace(part, notes=tuple(notes))
