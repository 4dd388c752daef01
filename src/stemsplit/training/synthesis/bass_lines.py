"""Generated bass lines over the harmony of the other parts, locked to the kick."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from stemsplit.training.synthesis.midi import MidiPart, Note

LOWEST, HIGHEST = 28, 50
_NEAR_S = 0.07  # onsets this close to a kick are moved onto it


@dataclass(frozen=True)
class BassChord:
    """A chord for a bass: start and length in seconds, root as MIDI pitch, minor (3) or major (4) third."""

    start_s: float
    length_s: float
    root: int
    third: int


def find_bass_chords(parts: Sequence[MidiPart], *, beat_s: float, length_s: float) -> list[BassChord]:
    """Estimate the chord of every second beat from the notes that sound then.

    Silence keeps the last chord.
    """
    notes = [note for part in parts if not part.is_drums for note in part.notes]
    starts, lengths, pitches = (
        np.array([getattr(note, name) for note in notes], float) for name in ("start_s", "length_s", "pitch")
    )
    step_s = 2 * beat_s
    chords: list[BassChord] = []
    root, third = 33, 3
    for index in range(max(1, int(np.ceil(length_s / step_s)))):
        start_s = index * step_s
        sounding = np.minimum(starts + lengths, start_s + step_s) - np.maximum(starts, start_s)
        inside = sounding > 0.02
        if inside.any():
            root, third = _find_root(pitches[inside], sounding[inside])
        chords.append(BassChord(start_s, step_s, root, third))
    return chords


def _find_root(pitches: NDArray[np.float64], weights: NDArray[np.float64]) -> tuple[int, int]:
    """Return root, from the lowest E upwards, and third of the triad that explains most of the sound."""
    classes = np.bincount(pitches.astype(int) % 12, weights, minlength=12)
    classes[int(pitches.min()) % 12] += 0.5 * weights.max()
    minor, major = np.roll(classes, -3), np.roll(classes, -4)
    scores = 1.2 * classes + np.roll(classes, -7) + 0.9 * np.maximum(minor, major)
    root = int(np.argmax(scores))
    return LOWEST + (root - LOWEST) % 12, 3 if minor[root] >= major[root] else 4


def draw_line(
    rng: Generator, chords: Sequence[BassChord], kicks: Sequence[float], *, beat_s: float, style: str
) -> MidiPart:
    """Generate a bass line over chords.

    Parameters
    ----------
    rng : Generator
        Random generator of all choices.
    chords : sequence of BassChord
        Harmony as returned by `find_bass_chords`.
    kicks : sequence of float
        Times of the kick in seconds.
    beat_s : float
        Length of a beat in seconds.
    style : str
        Style of the drums, which determines the kinds of lines.

    Returns
    -------
    MidiPart
        One note at a time; its name is the kind of line.
    """
    names = _LINES_OF_STYLE.get(style, ("pump", "held", "riff", "kicks", "fifths"))
    name = str(rng.choice(names))
    if name in ("kicks", "808"):
        notes = _on_kicks(rng, chords, kicks, long=name == "808")
    else:
        notes = _LINES[name](rng, chords, beat_s)
    return MidiPart(33, tuple(sorted(notes, key=lambda note: note.start_s)), name)


def _step_times(chord: BassChord, step_s: float) -> NDArray[np.float64]:
    places = np.arange(round(chord.length_s / step_s), dtype=np.float64)
    return chord.start_s + step_s * places


def _pump(rng: Generator, chords: Sequence[BassChord], beat_s: float) -> list[Note]:
    """Play eighths on the root, sometimes with an approach to the next chord."""
    step_s = beat_s / 2
    length_s = step_s * float(rng.uniform(0.6, 1.0))
    out = [Note(float(s), length_s, chord.root, 100) for chord in chords for s in _step_times(chord, step_s)]
    for index in range(3, len(out), 4):
        if rng.random() < 0.25:
            out[index] = replace(out[index], pitch=out[index].pitch + int(rng.choice([-2, 2, 7, 12, 5])))
    return out


def _gallop(rng: Generator, chords: Sequence[BassChord], beat_s: float) -> list[Note]:
    places = (0, 0.5, 0.75) if rng.random() < 0.6 else (0, 0.25, 0.5, 0.75)
    starts = [
        (beat + place * beat_s, chord)
        for chord in chords
        for beat in _step_times(chord, beat_s)
        for place in places
    ]
    return [Note(float(start_s), 0.22 * beat_s, chord.root, 105) for start_s, chord in starts]


def _octaves(rng: Generator, chords: Sequence[BassChord], beat_s: float) -> list[Note]:
    """Play the root on the beat and its octave in between, as in disco."""
    step_s = beat_s / float(rng.choice([2, 2, 4]))
    length_s = step_s * float(rng.uniform(0.5, 0.95))
    return [
        Note(float(start_s), length_s, chord.root + 12 * (index % 2), 100)
        for chord in chords
        for index, start_s in enumerate(_step_times(chord, step_s))
    ]


def _walking(rng: Generator, chords: Sequence[BassChord], beat_s: float) -> list[Note]:
    """Play a note per beat: the root, then a chord tone or a step towards the next root."""
    out = []
    for chord, following in zip(chords, [*chords[1:], chords[-1]], strict=True):
        second = int(
            rng.choice([chord.root + chord.third, chord.root + 7, following.root + 1, following.root - 1])
        )
        out += [
            Note(chord.start_s, beat_s, chord.root, 100),
            Note(chord.start_s + beat_s, beat_s, second, 98),
        ]
        if rng.random() < 0.2:
            out.append(Note(chord.start_s + 1.67 * beat_s, 0.3 * beat_s, second, 90))
    return out


def _held(rng: Generator, chords: Sequence[BassChord], beat_s: float) -> list[Note]:
    """Hold one note as long as its chord."""
    del beat_s
    out: list[Note] = []
    for chord in chords:
        if out and out[-1].pitch == chord.root and out[-1].length_s < 2.5 and rng.random() < 0.6:
            out[-1] = replace(out[-1], length_s=out[-1].length_s + chord.length_s)
        else:
            out.append(Note(chord.start_s, chord.length_s, chord.root, 100))
    return out


def _riff(rng: Generator, chords: Sequence[BassChord], beat_s: float) -> list[Note]:
    """Repeat a figure of sixteenths over every chord."""
    places = [0, *(place for place in range(1, 8) if rng.random() < 0.42)]
    intervals = [0, *(int(rng.choice([0, 0, 0, 7, 12, 10, 5, 3])) for _ in places[1:])]
    staccato = float(rng.choice([0.5, 0.9, 1.0]))
    out = []
    for chord in chords:
        for index, (place, interval) in enumerate(zip(places, intervals, strict=True)):
            gap = ([*places, 8][index + 1] - place) * beat_s / 4
            length_s = max(0.08, staccato * gap)
            out.append(Note(chord.start_s + place * beat_s / 4, length_s, chord.root + interval, 100))
    return out


def _reggae(rng: Generator, chords: Sequence[BassChord], beat_s: float) -> list[Note]:
    """Play a short figure with rests."""
    figure = [(0.0, 0), (0.75, 0), (1.0, 7), (1.5, 12), (1.75, 3)]
    chosen = [figure[i] for i in range(5) if rng.random() < 0.6] or figure[:1]
    return [
        Note(
            chord.start_s + place * beat_s,
            0.4 * beat_s,
            chord.root + (chord.third if step == 3 else step),
            100,
        )
        for chord in chords
        for place, step in chosen
        if rng.random() < 0.92
    ]


def _fifths(rng: Generator, chords: Sequence[BassChord], beat_s: float) -> list[Note]:
    """Play root and fifth in quarters or dotted quarters."""
    place = float(rng.choice([1.0, 1.5]))
    below = -5 if rng.random() < 0.4 else 7
    pairs = [(chord, offset, step) for chord in chords for offset, step in ((0.0, 0), (place, below))]
    return [Note(c.start_s + offset * beat_s, 0.9 * beat_s, c.root + step, 100) for c, offset, step in pairs]


def _off_beat(rng: Generator, chords: Sequence[BassChord], beat_s: float) -> list[Note]:
    """Play between the kicks, as in house."""
    extra = [0.25, 0.5, 0.75] if rng.random() < 0.4 else [0.5]
    return [
        Note(
            float(beat) + place * beat_s, 0.22 * beat_s if len(extra) > 1 else 0.42 * beat_s, chord.root, 105
        )
        for chord in chords
        for beat in _step_times(chord, beat_s)
        for place in extra
    ]


def _on_kicks(
    rng: Generator, chords: Sequence[BassChord], kicks: Sequence[float], *, long: bool
) -> list[Note]:
    """Play a note with every kick and hold it until the next one."""
    times = sorted(set(kicks)) or [chord.start_s for chord in chords]
    ends = [*times[1:], times[-1] + 1.0]
    out = []
    for time_s, end_s in zip(times, ends, strict=True):
        root = max(
            (c for c in chords if c.start_s <= time_s + 0.05), key=lambda c: c.start_s, default=chords[0]
        ).root
        step = int(rng.choice([0, 0, 0, 0, 12, 7, -2, 3])) if long else 0
        if end_s - time_s > 0.07:
            out.append(Note(time_s, min(end_s - time_s, 2.5 if long else 1.2), root + step, 105))
    return out


_LINES: dict[str, Callable[[Generator, Sequence[BassChord], float], list[Note]]] = {
    "pump": _pump,
    "gallop": _gallop,
    "octaves": _octaves,
    "walking": _walking,
    "held": _held,
    "riff": _riff,
    "reggae": _reggae,
    "fifths": _fifths,
    "off-beat": _off_beat,
}
LINES = (*_LINES, "kicks", "808")
_LINES_OF_STYLE = {
    "trap": ("808", "808", "held"),
    "house": ("off-beat", "octaves", "riff", "held"),
    "disco": ("octaves", "octaves", "riff"),
    "reggae": ("reggae",),
    "metal": ("gallop", "kicks", "pump"),
    "blast": ("gallop", "held", "pump"),
    "punk": ("pump",),
    "boom bap": ("riff", "kicks", "held", "808"),
    "funk": ("riff", "riff", "octaves"),
    "brushes": ("walking", "fifths"),
    "shuffle": ("walking", "pump", "fifths"),
    "drum and bass": ("held", "808", "riff"),
    "latin": ("fifths", "riff"),
    "ballad": ("held", "kicks", "fifths"),
}


def lock_to_kicks(part: MidiPart, kicks: Sequence[float], rng: Generator, *, added: float) -> MidiPart:
    """Move a bass part onto the kicks of the drums.

    Parameters
    ----------
    part : MidiPart
        The line.
    kicks : sequence of float
        Times of the kick in seconds.
    rng : Generator
        Random generator of added notes and of deviations.
    added : float
        Share of the kicks without a note at which the sounding note is repeated.

    Returns
    -------
    MidiPart
        The part, in which onsets near a kick are within some milliseconds of it.
    """
    if not kicks or not part.notes:
        return part
    times = np.sort(np.asarray(kicks, float))
    out = [_move_to_kick(note, times, rng) for note in part.notes]
    starts = np.array([note.start_s for note in out])
    for time_s in times:
        sounding = [n for n in part.notes if n.start_s + _NEAR_S < time_s < n.start_s + n.length_s - 0.05]
        if sounding and np.abs(starts - time_s).min() > _NEAR_S and rng.random() < added:
            last = sounding[-1]
            rest_s = last.start_s + last.length_s - time_s
            out.append(replace(last, start_s=float(time_s), length_s=rest_s))
    return replace(part, notes=tuple(sorted(out, key=lambda note: note.start_s)))


def _move_to_kick(note: Note, times: NDArray[np.float64], rng: Generator) -> Note:
    nearest = float(times[int(np.argmin(np.abs(times - note.start_s)))])
    if abs(nearest - note.start_s) > _NEAR_S:
        return note
    return replace(note, start_s=max(0.0, nearest + float(np.clip(rng.normal(0, 0.004), -0.012, 0.012))))
