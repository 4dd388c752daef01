"""Performance of a sampled bass guitar: slides, hammer-ons, dead notes, pick and fret noise."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter1d
from scipy.signal import butter, sosfilt

from stemsplit.training import SAMPLE_RATE
from stemsplit.training.data.library import Library
from stemsplit.training.synthesis.midi import Note
from stemsplit.training.synthesis.sampler import Instrument, add_at, trim_onset
from stemsplit.types import FloatArray

_WIDEST_SLUR, _LONGEST_CHAIN = 7, 4


@dataclass(frozen=True)
class Fingers:
    """A bass player's technique.

    Parameters
    ----------
    slurred : float
        Share of the notes without a gap before them that are slurred instead of plucked.
    slides : float
        Share of the slurred notes that slide; the others are hammered on.
    dead : float
        Share of the gaps that contain a dead note.
    attack : float
        Level of pick or thumb noise relative to the note.
    muted_s : float
        Decay time of a damped string in seconds; 0 lets it ring.
    sustain : float
        How much the decay of the string is flattened, 0 to 1.
    release_s : float
        Fade-out time of a note in seconds.
    """

    slurred: float = 0.3
    slides: float = 0.4
    dead: float = 0.0
    attack: float = 0.0
    muted_s: float = 0.0
    sustain: float = 0.4
    release_s: float = 0.04


def draw_fingers(rng: Generator, line: str) -> Fingers:
    """Draw a technique that suits a line named as in `bass_lines.LINES`."""
    attack = float(rng.choice([0.0, rng.uniform(0.05, 0.3), rng.uniform(0.3, 0.9)], p=[0.5, 0.3, 0.2]))
    muted = rng.random() < (0.3 if line in ("pump", "gallop", "reggae") else 0.08)
    return Fingers(
        slurred=float(rng.uniform(0, 0.5)),
        slides=float(rng.uniform(0.1, 0.9)),
        dead=float(rng.choice([0.0, rng.uniform(0.05, 0.4)])),
        attack=attack,
        muted_s=float(rng.uniform(0.08, 0.35)) if muted else 0.0,
        sustain=float(rng.uniform(0, 0.6)),
        release_s=float(rng.uniform(0.015, 0.09)),
    )


def play_bass(
    library: Library,
    instrument: Instrument,
    notes: Sequence[Note],
    fingers: Fingers,
    *,
    length_s: float,
    rng: Generator,
) -> FloatArray:
    """Play a line on the notes of an instrument, dry, with all notes at about the same level.

    Returns
    -------
    FloatArray, shape (2, samples)
    """
    out = np.zeros((2, round(length_s * SAMPLE_RATE)), np.float32)
    ringing: dict[tuple[int, int], tuple[FloatArray, float]] = {}
    for chain in group_slurs(notes, fingers, rng):
        key = (chain[0].pitch, int(rng.integers(2)))
        if key not in ringing:
            ringing[key] = _read_string(library, instrument, chain[0].pitch, fingers, rng)
        curve = slide_curve(chain, rng, slides=fingers.slides)
        recorded, offset = ringing[key]
        sound = _articulate(resample_along(recorded, curve, offset), chain, fingers, rng)
        level = (chain[0].velocity / 110) * 10 ** (rng.normal(0, 0.7) / 20)
        add_at(out, sound * level, round(chain[0].start_s * SAMPLE_RATE))
    for time_s in _dead_note_times(notes, fingers, rng):
        add_at(out, _dead_note(rng), round(time_s * SAMPLE_RATE))
    return out


def group_slurs(notes: Sequence[Note], fingers: Fingers, rng: Generator) -> list[list[Note]]:
    """Group notes by stroke: the first of each group is plucked, the others are slurred to it."""
    out: list[list[Note]] = []
    for note in notes:
        last = out[-1][-1] if out else None
        touching = last is not None and 0 <= note.start_s - last.start_s - last.length_s + 0.03 < 0.06
        near = last is not None and 0 < abs(note.pitch - last.pitch) <= _WIDEST_SLUR
        if touching and near and len(out[-1]) < _LONGEST_CHAIN and rng.random() < fingers.slurred:
            out[-1].append(note)
        else:
            out.append([note])
    return out


def slide_curve(chain: Sequence[Note], rng: Generator, *, slides: float) -> NDArray[np.float64]:
    """Return the semitones above the first note per sample, continuous through slides and hammer-ons."""
    start_s = chain[0].start_s
    n_samples = max(1, round((chain[-1].start_s + chain[-1].length_s - start_s) * SAMPLE_RATE))
    times, steps = [0.0], [0.0]
    for previous, note in pairwise(chain):
        glide_s = float(rng.uniform(0.05, 0.15)) if rng.random() < slides else 0.006
        glide_s = min(glide_s, 0.6 * previous.length_s, 0.6 * note.length_s)
        middle_s = note.start_s - start_s
        times += [max(times[-1], middle_s - 0.7 * glide_s), middle_s + 0.3 * glide_s]
        steps += [steps[-1], float(note.pitch - chain[0].pitch)]
    return np.interp(np.arange(n_samples) / SAMPLE_RATE, times, steps)


def resample_along(sound: FloatArray, semitones: NDArray[np.float64], offset: float = 0.0) -> FloatArray:
    """Play a sound at a varying speed, so that its pitch follows `semitones` plus `offset`."""
    places = np.cumsum(2 ** ((semitones + offset) / 12))
    places = places[places < sound.shape[1] - 1]
    grid = np.arange(sound.shape[1])
    return np.stack([np.interp(places, grid, row) for row in sound]).astype(np.float32)


def _read_string(
    library: Library, instrument: Instrument, pitch: int, fingers: Fingers, rng: Generator
) -> tuple[FloatArray, float]:
    """Return the recording for a pitch at the common level, and the semitones from it up to the pitch."""
    item, found = instrument.nearest(rng, pitch)
    sound = trim_onset(library.audio(item))
    if fingers.sustain:
        power = uniform_filter1d(np.square(sound).mean(0), 4410, mode="nearest")
        envelope = np.sqrt(power / max(1e-9, float(power[: SAMPLE_RATE // 2].max(initial=0.0))) + 1e-4)
        sound = sound * np.minimum(envelope**-fingers.sustain, 2.5)
    body = sound[:, 1000 : SAMPLE_RATE // 2] if sound.shape[1] > 4000 else sound
    level = np.sqrt(np.square(body).mean()) + 1e-6
    return np.asarray(0.25 * sound / level, np.float32), pitch - found


def _articulate(sound: FloatArray, chain: Sequence[Note], fingers: Fingers, rng: Generator) -> FloatArray:
    """Add attack noise, damping and hammer-ons to a stroke and fade its end."""
    out = sound.copy()
    time_s = np.arange(out.shape[1]) / SAMPLE_RATE
    for note in chain[1:]:
        since = time_s - (note.start_s - chain[0].start_s)
        out *= (1 + 0.25 * np.exp(-np.clip(since, 0, None) / 0.15) * (since > 0)).astype(np.float32)
        if rng.random() < 0.3:
            add_at(
                out,
                _noise(rng, 0.06, 1500, 5000) * 0.02,
                round((note.start_s - chain[0].start_s) * SAMPLE_RATE),
            )
    if fingers.muted_s:
        out *= np.exp(-time_s / fingers.muted_s).astype(np.float32)
    if fingers.attack:
        add_at(out, _noise(rng, 0.012, 800, 7000) * fingers.attack * 0.4, 0)
    n_fade = min(out.shape[1], round(fingers.release_s * SAMPLE_RATE))
    if n_fade:
        out[:, -n_fade:] *= np.linspace(1, 0, n_fade, dtype=np.float32)
    return out


def _dead_note_times(notes: Sequence[Note], fingers: Fingers, rng: Generator) -> list[float]:
    """Return times about a sixteenth before some notes that follow a rest or a long note."""
    out = []
    for note, following in pairwise(notes):
        before_s = following.start_s - float(rng.uniform(0.1, 0.16))
        if before_s > note.start_s + 0.15 and rng.random() < fingers.dead:
            out.append(before_s)
    return out


def _dead_note(rng: Generator) -> FloatArray:
    """Synthesise a stroke on a damped string: a thud and a click."""
    time_s = np.arange(round(0.07 * SAMPLE_RATE)) / SAMPLE_RATE
    thud = np.sin(2 * np.pi * float(rng.uniform(60, 130)) * time_s) * np.exp(-time_s / 0.02)
    return np.asarray(0.2 * thud + 0.12 * _noise(rng, 0.07, 300, 3000), np.float32)


def _noise(rng: Generator, length_s: float, low_hz: float, high_hz: float) -> FloatArray:
    """Return a decaying burst of band-limited noise, ``(1, samples)``."""
    n_samples = round(length_s * SAMPLE_RATE)
    sos = butter(1, [low_hz, high_hz], "bandpass", fs=SAMPLE_RATE, output="sos")
    burst = sosfilt(sos, rng.normal(size=n_samples)) * np.exp(-np.arange(n_samples) / (0.25 * n_samples))
    return np.asarray(burst[None] / (np.abs(burst).max() + 1e-9), np.float32)
