"""MIDI patterns: pieces of parts, parts of notes, times in seconds."""

import io
import re
import zipfile
import zlib
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import mido
import numpy as np

from stemsplit.errors import StemsplitError

DRUM_CHANNEL = 9
HELD_OUT_SHARE = 12  # one MIDI file in this many is reserved for validation


@dataclass(frozen=True)
class Note:
    """One note: start and length in seconds, MIDI pitch, velocity 1 to 127."""

    start_s: float
    length_s: float
    pitch: int
    velocity: int


@dataclass(frozen=True)
class MidiPart:
    """The part of one instrument: its General MIDI `program`, 0 to 127 (-1 for drums), and its notes."""

    program: int
    notes: tuple[Note, ...]
    name: str = ""

    @property
    def is_drums(self) -> bool:
        """Whether the pitches stand for drums."""
        return self.program < 0

    def window(self, start_s: float, length_s: float) -> "MidiPart":
        """Return the notes that start within a window, with times relative to its beginning."""
        notes = [
            replace(note, start_s=note.start_s - start_s)
            for note in self.notes
            if start_s <= note.start_s < start_s + length_s
        ]
        return replace(self, notes=tuple(notes))

    def transform(self, *, semitones: int = 0, stretch: float = 1.0) -> "MidiPart":
        """Return the part transposed (except for drums) and stretched in time."""
        shift = 0 if self.is_drums else semitones
        notes = [
            Note(note.start_s * stretch, note.length_s * stretch, note.pitch + shift, note.velocity)
            for note in self.notes
        ]
        return replace(self, notes=tuple(notes))


@dataclass(frozen=True)
class Pattern:
    """A piece of music: its parts, its first tempo in beats per minute, and the times of its beats."""

    name: str
    parts: tuple[MidiPart, ...]
    tempo: float
    beats_s: tuple[float, ...] = ()

    @property
    def length_s(self) -> float:
        """Start of the last note in seconds."""
        return max((part.notes[-1].start_s for part in self.parts if part.notes), default=0.0)

    def window(self, start_s: float, length_s: float) -> "Pattern":
        """Return a window of the piece; parts without notes in it are left out."""
        parts = (part.window(start_s, length_s) for part in self.parts)
        beats_s = tuple(beat_s - start_s for beat_s in self.beats_s)
        return replace(self, parts=tuple(part for part in parts if part.notes), beats_s=beats_s)

    def transform(self, *, semitones: int = 0, stretch: float = 1.0) -> "Pattern":
        """Return the piece transposed and stretched in time."""
        parts = tuple(part.transform(semitones=semitones, stretch=stretch) for part in self.parts)
        beats_s = tuple(beat_s * stretch for beat_s in self.beats_s)
        return replace(self, parts=parts, tempo=self.tempo / stretch, beats_s=beats_s)

    def with_constant_tempo(self) -> "Pattern":
        """Return the piece at the tempo that most of its notes have; time zero stays where it is."""
        starts = np.array([note.start_s for part in self.parts for note in part.notes])
        beats = np.array(self.beats_s)
        if beats.size < 2 or not starts.size:
            return self
        lengths = np.diff(beats)
        beat_s = float(np.median(lengths[np.clip(np.searchsorted(beats, starts) - 1, 0, lengths.size - 1)]))
        places = np.arange(beats.size)
        even = beat_s * (places - np.interp(0.0, beats, places))

        def moved(note: Note) -> Note:
            start_s, end_s = np.interp([note.start_s, note.start_s + note.length_s], beats, even)
            return replace(note, start_s=float(start_s), length_s=max(0.03, float(end_s - start_s)))

        parts = tuple(replace(part, notes=tuple(moved(note) for note in part.notes)) for part in self.parts)
        return replace(self, parts=parts, tempo=60 / beat_s, beats_s=tuple(even.tolist()))


def is_held_out_midi(name: str) -> bool:
    """Return whether a MIDI file is reserved for validation."""
    return zlib.crc32(name.encode()) % HELD_OUT_SHARE == 0


def pattern_names(archive: Path, *, split: str) -> list[str]:
    """List the MIDI files of one split in a zip archive.

    Raises
    ------
    StemsplitError
        The archive is missing or holds none.
    """
    if not archive.exists():
        raise StemsplitError(f"{archive} does not exist; the training library should hold it")
    with zipfile.ZipFile(archive) as file:
        names = sorted(name for name in file.namelist() if re.search(r"\.midi?$", name, re.IGNORECASE))
    chosen = [name for name in names if is_held_out_midi(name) == (split == "valid")]
    if not chosen:
        raise StemsplitError(f"{archive} holds no MIDI files for {split!r}")
    return chosen


def read_pattern(archive: Path, name: str) -> Pattern:
    """Read one MIDI file out of a zip archive."""
    with zipfile.ZipFile(archive) as file:
        midi = mido.MidiFile(file=io.BytesIO(file.read(name)), clip=True)
    tracks = [(track.name, list(_with_ticks(track))) for track in midi.tracks]
    clock = _TempoMap(midi.ticks_per_beat, (event for _, events in tracks for event in events))
    parts = [part for title, events in tracks for part in _parts(title, events, clock)]
    last = max((tick for _, events in tracks for tick, _ in events), default=0)
    return Pattern(name, tuple(parts), clock.tempo, clock.beats(last))


class _TempoMap:
    """Converts ticks to seconds through every change of tempo."""

    def __init__(self, ticks_per_beat: int, events: Iterable[tuple[int, mido.Message]]) -> None:
        changes = sorted((tick, event.tempo) for tick, event in events if event.type == "set_tempo")
        self._marks = [(0, 0.0, 500_000)]
        self._ticks_per_beat = ticks_per_beat
        for tick, tempo in changes:
            self._marks.append((tick, self.seconds(tick), tempo))
        self.tempo = 6e7 / self._marks[min(1, len(self._marks) - 1)][2]

    def seconds(self, tick: int) -> float:
        """Return the time of a tick."""
        # of several changes at one tick the last one applies; the default tempo is the first one at zero
        mark = self._marks[bisect_right(self._marks, tick, key=lambda each: each[0]) - 1]
        return mark[1] + (tick - mark[0]) * mark[2] / 1e6 / self._ticks_per_beat

    def beats(self, last: int) -> tuple[float, ...]:
        """Return the times of the quarter notes from the first tick to the one after `last`."""
        step = self._ticks_per_beat
        return tuple(self.seconds(tick) for tick in range(0, last + 2 * step, step))


def _with_ticks(track: Iterable[mido.Message]) -> Iterable[tuple[int, mido.Message]]:
    tick = 0
    for event in track:
        tick += event.time
        yield tick, event


def _parts(title: str, events: list[tuple[int, mido.Message]], clock: _TempoMap) -> list[MidiPart]:
    """Return one part for each program of a track."""
    notes: dict[int, list[Note]] = defaultdict(list)
    programs: dict[int, int] = defaultdict(int)
    sounding: dict[tuple[int, int], tuple[float, int, int]] = {}
    for tick, event in events:
        if event.type == "program_change":
            programs[event.channel] = event.program
        if event.type not in ("note_on", "note_off"):
            continue
        key, now = (event.channel, event.note), clock.seconds(tick)
        if key in sounding:
            start_s, velocity, program = sounding.pop(key)
            notes[program].append(Note(start_s, max(0.03, now - start_s), event.note, velocity))
        if event.type == "note_on" and event.velocity:
            program = -1 if event.channel == DRUM_CHANNEL else programs[event.channel]
            sounding[key] = (now, event.velocity, program)
    ordered = {program: sorted(each, key=lambda note: note.start_s) for program, each in notes.items()}
    return [MidiPart(program, tuple(each), title) for program, each in ordered.items()]
