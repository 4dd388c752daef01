"""What the mixer of the page plays and draws: the mixture beside its stems, their peaks, and short segments.

A browser that decoded four stems of a four-minute song would hold 340 MB. So it draws from peaks, and plays
from segments of a few seconds, which it fetches as it goes and forgets again. Segments are plain wavs of 16
bits: nothing is decoded that a browser would have to collect afterwards, their ends meet without a seam, and
they have exactly the same length for every track, so that all tracks stay together to the sample.
"""

import io
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import soundfile

from stemsplit.audio.read_settings import ReadSettings
from stemsplit.audio.reader import open_audio
from stemsplit.dsp.resample import Resampler
from stemsplit.types import FloatArray

SEGMENT_S: Final = 2
ORIGINAL: Final = "original.wav"

_MAX_PEAKS: Final = 1800


@dataclass(frozen=True)
class Preview:
    """What a player has to know before it plays.

    Parameters
    ----------
    sample_rate
        In Hz.
    n_channels, n_samples
        Of the song and of every stem.
    peaks
        Of each stem: the largest magnitude in each of up to 1800 equal stretches, 0 to 255 for full scale.
    original_peaks
        Of the mixture, likewise.
    """

    sample_rate: int
    n_channels: int
    n_samples: int
    peaks: Mapping[str, list[int]]
    original_peaks: list[int]

    @property
    def n_segments(self) -> int:
        """How many segments each track has."""
        return -(-self.n_samples // (SEGMENT_S * self.sample_rate))


class PeakMeter:
    """Finds the largest magnitude in stretches of a stream, whatever its blocks are.

    Parameters
    ----------
    samples_per_peak
        Length of a stretch.

    Examples
    --------
    >>> meter = PeakMeter(2)
    >>> meter.process(np.float32([[0.1, -0.5, 0.2]]))
    >>> meter.process(np.float32([[0.4, -1.0]]))
    >>> meter.flush()
    [128, 102, 255]
    """

    def __init__(self, samples_per_peak: int) -> None:
        self._n = samples_per_peak
        self._peaks: list[FloatArray] = []
        self._rest = np.empty(0, np.float32)

    def process(self, block: FloatArray) -> None:
        """Take in samples, ``(channels, samples)``."""
        loudest = np.concatenate([self._rest, np.abs(block).max(axis=0)])
        n_whole = len(loudest) // self._n * self._n
        self._peaks.append(loudest[:n_whole].reshape(-1, self._n).max(axis=1))
        self._rest = loudest[n_whole:]

    def flush(self) -> list[int]:
        """Return the peaks, the last one of what is left over."""
        if len(self._rest):
            self._peaks.append(self._rest.max(keepdims=True))
        peaks = np.concatenate([np.empty(0, np.float32), *self._peaks])
        return [int(value) for value in np.rint(np.clip(peaks, 0.0, 1.0) * 255)]


def make_preview(
    source: Path, stems: Mapping[str, Path], original: Path, *, gain: float, reading: ReadSettings
) -> Preview:
    """Write the mixture to `original`, as loud and as fast as its stems are, and measure the peaks of all.

    Parameters
    ----------
    source
        The song, as it was uploaded.
    stems
        File of each stem, see `stemsplit.service.tracks`.
    original
        Where the mixture is written, as a wav of 16 bits.
    gain
        The factor that all stems share.
    reading
        Which part of the song the stems are.

    Raises
    ------
    AudioError
        If a file cannot be read.
    OSError, soundfile.SoundFileError
        If `original` cannot be written.
    """
    with soundfile.SoundFile(next(iter(stems.values()))) as stem:
        sample_rate, n_channels, n_samples = stem.samplerate, stem.channels, stem.frames
    samples_per_peak = max(1, -(-n_samples // _MAX_PEAKS))
    with soundfile.SoundFile(
        original, "w", sample_rate, n_channels, "PCM_16", format="RF64" if n_samples > 2**28 else "WAV"
    ) as file:

        def write_original() -> Iterable[FloatArray]:
            for block in _read_at(sample_rate, source, reading):
                scaled = block * np.float32(gain)
                file.write(scaled.T)
                yield scaled

        original_peaks = _measure(write_original(), samples_per_peak)
    peaks = {name: _measure(_read(path), samples_per_peak) for name, path in stems.items()}
    return Preview(sample_rate, n_channels, n_samples, peaks, original_peaks)


def _read(path: Path) -> Iterable[FloatArray]:
    with open_audio(path) as reader:
        yield from reader.blocks()


def _read_at(sample_rate: int, path: Path, reading: ReadSettings) -> Iterator[FloatArray]:
    """Yield blocks at the rate of the stems, which is another one where their format lacks the song's."""
    with open_audio(path, settings=reading) as reader:
        resampler = Resampler(from_hz=reader.info.sample_rate, to_hz=sample_rate)
        for block in reader.blocks():
            yield resampler.process(block)
        yield resampler.flush()


def _measure(blocks: Iterable[FloatArray], samples_per_peak: int) -> list[int]:
    meter = PeakMeter(samples_per_peak)
    for block in blocks:
        meter.process(block)
    return meter.flush()


def read_segment(path: Path, number: int) -> bytes:
    """Return a segment of a track as a wav of its own.

    Parameters
    ----------
    path
        The track: a stem, or the mixture.
    number
        Counted from 0, in `SEGMENT_S` seconds; the last one is shorter. It must lie inside the track.
    """
    with soundfile.SoundFile(path) as file:
        n_samples = SEGMENT_S * file.samplerate
        file.seek(number * n_samples)
        samples = file.read(n_samples, dtype="float32", always_2d=True)
        sample_rate = file.samplerate
    segment = io.BytesIO()
    soundfile.write(segment, samples, sample_rate, format="WAV", subtype="PCM_16")
    return segment.getvalue()
