"""A mix of stems as the mixer is set, from the stems in their full quality.

Panning is that of the Web Audio API's `StereoPannerNode
<https://webaudio.github.io/web-audio-api/#stereopanner-algorithm>`_, so that the file is what the page plays.
"""

import math
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
import soundfile

from stemsplit.audio.encoding import Encoding, choose_encoding
from stemsplit.audio.info import AudioInfo
from stemsplit.audio.stem_set import StemSet
from stemsplit.did_you_mean import unknown_name
from stemsplit.errors import OutputError, SettingsError
from stemsplit.types import FloatArray

MIN_GAIN_DB: Final = -60.0
MAX_GAIN_DB: Final = 12.0

_BLOCK_SAMPLES: Final = 65536


@dataclass(frozen=True)
class Mix:
    """Which stems are mixed, and how.

    Parameters
    ----------
    stems
        Those that sound; None for all.
    gains_db
        Of some of them, -60 to 12 dB; the others keep their level.
    pans
        Of some of them, -1 (left) to 1 (right); the others stay where they are.
    format, bits
        See `stemsplit.audio.encoding.choose_encoding`; `format` None is that of the stems.
    start_s, end_s
        The excerpt, in seconds from the start of the song; None for its start and its end.

    Raises
    ------
    SettingsError
        If a value is outside its range, or a gain or a pan is for a stem that does not sound.
    """

    stems: tuple[str, ...] | None = None
    gains_db: Mapping[str, float] = field(default_factory=dict)
    pans: Mapping[str, float] = field(default_factory=dict)
    format: str | None = None
    bits: str | None = None
    start_s: float | None = None
    end_s: float | None = None

    def __post_init__(self) -> None:
        _check_range("gains_db", self.gains_db, MIN_GAIN_DB, MAX_GAIN_DB)
        _check_range("pans", self.pans, -1.0, 1.0)
        if self.stems is not None and not self.stems:
            raise SettingsError("a mix of no stem is silence; name some, like stems=vocals,drums")
        if not 0.0 <= (self.start_s or 0.0) < (math.inf if self.end_s is None else self.end_s):
            raise SettingsError(
                f"the excerpt from {self.start_s or 0.0:g} s to {self.end_s} s is empty; end_s comes later"
            )

    def choose_stems(self, offered: Mapping[str, Path]) -> dict[str, Path]:
        """Return the files of the stems that sound.

        Raises
        ------
        SettingsError
            If one is not offered; the nearest name is proposed.
        """
        chosen = tuple(offered) if self.stems is None else self.stems
        for name in (*chosen, *self.gains_db, *self.pans):
            if name not in offered:
                raise unknown_name(f"the song has no stem {name!r}", name, offered)
        return {name: offered[name] for name in chosen}


def _check_range(name: str, values: Mapping[str, float], lowest: float, highest: float) -> None:
    for stem, value in values.items():
        if not lowest <= value <= highest:
            raise SettingsError(f"{name} of {stem!r} is {value:g}; it may be {lowest:g} to {highest:g}")


def write_mix(mix: Mix, stems: Mapping[str, Path], path: Path) -> None:
    """Mix `stems`, files in which one can seek, into `path`, which appears when it is whole.

    A mix that would clip in PCM is turned down as a whole, as stems are.

    Raises
    ------
    SettingsError
        If `stems` do not have what is to be mixed, the format cannot hold it, or the excerpt lies behind the
        end.
    OutputError
        If it cannot be written.
    """
    with ExitStack() as stack:
        files = {
            name: stack.enter_context(soundfile.SoundFile(file))
            for name, file in mix.choose_stems(stems).items()
        }
        first = next(iter(files.values()))
        if mix.pans and first.channels != 2:
            raise SettingsError(
                f"pans are for stereo, and the song has {first.channels} channel(s); leave them out"
            )
        start = round((mix.start_s or 0.0) * first.samplerate)
        end = first.frames if mix.end_s is None else min(first.frames, round(mix.end_s * first.samplerate))
        if start >= end:
            raise SettingsError(f"start_s {mix.start_s} lies behind the end of the song")
        encoding = choose_mix_encoding(mix, first)
        written = stack.enter_context(
            StemSet(
                {"mix": path},
                sample_rate=first.samplerate,
                n_channels=first.channels,
                encoding=encoding,
                replaceable=[path],
            )
        )
        for block in _mix_blocks(mix, files, start, end):
            written.write({"mix": block})
        written.complete()
        written.place()


def choose_mix_encoding(mix: Mix, stem: soundfile.SoundFile) -> Encoding:
    """Return how a mix is stored, given one of its stems.

    Raises
    ------
    SettingsError
        If the format cannot hold it.
    """
    info = AudioInfo(stem.samplerate, stem.channels, stem.frames, stem.format, stem.subtype)
    try:
        return choose_encoding(mix.format or "wav", mix.bits, info)
    except OutputError as error:
        raise SettingsError(str(error)) from error


def _mix_blocks(
    mix: Mix, files: Mapping[str, soundfile.SoundFile], start: int, end: int
) -> Iterator[FloatArray]:
    for file in files.values():
        file.seek(start)
    for position in range(start, end, _BLOCK_SAMPLES):
        n_samples = min(_BLOCK_SAMPLES, end - position)
        yield sum(
            (_fade(_read(file, n_samples), mix, name) for name, file in files.items()),
            start=np.zeros((1, 1), np.float32),
        )


def _read(file: soundfile.SoundFile, n_samples: int) -> FloatArray:
    samples: FloatArray = file.read(n_samples, dtype="float32", always_2d=True)
    return samples.T


def _fade(samples: FloatArray, mix: Mix, name: str) -> FloatArray:
    gain_db = mix.gains_db.get(name, 0.0)
    samples = samples if gain_db == 0.0 else samples * np.float32(10.0 ** (gain_db / 20.0))
    return pan_stereo(samples, mix.pans[name]) if mix.pans.get(name) else samples


def pan_stereo(samples: FloatArray, pan: float) -> FloatArray:
    """Move stereo samples to one side.

    Parameters
    ----------
    samples
        Stereo, ``(2, samples)``.
    pan
        -1 to 1; 0 changes nothing.

    Examples
    --------
    >>> pan_stereo(np.float32([[0.5], [0.25]]), 1.0).ravel()
    array([0.  , 0.75], dtype=float32)
    """
    left, right = samples
    angle = (pan + 1.0 if pan <= 0.0 else pan) * math.pi / 2.0
    near, far = np.float32(math.sin(angle)), np.float32(round(math.cos(angle), 12))
    if pan <= 0.0:
        return np.stack([left + right * far, right * near])
    return np.stack([left * far, right + left * near])
