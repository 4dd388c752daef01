"""The training library: its index as items, and its audio, decoded once.

A library is a folder with audio files and ``index.csv``, which has a row per item; an item is a stretch of
one file. Which items may be used for training is decided in one place, `is_held_out`.
"""

import csv
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from stemsplit.errors import AudioError, StemsplitError
from stemsplit.files.atomic import whole_file
from stemsplit.training import SAMPLE_RATE
from stemsplit.types import FloatArray

# Sources, instruments and pieces of music reserved for validation, in addition to ``split=valid``.
HELD_OUT_SOURCES = frozenset(
    {"oramics/sampled", "sfzinstruments/karoryfer.fashionbass", "mir-dataset-loaders/mirdata"}
)
HELD_OUT_INSTRUMENTS = frozenset({"Wurlitzer EP200 e-piano", "sitar"})
HELD_OUT_BACKING = frozenset(
    {"Hustle", "Motorway", "Winter Blues", "Happy Lofi Day (rhodes)", "Firefly", "Local Forecast (Elevator)"}
)
# CC-BY-SA-4.0, CC BY-NC-SA 3.0, ccbysa, Attribution-ShareAlike
SHARE_ALIKE = re.compile(r"(?<![a-z])((cc)?(by)?(nc)?sa|share[\W_]*alike)(?![a-z])", re.IGNORECASE)
SPLITS = ("train", "valid")


@dataclass(frozen=True)
class Item:
    """One row of the index: a note, a hit, a phrase, or a stem of a song."""

    file: str
    start_s: float
    duration_s: float
    channels: int
    category: str
    kind: str
    instrument: str
    piece: str
    pitch: float | None
    contains: str
    split: str
    name: str
    source: str
    licence: str
    attribution: str

    @classmethod
    def from_row(cls, row: dict[str, str]) -> "Item":
        """Parse a row of ``index.csv``.

        Raises `KeyError` or `ValueError` for missing columns and malformed values.
        """
        if None in row.values():
            raise ValueError("fewer values than columns")
        values: dict[str, object] = {field.name: row[field.name] for field in fields(cls)}
        values["start_s"], values["duration_s"] = float(row["start_s"]), float(row["duration_s"])
        values["channels"] = int(row["channels"])
        values["pitch"] = float(row["pitch"]) if row["pitch"] else None
        return cls(**values)  # type: ignore[arg-type]


def is_held_out(item: Item) -> bool:
    """Return whether an item is reserved for validation.

    This holds for items of split "valid", for everything under a share-alike licence, and for the kits,
    instruments and backing tracks named at the top of this module.
    """
    return (
        item.split == "valid"
        or SHARE_ALIKE.search(item.licence) is not None
        or item.source in HELD_OUT_SOURCES
        or item.instrument in HELD_OUT_INSTRUMENTS
        or (item.category == "backing" and item.name in HELD_OUT_BACKING)
    )


class Library:
    """The items of a library folder, and their audio.

    Parameters
    ----------
    folder : Path
        Folder of ``index.csv``, which is only read.
    cache : Path
        Folder of decoded audio, 16-bit at 44,100 Hz: one array per file, with the size and modification
        time of its source.

    Raises
    ------
    StemsplitError
        The folder or its index is missing, the index is malformed, or an item's split is unknown.
    """

    def __init__(self, folder: Path, cache: Path) -> None:
        self.folder, self.cache = folder, cache
        self.items = _read_index(folder / "index.csv")

    def select(self, *, split: str, category: str = "", kinds: Iterable[str] = ()) -> list[Item]:
        """Return the items of split "train" or "valid", optionally of one category and of some kinds."""
        wanted = tuple(kinds)
        return [
            item
            for item in self.items
            if is_held_out(item) == (split == "valid")
            and (not category or item.category == category)
            and (not wanted or item.kind in wanted)
        ]

    def audio(self, item: Item) -> FloatArray:
        """Return the decoded audio of an item, ``(channels, samples)``; mono stays mono.

        Raises
        ------
        StemsplitError
        The file cannot be decoded, has more than two channels, or ends before the item starts.
        """
        return np.divide(self._read_span(item), 32768, dtype=np.float32)

    def length(self, item: Item) -> int:
        """Return the samples of an item in its file, which may end before the item does."""
        return int(self._read_span(item).shape[1])

    def _read_span(self, item: Item) -> NDArray[np.int16]:
        start = round(item.start_s * SAMPLE_RATE)
        stop = start + round(item.duration_s * SAMPLE_RATE)
        decoded = self._load_decoded(item.file)
        n_channels, n_samples = decoded.shape
        named = f"{item.name} of the training library: {item.file}"
        if n_channels > 2:
            raise StemsplitError(f"{named} has {n_channels} channels; mix it down to stereo")
        if not 0 <= start < min(stop, n_samples):
            raise StemsplitError(
                f"{named}, {n_samples / SAMPLE_RATE:.2f} s long, does not contain the "
                f"{item.duration_s} s from {item.start_s} s on; correct the row in index.csv"
            )
        return decoded[:, start:stop]

    def decode(self) -> Iterator[str]:
        """Decode every file whose current version is not in the cache, and yield the names of all files."""
        for name in self.files:
            self._load_decoded(name)
            yield name

    @cached_property
    def files(self) -> list[str]:
        """Audio files of the index, relative to the folder."""
        return sorted({item.file for item in self.items})

    def _load_decoded(self, name: str) -> NDArray[np.int16]:
        path, state = self.cache / f"{name}.npy", _file_state(self.folder / name)
        source_state = path.with_suffix(".source")
        # if the audio of a library is missing, the cache is used
        is_current = path.exists() and (not state or _read(source_state) == state)
        if not is_current:
            _save(path, _decode(self.folder / name))
            with whole_file(source_state) as file:
                file.write(state)
        samples: NDArray[np.int16] = np.load(path, mmap_mode="r")
        return samples


def _read_index(path: Path) -> list[Item]:
    if not path.exists():
        raise StemsplitError(f"{path} does not exist; name the folder of the training library")
    with path.open(newline="", encoding="utf-8") as file:
        rows = csv.DictReader(file)
        try:
            items = [_read_row(row, f"{path}, line {rows.line_num}") for row in rows]
        except (csv.Error, UnicodeError) as error:
            raise StemsplitError(f"{path} is not the index of a training library: {error!r}") from error
    if not items:
        raise StemsplitError(f"{path} lists nothing")
    return items


def _read_row(row: dict[str, str], place: str) -> Item:
    try:
        item = Item.from_row(row)
    except (KeyError, ValueError) as error:
        raise StemsplitError(f"{place}: not a row of the index of a training library: {error!r}") from error
    # an unknown split must not end up in training
    if item.split not in SPLITS:
        raise StemsplitError(
            f"{place}: the split of {item.name!r} is {item.split!r}; write one of {', '.join(SPLITS)}"
        )
    return item


def _file_state(path: Path) -> bytes:
    """Return size and modification time, which identify a version of a file.

    Nothing if the file is missing.
    """
    try:
        stat = path.stat()
    except FileNotFoundError:
        return b""
    return f"{stat.st_size} {stat.st_mtime_ns}\n".encode()


def _read(path: Path) -> bytes:
    return path.read_bytes() if path.exists() else b""


def _decode(path: Path) -> NDArray[np.int16]:
    try:
        samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    except (soundfile.LibsndfileError, OSError) as error:
        raise AudioError(f"{path} of the training library cannot be decoded: {error}") from error
    resampled: FloatArray = soxr.resample(samples, rate, SAMPLE_RATE) if rate != SAMPLE_RATE else samples
    return to_int16(resampled.T)


def to_int16(waveform: FloatArray) -> NDArray[np.int16]:
    """Round a waveform in [-1, 1) to 16 bits; louder samples are clipped."""
    return np.clip(np.rint(waveform * 32768), -32768, 32767).astype(np.int16)


def _save(path: Path, samples: NDArray[np.int16]) -> None:
    """Write an array atomically."""
    with whole_file(path) as file:
        np.save(file, np.ascontiguousarray(samples))
