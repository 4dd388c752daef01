"""Where stems are cut: at beats, at bars, at onsets, or into parts of one length.

Cuts are complementary: a slice begins at the sample at which the one before it ends, so that the slices of a
stem, put together, are the stem.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import soundfile
from numpy.typing import NDArray

from stemsplit.errors import SettingsError
from stemsplit.music.analysis import SongAnalysis
from stemsplit.music.features import ONSET_HOP, OnsetFeatures
from stemsplit.music.features import SAMPLE_RATE as FEATURE_RATE
from stemsplit.types import FloatArray

KINDS: Final = ("beats", "bars", "onsets")
_MAX_PARTS: Final = 9999
_BLOCK_SAMPLES: Final = 65536
_NEAR_S: Final = 0.002  # so far a cut may move to a quiet sample
_BEFORE_S: Final = 0.02  # the attack of an onset is looked for from so far before its frame
_AFTER_S: Final = 0.065  # to so far behind: the frame begins to rise before the attack is in its middle
_STEP_S: Final = 0.001
_HELD_STEPS: Final = 13
_LEAST_DISTANCE_S: Final = 0.05  # between two cuts
_LEAST_ONSET: Final = 0.12  # above the mean around it, of the strongest onset
_FRAMES_AROUND: Final = 13  # 0.3 s
_LEAST_FRAMES: Final = 3  # 70 ms between two onsets


@dataclass(frozen=True)
class Cut:
    """A place where a stem is cut: the first sample of a slice, and the name of the slice."""

    sample: int
    name: str


def is_slice_name(name: str) -> bool:
    """Tell from the name of a file whether it is one of a folder of slices.

    >>> [is_slice_name(name) for name in ("bar 003.wav", "0012 at 003.250 s.wav", "slices.sfz", "mine.wav")]
    [True, True, True, False]
    """
    return bool(re.fullmatch(r"(part \d+|bar -?\d+( beat \d)?|\d{4} at [\d.]+ s)\.wav|slices\.sfz", name))


def check_kind(kind: str) -> None:
    """Check how stems are to be sliced: one of `KINDS`, or the number of parts.

    Raises
    ------
    SettingsError
        If it is something else.
    """
    is_count = re.fullmatch(r"[1-9][0-9]{0,3}", kind)
    if kind not in KINDS and not is_count:
        raise SettingsError(
            f"slices cannot be {kind!r}; choose {', '.join(KINDS)}, or a number of parts up to {_MAX_PARTS}"
        )


def find_cuts(path: Path, found: SongAnalysis, kind: str) -> list[Cut]:
    """Return where the stem in a file is cut, the first cut at sample 0; nothing if there is no such place.

    Parameters
    ----------
    path
        A file that libsndfile reads to the sample.
    found
        The analysis of the song, for beats and bars.
    kind
        See `check_kind`.
    """
    with soundfile.SoundFile(path) as file:
        if kind == "onsets":
            return _at_onsets(file)
        if kind in KINDS:
            return _at_beats(file, found, by_bar=kind == "bars")
        return _in_parts(file, int(kind))


def _in_parts(file: soundfile.SoundFile, n_parts: int) -> list[Cut]:
    digits = len(str(n_parts))
    places = np.linspace(0, file.frames, n_parts + 1)[:-1]
    quiet = [move_to_quiet(file, round(float(place))) for place in places]
    distinct = sorted({place for place in quiet if place < file.frames})
    return [Cut(place, f"part {number:0{digits}d}") for number, place in enumerate(distinct, 1)]


def _at_beats(file: soundfile.SoundFile, found: SongAnalysis, *, by_bar: bool) -> list[Cut]:
    beats = found.beats
    if beats is None:
        return []
    first = int(np.searchsorted(beats.times_s, beats.downbeats_s[0] - 1e-6)) if len(beats.downbeats_s) else 0
    cuts = [Cut(0, "bar 000" if by_bar else "bar 000 beat 0")]
    for number, time_s in enumerate(beats.times_s):
        bar, beat = divmod(number - first, 4)
        if by_bar and beat:
            continue
        name = f"bar {bar + 1:03d}" + ("" if by_bar else f" beat {beat + 1}")
        _append(cuts, file, Cut(move_to_quiet(file, round(float(time_s) * file.samplerate)), name))
    return cuts


def _append(cuts: list[Cut], file: soundfile.SoundFile, cut: Cut) -> None:
    """Append a cut; one right at the beginning is the first, one right at the end is left out."""
    least = round(_LEAST_DISTANCE_S * file.samplerate)
    if len(cuts) == 1 and cut.sample < least:
        cuts[0] = Cut(0, cut.name)
    elif cuts[-1].sample + least <= cut.sample <= file.frames - least:
        cuts.append(cut)


def _at_onsets(file: soundfile.SoundFile) -> list[Cut]:
    times_s = find_onsets(file)
    cuts = [Cut(0, "0000 at 000.000 s")]
    for time_s in times_s:
        place = move_to_quiet(file, _find_attack(file, float(time_s)))
        at_s = place / file.samplerate
        _append(cuts, file, Cut(place, f"{len(cuts):04d} at {at_s:07.3f} s"))
    return cuts if len(times_s) else []


def find_onsets(file: soundfile.SoundFile) -> NDArray[np.float64]:
    """Return the times of onsets in a file in seconds, to a frame of `ONSET_HOP` samples."""
    from scipy.ndimage import uniform_filter1d
    from scipy.signal import find_peaks

    features = OnsetFeatures(file.samplerate)
    file.seek(0)
    while len(block := file.read(_BLOCK_SAMPLES, dtype="float32", always_2d=True)):
        features.process(block.T)
    features.flush()
    strength = features.strength
    peak = float(strength.max(initial=0))
    if peak <= 0:
        return np.zeros(0)
    relative = strength / peak
    frames = find_peaks(np.concatenate([[0.0], relative, [0.0]]), distance=_LEAST_FRAMES)[0] - 1
    around = uniform_filter1d(relative, _FRAMES_AROUND)
    frames = frames[relative[frames] >= around[frames] + _LEAST_ONSET]
    return np.asarray(frames * ONSET_HOP / FEATURE_RATE)


def _read(file: soundfile.SoundFile, start: int, stop: int) -> FloatArray:
    """Read samples ``(channels, samples)`` from `start` to `stop`, as far as they lie in the file."""
    start, stop = max(0, start), min(file.frames, stop)
    file.seek(start)
    samples: FloatArray = file.read(stop - start, dtype="float32", always_2d=True)
    return samples.T


def _find_attack(file: soundfile.SoundFile, time_s: float) -> int:
    """Return the sample at which the level around an onset rises most steeply, to a millisecond."""
    from scipy.ndimage import maximum_filter1d

    step: int = round(_STEP_S * file.samplerate)
    start: int = max(0, round((time_s - _BEFORE_S) * file.samplerate))
    near = np.abs(_read(file, start, round((time_s + _AFTER_S) * file.samplerate))).max(axis=0)
    n_steps = len(near) // step
    if n_steps < 4:
        return start
    level = near[: n_steps * step].reshape(n_steps, step).max(axis=1)
    # the peak of half a period of the lowest notes, so that a waveform that crosses zero is no silence
    held = maximum_filter1d(level, _HELD_STEPS, origin=_HELD_STEPS // 2)
    level_db = 20 * np.log10(held + 0.01 * held.max() + 1e-9)
    return start + (int(np.argmax(np.diff(level_db))) + 1) * step


def move_to_quiet(file: soundfile.SoundFile, place: int) -> int:
    """Return the sample near `place` where the waveform steps from its predecessor most quietly.

    That is where it crosses zero in all channels, or nearly so; of several such, the nearest.
    """
    near = round(_NEAR_S * file.samplerate)
    start = max(0, place - near - 1)
    samples = np.abs(_read(file, start, place + near + 1)).max(axis=0)
    if place <= 0 or len(samples) < 2:
        return max(0, place)
    level = samples[1:] + samples[:-1]
    places = np.arange(start + 1, start + 1 + len(level))
    best = int(np.lexsort((np.abs(places - place), level))[0])
    return int(places[best])


def find_loop(found: SongAnalysis, n_bars: int) -> tuple[float, float] | None:
    """Return from when to when the `n_bars` bars last that are repeated most closely; None if none are.

    Bars are compared by their harmony and by their onsets, see `SongAnalysis.bars`.
    """
    beats = found.beats
    if beats is None or len(beats.downbeats_s) <= n_bars:
        return None
    n_whole = len(beats.downbeats_s) - 1
    scores = [_rate_loop(found.bars[:n_whole], start, n_bars) for start in range(n_whole - n_bars + 1)]
    best = int(np.argmax(scores))
    return float(beats.downbeats_s[best]), float(beats.downbeats_s[best + n_bars])


def _rate_loop(bars: FloatArray, start: int, n_bars: int) -> float:
    """How alike the bars of a loop are to those before or after it, from 0 to 1; less for silent ones."""
    loop = bars[start : start + n_bars]
    others: Sequence[FloatArray] = [
        bars[first : first + n_bars]
        for first in (start - n_bars, start + n_bars)
        if 0 <= first <= len(bars) - n_bars
    ]
    if not others:
        return 0.0
    return max(float(np.mean(np.sum(loop * other, axis=1))) for other in others)
