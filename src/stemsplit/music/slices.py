"""Slices and loops of a stem: wav files cut to the sample, with what samplers read, and an SFZ instrument."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import numpy as np
import soundfile
from numpy.typing import NDArray

from stemsplit.audio.loop_chunks import LoopInfo, append_loop_chunks
from stemsplit.music.analysis import SongAnalysis
from stemsplit.music.cuts import find_cuts, find_loop, move_to_quiet

_BLOCK_SAMPLES: Final = 65536
_LOWEST_KEY: Final = 36  # C2, where drum pads begin
_N_KEYS: Final = 128
_BEATS_PER_BAR: Final = 4


def write_slices(
    path: Path, folder: Path, found: SongAnalysis, kind: str, *, fade_ms: float = 0.0
) -> list[Path]:
    """Cut the stem in a file into wav files in a folder; return their paths, in order.

    Put together they are the stem, sample by sample, unless they are faded. They have the sample type of the
    file. One-shots, which slices at onsets are, come with an SFZ instrument.

    Parameters
    ----------
    path
        wav, flac or aiff.
    folder
        Is created; nothing is written if the song has no such places.
    found
        The analysis of the song.
    kind
        ``beats``, ``bars``, ``onsets``, or a number of parts.
    fade_ms
        Length of a fade at both ends of every slice, in milliseconds.
    """
    cuts = find_cuts(path, found, kind)
    if not cuts:
        return []
    folder.mkdir()
    with soundfile.SoundFile(path) as file:
        bounds = [*(cut.sample for cut in cuts), file.frames]
        slices = [
            _write_part(
                file,
                folder / f"{cut.name}.wav",
                _describe(found, kind, start, stop, file.samplerate),
                start=start,
                fade_ms=fade_ms,
            )
            for cut, (start, stop) in zip(cuts, pairwise(bounds), strict=True)
        ]
    if kind == "onsets":
        (folder / "slices.sfz").write_text(make_sfz([each.name for each in slices]), encoding="utf-8")
    return slices


def write_loop(path: Path, target: Path, found: SongAnalysis, n_bars: int, *, fade_ms: float = 0.0) -> bool:
    """Write the loop of `n_bars` bars that a song repeats most closely from the stem in a file.

    Returns
    -------
    bool
        False, and nothing is written, if the song has no beat or not so many bars.
    """
    times_s = find_loop(found, n_bars)
    if times_s is None:
        return False
    with soundfile.SoundFile(path) as file:
        start, stop = (move_to_quiet(file, round(time_s * file.samplerate)) for time_s in times_s)
        stop = min(stop, file.frames)
        info = _describe(found, "bars", start, stop, file.samplerate)
        _write_part(
            file, target, replace(info, n_beats=_BEATS_PER_BAR * n_bars), start=start, fade_ms=fade_ms
        )
    return True


def make_sfz(names: Sequence[str]) -> str:
    """Return an SFZ instrument that plays each sample on a key of its own, from C2 up, as far as keys go.

    >>> print(make_sfz(["a.wav"]), end="")
    <group> loop_mode=one_shot
    <region> sample=a.wav key=36
    """
    keys = [*range(_LOWEST_KEY, _N_KEYS), *range(_LOWEST_KEY - 1, -1, -1)]
    regions = [f"<region> sample={name} key={key}\n" for name, key in zip(names, keys, strict=False)]
    return "<group> loop_mode=one_shot\n" + "".join(regions)


def _describe(found: SongAnalysis, kind: str, start: int, stop: int, sample_rate: int) -> LoopInfo:
    """Return what is known of the samples from `start` to `stop`."""
    n_samples = stop - start
    if found.beats is None or kind == "onsets":
        return LoopInfo(n_samples)
    places = np.rint(found.beats.times_s * sample_rate).astype(int) - start
    slack = round(0.03 * sample_rate)
    inside = places[(places >= -slack) & (places < n_samples - slack)]
    n_beats = len(inside)
    root = None if found.key is None else 60 + found.key.tonic
    is_loop = kind in ("beats", "bars") and n_beats > 0
    return LoopInfo(
        n_samples,
        is_loop=is_loop,
        n_beats=n_beats,
        bpm=60 * n_beats * sample_rate / n_samples if is_loop else found.beats.bpm,
        root=root,
        markers=[max(0, int(place)) for place in inside],
    )


def _write_part(
    file: soundfile.SoundFile, target: Path, info: LoopInfo, *, start: int, fade_ms: float
) -> Path:
    """Copy samples of a file into a wav of the same sample type."""
    is_float = file.subtype in ("FLOAT", "DOUBLE")
    subtype = file.subtype if file.subtype in ("PCM_16", "PCM_24", "PCM_32") else "FLOAT"
    n_fade = min(round(fade_ms / 1000 * file.samplerate), info.n_samples // 2)
    with soundfile.SoundFile(target, "w", file.samplerate, file.channels, subtype, format="WAV") as written:
        for samples in _read_blocks(file, start, info.n_samples, "float32" if is_float else "int32", n_fade):
            written.write(samples)
    append_loop_chunks(target, info, file.samplerate)
    with target.open("rb+") as whole:
        os.fsync(whole.fileno())
    return target


def _read_blocks(
    file: soundfile.SoundFile, start: int, n_samples: int, dtype: str, n_fade: int
) -> Iterator[NDArray[Any]]:
    file.seek(start)
    for done in range(0, n_samples, _BLOCK_SAMPLES):
        samples = file.read(min(_BLOCK_SAMPLES, n_samples - done), dtype=dtype, always_2d=True)
        if not n_fade:
            yield samples
            continue
        places = np.arange(done, done + len(samples))
        gain = np.clip(np.minimum(places, n_samples - 1 - places) / n_fade, 0, 1)[:, np.newaxis]
        faded = samples * gain
        yield faded.astype(np.float32) if dtype == "float32" else np.rint(faded).astype(np.int32)
