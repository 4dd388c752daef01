"""Drum replacement: the hits of a drums stem played anew with the samples of a kit.

A sample begins, with its own attack, at the sample at which the hit does. Its level is that at which its
spectrum rises as far as the hit's, and it lies in the channels as the hits of its kind do.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import soundfile
from numpy.typing import NDArray

from stemsplit.audio.encoding import Encoding
from stemsplit.audio.info import AudioInfo
from stemsplit.audio.pcm import gain_to_fit
from stemsplit.audio.reader import open_audio
from stemsplit.audio.stem_set import StemSet
from stemsplit.dsp.resample import Resampler
from stemsplit.errors import SettingsError
from stemsplit.music.attack import find_attack
from stemsplit.music.drum_hits import KINDS, Hit, find_hits, measure_strength
from stemsplit.music.drum_kit import DrumKit, KitSample
from stemsplit.types import FloatArray

_BEFORE_S: Final = 0.015  # around the time of a hit, within which its attack lies
_AFTER_S: Final = 0.02
_MEASURED_S: Final = 0.05  # of a hit, from its attack on, for its place in the channels
_SOUNDING: Final = 0.1  # of its peak, from where on a sample of a kit sounds
_BLOCK_SAMPLES: Final = 65536
_CONTAINERS: Final = {"WAV": "wav", "WAVEX": "wav", "RF64": "wav", "FLAC": "flac", "AIFF": "aiff"}


class _Sound(NamedTuple):
    """A sample of a kit at the rate of a song: ``(channels, samples)``, its attack, its strength."""

    waveform: FloatArray
    attack: int
    strength: float


class _Strike(NamedTuple):
    """A sample that is played: from which sample of the song on, and the gain of each channel."""

    start: int
    sound: _Sound
    gains: FloatArray


@dataclass(frozen=True)
class DrumReplacement:
    """The drums of one song, played with a kit.

    Parameters
    ----------
    drums
        The file of the drums stem: wav, flac or aiff.
    kit
        Hits of a kind that it does not have are left out.
    blend
        Share of the new drums, 0 to 1; the rest is that of the drums stem.
    rest
        The file of the rest of the song, for the song with the new drums; None if that is not written.

    Raises
    ------
    SettingsError
        If the share is out of its range.
    """

    drums: Path
    kit: DrumKit
    blend: float = 1.0
    rest: Path | None = None

    def __post_init__(self) -> None:
        check_blend(self.blend)

    @cached_property
    def hits(self) -> Sequence[Hit]:
        """The hits of the stem, in order of time."""
        return find_hits(self.drums)

    @cached_property
    def note(self) -> str:
        """How many hits of each kind were replaced, which the kit has no sample for, and the gain."""
        counts = Counter(hit.kind for hit in self.hits)
        played = [f"{counts[kind]} {kind}" for kind in KINDS if counts[kind] and kind in self.kit.samples]
        absent = [f"{counts[kind]} {kind}" for kind in KINDS if counts[kind] and kind not in self.kit.samples]
        left_out = f"; left out, since the kit has no sample: {', '.join(absent)}" if absent else ""
        lowered = (
            f"; lowered by {-20 * np.log10(self.gain):.1f} dB, so as not to clip" if self.gain < 1 else ""
        )
        return f"drum hits replaced: {', '.join(played) or 'none'}{left_out}{lowered}"

    @cached_property
    def gain(self) -> float:
        """The gain at which neither the new drums nor the song with them clip; 1 if they do not anyway."""
        encoding = self._encoding
        if encoding.is_float:
            return 1.0
        pieces = [self.blocks(), *([self.blocks(with_rest=True)] if self.rest else [])]
        ranges = [(float(block.min()), float(block.max())) for blocks in pieces for block in blocks]
        return gain_to_fit(encoding, min(low for low, _ in ranges), max(high for _, high in ranges))

    @cached_property
    def _info(self) -> AudioInfo:
        with open_audio(self.drums) as reader:
            return reader.info

    @property
    def _encoding(self) -> Encoding:
        return Encoding(_CONTAINERS[self._info.container], self._info.subtype)

    def write(self, path: Path, *, with_rest: bool = False) -> None:
        """Write the new drums, or the song with them, to a file like that of the stem.

        Parameters
        ----------
        path
            The file.
        with_rest
            Add `rest`.
        """
        with StemSet(
            {path.name: path},
            sample_rate=self._info.sample_rate,
            n_channels=self._info.n_channels,
            encoding=self._encoding,
            channel_mask=self._info.channel_mask,
            replaceable=[path],
        ) as files:
            for block in self.blocks(with_rest=with_rest):
                files.write({path.name: np.float32(self.gain) * block})
            files.complete()
            files.place()

    def blocks(self, *, with_rest: bool = False) -> Iterator[FloatArray]:
        """Yield the new drums, or the song with them, ``(channels, samples)``, without the gain."""
        start = 0
        waiting = list(reversed(self._strikes))
        sounding: list[_Strike] = []
        for original, other in _read_together(self.drums, self.rest if with_rest else None):
            stop = start + original.shape[1]
            while waiting and waiting[-1].start < stop:
                sounding.append(waiting.pop())
            played = np.zeros_like(original)
            for strike in sounding:
                _add_part(played, strike, start)
            sounding = [each for each in sounding if each.start + each.sound.waveform.shape[1] > stop]
            mixed = np.float32(self.blend) * played + np.float32(1 - self.blend) * original
            yield mixed if other is None else mixed + other
            start = stop

    @cached_property
    def _strikes(self) -> Sequence[_Strike]:
        hits = [hit for hit in self.hits if hit.kind in self.kit.samples]
        with soundfile.SoundFile(self.drums) as file:
            places, levels = _locate(file, hits)
            sounds: dict[KitSample, _Sound] = {}
            turns: Counter[str] = Counter()
            gains = _spread(hits, levels)
            strikes = []
            for hit, place in zip(hits, places, strict=True):
                sample = self.kit.choose(hit.kind, hit.velocity, turns[hit.kind])
                turns[hit.kind] += 1
                if sample not in sounds:
                    sounds[sample] = _load(sample.path, file.samplerate, file.channels)
                sound = sounds[sample]
                level = np.float32(hit.strength / sound.strength)
                strikes.append(_Strike(place - sound.attack, sound, level * gains[hit.kind]))
        return sorted(strikes, key=lambda strike: strike.start)


def check_blend(blend: float) -> None:
    """Raise a `SettingsError` if `blend` is no share."""
    if not 0 <= blend <= 1:
        raise SettingsError(
            f"a blend is from 0, the original drums, to 1, only the new ones; it cannot be {blend:g}"
        )


def _locate(file: soundfile.SoundFile, hits: Sequence[Hit]) -> tuple[list[int], NDArray[np.float64]]:
    """Return the sample at which each hit begins, and its energy in each channel, ``(hits, channels)``."""
    places, levels = [], np.zeros((len(hits), file.channels))
    for number, hit in enumerate(hits):
        start = max(0, round((hit.time_s - _BEFORE_S) * file.samplerate))
        file.seek(min(start, file.frames))
        n_around = round((_BEFORE_S + _AFTER_S) * file.samplerate)
        n_measured = round(_MEASURED_S * file.samplerate)
        around = file.read(n_around + n_measured, dtype="float32", always_2d=True).T
        attack = find_attack(around[:, :n_around], file.samplerate)
        places.append(start + attack)
        levels[number] = np.square(around[:, attack : attack + n_measured], dtype=np.float64).sum(axis=1)
    return places, levels


def _spread(hits: Sequence[Hit], levels: NDArray[np.float64]) -> Mapping[str, FloatArray]:
    """Return the gain of each channel for each kind, ``(channels, 1)``, with a mean of 1."""
    gains = {}
    for kind in {hit.kind for hit in hits}:
        energy = levels[[hit.kind == kind for hit in hits]].sum(axis=0)
        magnitude = np.sqrt(energy) if energy.any() else np.ones_like(energy)
        gains[kind] = (magnitude / magnitude.mean()).astype(np.float32)[:, np.newaxis]
    return gains


def _load(path: Path, sample_rate: int, n_channels: int) -> _Sound:
    """Read a sample of a kit; one of other channels than the song becomes the mean of its own in each."""
    samples, own_rate = soundfile.read(path, dtype="float32", always_2d=True)
    resampler = Resampler(from_hz=own_rate, to_hz=sample_rate)
    waveform = np.concatenate([resampler.process(samples.T), resampler.flush()], axis=1)
    if waveform.shape[0] != n_channels:
        waveform = np.repeat(waveform.mean(axis=0, keepdims=True), n_channels, axis=0)
    strength = measure_strength(waveform, sample_rate)
    if strength <= 0:
        raise SettingsError(f"{path} of the kit is silent; leave it out")
    return _Sound(waveform, _find_own_attack(waveform, sample_rate), strength)


def _find_own_attack(waveform: FloatArray, sample_rate: int) -> int:
    """Return the sample at which a sample of a kit begins, which may have silence before it."""
    n_before, n_after = round(_BEFORE_S * sample_rate), round(_AFTER_S * sample_rate)
    level = np.abs(waveform).max(axis=0)
    first = int(np.argmax(level >= _SOUNDING * level.max()))
    padded = np.pad(waveform, ((0, 0), (n_before, 0)))
    return max(0, first - n_before + find_attack(padded[:, first : first + n_before + n_after], sample_rate))


def _add_part(played: FloatArray, strike: _Strike, start: int) -> None:
    """Add to the block that begins at sample `start` what it has of a strike."""
    waveform = strike.sound.waveform
    first = max(0, start - strike.start)
    into = strike.start + first - start
    n_samples = min(waveform.shape[1] - first, played.shape[1] - into)
    if n_samples > 0:
        played[:, into : into + n_samples] += strike.gains * waveform[:, first : first + n_samples]


def _read_together(drums: Path, rest: Path | None) -> Iterator[tuple[FloatArray, FloatArray | None]]:
    """Yield blocks of the drums, and of the rest, which is as long, if there is one."""
    with ExitStack() as opened:
        file = opened.enter_context(soundfile.SoundFile(drums))
        other = None if rest is None else opened.enter_context(soundfile.SoundFile(rest))
        while len(block := file.read(_BLOCK_SAMPLES, dtype="float32", always_2d=True)):
            added = None if other is None else other.read(len(block), dtype="float32", always_2d=True).T
            yield block.T, added
