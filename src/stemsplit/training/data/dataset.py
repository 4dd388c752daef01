"""Data sets of one's own: songs with one file per stem, stored for training.

A folder with files that match the patterns is a song: ``Artist - Title/vocals.wav`` as in MUSDB18-HQ and
DSD100, or ``AuSep_1_vn_01_Jupiter.wav`` with the pattern ``*_vn_*`` as in URMP. If all files of a folder
belong to one stem, as in a folder of drum loops, each file is a song. A file of the stems format,
``.stem.mp4``, which holds a mixture and its parts, is a song as well.
"""

import itertools
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np

from stemsplit.audio.condition import Condition
from stemsplit.audio.extensions import is_audio
from stemsplit.audio.reader import AudioReader, open_audio
from stemsplit.dsp.resample import Resampler
from stemsplit.errors import AudioError, StemsplitError
from stemsplit.files.names import MAX_NAME_BYTES, identity, shorten
from stemsplit.training import SAMPLE_RATE, TARGETS
from stemsplit.training.data.rendered_stem import RenderedStem
from stemsplit.training.data.songs import (
    Origin,
    TrainingSong,
    find_songs,
    save_song,
    sum_waveforms,
    targets_of,
)
from stemsplit.training.data.sources import RECORDS_SOURCE, SOURCES, UNSEEN_SOURCE
from stemsplit.types import FloatArray

SPLITS = ("train", "valid")
PATTERNS = {target: (f"{target}.*",) for target in TARGETS}
PARTS = ("drums", "bass", "other", "vocals")  # streams of a stem file after the mixture
UNSTATED = "not stated"  # licence of songs for which none is given
LONGEST_S = 1800.0  # songs are held in memory while they are stored
DSD_SPLITS = {"train": "Dev", "valid": "Test"}  # folders of DSD100
_STEM_FILES = (".stem.mp4", ".stem.m4a")
_RESERVED_NAMES = tuple(sorted({RECORDS_SOURCE, *SOURCES, UNSEEN_SOURCE, "library"}))


@dataclass(frozen=True)
class Dataset:
    """A folder of songs, with their split and licence.

    Parameters
    ----------
    folder : Path
        Folder that is searched recursively; of DSD100 (``Mixtures``, ``Sources``) the part of the split.
    name : str
        Name under which validation songs are reported.
    split : str
        "train" or "valid".
    licence : str
        Licence of the songs, which models trained on them name.
    patterns : mapping of str to sequence of str
        Patterns of file names by stem. Files of one stem are summed; a stem without files is silent.
    parts : sequence of str
        Stems of a stem file, in the order of its streams after the mixture.

    Raises
    ------
    StemsplitError
        A name is invalid or already in use.
    """

    folder: Path
    name: str
    split: str = "train"
    licence: str = UNSTATED
    patterns: Mapping[str, Sequence[str]] = field(default_factory=PATTERNS.copy)
    parts: Sequence[str] = PARTS

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[A-Za-z0-9]+", self.name) or self.name.lower() in _RESERVED_NAMES:
            raise StemsplitError(
                f"a data set cannot be called {self.name!r}: use letters and digits, "
                f"but not one of {', '.join(_RESERVED_NAMES)}"
            )
        if self.split not in SPLITS:
            raise StemsplitError(f"the split is {' or '.join(SPLITS)}, not {self.split!r}")
        for stem in (*self.patterns, *self.parts):
            targets_of(stem)
        if len(set(self.parts)) < len(self.parts):
            raise StemsplitError(f"a stem occurs twice in {', '.join(self.parts)}")

    def songs(self) -> list["DatasetSong"]:
        """Find the songs of the folder, sorted by title.

        Raises
        ------
        StemsplitError
            There are no songs, two have the same name, a file belongs to two stems, or a folder cannot be
            read.
        """
        if not self.folder.is_dir():
            raise StemsplitError(f"{self.folder} is not a folder; give the folder of the data set")
        found = sorted(self._find(), key=lambda source: identity(Path(source.title)))
        if not found:
            named = ", ".join(pattern for each in self.patterns.values() for pattern in each)
            raise StemsplitError(
                f"{self.folder} contains no songs: no files are called {named} or *.stem.mp4; "
                "name yours with --stem TARGET=PATTERN"
            )
        for one, other in itertools.pairwise(found):
            if identity(Path(one.title)) == identity(Path(other.title)):
                raise StemsplitError(f"two songs of {self.folder} would be called {one.title}; rename one")
        return found

    def song_name(self, source: "DatasetSong") -> str:
        """Return the name under which a song is stored."""
        start = f"added-{self.name}-{self.split}-"
        return start + shorten(source.title, MAX_NAME_BYTES - len(start))

    @property
    def _top(self) -> Path:
        """The folder that is searched: of DSD100 the sources of the split."""
        if (self.folder / "Mixtures").is_dir() and (self.folder / "Sources").is_dir():
            return self.folder / "Sources" / DSD_SPLITS[self.split]
        return self.folder

    def _find(self) -> Iterator["DatasetSong"]:
        for folder in _walk_folders(self._top):
            paths = [path for path in sorted(folder.iterdir()) if _is_wanted(path)]
            yield from (self._song_of_stem_file(path) for path in paths if _is_stem_file(path))
            plain = [path for path in paths if is_audio(path) and not _is_stem_file(path)]
            yield from self._songs_of_folder(folder, plain)

    def _song_of_stem_file(self, path: Path) -> "DatasetSong":
        """Return the song in a stem file."""
        plain = path.with_name(path.name[: -len(_STEM_FILES[0])])
        n_streams = len(self.parts) + 1
        parts = (StemFile(path, stream_index, n_streams) for stream_index in range(1, n_streams))
        files = {stem: (part,) for stem, part in zip(self.parts, parts, strict=True)}
        return DatasetSong(self._title(plain), _artist_of(plain), files)

    def _songs_of_folder(self, folder: Path, paths: Sequence[Path]) -> Iterator["DatasetSong"]:
        """Yield the song in a folder, or one song per file if all files belong to one stem."""
        parts: dict[str, list[StemFile]] = {stem: [] for stem in self.patterns}
        seen: dict[str, Path] = {}
        for path in paths:
            if stem := self._stem_of(path):
                twin = seen.setdefault(identity(path.with_suffix("")), path)
                if twin != path:
                    raise StemsplitError(f"{twin} and {path} would be summed; keep only one of them")
                parts[stem].append(StemFile(path))
        files = {stem: tuple(each) for stem, each in parts.items() if each}
        if len(files) > 1:
            yield DatasetSong(self._title(folder), _artist_of(folder), files)
            return
        for stem, each in files.items():
            for part in each:
                plain = part.path.with_suffix("")
                yield DatasetSong(self._title(plain), _artist_of(folder), {stem: (part,)})

    def _stem_of(self, path: Path) -> str:
        name = path.name.lower()
        matching = [
            stem
            for stem, patterns in self.patterns.items()
            if any(fnmatchcase(name, pattern.lower()) for pattern in patterns)
        ]
        if len(matching) > 1:
            raise StemsplitError(f"{path} belongs to {' and to '.join(matching)}; make the patterns narrower")
        return matching[0] if matching else ""

    def _title(self, path: Path) -> str:
        return "-".join(path.relative_to(self._top).parts) or path.resolve().name


def _walk_folders(top: Path) -> Iterator[Path]:
    """Yield a folder and all folders below it once, following links and skipping hidden folders."""

    def fail(error: OSError) -> None:
        raise StemsplitError(
            f"{error.filename} cannot be read ({error.strerror}); fix its permissions or leave it out"
        )

    seen = set()
    for name, below, _ in os.walk(top, onerror=fail, followlinks=True):
        folder = Path(name)
        if folder.resolve() in seen:
            below.clear()
            continue
        seen.add(folder.resolve())
        below[:] = sorted(each for each in below if not each.startswith("."))
        yield folder


def _is_wanted(path: Path) -> bool:
    return path.is_file() and not path.name.startswith(".")


def _is_stem_file(path: Path) -> bool:
    return path.name.lower().endswith(_STEM_FILES)


def _artist_of(path: Path) -> str:
    """Return the artist of a file or folder called ``Artist - Title``, or ``001 - Artist - Title``."""
    first, *others = path.resolve().name.split(" - ")
    return others[0] if first.isdecimal() and others[1:] else first


@dataclass(frozen=True)
class StemFile:
    """An audio file, or one of its `n_streams` audio streams, counted from 0."""

    path: Path
    stream_index: int | None = None
    n_streams: int | None = None

    def read(self) -> FloatArray:
        """Read the waveform, ``(1 or 2, samples)`` at 44,100 Hz.

        Raises
        ------
        AudioError
            The audio cannot be read to its end, has more than two channels, or is too long.
        """
        with self._open() as reader:
            info = reader.info
            if info.n_channels > 2:
                raise AudioError(f"{self.path}: has {info.n_channels} channels; mix it down to stereo")
            resampler = Resampler(from_hz=info.sample_rate, to_hz=SAMPLE_RATE)
            blocks = [resampler.process(block) for block in _read_blocks(reader, self.path)]
        return np.concatenate([*blocks, resampler.flush()], axis=1)

    def _open(self) -> AudioReader:
        if self.stream_index is None:
            return open_audio(self.path)
        from stemsplit.audio.pyav import AvDecoder

        condition = Condition(self.path)
        try:
            decoder = AvDecoder(self.path, condition, place=self.stream_index, n_streams=self.n_streams)
        except AudioError as error:
            raise AudioError(f"{error}: --parts names the streams after the mixture") from error
        return AudioReader(decoder, condition)


def _read_blocks(reader: AudioReader, path: Path) -> Iterator[FloatArray]:
    for block in reader.blocks():
        if reader.n_read > LONGEST_S * reader.info.sample_rate:
            raise AudioError(f"{path}: longer than {LONGEST_S / 60:.0f} minutes; split the song")
        yield block


@dataclass(frozen=True)
class DatasetSong:
    """A song of a data set: its title, its artist, and the files of each stem."""

    title: str
    maker: str
    files: Mapping[str, tuple[StemFile, ...]]

    @property
    def origin(self) -> Origin:
        """The file of each stem, with the number of its stream."""
        parts = ((stem, part) for stem, each in self.files.items() for part in each)
        return tuple(
            (stem, str(part.path.resolve()), float(part.stream_index or 0), 0.0) for stem, part in parts
        )

    def read(self) -> dict[str, FloatArray]:
        """Read the waveform of each stem; raises `AudioError` if one cannot be read."""
        return {stem: sum_waveforms([part.read() for part in parts]) for stem, parts in self.files.items()}

    @property
    def can_validate(self) -> bool:
        """Whether estimates can be scored against the song.

        It has several stems, one of them a single target.
        """
        return len(self.files) > 1 and any(len(targets_of(stem)) == 1 for stem in self.files)


def add_songs(dataset: Dataset, folder: Path, progress: Callable[[str], None]) -> int:
    """Store the songs of a data set that are not stored yet, and return how many of them failed.

    Parameters
    ----------
    dataset : Dataset
        The data set.
    folder : Path
        Folder of stored songs.
    progress : callable
        Called with a message for each song, failures included.

    Raises
    ------
    StemsplitError
        There are no songs, a file of one is in the other split, or the same data set was added with another
        licence or a song of it with other files.
    OSError
        A song cannot be written.
    """
    sources = {dataset.song_name(source): source for source in dataset.songs()}
    stored = {song.path.stem: song for song in find_songs(folder)}
    _check_stored(dataset, sources, stored)
    missing = {name: source for name, source in sources.items() if name not in stored}
    if len(missing) < len(sources):
        progress(f"{len(sources) - len(missing)} of {len(sources)} songs were added before")
    return sum(not _store_song(dataset, source, folder, name, progress) for name, source in missing.items())


def _store_song(
    dataset: Dataset, source: DatasetSong, folder: Path, name: str, progress: Callable[[str], None]
) -> bool:
    """Store a song and return whether that succeeded."""
    try:
        if dataset.split == "valid" and not source.can_validate:
            raise AudioError(
                f"{source.title}: has only one stem and cannot be used for validation; add it for training"
            )
        stems = source.read()
    except AudioError as error:
        progress(f"failed: {error}")
        return False
    save_song(
        folder,
        name,
        {stem: RenderedStem(waveform) for stem, waveform in stems.items()},
        split=dataset.split,
        kind="added",
        maker=source.maker,
        origin=source.origin,
        dataset=dataset.name,
        licence=dataset.licence,
    )
    seconds = max(waveform.shape[1] for waveform in stems.values()) / SAMPLE_RATE
    progress(f"added {source.title}: {', '.join(stems)} ({seconds:.0f} s)")
    return True


def _check_stored(
    dataset: Dataset, sources: Mapping[str, DatasetSong], stored: Mapping[str, TrainingSong]
) -> None:
    for song in stored.values():
        if song.dataset == dataset.name and song.licence != dataset.licence:
            raise StemsplitError(
                f"{dataset.name} was added with the licence {song.licence!r}, not {dataset.licence!r}; "
                "give the same licence, or add these songs under another name"
            )
    others = [song for song in stored.values() if song.dataset and song.split != dataset.split]
    elsewhere = {path: song for song in others for _, path, *_ in song.origin}
    for name, source in sources.items():
        for _, path, *_ in source.origin:
            if path in elsewhere:
                other = elsewhere[path]
                raise StemsplitError(
                    f"{path} was added to the {other.split} split of {other.dataset}: "
                    "songs cannot be used for both training and validation"
                )
        if name in stored and stored[name].origin != source.origin:
            raise StemsplitError(
                f"{source.title} was added from other files; "
                f"delete {stored[name].path.with_suffix('')}.* to read it again"
            )
