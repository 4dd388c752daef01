"""The virtual band: renders songs of four stems from MIDI.

A song is a function of (seed, number). Drums, bass, accompaniment and melody share beat, bars and key: the
piece is brought to an even tempo and starts with a bar, and all generated parts follow its beat.
"""

import re
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.random import Generator

from stemsplit.training.data.library import Library
from stemsplit.training.data.rendered_stem import RenderedStem
from stemsplit.training.synthesis.bass import BassRenderer
from stemsplit.training.synthesis.bass_lines import draw_line, find_bass_chords, lock_to_kicks
from stemsplit.training.synthesis.clock import conform_tempo
from stemsplit.training.synthesis.drums import KICKS, DrumRenderer
from stemsplit.training.synthesis.effects import normalise_peak
from stemsplit.training.synthesis.grooves import add_breaks, draw_groove, fit_tempo, loop_part
from stemsplit.training.synthesis.harmony import Pulse
from stemsplit.training.synthesis.layers import UNPITCHED
from stemsplit.training.synthesis.midi import MidiPart, Pattern, pattern_names, read_pattern
from stemsplit.training.synthesis.other import BASSES, VOICES, OtherRenderer
from stemsplit.training.synthesis.soundfont import SOUNDFONT, check_soundfont
from stemsplit.training.synthesis.vocals import VocalRenderer

_MIN_NOTES = 12
_OF_OTHER_STEMS = UNPITCHED.union(BASSES)


@dataclass(frozen=True)
class SongScore:
    """The parts of one song and their common beat."""

    drums: MidiPart
    bass: MidiPart
    others: tuple[MidiPart, ...]
    melody: MidiPart
    pulse: Pulse


class Band:
    """Renders songs.

    Parameters
    ----------
    library : Library
        Source of sounds and MIDI.
    split : str
        "train", or "valid" for held-out instruments and MIDI.
    seed : int
        Seed of all songs; a song depends on it and on its number only.
    length_s : float
        Length of a song in seconds.
    """

    def __init__(self, library: Library, *, split: str, seed: int, length_s: float = 40.0) -> None:
        check_soundfont(SOUNDFONT)
        self._seed, self._length_s = seed, length_s
        self._archives = {
            name: library.folder / "midi" / f"{name}.zip"
            for name in ("freedoom", "tannerhelland", "pop909", "groove")
        }
        self._names = {name: pattern_names(archive, split=split) for name, archive in self._archives.items()}
        rooms = [library.audio(item) for item in library.select(split="train", category="rooms")]
        items = library.select(split=split)
        by_category = {c: [i for i in items if i.category == c] for c in ("drums", "bass", "other", "vocals")}
        self._drums = DrumRenderer(library, by_category["drums"], rooms)
        self._bass = BassRenderer(library, by_category["bass"])
        self._other = OtherRenderer(library, by_category["other"], rooms)
        self._vocals = VocalRenderer(library, by_category["vocals"], rooms)

    def song(self, number: int) -> dict[str, RenderedStem]:
        """Render song `number`: its stems by name, with peaks of about 0.45; `remix` sets their levels."""
        rng = np.random.default_rng((self._seed, number))
        score = self._draw_score(rng)
        length_s = self._length_s
        stems = {
            "vocals": self._vocals.render(score.melody, score.pulse, length_s=length_s, rng=rng),
            "drums": self._drums.render(score.drums, length_s=length_s, rng=rng),
            "bass": self._bass.render(score.bass, length_s=length_s, rng=rng, kicks=kick_times(score.drums)),
            "other": self._other.render(score.others, score.pulse, length_s=length_s, rng=rng),
        }
        peaks = {name: 0.45 * 10 ** (rng.normal(0, 2) / 20) for name in stems}
        return {
            name: replace(stem, waveform=normalise_peak(stem.waveform, peaks[name]))
            for name, stem in stems.items()
        }

    def _draw_score(self, rng: Generator) -> SongScore:
        """Draw patterns until one of them has enough notes."""
        while True:
            source = str(rng.choice(["freedoom", "tannerhelland", "pop909"], p=[0.5, 0.2, 0.3]))
            name = str(rng.choice(self._names[source]))
            pattern = read_pattern(self._archives[source], name)
            stretch = float(rng.uniform(0.9, 1.12))
            length_s = self._length_s / stretch
            latest_s = max(0.0, pattern.length_s - length_s)
            spare_s = 0.25 * length_s + 4
            pattern = pattern.window(float(rng.uniform(0, latest_s)), length_s + spare_s)
            pattern, pulse = conform_tempo(pattern, length_s)
            pattern = pattern.transform(semitones=int(rng.integers(-5, 7)), stretch=stretch)
            others = [p for p in pattern.parts if not p.is_drums and p.program not in _OF_OTHER_STEMS]
            if sum(len(part.notes) for part in others) >= 3 * _MIN_NOTES:
                return self._arrange(pattern, others, Pulse(pulse.beat_s * stretch), rng)

    def _arrange(self, pattern: Pattern, others: list[MidiPart], pulse: Pulse, rng: Generator) -> SongScore:
        own_drums = [p for p in pattern.parts if p.is_drums and len(p.notes) > 4 * _MIN_NOTES]
        basses = [p for p in pattern.parts if p.program in BASSES and len(p.notes) > _MIN_NOTES]
        melodies = [part for part in others if part.name == "MELODY" or part.program in VOICES]
        melody = melodies[0] if melodies else max(others, key=_mean_pitch)
        rest = [part for part in others if part not in melodies[:1]] or others
        drums = self._drum_part(own_drums, 60 / pulse.beat_s, rng)
        bass = self._bass_part(basses, others, drums, 60 / pulse.beat_s, rng)
        return SongScore(drums, bass, tuple(rest), melody, pulse)

    def _drum_part(self, own: list[MidiPart], tempo: float, rng: Generator) -> MidiPart:
        """Return the drums of the piece, a human performance, or a generated groove."""
        draw = rng.random()
        if draw < 0.55:
            return draw_groove(rng, tempo=tempo, length_s=self._length_s)
        part = own[0] if own and draw < 0.75 else self._draw_performance(tempo, rng)
        part = loop_part(part, self._length_s, bar_s=240 / tempo)
        return add_breaks(part, rng, bar_s=240 / tempo) if rng.random() < 0.5 else part

    def _bass_part(
        self, own: list[MidiPart], others: list[MidiPart], drums: MidiPart, tempo: float, rng: Generator
    ) -> MidiPart:
        """Return the bass of the piece or a generated line over its harmony, mostly locked to the kick."""
        kicks = kick_times(drums)
        if own and rng.random() < 0.55:
            part = own[0]
        else:
            beat_s = 60 / fit_tempo(tempo, (70, 150))
            chords = find_bass_chords([*own, *others], beat_s=beat_s, length_s=self._length_s)
            part = draw_line(rng, chords, kicks, beat_s=beat_s, style=drums.name)
        if rng.random() < 0.6:
            part = lock_to_kicks(part, kicks, rng, added=float(rng.uniform(0, 0.5)))
        return add_breaks(part, rng, bar_s=240 / tempo) if rng.random() < 0.35 else part

    def _draw_performance(self, tempo: float, rng: Generator) -> MidiPart:
        """Draw a human drum performance and bring it to the tempo, or to half or twice the tempo."""
        names = [name for name in self._names["groove"] if name.endswith("_4-4.mid") and "_beat_" in name]
        name = names[int(rng.integers(len(names)))]
        found = re.search(r"_(\d+)_beat", Path(name).name)
        stretch = float(found.group(1)) / tempo if found else 1.0
        while stretch > 1.42:
            stretch /= 2
        while stretch < 0.71:
            stretch *= 2
        played = read_pattern(self._archives["groove"], name).transform(stretch=stretch)
        return max(played.parts, key=lambda part: len(part.notes))


def kick_times(drums: MidiPart) -> list[float]:
    """Return the times of the kick drum in seconds."""
    return [note.start_s for note in drums.notes if note.pitch in KICKS]


def _mean_pitch(part: MidiPart) -> float:
    return float(np.mean([note.pitch for note in part.notes])) if len(part.notes) > _MIN_NOTES else -1.0
