"""Vocal stems: recorded singing, voices sung from speech and syllables, rap, speech, shouts, choirs."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.random import Generator

from stemsplit.errors import StemsplitError
from stemsplit.training import SAMPLE_RATE
from stemsplit.training.data.library import Item, Library
from stemsplit.training.data.rendered_stem import RenderedStem
from stemsplit.training.synthesis.backing import BackingVocals, Phrase, add_refrains, place_phrases
from stemsplit.training.synthesis.effects import normalise_peak
from stemsplit.training.synthesis.harmony import Pulse
from stemsplit.training.synthesis.melody import make_monophonic, split_phrases
from stemsplit.training.synthesis.midi import MidiPart
from stemsplit.training.synthesis.sampler import Instrument, collect_instruments, play, trim_onset
from stemsplit.training.synthesis.singer import Singer, correct_pitch, flatten_pitch, midi_pitch
from stemsplit.training.synthesis.singing import VoiceFrames, analyse_voice
from stemsplit.training.synthesis.syllables import Syllable, find_syllables
from stemsplit.training.synthesis.vocal_bus import apply_vocal_chain
from stemsplit.training.synthesis.words import cut_words
from stemsplit.types import FloatArray

# Relative frequency of the kinds of stems.
_SHARES = {
    "singing": 0.46, "sung": 0.3, "syllable": 0.05, "rap": 0.07, "speech": 0.03, "shout": 0.03,
    "whisper": 0.02, "choir": 0.04,
}  # fmt: skip
_MATERIAL_S = 6.0  # length of recordings that are analysed for one stem
_CUT_S = 4.0
_SYLLABLES = 48


class VocalRenderer:
    """Renders vocal stems; `items` are the recordings that may be used."""

    def __init__(self, library: Library, items: Sequence[Item], rooms: Sequence[FloatArray]) -> None:
        self._library, self._rooms = library, rooms
        self._packs: dict[str, dict[str, list[Item]]] = defaultdict(lambda: defaultdict(list))
        for item in items:
            # phrases of one pack share key and tempo, so they can follow each other
            self._packs[item.kind][f"{item.source} {Path(item.name).parent}"].append(item)
        self._sampled = {kind: self._voices(kind) for kind in ("syllable", "choir")}
        # the analysis is the most expensive step; a second of frames occupies 2 MB
        self._frames = lru_cache(maxsize=24)(self._analyse)

    def render(self, melody: MidiPart, pulse: Pulse, *, length_s: float, rng: Generator) -> RenderedStem:
        """Render a processed vocal stem with rests: the lead in the middle, backing vocals around it.

        Material that does not follow the melody starts on the beat of the song.
        """
        kinds = [kind for kind in _SHARES if self._sources(kind)]
        if not kinds:
            raise StemsplitError("the library has no voice for these songs: see `library.HELD_OUT_SOURCES`")
        shares = np.array([_SHARES[kind] for kind in kinds])
        kind = str(rng.choice(kinds, p=shares / shares.sum()))
        n_samples = round(length_s * SAMPLE_RATE)
        ingredients = ("sung-speech",) if kind in ("sung", "whisper") else ()
        if kind in ("syllable", "choir"):
            played = self._play_sampler(kind, melody, pulse, length_s, rng)
            return RenderedStem(apply_vocal_chain(rng, normalise_peak(played), self._rooms))
        phrases = self._phrases(kind, melody, pulse, length_s, rng)
        lead = place_phrases(phrases, n_samples)
        out = apply_vocal_chain(rng, normalise_peak(lead), self._rooms)
        backing = BackingVocals(rng).voices(phrases, n_samples)
        if backing.any():
            out = out + float(rng.uniform(0.25, 0.8)) * apply_vocal_chain(
                rng, normalise_peak(backing), self._rooms, distance=1.8
            )
        return RenderedStem(np.asarray(out, np.float32), ingredients)

    def _sources(self, kind: str) -> list[str]:
        """Return the available kinds of recordings from which a kind of stem can be made."""
        wanted = {"sung": ["speech", "syllable"], "rap": ["speech"], "whisper": ["speech"]}.get(kind, [kind])
        return [each for each in wanted if self._packs.get(each)]

    def _voices(self, kind: str) -> list[Instrument]:
        """Collect voicebanks or choirs for the sampler."""
        items = [self._with_pitch(item) for pack in self._packs[kind].values() for item in pack]
        return [drop_rare_pitches(voice) for voice in collect_instruments(items, min_pitches=1)]

    def _with_pitch(self, item: Item) -> Item:
        """Return the item with the pitch at which it is sung, or with none where none is detected."""
        if item.pitch is not None:
            return item
        return replace(item, pitch=detect_steady_pitch(self._library.audio(item)))

    def _phrases(
        self, kind: str, melody: MidiPart, pulse: Pulse, length_s: float, rng: Generator
    ) -> list[Phrase]:
        """Return the phrases of the lead at an even level, one after another."""
        if kind == "sung":
            phrases = self._sing_melody(melody, pulse, rng)
        elif kind == "rap":
            phrases = self._rap(pulse, length_s, rng)
        else:
            phrases = self._place_recordings(kind, pulse, length_s, rng)
        even = [replace(phrase, waveform=_even_out(phrase.waveform, rng)) for phrase in phrases]
        return add_refrains(even, round(length_s * SAMPLE_RATE), pulse.beat_s, rng)

    def _draw_pack(self, kinds: Sequence[str], rng: Generator) -> list[Item]:
        """Draw the recordings of one voice."""
        packs = {name: pack for kind in kinds for name, pack in self._packs[kind].items()}
        names = sorted(packs)
        # long packs are drawn more often, but not in proportion: many voices matter more than many minutes
        weights = np.array([sum(item.duration_s for item in packs[name]) ** 0.5 for name in names])
        return packs[str(rng.choice(names, p=weights / weights.sum()))]

    def _place_recordings(self, kind: str, pulse: Pulse, length_s: float, rng: Generator) -> list[Phrase]:
        """Place phrases of one singer or speaker one after another; some are repeated, as in a song."""
        pack = self._draw_pack(["speech" if kind == "whisper" else kind], rng)
        change = _draw_change(kind, rng)
        chosen = [pack[i] for i in rng.permutation(len(pack))[: int(rng.integers(2, 4 if change else 13))]]
        sounds = {}
        for item in chosen:
            frames = change(self._frames(item)) if change else None
            sounds[item] = (
                trim_onset(self._read_mono(item)) if frames is None else frames.waveform(),
                frames,
            )
        out: list[Phrase] = []
        step_s = pulse.beat_s / 2
        at_s = length_s * float(rng.uniform(0, 0.07) if rng.random() < 0.8 else rng.uniform(0.1, 0.3))
        while at_s < length_s:
            at_s = float(np.ceil(at_s / step_s)) * step_s
            sound, frames = sounds[chosen[int(rng.integers(len(chosen)))]]
            out.append(Phrase(round(at_s * SAMPLE_RATE), sound, frames))
            rest = rng.choice([0.25, 1, 2, 4, 8, 20], p=[0.42, 0.24, 0.18, 0.09, 0.04, 0.03])
            at_s = out[-1].stop / SAMPLE_RATE + pulse.beat_s * float(rest * rng.uniform(0.8, 1.2))
        return out

    def _read_mono(self, item: Item) -> FloatArray:
        return np.asarray(self._library.audio(item).mean(0, keepdims=True), np.float32)

    def _sing_melody(self, melody: MidiPart, pulse: Pulse, rng: Generator) -> list[Phrase]:
        """Sing the melody with the syllables of a voice that spoke or sang something else."""
        kinds = self._sources("sung")
        kind = str(rng.choice(kinds))
        words, spoken = self._syllables(self._draw_pack([kind], rng), rng)
        if not words:
            return []
        singer = Singer.draw(rng, spoken, is_sung=kind == "syllable")
        out: list[Phrase] = []
        first = 0
        for notes in split_phrases(make_monophonic(melody.notes, singer.middle), pulse.beat_s, rng):
            # continue the words, or start over as in a refrain
            first = 0 if rng.random() < 0.2 else (first + len(notes)) % len(words)
            frames, start_s = singer.sing(words[first:] + words[:first], notes, rng)
            sound = frames.waveform()
            cut = max(0, -round(start_s * SAMPLE_RATE))
            out.append(Phrase(max(0, round(start_s * SAMPLE_RATE)), sound[:, cut:], None if cut else frames))
        return out

    def _analyse(self, item: Item) -> VoiceFrames:
        return analyse_voice(self._library.audio(item)[:, : round(_CUT_S * SAMPLE_RATE)]).with_air()

    def _syllables(self, pack: Sequence[Item], rng: Generator) -> tuple[list[Syllable], float]:
        """Return syllables from some recordings of a voice, and the median MIDI pitch of that voice."""
        words: list[Syllable] = []
        used_s = 0.0
        pitches = []
        for index in rng.permutation(len(pack)):
            item = pack[index]
            frames = self._frames(item)
            words += find_syllables(frames)
            pitches.append(midi_pitch(frames)[frames.pitch_hz > 0])
            used_s += min(_CUT_S, item.duration_s)
            if used_s > _MATERIAL_S or len(words) > _SYLLABLES:
                break
        voiced = np.concatenate(pitches)
        return words, float(np.median(voiced)) if voiced.size else 60.0

    def _rap(self, pulse: Pulse, length_s: float, rng: Generator) -> list[Phrase]:
        """Place the words of slightly sped-up speech on the grid of the beat, with occasional rests."""
        pack = self._draw_pack(["speech"], rng)
        step_s = pulse.beat_s / float(rng.choice([2, 4]))
        speed = float(rng.uniform(1.0, 1.3))
        out: list[Phrase] = []
        at_s = length_s * float(rng.uniform(0, 0.1))
        while at_s < length_s:
            for word in cut_words(self._read_mono(pack[int(rng.integers(len(pack)))]), speed):
                start_s = np.ceil((at_s + word.attack_s) / step_s) * step_s - word.attack_s
                out.append(Phrase(max(0, round(start_s * SAMPLE_RATE)), word.waveform))
                at_s = out[-1].stop / SAMPLE_RATE - 0.02
            at_s += step_s * float(rng.choice([0, 2, 4, 8, 16, 32], p=[0.3, 0.25, 0.2, 0.15, 0.06, 0.04]))
        return out

    def _play_sampler(
        self, kind: str, melody: MidiPart, pulse: Pulse, length_s: float, rng: Generator
    ) -> FloatArray:
        """Play the melody on a sampled voicebank or choir, alone or with thirds, fifths and octaves."""
        voices = self._sampled[kind]
        voice = voices[int(rng.integers(len(voices)))]
        line = make_monophonic(melody.notes, float(np.median(sorted(voice.notes))))
        notes = [
            replace(note, velocity=int(rng.integers(95, 121)))
            for phrase in split_phrases(line, pulse.beat_s, rng)
            for note in phrase
        ]
        draw = rng.random()
        added = (
            (4, 7) if kind == "choir" else (12,) if draw < 0.2 else (int(rng.choice([3, 4])),) * (draw < 0.4)
        )
        out = play(self._library, voice, notes, length_s=length_s, rng=rng, release_s=0.1)
        for semitones in added:
            higher = [replace(note, pitch=note.pitch + semitones) for note in notes]
            out = out + play(self._library, voice, higher, length_s=length_s, rng=rng, release_s=0.1)
        return out


def detect_pitch(waveform: FloatArray) -> float | None:
    """Estimate the MIDI pitch of the loudest tenth of a second by autocorrelation.

    None if it is not periodic.

    >>> time = np.arange(8820) / SAMPLE_RATE
    >>> round(detect_pitch(np.sin(2 * np.pi * 220 * time)[None].astype(np.float32)))
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
    # correct for the smaller overlap at longer lags
    fair = correlation[low:high] / (1 - np.arange(low, high) / n_samples)
    best = float(fair.max())
    if best < 0.5 * correlation[0] or best <= 0:
        return None
    # choose the shortest lag that is nearly as good: longer ones are its multiples
    lag = low + int(np.argmax(fair > 0.9 * best))
    while lag + 1 < high and fair[lag + 1 - low] > fair[lag - low]:
        lag += 1
    return float(69 + 12 * np.log2(SAMPLE_RATE / lag / 440))


def drop_rare_pitches(voice: Instrument) -> Instrument:
    """Drop the rare pitches of a voicebank that has few of them: they are false detections in hiss."""
    total = sum(map(len, voice.notes.values()))
    if max(map(len, voice.notes.values())) < 0.2 * total:
        return voice
    return Instrument(
        voice.name, {pitch: items for pitch, items in voice.notes.items() if len(items) > 0.08 * total}
    )


def detect_steady_pitch(waveform: FloatArray) -> float | None:
    """Return the detected pitch if most loud parts of the first second agree on it.

    None for hiss and speech.
    """
    pitch = detect_pitch(waveform)
    if pitch is None:
        return None
    n = round(0.3 * SAMPLE_RATE)
    parts = [
        waveform[:, start : start + n] for start in range(0, max(1, min(4 * n, waveform.shape[1] - n + 1)), n)
    ]
    powers = [float(np.square(part).mean()) for part in parts]
    detected = [
        detect_pitch(part) for part, power in zip(parts, powers, strict=True) if power > 0.1 * max(powers)
    ]
    agreeing = [each for each in detected if each is not None and abs(each - pitch) < 1]
    return pitch if 2 * len(agreeing) > len(detected) else None


def _draw_change(kind: str, rng: Generator) -> Callable[[VoiceFrames], VoiceFrames] | None:
    """Draw how recorded voices are transformed before they are mixed; mostly they are not."""
    if kind == "whisper":
        return VoiceFrames.whisper
    if kind != "singing" or rng.random() < 0.65:
        return None
    semitones, formants = float(rng.normal(0, 3)), float(np.clip(np.exp(rng.normal(0, 0.08)), 0.8, 1.25))
    draw = rng.random()
    if draw < 0.25:
        return lambda frames: correct_pitch(frames.transpose(semitones))
    if draw < 0.3:
        return lambda frames: flatten_pitch(frames, 45 + round(semitones) + 12 * (semitones > 0))
    return lambda frames: frames.transpose(semitones).with_formants(formants)


def _even_out(waveform: FloatArray, rng: Generator) -> FloatArray:
    """Bring a phrase to the common level, with a small random deviation."""
    squares = np.square(waveform)
    loud = squares[squares > 1e-3 * squares.max(initial=0)]
    power = float(loud.mean()) if loud.size else 0.0
    if power < 1e-9:
        return waveform
    return np.asarray(waveform * 0.1 * 10 ** (rng.normal(0, 1.2) / 20) / np.sqrt(power), np.float32)
