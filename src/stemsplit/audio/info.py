"""What a container says about its audio, and what every decoder offers."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from stemsplit.types import FloatArray


@dataclass(frozen=True)
class AudioInfo:
    """What a container says about its audio.

    Attributes
    ----------
    sample_rate : int
        In Hz.
    n_channels : int
    n_samples : int or None
        Samples a channel; None when the container does not say (a pipe, an mp3 without a length header).
    container : str
        libsndfile's name of the format ("WAV", "FLAC", "MP3", "OGG", ...), or FFmpeg's in upper case.
    subtype : str
        libsndfile's name of the sample type ("PCM_16", "FLOAT", "MPEG_LAYER_III", ...), or FFmpeg's name of
        the codec in upper case ("AAC").
    channel_mask : int
        Which speakers the channels are for, in WAV's bits (Microsoft's WAVEFORMATEXTENSIBLE); 0 if unknown.
    sound_start_s : float or None
        Of a video: where the sound begins in its time, in seconds; None for what has no picture.
    """

    sample_rate: int
    n_channels: int
    n_samples: int | None
    container: str
    subtype: str
    channel_mask: int = 0
    sound_start_s: float | None = None

    @property
    def duration_s(self) -> float | None:
        """Length in seconds, None when unknown."""
        return None if self.n_samples is None else self.n_samples / self.sample_rate


class Decoder(Protocol):
    """Something that hands out samples until it is empty."""

    info: AudioInfo

    def read(self, n_samples: int) -> FloatArray:
        """Return up to about ``n_samples`` samples, ``(channels, samples)``; none at the end."""
        ...

    def close(self) -> None:
        """Release the file."""
        ...


def os_path(path: Path) -> str | bytes:
    """Return the form of a path that libsndfile opens whatever bytes the name holds."""
    return str(path) if os.name == "nt" else os.fsencode(path)
