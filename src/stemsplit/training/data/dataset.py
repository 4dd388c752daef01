"""Data sets of one's own: songs that come with a file for each stem, stored for training.

A folder with files that the patterns name is a song: ``Artist - Title/vocals.wav`` and the like, as in
MUSDB18-HQ and DSD100, or ``AuSep_1_vn_01_Jupiter.wav`` with the pattern ``*_vn_*``, as in URMP. Where all
files of a folder are of one stem, as in a folder of drum loops, each file is a song. So is a file of the
stems format, ``.stem.mp4``: the mixture and its parts, as in MUSDB18 and in shops for DJs.
"""

import itertools
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np

from stemsplit.audio.extensions import has_pyav, is_audio
from stemsplit.audio.reader import AudioReader, open_audio
from stemsplit.dsp.resample import Resampler
from stemsplit.errors import AudioError, StemsplitError
from stemsplit.files.names import MAX_NAME_BYTES, identity, shorten
from stemsplit.training import SAMPLE_RATE, TARGETS
from stemsplit.training.data.rendered_stem import RenderedStem
from stemsplit.training.data.songs import Origin, TrainingSong, added_up, find_songs, save_song, targets_of
from stemsplit.training.data.sources import SOURCES, UNSEEN_SOURCE
from stemsplit.types import FloatArray

SPLITS = ("train", "valid")
PATTERNS = {target: (f"{target}.*",) for target in TARGETS}
PARTS = ("drums", "bass", "other", "vocals")  # of a stem file, behind the mixture
UNSTATED = "not stated"  # what may be done with songs of which nobody says it
LONGEST_S = 1800.0  # a song is held in memory while it is stored
_STEM_FILES = (".stem.mp4", ".stem.m4a")
_TAKEN = tuple(sorted({*SOURCES, UNSEEN_SOURCE, "library"}))


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
    licence: str = UNSTATED
    patterns: Mapping[str, Sequence[str]] = field(default_factory=PATTERNS.copy)
    parts: Sequence[str] = PARTS

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[A-Za-z0-9]+", self.name) or self.name.lower() in _TAKEN:
            raise StemsplitError(
                f"a data set cannot be called {self.name!r}: take letters and digits, "
                f"but none of {', '.join(_TAKEN)}"
            )
        if self.split not in SPLITS:
            raise StemsplitError(f"the split is {' or '.join(SPLITS)}, not {self.split!r}")
        for stem in (*self.patterns, *self.parts):
            targets_of(stem)
        if len(set(self.parts)) < len(self.parts):
            raise StemsplitError(f"a stem comes twice in {', '.join(self.parts)}")

    def songs(self) -> list["DatasetSource"]:
        """Songs of the folder, by title.

        Raises
        ------
        StemsplitError
            There is none, two would have the same name, a file belongs to two stems, or a folder cannot be
            read.
        """
        if not self.folder.is_dir():
            raise StemsplitError(f"{self.folder} is no folder; name the one with the songs of the data set")
        found = sorted(self._find(), key=lambda source: identity(Path(source.title)))
        if not found:
            named = ", ".join(pattern for each in self.patterns.values() for pattern in each)
            raise StemsplitError(
                f"{self.folder} holds no songs: no files are called {named} or *.stem.mp4; "
                "name yours with --stem TARGET=PATTERN"
            )
        for one, other in itertools.pairwise(found):
            if identity(Path(one.title)) == identity(Path(other.title)):
                raise StemsplitError(f"{self.folder} has two songs that would be called {one.title}")
        return found

    def song_name(self, source: "DatasetSource") -> str:
        """Name of a stored song."""
        start = f"added-{self.name}-{self.split}-"
        return start + shorten(source.title, MAX_NAME_BYTES - len(start))

    def _find(self) -> Iterator["DatasetSource"]:
        for folder in _folders(self.folder):
            paths = [path for path in sorted(folder.iterdir()) if _is_wanted(path)]
            yield from (self._song_in(path) for path in paths if _is_stem_file(path))
            plain = [path for path in paths if is_audio(path) and not _is_stem_file(path)]
            yield from self._songs_of(folder, plain)

    def _song_in(self, path: Path) -> "DatasetSource":
        """The song that a stem file is."""
        plain = path.with_name(path.name[: -len(_STEM_FILES[0])])
        n_streams = len(self.parts) + 1
        parts = (StemSources(path, place, n_streams) for place in range(1, n_streams))
        files = {stem: (part,) for stem, part in zip(self.parts, parts, strict=True)}
        return DatasetSource(self._title(plain), _maker(plain), files)

    def _songs_of(self, folder: Path, paths: Sequence[Path]) -> Iterator["DatasetSource"]:
        """The song that a folder is; or one for each file, where all are of one stem."""
        parts: dict[str, list[StemSources]] = {stem: [] for stem in self.patterns}
        taken: dict[str, Path] = {}
        for path in paths:
            if stem := self._stem_of(path):
                twin = taken.setdefault(identity(path.with_suffix("")), path)
                if twin != path:
                    raise StemsplitError(f"{twin} and {path} would be added up; keep one of the two")
                parts[stem].append(StemSources(path))
        files = {stem: tuple(each) for stem, each in parts.items() if each}
        if len(files) > 1:
            yield DatasetSource(self._title(folder), _maker(folder), files)
            return
        for stem, each in files.items():
            for part in each:
                plain = part.path.with_suffix("")
                yield DatasetSource(self._title(plain), _maker(folder), {stem: (part,)})

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


def _folders(top: Path) -> Iterator[Path]:
    """A folder and all below it, links followed, but for hidden ones; each once."""

    def complain(error: OSError) -> None:
        raise StemsplitError(f"{error.filename} cannot be read ({error.strerror}); mend it or leave it out")

    seen = set()
    for name, below, _ in os.walk(top, onerror=complain, followlinks=True):
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


def _maker(path: Path) -> str:
    """Whose song it is, where its name says so: ``Artist - Title``."""
    return path.resolve().name.partition(" - ")[0]


@dataclass(frozen=True)
class StemSources:
    """An audio file, or one of its `n_streams` audio streams, counted from 0."""

    path: Path
    place: int | None = None
    n_streams: int | None = None

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
        if self.place is None:
            return open_audio(self.path)
        if not has_pyav():
            raise AudioError(
                f"{self.path}: this needs PyAV; run `pip install '.[formats]'` in your clone of stemsplit"
            )
        from stemsplit.audio.pyav import AvDecoder

        try:
            decoder = AvDecoder(self.path, self.place, self.n_streams)
        except AudioError as error:
            raise AudioError(f"{error}: --parts says what lies behind the mixture") from error
        return AudioReader(decoder, str(self.path))


def _bounded(reader: AudioReader, path: Path) -> Iterator[FloatArray]:
    for block in reader.blocks():
        if reader.n_read > LONGEST_S * reader.info.sample_rate:
            raise AudioError(f"{path}: lasts over {LONGEST_S / 60:.0f} minutes; cut the song into several")
        yield block


@dataclass(frozen=True)
class DatasetSource:
    """A song as it lies in the data set: its title, whose it is, and the files of each stem."""

    title: str
    maker: str
    files: Mapping[str, tuple[StemSources, ...]]

    @property
    def origin(self) -> Origin:
        """The files, with the stream that each stem is."""
        parts = ((stem, part) for stem, each in self.files.items() for part in each)
        return tuple((stem, str(part.path.resolve()), float(part.place or 0), 0.0) for stem, part in parts)

    def read(self) -> dict[str, FloatArray]:
        """Waveform of each stem; `AudioError` if one cannot be read."""
        return {stem: added_up([part.read() for part in parts]) for stem, parts in self.files.items()}

    @property
    def is_judge(self) -> bool:
        """Whether an estimate of a stem can be compared with it: others stand beside one that is known."""
        return len(self.files) > 1 and any(len(targets_of(stem)) == 1 for stem in self.files)


def add_songs(dataset: Dataset, folder: Path, progress: Callable[[str], None]) -> int:
    """Store the songs of a data set that are not there yet; returns how many could not be.

    Parameters
    ----------
    dataset : Dataset
        Where they are.
    folder : Path
        Where songs are kept.
    progress : callable
        Told what was done, and what went wrong.

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
        progress(f"{len(sources) - len(missing)} of {len(sources)} songs are there already")
    return sum(not _add(dataset, source, folder, name, progress) for name, source in missing.items())


def _add(
    dataset: Dataset, source: DatasetSource, folder: Path, name: str, progress: Callable[[str], None]
) -> bool:
    """Store a song; returns whether that could be done."""
    try:
        if dataset.split == "valid" and not source.is_judge:
            raise AudioError(f"{source.title}: has one stem, so it can judge nothing; add it for training")
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
    dataset: Dataset, sources: Mapping[str, DatasetSource], stored: Mapping[str, TrainingSong]
) -> None:
    for song in stored.values():
        if song.dataset == dataset.name and song.licence != dataset.licence:
            raise StemsplitError(
                f"{dataset.name} was added with the licence {song.licence!r}, not {dataset.licence!r}; "
                "say the same, or call this part of it by another name"
            )
    others = [song for song in stored.values() if song.dataset and song.split != dataset.split]
    elsewhere = {path: song for song in others for _, path, *_ in song.origin}
    for name, source in sources.items():
        for _, path, *_ in source.origin:
            if path in elsewhere:
                other = elsewhere[path]
                raise StemsplitError(
                    f"{path} is there already, for {other.split} in {other.dataset}: "
                    "what is trained on judges nothing"
                )
        if name in stored and stored[name].origin != source.origin:
            raise StemsplitError(
                f"{source.title} was added from other files; "
                f"delete {stored[name].path.with_suffix('')}.* to have it read again"
            )
