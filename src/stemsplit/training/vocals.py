"""Vocal stems: phrases of real singing and speech, syllables sung to a melody, and a vocal chain."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.random import Generator

from stemsplit.training import SAMPLE_RATE
from stemsplit.training.effects import doubled, levelled, vocal_chain
from stemsplit.training.library import Item, Library
from stemsplit.training.midi import Note, Part
from stemsplit.training.sampler import Instrument, add_at, at_speed, collect_instruments, play, trimmed
from stemsplit.training.take import Take
from stemsplit.types import FloatArray

# How often a stem is made of what; "syllable" is sung to the melody of the song.
_SHARES = {"singing": 0.6, "speech": 0.14, "shout": 0.08, "syllable": 0.18}


class VocalMaker:
    """Renders vocal stems; `items` are the recordings that may be used."""

    def __init__(self, library: Library, items: Sequence[Item], rooms: Sequence[FloatArray]) -> None:
        self._library, self._rooms = library, rooms
        syllables = [item for item in items if item.kind == "syllable"]
        self._voices = collect_instruments([self._with_pitch(item) for item in syllables], min_pitches=1)
        self._phrases: dict[str, dict[str, list[Item]]] = defaultdict(lambda: defaultdict(list))
        for item in items:
            if item.kind in _SHARES and item.kind != "syllable":
                # phrases of one pack were made in one key and tempo: they follow each other well
                self._phrases[item.kind][f"{item.source} {Path(item.name).parent}"].append(item)

    def render(self, melody: Part, *, length_s: float, rng: Generator) -> Take:
        """A vocal stem with pauses, as it leaves its chain."""
        kinds = [kind for kind in _SHARES if kind in self._phrases or (kind == "syllable" and self._voices)]
        shares = np.array([_SHARES[kind] for kind in kinds])
        kind = str(rng.choice(kinds, p=shares / shares.sum()))
        is_sung = kind == "syllable"
        dry = self._sung(melody, length_s, rng) if is_sung else self._phrased(kind, length_s, rng)
        return Take(vocal_chain(rng, levelled(dry), self._rooms))

    def _with_pitch(self, item: Item) -> Item:
        """The item with the pitch it is sung at; without one where none is heard."""
        if item.pitch is not None:
            return item
        return replace(item, pitch=detected_pitch(self._library.audio(item)))

    def _phrased(self, kind: str, length_s: float, rng: Generator) -> FloatArray:
        """Phrases of one singer or speaker, one after another, with breaths and rests between."""
        packs = self._phrases[kind]
        names = sorted(packs)
        # long packs more often, but not in proportion: many voices matter more than many minutes
        weights = np.array([sum(item.duration_s for item in packs[name]) ** 0.5 for name in names])
        pack = packs[str(rng.choice(names, p=weights / weights.sum()))]
        out = np.zeros((2, round(length_s * SAMPLE_RATE)), np.float32)
        speed = float(np.exp(rng.normal(0, 0.06)))
        start = round(float(rng.uniform(0, 2)) * SAMPLE_RATE)
        while start < out.shape[1]:
            item = pack[int(rng.integers(len(pack)))]
            sound = trimmed(at_speed(self._library.audio(item), speed))
            sound = np.broadcast_to(sound, (2, sound.shape[1]))
            add_at(out, sound * float(rng.uniform(0.6, 1)), start)
            rest_s = rng.exponential(0.15) if rng.random() < 0.8 else rng.uniform(0.5, 3)
            start += sound.shape[1] + round(float(rest_s) * SAMPLE_RATE)
        return out

    def _sung(self, melody: Part, length_s: float, rng: Generator) -> FloatArray:
        """The melody on a voicebank, alone, in thirds, or as a choir."""
        voice = self._voices[int(rng.integers(len(self._voices)))]
        notes = _singable(melody.notes, voice)
        out = play(self._library, voice, notes, length_s=length_s, rng=rng, release_s=0.08)
        draw = rng.random()
        if draw < 0.3:
            third = [Note(n.start_s, n.length_s, n.pitch + int(rng.choice([3, 4])), 80) for n in notes]
            out = out + play(self._library, voice, third, length_s=length_s, rng=rng, release_s=0.08)
        elif draw < 0.5:
            out = doubled(rng, doubled(rng, out))
        return out


def detected_pitch(waveform: FloatArray) -> float | None:
    """MIDI pitch in the loudest tenth of a second, from the autocorrelation; None if it is not periodic.

    >>> time = np.arange(8820) / SAMPLE_RATE
    >>> round(detected_pitch(np.sin(2 * np.pi * 220 * time)[None].astype(np.float32)))
    57
    """
    n_samples = 4410
    mono = waveform.mean(0)
    if mono.size < n_samples:
        return None
    hops = [mono[start : start + n_samples] for start in range(0, mono.size - n_samples + 1, n_samples // 2)]
    piece = max(hops, key=lambda each: float(np.square(each).sum()))
    power = np.abs(np.fft.rfft(piece, 2 * n_samples)) ** 2
    correlation = np.fft.irfft(power)[:n_samples]
    low, high = SAMPLE_RATE // 800, SAMPLE_RATE // 70
    # fewer samples overlap at longer lags
    fair = correlation[low:high] / (1 - np.arange(low, high) / n_samples)
    best = float(fair.max())
    if best < 0.5 * correlation[0] or best <= 0:
        return None
    # the shortest lag that is nearly as good: the longer ones are its multiples
    lag = low + int(np.argmax(fair > 0.9 * best))
    while lag + 1 < high and fair[lag + 1 - low] > fair[lag - low]:
        lag += 1
    return float(69 + 12 * np.log2(SAMPLE_RATE / lag / 440))


def _singable(notes: Sequence[Note], voice: Instrument) -> list[Note]:
    """A melody in the range of a voice, one note at a time, held to the next where it is near."""
    middle = int(np.median(sorted(voice.notes)))
    out: list[Note] = []
    for index, note in enumerate(notes):
        if out and note.start_s < out[-1].start_s + 0.06:
            continue
        later = next(
            (n.start_s for n in notes[index + 1 :] if n.start_s >= note.start_s + 0.06), note.start_s + 1
        )
        gap_s = later - note.start_s
        length_s = gap_s if gap_s < 0.6 else min(note.length_s + 0.1, gap_s)
        pitch = middle + (note.pitch - middle + 6) % 12 - 6
        out.append(Note(note.start_s, length_s, pitch, 110))
    return out
