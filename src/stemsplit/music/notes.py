"""Notes of a stem that sounds one at a time, such as a bass or a voice: pitch by pYIN, cut into notes."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Final

import numpy as np
import soundfile
from numpy.typing import NDArray

from stemsplit.dsp.resample import Resampler
from stemsplit.types import FloatArray

SAMPLE_RATE: Final = 22050
_HOP: Final = 256  # 12 ms
_CHUNK_S: Final = 10.0  # pYIN takes so much at a time
_CONTEXT_S: Final = 0.5  # on both sides of it, thrown away
_BLOCK_SAMPLES: Final = 65536
_SMOOTH_FRAMES: Final = 5
_SHORTEST_S: Final = 0.06
_CHANGE_SEMITONES: Final = 0.6  # a pitch that is further from its note begins another one
_GATE_DB: Final = -35.0  # below the loudest frames nothing is a note
_FLOOR_DB: Final = -70.0
_ATTACK_DB: Final = 4.0  # a rise of the level within a note that begins it again
_ATTACK_FRAMES: Final = 7
_LEAST_FRAMES: Final = 9  # 0.1 s, from the beginning of a note to where it may begin again
_RANGE_DB: Final = 36.0  # from the softest to the loudest velocity
# lowest and highest pitch of what has its own range; all else may be anywhere
RANGES_HZ: Final = {"bass": (27.0, 400.0), "vocals": (65.0, 1100.0)}
_ANY_HZ: Final = (40.0, 1500.0)


@dataclass(frozen=True)
class Note:
    """A note: from when to when in seconds, MIDI pitch, and velocity from 1 to 127."""

    start_s: float
    stop_s: float
    pitch: int
    velocity: int


@dataclass(frozen=True)
class PitchTrack:
    """The pitch of a waveform, frame by frame; frame ``t`` stands at ``t * _HOP / SAMPLE_RATE`` seconds.

    Attributes
    ----------
    pitch
        In MIDI semitones with fractions; NaN where there is none.
    level_db
        Of each frame, below full scale.
    """

    pitch: NDArray[np.float64]
    level_db: NDArray[np.float64]


def transcribe_line(path: Path, stem: str) -> list[Note]:
    """Return the notes of a stem that plays or sings one note at a time; none where it has no pitch.

    Memory does not grow with the stem but for a few kilobytes a second.

    Parameters
    ----------
    path
        A file that libsndfile reads.
    stem
        Its name, which decides the range of pitches, see `RANGES_HZ`.

    References
    ----------
    Mauch & Dixon, "pYIN: a fundamental frequency estimator using probabilistic threshold distributions",
    2014.
    """
    return cut_notes(track_pitch(path, *RANGES_HZ.get(stem, _ANY_HZ)))


def track_pitch(path: Path, lowest_hz: float, highest_hz: float) -> PitchTrack:
    """Return the pitch of the mean of the channels of a file."""
    parts = [_track_chunk(chunk, lowest_hz, highest_hz) for chunk in _read_chunks(path)]
    if not parts:
        return PitchTrack(np.zeros(0), np.zeros(0))
    return PitchTrack(
        np.concatenate([part.pitch for part in parts]), np.concatenate([part.level_db for part in parts])
    )


@dataclass(frozen=True)
class _Chunk:
    """Samples with context on both sides, and how many frames of it are kept, from which one on."""

    samples: FloatArray
    first_frame: int
    n_frames: int


def _read_chunks(path: Path) -> Iterator[_Chunk]:
    n_chunk, n_context = (round(length_s * SAMPLE_RATE / _HOP) * _HOP for length_s in (_CHUNK_S, _CONTEXT_S))
    kept, n_before = np.zeros(0, dtype=np.float32), 0
    for samples in _read_mono(path):
        kept = np.concatenate([kept, samples])
        while len(kept) >= n_before + n_chunk + n_context:
            yield _Chunk(kept[: n_before + n_chunk + n_context], n_before // _HOP, n_chunk // _HOP)
            kept = kept[n_before + n_chunk - n_context :]
            n_before = n_context
    if len(kept) > n_before:
        yield _Chunk(kept, n_before // _HOP, (len(kept) - n_before) // _HOP + 1)


def _read_mono(path: Path) -> Iterator[FloatArray]:
    with soundfile.SoundFile(path) as file:
        resampler = Resampler(from_hz=file.samplerate, to_hz=SAMPLE_RATE)
        while len(block := file.read(_BLOCK_SAMPLES, dtype="float32", always_2d=True)):
            yield resampler.process(block.mean(axis=1)[np.newaxis])[0]
    yield resampler.flush()[0]


def _track_chunk(chunk: _Chunk, lowest_hz: float, highest_hz: float) -> PitchTrack:
    import librosa

    samples = chunk.samples
    kept = slice(chunk.first_frame, chunk.first_frame + chunk.n_frames)
    frame_length = 2048 if lowest_hz < 60 else 1024
    rms = librosa.feature.rms(y=samples, frame_length=frame_length, hop_length=_HOP)[0]
    level_db = 20 * np.log10(np.maximum(rms[kept], 1e-6))
    if level_db.max(initial=_FLOOR_DB) <= _FLOOR_DB:  # pYIN costs as much for silence
        return PitchTrack(np.full(len(level_db), np.nan), level_db)
    hz, _, _ = librosa.pyin(
        samples,
        fmin=lowest_hz,
        fmax=highest_hz,
        sr=SAMPLE_RATE,
        frame_length=2 * frame_length,
        hop_length=_HOP,
        resolution=0.2,
    )
    # the lowest pitch is what pYIN makes of noise
    pitch = 69 + 12 * np.log2(np.where(hz[kept] > 1.06 * lowest_hz, hz[kept], np.nan) / 440)
    return PitchTrack(np.asarray(pitch, np.float64), np.asarray(level_db, np.float64))


def cut_notes(track: PitchTrack) -> list[Note]:
    """Return the notes of a pitch track.

    A note ends where the pitch does, where it moves by more than `_CHANGE_SEMITONES`, and where the level
    rises at once, as of a string that is plucked again.
    """
    if not len(track.pitch):
        return []
    loudest_db = float(np.percentile(track.level_db, 98))
    gate_db = max(_FLOOR_DB, loudest_db + _GATE_DB)
    pitch = np.where(track.level_db >= gate_db, _smooth(track.pitch), np.nan)
    bounds = _find_bounds(pitch, _find_attacks(track.level_db))
    notes = []
    for start, stop in pairwise(bounds):
        if np.isnan(pitch[start]) or (stop - start) * _HOP / SAMPLE_RATE < _SHORTEST_S:
            continue
        height = round(float(np.nanmedian(pitch[start:stop])))
        velocity = _rate_velocity(float(track.level_db[start:stop].max()), loudest_db)
        notes.append(Note(start * _HOP / SAMPLE_RATE, stop * _HOP / SAMPLE_RATE, height, velocity))
    return notes


def _smooth(pitch: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the median of a few frames around each, of those that have a pitch; gaps of one frame close."""
    half = _SMOOTH_FRAMES // 2
    padded = np.pad(pitch, half, constant_values=np.nan)
    windows = np.lib.stride_tricks.sliding_window_view(padded, _SMOOTH_FRAMES)
    has_pitch = (~np.isnan(windows)).sum(axis=1) > half
    smooth = np.full(len(pitch), np.nan)
    smooth[has_pitch] = np.nanmedian(windows[has_pitch], axis=1)
    return smooth


def _find_attacks(level_db: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return where the level rises at once: the first frame of each such rise."""
    before = np.concatenate([np.full(_ATTACK_FRAMES, level_db[0]), level_db[:-_ATTACK_FRAMES]])
    rises = level_db - before >= _ATTACK_DB
    return np.asarray(rises & ~np.concatenate([[False], rises[:-1]]))


def _find_bounds(pitch: NDArray[np.float64], attacks: NDArray[np.bool_]) -> list[int]:
    """Return the frames at which notes begin and end."""
    bounds = [0]
    height, n_away = pitch[0], 0
    for frame in range(1, len(pitch)):
        now = pitch[frame]
        is_edge = np.isnan(now) != np.isnan(pitch[frame - 1])
        is_away = not np.isnan(now) and not np.isnan(height) and abs(now - height) > _CHANGE_SEMITONES
        n_away = n_away + 1 if is_away else 0
        is_struck = attacks[frame] and frame - bounds[-1] >= _LEAST_FRAMES
        if is_edge or is_struck or n_away >= _SMOOTH_FRAMES:
            bounds.append(frame - n_away + 1 if n_away >= _SMOOTH_FRAMES else frame)
            height, n_away = (np.rint(now) if not np.isnan(now) else now), 0
    return [*sorted(set(bounds)), len(pitch)]


def _rate_velocity(level_db: float, loudest_db: float) -> int:
    return int(np.clip(round(110 + 80 * (level_db - loudest_db) / _RANGE_DB), 1, 127))
