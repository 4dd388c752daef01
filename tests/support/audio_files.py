"""Small audio files for the tests of reading and writing."""

import io
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile

from stemsplit.audio.reader import open_audio

FloatArray = npt.NDArray[np.float32]

# name: (libsndfile's format, subtype)
KINDS = {
    "pcm16.wav": ("WAV", "PCM_16"),
    "pcm24.wav": ("WAV", "PCM_24"),
    "pcm32.wav": ("WAV", "PCM_32"),
    "u8.wav": ("WAV", "PCM_U8"),
    "float.wav": ("WAV", "FLOAT"),
    "double.wav": ("WAV", "DOUBLE"),
    "extensible.wav": ("WAVEX", "PCM_24"),
    "long.wav": ("RF64", "PCM_16"),
    "sony.w64": ("W64", "PCM_16"),
    "pcm16.flac": ("FLAC", "PCM_16"),
    "pcm24.flac": ("FLAC", "PCM_24"),
    "song.mp3": ("MP3", "MPEG_LAYER_III"),
    "song.ogg": ("OGG", "VORBIS"),
    "song.opus": ("OGG", "OPUS"),
    "song.aiff": ("AIFF", "PCM_16"),
    "song.au": ("AU", "PCM_16"),
    "song.caf": ("CAF", "PCM_16"),
}


def tones(
    n_samples: int = 60_000, n_channels: int = 2, *, sample_rate: int = 48_000, seed: int = 0
) -> FloatArray:
    """Return tones and some noise, another mix in each channel, float32 ``(channels, samples)`` below 0.8."""
    rng = np.random.default_rng(seed)
    time_s = np.arange(n_samples) / sample_rate
    tone = [0.4 * np.sin(2 * np.pi * (220 + 110 * channel) * time_s) for channel in range(n_channels)]
    return (np.stack(tone) + 0.05 * rng.standard_normal((n_channels, n_samples))).astype(np.float32)


def write_song(
    path: Path, waveform: FloatArray, kind: str | None = None, *, sample_rate: int = 48_000
) -> FloatArray:
    """Write a file of a kind from `KINDS` (by default the path's name) and return what a full read gives."""
    container, subtype = KINDS[kind or path.name]
    soundfile.write(path, waveform.T, sample_rate, subtype, format=container)
    return read_whole(path)


def read_whole(path: Path) -> FloatArray:
    """Read a file at once, float32 ``(channels, samples)``, with libsndfile where that can."""
    if path.suffix == ".m4a":
        with open_audio(path) as reader:
            return np.concatenate(list(reader.blocks()), axis=1)
    samples, _ = soundfile.read(path, dtype="float32", always_2d=True)
    return np.ascontiguousarray(samples.T)


def song_bytes(kind: str, waveform: FloatArray, *, sample_rate: int = 48_000) -> bytes:
    """Return the bytes of a file of a kind from `KINDS`."""
    container, subtype = KINDS[kind]
    buffer = io.BytesIO()
    soundfile.write(buffer, waveform.T, sample_rate, subtype, format=container)
    return buffer.getvalue()
