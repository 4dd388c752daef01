"""Backing vocals: doubles, harmonies, group vocals and ad libs, each a performance of its own."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise

import numpy as np
from numpy.random import Generator

from stemsplit.training import SAMPLE_RATE
from stemsplit.training.synthesis.effects import place_in_stereo
from stemsplit.training.synthesis.melody import find_scale, scale_intervals
from stemsplit.training.synthesis.sampler import add_at
from stemsplit.training.synthesis.singer import midi_pitch
from stemsplit.training.synthesis.singing import FRAME_S, VoiceFrames, analyse_voice
from stemsplit.types import FloatArray

_BUDGET_PULSES = 12_000  # periods to synthesise per stem at most: some 30 s of a high voice
_UNVOICED_HZ = 500.0  # rate of WORLD's pulses in unvoiced frames
_LONGEST_S = 6.0  # longer phrases are not varied: the analysis would cost too much
_HARMONIES = ((2,), (2,), (-2,), (-3,), (4,), (2, 4), (2, -3), (-7,), (7,), (2, 7))  # in steps of the scale


@dataclass(frozen=True)
class Phrase:
    """One phrase of the lead.

    `start` is its first sample in the song and `waveform` has the shape ``(1, samples)``. `known_frames`
    saves the analysis where the phrase was synthesised from frames.
    """

    start: int
    waveform: FloatArray
    known_frames: VoiceFrames | None = None

    @property
    def stop(self) -> int:
        """Sample after the last one of the phrase."""
        return self.start + int(self.waveform.shape[1])

    @property
    def length_s(self) -> float:
        """Length in seconds."""
        return int(self.waveform.shape[1]) / SAMPLE_RATE

    @cached_property
    def frames(self) -> VoiceFrames:
        """Frames of the phrase, from which other performances are derived."""
        return analyse_voice(self.waveform) if self.known_frames is None else self.known_frames


def place_phrases(phrases: Sequence[Phrase], n_samples: int) -> FloatArray:
    """Place the phrases of the lead on the time line, in the middle, shape (2, samples)."""
    out = np.zeros((2, n_samples), np.float32)
    for phrase in phrases:
        add_at(out, np.broadcast_to(phrase.waveform, (2, phrase.waveform.shape[1])), phrase.start)
    return out


def add_refrains(phrases: Sequence[Phrase], n_samples: int, beat_s: float, rng: Generator) -> list[Phrase]:
    """Repeat phrases in most of the rests that are longer than eight seconds.

    A repetition starts a whole number of beats after its original and never overlaps the next phrase.
    """
    if not phrases:
        return []
    out = list(phrases)
    at, rest = 0, round(8 * SAMPLE_RATE)
    for following in [*phrases, Phrase(n_samples, phrases[0].waveform)]:
        while following.start - at > rest and rng.random() < 0.8:
            again = phrases[int(rng.integers(len(phrases)))]
            earliest = at + float(rng.uniform(0.2, 2)) * SAMPLE_RATE
            n_beats = np.ceil((earliest - again.start) / (beat_s * SAMPLE_RATE))
            start = again.start + round(n_beats * beat_s * SAMPLE_RATE)
            if start + again.waveform.shape[1] > following.start:
                break
            out.append(replace(again, start=start))
            at = out[-1].stop
        at = max(at, following.stop)
    return sorted(out, key=lambda each: each.start)


def harmonise(frames: VoiceFrames, steps: int) -> VoiceFrames:
    """Transpose a voice by `steps` of its scale: 2 is a third above, -3 a fourth below, 7 an octave above."""
    voiced = frames.pitch_hz > 0
    pitch = midi_pitch(frames)
    scale = find_scale(pitch[voiced]) if voiced.any() else frozenset({0, 2, 4, 5, 7, 9, 11})
    return frames.transpose(scale_intervals(pitch, scale, steps))


def vary_performance(frames: VoiceFrames, rng: Generator, *, looseness: float = 1.0) -> VoiceFrames:
    """Derive a second performance: some 20 ms off in time, some cents off in pitch, slightly other formants.

    `looseness` scales the deviations: 1 suits doubles, 2 a choir of many people.
    """
    n = frames.n_frames
    knots = np.linspace(0, n - 1, max(3, round(n * FRAME_S / 0.5)))
    late = rng.normal(0, 0.012 * looseness, knots.size) / FRAME_S
    places = np.arange(n) - np.interp(np.arange(n), knots, late)
    cents = np.interp(np.arange(n), knots, rng.normal(0, 9 * looseness, knots.size)) + rng.normal(0, 5)
    varied = frames.at(places).transpose(cents / 100)
    return varied.with_formants(float(np.exp(rng.normal(0, 0.02 * looseness))))


class BackingVocals:
    """Renders the backing vocals of one stem.

    Parameters
    ----------
    rng : Generator
        Random generator of all choices.
    """

    def __init__(self, rng: Generator) -> None:
        self._rng = rng
        self._budget = float(_BUDGET_PULSES)

    def voices(self, phrases: Sequence[Phrase], n_samples: int) -> FloatArray:
        """Render the voices that accompany these phrases, shape (2, samples); often there are none."""
        out = np.zeros((2, n_samples), np.float32)
        parts: list[tuple[Callable[[FloatArray, Phrase], None], float, float]] = [
            (self._doubles, 0.3, 0.7), (self._harmonies, 0.35, 0.5), (self._gang, 0.12, 0.3),
            (self._octave_down, 0.07, 0.6),
        ]  # fmt: skip
        self._intervals = _HARMONIES[int(self._rng.integers(len(_HARMONIES)))]
        self._width = float(self._rng.uniform(0.3, 1))
        for part, chance, share in parts:
            if self._rng.random() < chance:
                for phrase in phrases:
                    if self._rng.random() < share and phrase.length_s < _LONGEST_S:
                        part(out, phrase)
        if self._rng.random() < 0.15:
            self._ad_libs(out, phrases)
        return out

    def _doubles(self, out: FloatArray, phrase: Phrase) -> None:
        for pan in (-self._width, self._width):
            self._add(out, phrase, vary_performance(phrase.frames, self._rng), pan, 0.7)

    def _harmonies(self, out: FloatArray, phrase: Phrase) -> None:
        for steps in self._intervals:
            for pan in (-self._width, self._width)[: int(self._rng.integers(1, 3))]:
                higher = vary_performance(harmonise(phrase.frames, steps), self._rng)
                self._add(out, phrase, higher, pan, float(self._rng.uniform(0.4, 0.9)))

    def _octave_down(self, out: FloatArray, phrase: Phrase) -> None:
        self._add(out, phrase, phrase.frames.transpose(-12.0).with_formants(0.9), 0.0, 0.5)

    def _gang(self, out: FloatArray, phrase: Phrase) -> None:
        """Add three to eight people, spread across the stereo image."""
        n_people = int(self._rng.integers(3, 9))
        for pan in np.linspace(-0.9, 0.9, n_people):
            one = vary_performance(phrase.frames, self._rng, looseness=2.0)
            one = one.with_formants(float(np.exp(self._rng.normal(0, 0.07))))
            self._add(out, phrase, one, float(pan), 1.2 / np.sqrt(n_people))

    def _ad_libs(self, out: FloatArray, phrases: Sequence[Phrase]) -> None:
        """Repeat a phrase, mostly transposed up, in some of the rests between phrases."""
        for before, after in pairwise(phrases):
            rest_s = (after.start - before.stop) / SAMPLE_RATE
            if rest_s < 0.7 or self._rng.random() < 0.4:
                continue
            repeated = phrases[int(self._rng.integers(len(phrases)))]
            if repeated.length_s < _LONGEST_S:
                transposed = repeated.frames.transpose(float(self._rng.choice([0, 0, 5, 7, 12])))
                self._add(out, Phrase(before.stop, repeated.waveform), transposed, self._width - 0.5, 0.7)

    def _add(self, out: FloatArray, phrase: Phrase, frames: VoiceFrames, pan: float, gain: float) -> None:
        """Synthesise a performance and place it in the mix, unless the budget of the stem is spent."""
        pulses = float(np.where(frames.pitch_hz > 0, frames.pitch_hz, _UNVOICED_HZ).sum()) * FRAME_S
        if self._budget < pulses:
            return
        self._budget -= pulses
        sound = match_level(frames.waveform(), phrase.waveform)
        late = round(float(self._rng.uniform(0, 0.02)) * SAMPLE_RATE)
        add_at(out, place_in_stereo(sound * gain, pan), phrase.start + late)


def match_level(waveform: FloatArray, model: FloatArray) -> FloatArray:
    """Scale a waveform to the power of `model`."""
    power, wanted = (float(np.square(each).mean()) if each.size else 0.0 for each in (waveform, model))
    return waveform * np.float32(np.sqrt(wanted / power)) if power > 1e-12 else waveform
