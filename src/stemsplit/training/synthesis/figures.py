"""Figures that accompanying instruments play over chords: strums, riffs, arpeggios, pads.

Every figure takes chords and returns notes in the order of their starts. No figure goes below `LOWEST`, the
register of the bass, except for an occasional left hand under held chords.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.random import Generator

from stemsplit.training.synthesis.harmony import Chord, Pulse
from stemsplit.training.synthesis.midi import Note

LOWEST = 40
# Accents in sixteenths of a bar: 0 rests, 1 is a muted scratch, 2 a weak and 3 a strong stroke.
_STRUMS = (
    "3000303030003030",
    "3000302230203020",
    "3020302030203020",
    "3121312131213121",
    "3112011231120112",
    "0030003000300030",
    "0020003000200030",
    "3000000030000020",
    "3003003030030030",
    "3222322232223222",
)
_STABS = ("3000000000000000", "0030000000300000", "3000003000000000", "3003003000000000", "0000300000003000")


def raise_octaves(notes: Sequence[Note], lowest: int = LOWEST) -> tuple[Note, ...]:
    """Raise the notes below `lowest` by octaves."""
    return tuple(
        note if note.pitch >= lowest else replace(note, pitch=lowest + (note.pitch - lowest) % 12)
        for note in notes
    )


def humanise(notes: Sequence[Note], rng: Generator, spread_s: float = 0.008) -> tuple[Note, ...]:
    """Vary starts and velocities of notes, as a second performance would."""
    shifts, forces = rng.normal(0, spread_s, len(notes)), rng.normal(0, 6, len(notes))
    return tuple(
        replace(note, start_s=max(0.0, note.start_s + shift), velocity=_velocity(note.velocity + force))
        for note, shift, force in zip(notes, shifts, forces, strict=True)
    )


def held_chords(chords: Sequence[Chord], rng: Generator) -> tuple[Note, ...]:
    """Return chords held until the next one, in three to five voices, sometimes over their deep roots."""
    lowest, n_notes = int(rng.integers(52, 61)), int(rng.integers(3, 6))
    deepest, is_deep = int(rng.integers(28, LOWEST)), rng.random() < 0.25
    return tuple(
        Note(chord.start_s, chord.length_s * 0.99, pitch, 90)
        for chord in chords
        for pitch in [deepest + (chord.root - deepest) % 12] * is_deep + [*chord.voicing(lowest, n_notes)]
    )


def strums(chords: Sequence[Chord], pulse: Pulse, rng: Generator) -> tuple[Note, ...]:
    """Return strummed guitar chords, down and up, with 8 to 25 ms between the first and the last string.

    Muted scratches are notes shorter than 50 ms.
    """
    pattern, n_strings = _draw_pattern(_STRUMS, rng), int(rng.integers(3, 7))
    spread_s, lowest = float(rng.uniform(0.008, 0.025)), int(rng.integers(LOWEST, 53))
    step_s, ring = pulse.beat_s / 4, float(rng.choice([0.5, 0.95, 2.0]))
    notes: list[Note] = []
    for chord in chords:
        strings = chord.voicing(lowest, n_strings)
        for index in range(round(chord.length_s / step_s)):
            stroke = int(pattern[index % 16])
            if stroke:
                start_s = chord.start_s + index * step_s
                length_s = 0.04 if stroke == 1 else _until_next(pattern, index) * step_s * ring
                order = strings if index % 4 in (0, 2) else strings[::-1]
                notes += _stroke(order, start_s, length_s, rng, spread_s=spread_s, velocity=50 + 20 * stroke)
    return tuple(notes)


def power_chords(chords: Sequence[Chord], pulse: Pulse, rng: Generator) -> tuple[Note, ...]:
    """Return roots, fifths and octaves: held, in eighths or in sixteenths, palm-muted between accents."""
    step_s = pulse.beat_s * float(rng.choice([0.25, 0.5, 0.5, 1.0, 4.0]))
    accent, muted = int(rng.choice([2, 3, 4, 8])), bool(rng.random() < 0.6) and step_s < 0.6
    steps = rng.choice([0, 0, 0, 0, 3, 5, -2], 8) if rng.random() < 0.3 else np.zeros(8, int)
    lowest = int(rng.integers(LOWEST - 2, LOWEST + 3)) + 2
    notes: list[Note] = []
    for chord in chords:
        root = lowest + (chord.root - lowest) % 12
        for index in range(max(1, round(chord.length_s / step_s))):
            is_mute = muted and index % accent != 0
            ups = (0, 7) if is_mute else (0, 7, 12)
            length_s = step_s * (0.4 if is_mute else 0.97)
            pitch = root + int(steps[index % 8])
            start_s = chord.start_s + index * step_s
            strings, velocity = [pitch + up for up in ups], 85 if is_mute else 115
            notes += _stroke(strings, start_s, length_s, rng, spread_s=0.006, velocity=velocity)
    return raise_octaves(notes)


def arpeggio(chords: Sequence[Chord], pulse: Pulse, rng: Generator, *, lowest: int) -> tuple[Note, ...]:
    """Return broken chords in eighths or sixteenths: up, down, both, or in a fixed random order."""
    step_s = pulse.beat_s * float(rng.choice([0.25, 0.25, 0.5]))
    n_tones, ring = int(rng.integers(3, 7)), float(rng.choice([0.5, 0.95, 3.0]))
    order = list(range(n_tones))
    kind = int(rng.integers(4))
    order = [order, order[::-1], order + order[-2:0:-1], list(rng.permutation(n_tones))][kind]
    notes: list[Note] = []
    for chord in chords:
        tones = chord.voicing(lowest, n_tones)
        for index in range(round(chord.length_s / step_s)):
            velocity = _velocity(95 + 15 * (index % 4 == 0) + rng.normal(0, 5))
            pitch = tones[order[index % len(order)]]
            notes.append(Note(chord.start_s + index * step_s, step_s * ring, pitch, velocity))
    return tuple(notes)


def stabs(chords: Sequence[Chord], pulse: Pulse, rng: Generator) -> tuple[Note, ...]:
    """Return short chords in a few places of the bar, as played by brass, strings or reggae guitars."""
    pattern, lowest = _draw_pattern(_STABS, rng), int(rng.integers(52, 62))
    length_s, step_s = float(rng.uniform(0.08, 0.35)), pulse.beat_s / 4
    return tuple(
        Note(chord.start_s + index * step_s, length_s, pitch, 110)
        for chord in chords
        for index in range(round(chord.length_s / step_s))
        if pattern[index % 16] != "0"
        for pitch in chord.voicing(lowest, 4)
    )


def melody_line(chords: Sequence[Chord], pulse: Pulse, rng: Generator, *, lowest: int) -> tuple[Note, ...]:
    """Return a monophonic melody: chord tones on the beats, scale steps between them, rests."""
    pitch, notes = lowest + 7, []
    rhythm = [(0.5, 0.5, 1), (1, 1), (0.5, 0.25, 0.25, 1), (2,), (1.5, 0.5), (4,)]
    for chord in chords:
        beat = 0.0
        beats = chord.length_s / pulse.beat_s
        while beat < beats - 0.01:
            for length in rhythm[int(rng.integers(len(rhythm)))]:
                if beat >= beats - 0.01:
                    break
                pitch = _next_pitch(chord, pitch, lowest, beat % 1 == 0, rng)
                if rng.random() < 0.85:
                    start_s, length_s = chord.start_s + beat * pulse.beat_s, length * pulse.beat_s * 0.97
                    notes.append(Note(start_s, length_s, pitch, int(rng.integers(85, 120))))
                beat += length
    return tuple(notes)


def repeat_riff(notes: Sequence[Note], chords: Sequence[Chord]) -> tuple[Note, ...]:
    """Repeat the notes of the first chord over every other chord."""
    if not chords:
        return ()
    first = chords[0]
    cell = [note for note in notes if note.start_s < first.start_s + first.length_s]
    return tuple(
        replace(note, start_s=note.start_s - first.start_s + chord.start_s)
        for chord in chords
        for note in cell
    )


def add_octaves(notes: Sequence[Note]) -> tuple[Note, ...]:
    """Double every note at the octave above."""
    return tuple(replace(note, pitch=note.pitch + up) for note in notes for up in (0, 12))


def _next_pitch(chord: Chord, pitch: int, lowest: int, on_beat: bool, rng: Generator) -> int:
    """Draw one of the nearest scale tones; on the beat, one of the chord tones."""
    scale = sorted({(chord.root + up) % 12 for up in (0, 2, 5, 7, 9)} | set(chord.tones))
    allowed = chord.tones if on_beat else scale
    near = [p for p in range(max(lowest, pitch - 5), min(lowest + 22, pitch + 6)) if p % 12 in allowed]
    return int(rng.choice(near)) if near else lowest + (chord.root - lowest) % 12


def _stroke(
    strings: Sequence[int], start_s: float, length_s: float, rng: Generator, *, spread_s: float, velocity: int
) -> list[Note]:
    lag_s, shift_s = spread_s / max(1, len(strings) - 1), float(rng.normal(0, 0.003))
    return [
        Note(
            max(0.0, start_s + shift_s) + index * lag_s,
            length_s,
            pitch,
            _velocity(velocity + rng.normal(0, 6)),
        )
        for index, pitch in enumerate(strings)
    ]


def _until_next(pattern: str, index: int) -> int:
    """Return the sixteenths from a stroke to the next one."""
    turned = pattern[(index % 16) + 1 :] + pattern
    return 1 + next((n for n, stroke in enumerate(turned) if stroke != "0"), 15)


def _draw_pattern(patterns: Sequence[str], rng: Generator) -> str:
    return patterns[int(rng.integers(len(patterns)))]


def _velocity(force: float) -> int:
    return int(np.clip(force, 1, 127))
