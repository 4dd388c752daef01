"""A spectrogram as a picture, collected block by block in bounded memory.

The picture has a fixed number of rows, bands from 40 Hz up that are equally wide in pitch, and at most
`MAX_COLUMNS` columns: where a song is longer, neighbouring columns are merged.
"""

import struct
import zlib
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from stemsplit.types import FloatArray

MAX_COLUMNS: Final = 1200
N_BANDS: Final = 96
LOWEST_HZ: Final = 40.0
HIGHEST_HZ: Final = 16_000.0
RANGE_DB: Final = 70.0
_N_FFT: Final = 4096
_HOP: Final = 2048
_SILENCE: Final = 1e-12
Colour = tuple[int, int, int]


class Spectrum(NamedTuple):
    """Levels over time in dB.

    Attributes
    ----------
    bands_db : array of float32, ``(bands, columns)``
        Of each band, from the lowest up.
    level_db : array of float32, ``(columns,)``
        Of the waveform, its RMS; 0 is that of a square wave at full scale.
    """

    bands_db: FloatArray
    level_db: FloatArray


class SpectrumColumns:
    """Collects the power of bands over time, the mean of all channels.

    Parameters
    ----------
    sample_rate
        In Hz.
    n_channels
        Of every block.
    """

    def __init__(self, sample_rate: int, n_channels: int) -> None:
        self._window = np.hanning(_N_FFT).astype(np.float32)
        top_hz = max(2 * LOWEST_HZ, min(HIGHEST_HZ, sample_rate / 2))
        edges = np.geomspace(LOWEST_HZ, top_hz, N_BANDS + 1) * _N_FFT / sample_rate
        self._edges = np.clip(np.round(edges).astype(int), 0, _N_FFT // 2)
        self._rest = np.zeros((n_channels, 0), np.float32)
        # power of the bands, and below them that of the waveform
        self._columns: list[FloatArray] = []
        self._pending: list[FloatArray] = []
        self._n_merged = 1  # frames in a column

    def process(self, waveform: FloatArray) -> None:
        """Take a block ``(channels, samples)``."""
        self._rest = np.concatenate([self._rest, waveform], axis=1)
        n_frames = (self._rest.shape[1] - _N_FFT) // _HOP + 1
        if n_frames < 1:
            return
        frames = np.lib.stride_tricks.sliding_window_view(self._rest, _N_FFT, axis=1)
        self._append(frames[:, ::_HOP][:, :n_frames])
        self._rest = self._rest[:, n_frames * _HOP :]

    def finish(self) -> Spectrum:
        """Return what was collected; of less than a frame it is one column."""
        if not self._columns and not self._pending:
            missing = _N_FFT - self._rest.shape[1]
            self._append(np.pad(self._rest, ((0, 0), (0, missing)))[:, np.newaxis])
        if self._pending:
            self._columns.append(_average(self._pending))
            self._pending = []
        levels_db = 10 * np.log10(np.stack(self._columns, axis=1) + _SILENCE)
        return Spectrum(levels_db[:-1], levels_db[-1])

    def _append(self, frames: FloatArray) -> None:
        """Take frames ``(channels, frames, samples)``."""
        spectra = np.abs(np.fft.rfft(frames * self._window)) / (self._window.sum() / 2)
        power = np.square(spectra).mean(axis=0)
        bands = np.add.reduceat(power, self._edges[:-1], axis=1) / np.maximum(np.diff(self._edges), 1)
        levels = np.square(frames).mean(axis=(0, 2))
        for column in np.column_stack([bands, levels]).astype(np.float32):
            self._pending.append(column)
            if len(self._pending) == self._n_merged:
                self._columns.append(_average(self._pending))
                self._pending = []
            if len(self._columns) > MAX_COLUMNS:
                self._merge()

    def _merge(self) -> None:
        """Merge neighbours; the last column of an odd number waits for its neighbour."""
        whole = self._columns[: len(self._columns) // 2 * 2]
        odd = self._columns[len(whole) :]
        self._pending = [column for column in odd for _ in range(self._n_merged)] + self._pending
        self._columns = [_average(list(pair)) for pair in zip(whole[::2], whole[1::2], strict=True)]
        self._n_merged *= 2


def _average(columns: list[FloatArray]) -> FloatArray:
    return np.asarray(np.mean(columns, axis=0), np.float32)


def make_png(levels_db: FloatArray, top_db: float, colour: Colour) -> bytes:
    """Return a PNG of levels ``(bands, columns)``, the lowest band at the bottom.

    Parameters
    ----------
    levels_db
        In dB.
    top_db
        The level that is white; `RANGE_DB` below it is the background.
    colour
        Halfway between the two.
    """
    scaled = np.clip((levels_db - top_db) / RANGE_DB + 1, 0, 1)
    pixels = np.round(255 * scaled[::-1]).astype(np.uint8)
    n_rows, n_columns = pixels.shape
    lines = np.concatenate([np.zeros((n_rows, 1), np.uint8), pixels], axis=1)  # no filter on any line
    header = struct.pack(">IIBBBBB", n_columns, n_rows, 8, 3, 0, 0, 0)
    chunks = [
        (b"IHDR", header),
        (b"PLTE", _make_palette(colour).tobytes()),
        (b"IDAT", zlib.compress(lines.tobytes(), 9)),
        (b"IEND", b""),
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(_pack(kind, data) for kind, data in chunks)


def _make_palette(colour: Colour) -> npt.NDArray[np.uint8]:
    stops = np.array([(15, 17, 23), colour, (255, 255, 255)], float)
    places = np.linspace(0, 1, 256)
    columns = [np.interp(places, (0, 0.65, 1), stops[:, channel]) for channel in range(3)]
    return np.asarray(np.round(np.stack(columns, axis=1)), np.uint8)


def _pack(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
