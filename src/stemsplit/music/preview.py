"""A preview: the same excerpt of every stem, one after the other, in one file."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import numpy as np
import soundfile

from stemsplit.audio.loop_chunks import LoopInfo, append_loop_chunks
from stemsplit.music.analysis import SongAnalysis

_BLOCK_SAMPLES: Final = 65536
_PAUSE_S: Final = 0.5
_FADE_S: Final = 0.02
_STEP_S: Final = 1.0


def write_preview(path: Path, stems: Mapping[str, Path], found: SongAnalysis, length_s: float) -> bool:
    """Write an excerpt of every stem to one wav file, with a pause and a marker between them.

    Parameters
    ----------
    path
        The wav file, of the sample type of the first stem.
    stems
        The file of each stem, of the same length.
    found
        The analysis of the song, which says where the stems sound.
    length_s
        Of the excerpt of each stem, in seconds; shorter where the song is.

    Returns
    -------
    bool
        False, and nothing is written, if no stem sounds.
    """
    start_s = find_excerpt(found, length_s)
    if start_s is None:
        return False
    first = soundfile.info(next(iter(stems.values())))
    subtype = first.subtype if first.subtype in ("PCM_16", "PCM_24", "PCM_32") else "FLOAT"
    start, pause = round(start_s * first.samplerate), round(_PAUSE_S * first.samplerate)
    n_samples = min(round(length_s * first.samplerate), first.frames - start)
    with soundfile.SoundFile(path, "w", first.samplerate, first.channels, subtype, format="WAV") as written:
        for number, stem in enumerate(stems.values()):
            if number:
                written.write(np.zeros((pause, first.channels), dtype=np.float32))
            _copy(stem, written, start, n_samples)
    starts = [number * (n_samples + pause) for number in range(len(stems))]
    info = LoopInfo(starts[-1] + n_samples, markers=starts)
    append_loop_chunks(path, info, first.samplerate)
    with path.open("rb+") as whole:
        os.fsync(whole.fileno())
    return True


def find_excerpt(found: SongAnalysis, length_s: float) -> float | None:
    """Return where an excerpt begins in which the stems sound the longest, all added up; None for silence."""
    intervals = [np.array(stem.intervals_s).reshape(-1, 2) for stem in found.stems.values()]
    sounding = np.concatenate([np.zeros((0, 2)), *intervals])
    if not len(sounding):
        return None
    starts_s = np.arange(0, max(0.0, found.duration_s - length_s) + _STEP_S / 2, _STEP_S)
    starts_s = np.minimum(starts_s, max(0.0, found.duration_s - length_s))
    begins = np.maximum(sounding[:, :1], starts_s)
    ends = np.minimum(sounding[:, 1:], starts_s + length_s)
    return float(starts_s[int(np.argmax(np.maximum(ends - begins, 0).sum(axis=0)))])


def _copy(path: Path, written: soundfile.SoundFile, start: int, n_samples: int) -> None:
    """Append samples of a file, with fades at both ends."""
    n_fade = min(round(_FADE_S * written.samplerate), n_samples // 2)
    with soundfile.SoundFile(path) as file:
        file.seek(start)
        for done in range(0, n_samples, _BLOCK_SAMPLES):
            samples = file.read(min(_BLOCK_SAMPLES, n_samples - done), dtype="float32", always_2d=True)
            places = np.arange(done, done + len(samples))
            gain = np.clip(np.minimum(places, n_samples - 1 - places) / max(1, n_fade), 0, 1)
            written.write((samples * gain[:, np.newaxis]).astype(np.float32))
