"""A virtual singer, who sings a melody with recorded syllables in a manner of its own."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from scipy.ndimage import gaussian_filter1d

from stemsplit.training.synthesis.melody import find_scale, pitch_curve, quantise_pitch
from stemsplit.training.synthesis.midi import Note
from stemsplit.training.synthesis.singing import FRAME_S, SILENCE, VoiceFrames
from stemsplit.training.synthesis.syllables import Syllable
from stemsplit.types import FloatArray

_LEAD_IN, _TAIL = 40, 30  # frames before the first note and after the last
_SHORTEST_VOWEL = 8  # frames of a vowel that its coda leaves at least
_JOIN = 3  # frames of the cross-fade on either side of a cut


@dataclass(frozen=True)
class Singer:
    """How a singer sings.

    Parameters
    ----------
    middle : float
        MIDI pitch in the middle of the range.
    formants : float
        Ratio by which the formants of the voice are scaled, 0.8 to 1.25.
    vibrato : tuple of float
        Rate in Hz, depth in cents, delay in seconds.
    glide_s : float
        Portamento from note to note in seconds.
    drift_cents : float
        Standard deviation of the pitch in cents.
    breath : float
        Breath noise in the voice, 0 to 1.
    brightness_db : float
        Level of the high partials relative to speech.
    melisma : float
        Probability that a note continues the vowel of the note before.
    is_tuned : bool
        Whether pitch correction is audible, as an effect.
    """

    middle: float
    formants: float
    vibrato: tuple[float, float, float]
    glide_s: float
    drift_cents: float
    breath: float
    brightness_db: float
    melisma: float
    is_tuned: bool = False

    @classmethod
    def draw(cls, rng: Generator, spoken: float, *, is_sung: bool) -> "Singer":
        """Draw a singer from a voice whose own MIDI pitch is `spoken`; people sing higher than they speak."""
        formants = float(np.clip(np.exp(rng.normal(0, 0.1)), 0.8, 1.25))
        # high voices are raised less: few songs use their highest notes
        higher = rng.normal(0, 4) if is_sung else rng.uniform(2, 13 if spoken < 57 else 9)
        depth = 0.0 if rng.random() < 0.25 else float(rng.uniform(20, 80))
        is_tuned = bool(rng.random() < 0.18)
        return cls(
            middle=float(np.clip(spoken + higher + 18 * np.log2(formants), 45, 70)),
            formants=formants,
            vibrato=(
                float(rng.uniform(5, 6.5)),
                depth * (0.3 if is_tuned else 1),
                float(rng.uniform(0.15, 0.5)),
            ),
            glide_s=0.012 if is_tuned else float(rng.uniform(0.04, 0.14)),
            drift_cents=1.0 if is_tuned else float(rng.uniform(5, 18)),
            breath=float(rng.uniform(0.3, 0.8)) if rng.random() < 0.25 else float(rng.uniform(0, 0.2)),
            brightness_db=float(rng.normal(3, 3)),
            melisma=float(rng.uniform(0, 0.35)),
            is_tuned=is_tuned,
        )

    def sing(
        self, syllables: Sequence[Syllable], notes: Sequence[Note], rng: Generator
    ) -> tuple[VoiceFrames, float]:
        """Sing one phrase.

        Vowels start on the notes and fill them; consonants keep their length and come before the notes.

        Parameters
        ----------
        syllables : sequence of Syllable
            Lyrics, in order; at least one syllable.
        notes : sequence of Note
            The melody; at least one note.
        rng : Generator
            Random generator of the performance.

        Returns
        -------
        tuple of VoiceFrames and float
            The phrase, and the time in the song of its first frame in seconds.
        """
        starts_s = notes[0].start_s - _LEAD_IN * FRAME_S
        origin = [Note(n.start_s - starts_s, n.length_s, n.pitch, n.velocity) for n in notes]
        lyrics = _set_to_notes(syllables, origin, self.melisma, rng)
        frames, levels_db = _lay_out(lyrics, _frame(origin[-1].start_s + origin[-1].length_s) + _TAIL)
        pitch = pitch_curve(
            origin, frames.n_frames, glide_s=self.glide_s, drift_cents=self.drift_cents, vibrato=self.vibrato,
            scoop=0.0 if self.is_tuned or rng.random() < 0.5 else float(rng.uniform(0.3, 2)), rng=rng,
        )  # fmt: skip
        frames = frames.with_pitch(440 * 2 ** ((pitch - 69) / 12)).with_formants(self.formants)
        frames = frames.with_breath(self.breath).tilt(self.brightness_db)
        swell_db = gaussian_filter1d(rng.normal(0, 1, frames.n_frames), 30) * 9 + levels_db
        louder = (swell_db * np.log(10) / 10).astype(np.float32)[:, None]
        return VoiceFrames(frames.pitch_hz, frames.log_power + louder, frames.aperiodicity), starts_s


def correct_pitch(frames: VoiceFrames) -> VoiceFrames:
    """Move the pitch of a voice onto the notes of its scale, as pitch correction (Auto-Tune) does."""
    voiced = frames.pitch_hz > 0
    if not voiced.any():
        return frames
    pitch = midi_pitch(frames)
    notes = quantise_pitch(pitch, find_scale(pitch[voiced]))
    return frames.with_pitch(440 * 2 ** ((gaussian_filter1d(notes, 1.5) - 69) / 12))


def flatten_pitch(frames: VoiceFrames, pitch: float) -> VoiceFrames:
    """Hold one pitch throughout, consonants included, with little noise: a robot voice, as from a vocoder."""
    held = np.full(frames.n_frames, 440 * 2 ** ((pitch - 69) / 12), np.float32)
    return VoiceFrames(held, frames.log_power, np.asarray(frames.aperiodicity * 0.3, np.float32))


def midi_pitch(frames: VoiceFrames) -> FloatArray:
    """Return the MIDI pitch of each frame; unvoiced frames interpolate their neighbours."""
    voiced = np.flatnonzero(frames.pitch_hz > 0)
    if not voiced.size:
        return np.full(frames.n_frames, 60, np.float32)
    pitch = 69 + 12 * np.log2(frames.pitch_hz[voiced] / 440)
    return np.asarray(np.interp(np.arange(frames.n_frames), voiced, pitch), np.float32)


@dataclass(frozen=True)
class _SungSyllable:
    """A syllable, the frames of its notes, and its level relative to the other syllables."""

    syllable: Syllable
    start: int
    stop: int
    level_db: float


def _frame(time_s: float) -> int:
    return round(time_s / FRAME_S)


def _set_to_notes(
    syllables: Sequence[Syllable], notes: Sequence[Note], melisma: float, rng: Generator
) -> list[_SungSyllable]:
    """Assign a syllable to each note, except to those that continue the vowel before."""
    out: list[_SungSyllable] = []
    for number, note in enumerate(notes):
        start, stop = _frame(note.start_s), _frame(note.start_s + note.length_s)
        if out and start - out[-1].stop < 8 and rng.random() < melisma:
            last = out.pop()
            out.append(_SungSyllable(last.syllable, last.start, stop, last.level_db))
            continue
        level_db = (note.velocity - 90) / 15 + float(rng.normal(0, 0.8))
        out.append(_SungSyllable(syllables[number % len(syllables)], start, stop, level_db))
    return out


def _lay_out(lyrics: Sequence[_SungSyllable], n_frames: int) -> tuple[VoiceFrames, FloatArray]:
    """Lay the syllables out on the time line; also return the level of each frame in dB."""
    unique = {id(sung.syllable): sung.syllable for sung in lyrics}
    firsts = dict(zip(unique, np.cumsum([0, *(s.frames.n_frames for s in unique.values())]), strict=False))
    source = VoiceFrames(
        *(np.concatenate([getattr(s.frames, part) for s in unique.values()])
          for part in ("pitch_hz", "log_power", "aperiodicity"))
    )  # fmt: skip
    places, levels_db = np.zeros(n_frames), np.full(n_frames, -120.0)
    cuts = []
    for index, sung in enumerate(lyrics):
        limit = lyrics[index + 1] if index + 1 < len(lyrics) else None
        begin, local = _spread(sung, limit, n_frames)
        stop = begin + local.size
        places[begin:stop] = firsts[id(sung.syllable)] + local
        levels_db[begin:stop] = sung.level_db
        cuts.append(begin)
    return _cross_fade_envelopes(source.at(places), levels_db, cuts), gaussian_filter1d(
        _fade_levels(levels_db), 1.5
    )


def _spread(sung: _SungSyllable, following: _SungSyllable | None, n_frames: int) -> tuple[int, FloatArray]:
    """Return the first frame of a syllable on the time line, and its own frames played from there on."""
    vowel, length = sung.syllable.vowel, sung.syllable.frames.n_frames
    begin = max(0, sung.start - vowel.start)
    stop = (
        n_frames
        if following is None
        else max(sung.start + 2, following.start - following.syllable.vowel.start)
    )
    coda = length - vowel.stop
    end = min(sung.stop, stop)
    # the coda is placed after the note if it fits, else within it, else it is dropped
    coda = min(coda, stop - end) if stop - end > coda // 2 else coda
    held = max(end if stop - end >= coda else end - coda, sung.start + _SHORTEST_VOWEL)
    held = max(min(held, stop), sung.start + 1)
    coda = max(0, min(coda, stop - held))
    parts = [
        np.arange(vowel.start - (sung.start - begin), vowel.start, dtype=float),
        np.linspace(vowel.start, vowel.stop - 1, held - sung.start),
        np.arange(vowel.stop, vowel.stop + coda, dtype=float),
    ]
    return begin, np.concatenate(parts)[: n_frames - begin]


def _cross_fade_envelopes(frames: VoiceFrames, levels_db: FloatArray, cuts: Sequence[int]) -> VoiceFrames:
    """Cross-fade the envelopes of adjacent syllables."""
    log_power = frames.log_power.copy()
    for cut in cuts:
        low, high = cut - _JOIN - 1, cut + _JOIN
        if low < 0 or high >= frames.n_frames or levels_db[cut - 1] <= -100:
            continue
        weight = np.linspace(0, 1, high - low + 1, dtype=np.float32)[:, None]
        log_power[low : high + 1] = log_power[low] * (1 - weight) + log_power[high] * weight
    silent = levels_db <= -100
    log_power[silent] = SILENCE
    return VoiceFrames(
        np.where(silent, 0, frames.pitch_hz).astype(np.float32), log_power, frames.aperiodicity
    )


def _fade_levels(levels_db: FloatArray) -> FloatArray:
    """Fade the edges of sounding stretches: over 30 ms at their beginning and 60 ms at their end."""
    sounding = np.concatenate([[False], levels_db > -100, [False]]).astype(np.int8)
    out = np.where(levels_db > -100, levels_db, 0.0)
    for start, stop in np.flatnonzero(np.diff(sounding)).reshape(-1, 2):
        n_in, n_out = min(6, stop - start), min(12, stop - start)
        out[start : start + n_in] += np.linspace(-18, 0, n_in)
        out[stop - n_out : stop] += np.linspace(0, -24, n_out)
    return np.asarray(out)
