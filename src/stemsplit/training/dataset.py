"""Data sets of one's own: songs that come with a file for each stem, stored for training.

A folder with files that the patterns name is a song: ``Artist - Title/vocals.wav`` and the like, as in
MUSDB18-HQ and DSD100, or ``AuSep_1_vn_01_Jupiter.wav`` with the pattern ``*_vn_*``, as in URMP. So is a file
of the stems format, ``.stem.mp4``: the mixture and its parts, as in MUSDB18 and in shops for DJs.
"""

import itertools
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np

from stemsplit.audio import AudioReader, is_audio, open_audio
from stemsplit.errors import AudioError, StemsplitError
from stemsplit.extensions import has_pyav
from stemsplit.resample import Resampler
from stemsplit.training import SAMPLE_RATE, TARGETS
from stemsplit.training.scores import SOURCES, UNSEEN_SOURCE
from stemsplit.training.songs import Song, find_songs, save_song, targets_of
from stemsplit.training.take import Take
from stemsplit.types import FloatArray

SPLITS = ("train", "valid")
PATTERNS = {target: (f"{target}.*",) for target in TARGETS}
PARTS = ("drums", "bass", "other", "vocals")  # of a stem file, behind the mixture
LONGEST_S = 1800.0  # a song is held in memory while it is stored
_STEM_FILES = (".stem.mp4", ".stem.m4a")
_TAKEN = frozenset({*SOURCES, UNSEEN_SOURCE, "library"})


@dataclass(frozen=True)
class Dataset:
    """A folder of songs, and what is known of them.

    Parameters
    ----------
    folder : Path
        Searched with all that is below it.
    name : str
        Under which songs for validation are reported.
    split : str
        "train" or "valid".
    licence : str
        What may be done with the songs; models that hear them say so.
    patterns : mapping of str to sequence of str
        Patterns of file names, by the stem that the files belong to. Files of one stem are added up; what a
        song has no file of is silent in it.
    parts : sequence of str
        Stems in a stem file, in the order of its streams behind the mixture.

    Raises
    ------
    StemsplitError
        A name is none, or names something else already.
    """

    folder: Path
    name: str
    split: str = "train"
    licence: str = "not stated"
    patterns: Mapping[str, Sequence[str]] = field(default_factory=PATTERNS.copy)
    parts: Sequence[str] = PARTS

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[A-Za-z0-9]+", self.name) or self.name in _TAKEN:
            raise StemsplitError(
                f"a data set cannot be called {self.name!r}: take letters and digits, "
                f"but none of {', '.join(sorted(_TAKEN))}"
            )
        if self.split not in SPLITS:
            raise StemsplitError(f"the split is {' or '.join(SPLITS)}, not {self.split!r}")
        for stem in (*self.patterns, *self.parts):
            targets_of(stem)
        if len(set(self.parts)) < len(self.parts):
            raise StemsplitError(f"a stem comes twice in {', '.join(self.parts)}")

    def songs(self) -> list["Source"]:
        """Songs of the folder, by title.

        Raises
        ------
        StemsplitError
            There is none, or two would have the same name, or one file belongs to two stems.
        """
        if not self.folder.is_dir():
            raise StemsplitError(f"{self.folder} is no folder; name the one with the songs of the data set")
        found = sorted(self._find(), key=lambda source: source.title)
        if not found:
            named = ", ".join(pattern for each in self.patterns.values() for pattern in each)
            raise StemsplitError(
                f"{self.folder} holds no songs: no files are called {named} or *.stem.mp4; "
                "name yours with --stem TARGET=PATTERN"
            )
        for one, other in itertools.pairwise(found):
            if one.title == other.title:
                raise StemsplitError(f"{self.folder} has two songs that would be called {one.title}")
        return found

    def song_name(self, title: str, split: str) -> str:
        """Name of a stored song."""
        return f"added-{self.name}-{split}-{title}"

    def _find(self) -> Iterator["Source"]:
        for folder in (self.folder, *(path for path in self.folder.rglob("*") if path.is_dir())):
            parts: dict[str, list[Path]] = {}
            for path in sorted(path for path in folder.iterdir() if not path.name.startswith(".")):
                if path.name.lower().endswith(_STEM_FILES):
                    title = self._title(path.with_name(path.name[: -len(_STEM_FILES[0])]))
                    tracks = enumerate(self.parts, start=1)
                    yield Source(title, {stem: (Part(path, track),) for track, stem in tracks})
                elif path.is_file() and is_audio(path) and (stem := self._stem_of(path)):
                    parts.setdefault(stem, []).append(path)
            if parts:
                files = {stem: tuple(map(Part, parts[stem])) for stem in self.patterns if stem in parts}
                yield Source(self._title(folder), files)

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
        return "-".join(path.relative_to(self.folder).parts) or path.resolve().name


@dataclass(frozen=True)
class Part:
    """An audio file, or one audio stream of it, counted from 0."""

    path: Path
    track: int | None = None

    def read(self) -> FloatArray:
        """Its waveform, ``(1 or 2, samples)``, at 44,100 Hz.

        Raises
        ------
        AudioError
            It cannot be read to its end, has more than two channels, or is too long.
        """
        with self._open() as reader:
            info = reader.info
            if info.n_channels > 2:
                raise AudioError(f"{self.path}: has {info.n_channels} channels; mix it down to stereo")
            resampler = Resampler(from_hz=info.sample_rate, to_hz=SAMPLE_RATE)
            blocks = [resampler.process(block) for block in _bounded(reader, self.path)]
        return np.concatenate([*blocks, resampler.flush()], axis=1)

    def _open(self) -> AudioReader:
        if self.track is None:
            return open_audio(self.path)
        if not has_pyav():
            raise AudioError(f"{self.path}: stem files need PyAV; pip install 'stemsplit[formats]'")
        from stemsplit.formats import AvDecoder

        return AudioReader(AvDecoder(self.path, self.track), str(self.path))


def _bounded(reader: AudioReader, path: Path) -> Iterator[FloatArray]:
    for block in reader.blocks():
        if reader.n_read > LONGEST_S * reader.info.sample_rate:
            raise AudioError(f"{path}: lasts over {LONGEST_S / 60:.0f} minutes; cut the song into several")
        yield block


@dataclass(frozen=True)
class Source:
    """A song as it lies in the data set: its title, and the files of each stem."""

    title: str
    files: Mapping[str, tuple[Part, ...]]

    @property
    def maker(self) -> str:
        """Whose song it is, where its title says so: ``Artist - Title``."""
        return self.title.partition(" - ")[0]

    def read(self) -> dict[str, FloatArray]:
        """Waveform of each stem; `AudioError` if one cannot be read."""
        return {stem: _sum([part.read() for part in parts]) for stem, parts in self.files.items()}


def _sum(waveforms: Sequence[FloatArray]) -> FloatArray:
    shape = (max(each.shape[0] for each in waveforms), max(each.shape[1] for each in waveforms))
    total = np.zeros(shape, np.float32)
    for each in waveforms:
        total[:, : each.shape[1]] += each
    return total


def add_songs(dataset: Dataset, folder: Path, progress: Callable[[str], None]) -> list[str]:
    """Store the songs of a data set that are not there yet; returns what went wrong, a line a song.

    Parameters
    ----------
    dataset : Dataset
        Where they are.
    folder : Path
        Where songs are kept.
    progress : callable
        Told what was done.

    Raises
    ------
    StemsplitError
        There are no songs, one is in the other split, or the same data set was added with another licence.
    OSError
        A song cannot be written.
    """
    sources, stored = dataset.songs(), {song.path.stem: song for song in find_songs(folder)}
    _check_stored(dataset, sources, stored)
    failures = []
    for source in sources:
        name = dataset.song_name(source.title, dataset.split)
        if name in stored:
            continue
        try:
            stems = source.read()
        except AudioError as error:
            failures.append(str(error))
            progress(f"failed: {error}")
            continue
        save_song(
            folder,
            name,
            {stem: Take(waveform) for stem, waveform in stems.items()},
            split=dataset.split,
            kind="added",
            maker=source.maker,
            dataset=dataset.name,
            licence=dataset.licence,
        )
        seconds = max(waveform.shape[1] for waveform in stems.values()) / SAMPLE_RATE
        progress(f"added {source.title}: {', '.join(stems)} ({seconds:.0f} s)")
    return failures


def _check_stored(dataset: Dataset, sources: Sequence[Source], stored: Mapping[str, Song]) -> None:
    (other,) = (split for split in SPLITS if split != dataset.split)
    for source in sources:
        if dataset.song_name(source.title, other) in stored:
            raise StemsplitError(
                f"{source.title} is in {dataset.name} already, for {other}: what is trained on judges nothing"
            )
    for song in stored.values():
        if song.dataset == dataset.name and song.licence != dataset.licence:
            raise StemsplitError(
                f"{dataset.name} was added with the licence {song.licence!r}, not {dataset.licence!r}; "
                "say the same, or call this part of it by another name"
            )
