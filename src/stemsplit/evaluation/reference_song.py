"""A song with its references: the true stems, each a file or an audio track of one, and the mixture."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from stemsplit.audio.read_settings import ReadSettings
from stemsplit.audio.reader import open_audio
from stemsplit.errors import AudioError
from stemsplit.types import FloatArray


@dataclass(frozen=True)
class AudioTrack:
    """An audio file, or one of its audio tracks, counted from 1."""

    path: Path
    track: int | None = None

    def __str__(self) -> str:
        return str(self.path) if self.track is None else f"{self.path} (track {self.track})"

    def read(self) -> tuple[FloatArray, int]:
        """Return the waveform, ``(channels, samples)``, and its sample rate.

        Raises
        ------
        AudioError
            If it cannot be read to its end.
        """
        with open_audio(self.path, settings=ReadSettings(track=self.track)) as reader:
            return np.concatenate(list(reader.blocks()), axis=1), reader.info.sample_rate


@dataclass(frozen=True)
class SongAudio:
    """The mixture and the stems of a song, ``(channels, samples)`` each, all of one length and rate."""

    mixture: FloatArray
    stems: dict[str, FloatArray]
    sample_rate: int

    def cut_middle(self, duration_s: float) -> "SongAudio":
        """Return the middle of the song, `duration_s` seconds of it, or all of a shorter one."""
        length = min(self.mixture.shape[1], round(duration_s * self.sample_rate))
        start = (self.mixture.shape[1] - length) // 2
        span = slice(start, start + length)
        stems = {name: stem[:, span] for name, stem in self.stems.items()}
        return SongAudio(self.mixture[:, span], stems, self.sample_rate)


@dataclass(frozen=True)
class ReferenceSong:
    """A song of a data set.

    Parameters
    ----------
    name : str
        Its name in the data set.
    split : str
        ``train`` or ``test``; empty where the data set has none.
    stems : mapping of str to AudioTrack
        The references, by stem.
    mixture : AudioTrack, optional
        The mixture; the sum of the stems where there is none.
    problem : str
        Why it cannot be evaluated; empty if it can.
    """

    name: str
    split: str
    stems: Mapping[str, AudioTrack]
    mixture: AudioTrack | None = None
    problem: str = ""

    @property
    def tracks(self) -> tuple[AudioTrack, ...]:
        """The stems, and the mixture if there is one."""
        return (*self.stems.values(), *([self.mixture] if self.mixture else []))

    def read(self) -> SongAudio:
        """Read the song.

        Raises
        ------
        AudioError
            If a file cannot be read, or two differ in length, rate or channels; both are named.
        """
        if self.problem:
            raise AudioError(self.problem)
        found = {name: track.read() for name, track in self.stems.items()}
        first, *others = self.stems
        for name in others:
            _check_alike(self.stems[first], found[first], self.stems[name], found[name])
        stems = {name: waveform for name, (waveform, _) in found.items()}
        sample_rate = found[first][1]
        if self.mixture is None:
            return SongAudio(np.sum(list(stems.values()), axis=0), stems, sample_rate)
        mixture = self.mixture.read()
        _check_alike(self.mixture, mixture, self.stems[first], found[first])
        return SongAudio(mixture[0], stems, sample_rate)


def _check_alike(
    one: AudioTrack, one_audio: tuple[FloatArray, int], other: AudioTrack, other_audio: tuple[FloatArray, int]
) -> None:
    """Raise an `AudioError` if two tracks of a song differ in length, rate or channels."""
    (one_waveform, one_hz), (other_waveform, other_hz) = one_audio, other_audio
    for what, one_value, other_value in (
        ("Hz", one_hz, other_hz),
        ("channels", one_waveform.shape[0], other_waveform.shape[0]),
        ("samples", one_waveform.shape[1], other_waveform.shape[1]),
    ):
        if one_value != other_value:
            raise AudioError(
                f"{other}: has {other_value} {what}, and {one} has {one_value}; "
                "mixture and stems of a song must be alike"
            )
