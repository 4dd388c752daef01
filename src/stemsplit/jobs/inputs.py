"""Expansion of inputs into songs: files, folders, globs, URLs, and ``-`` for standard input."""

import contextlib
import fnmatch
import glob
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import Any, Final

from stemsplit.audio.extensions import is_audio, strip_ending
from stemsplit.errors import AudioError, OutputError
from stemsplit.jobs import journal, remote

STDIN = "-"
_HERE = PurePath()

# folders of the system at the root of a disk, which users cannot read and which hold no music
_SYSTEM_FOLDERS: Final = frozenset(("lost+found", "System Volume Information", "$RECYCLE.BIN"))


@dataclass(frozen=True, eq=False)  # a song that is named twice is two of a run
class SongInput:
    """One song to read.

    Parameters
    ----------
    label
        The song as the user named it, for messages and results.
    path
        The file; None for standard input, a remote song, and an input with a problem.
    mirror
        Path of its folder relative to the folder that was named, or to the fixed part of a glob; the stems
        are written to the same path below the output folder.
    problem
        Why there is nothing to read. Such an input becomes a failed result, so that one wrong name does not
        stop the other songs.
    named
        Name of the track that a manifest gives; None for the name of the file.
    url
        Address of a remote song.
    """

    label: str
    path: Path | None
    mirror: PurePath = _HERE
    problem: str | None = None
    named: str | None = None
    url: str | None = None

    @property
    def track(self) -> str:
        """The base name of the song, or the name that a manifest gives it."""
        if self.named is not None:
            return self.named
        if self.url is not None:
            return strip_ending(remote.find_path(self.url))
        return strip_ending(self.path) if self.path else "stdin"

    @property
    def is_stdin(self) -> bool:
        """Whether the song comes on standard input."""
        return self.path is None and self.url is None and self.problem is None

    @property
    def file_name(self) -> str:
        """The name of the file, or the track for standard input."""
        if self.url is not None:
            return remote.find_path(self.url).name
        return self.path.name if self.path else self.track

    @property
    def folder_name(self) -> str:
        """The name of the folder that holds the song; empty for standard input."""
        if self.url is not None:
            return remote.find_path(self.url).parent.name
        return self.path.absolute().parent.name if self.path else ""

    def identify(self) -> dict[str, Any] | None:
        """Return what distinguishes this version of the song from others; None for standard input.

        Raises
        ------
        OSError, AudioError
            If the song cannot be read.
        """
        if self.url is not None:
            return remote.identify_song(self.url)
        return None if self.path is None else journal.identify_file(self.path)

    @contextlib.contextmanager
    def fetch(self) -> Iterator[Path | None]:
        """Provide the local path of the song or of a copy of a remote song; None for standard input.

        Raises
        ------
        AudioError
            If a remote song cannot be copied.
        """
        if self.url is None:
            yield self.path
        else:
            with remote.fetch_song(self.url) as copy:
                yield copy


@dataclass(frozen=True)
class FileKind:
    """What is looked for in folders and globs; a file that is named itself is taken as it is."""

    name: str
    accepts: Callable[[Path], bool]


AUDIO: Final = FileKind("audio file", is_audio)


def expand_inputs(
    inputs: Sequence[str],
    *,
    recursive: bool = False,
    output_dir: Path | None = None,
    kind: FileKind = AUDIO,
) -> list[SongInput]:
    """Return the songs of `inputs`, in the given order, folders sorted, each song once.

    In folders and among the matches of globs, hidden files and the stems of earlier runs are skipped, and
    links to folders are not followed. A folder that cannot be read becomes an input with a problem.

    Parameters
    ----------
    inputs : sequence of str
        Files, folders, globs (for shells that do not expand them) and ``-``.
    recursive : bool
        Include the subfolders of folders.
    output_dir : Path, optional
        Output folder, which is skipped inside a folder and among the matches of a glob. It is also skipped if
        it is one of several inputs and holds no songs, as in a shell's ``*`` from the second run on.
    kind : FileKind
        The files in folders that are songs.
    """
    search = _Search(recursive, output_dir, kind)
    named = [text for text in inputs if not search.is_bare_output(text)] or inputs
    seen: set[str] = set()
    sources: list[SongInput] = []
    for text in named:
        for source in search.expand(text):
            key = os.path.realpath(source.path) if source.path else source.url or source.label
            if key not in seen:
                seen.add(key)
                sources.append(source)
    return sources


@dataclass(frozen=True)
class _Pattern:
    """A glob: the folder before its first wildcard, the rest in parts, and whether a slash ends it."""

    base: Path
    parts: tuple[str, ...]
    only_folders: bool

    @classmethod
    def parse(cls, text: str) -> "_Pattern":
        path = Path(text)
        n_fixed = len(path.parts) - len(path.relative_to(path.anchor).parts)
        while not glob.has_magic(path.parts[n_fixed]):
            n_fixed += 1
        return cls(Path(*path.parts[:n_fixed]), path.parts[n_fixed:], text.endswith(("/", os.sep)))


@dataclass(frozen=True)
class _Listing:
    """Contents of one folder, sorted, without the output folder and the stems of earlier runs."""

    folders: list[Path] = field(default_factory=list)
    songs: list[Path] = field(default_factory=list)
    problems: list[SongInput] = field(default_factory=list)


class _Search:
    """Search for the songs of inputs."""

    def __init__(self, recursive: bool, output_dir: Path | None, kind: FileKind) -> None:
        self._recursive = recursive
        self._kind = kind
        self._output = os.path.realpath(output_dir) if output_dir else None
        self._stems: set[Path] = set()

    def is_bare_output(self, text: str) -> bool:
        """Tell whether `text` is the output folder and holds neither songs nor problems to report."""
        folder = Path(text)
        if text in ("", STDIN) or not self._is_output(folder):
            return False
        return not any(self._songs(folder, folder, recursive=self._recursive))

    def expand(self, text: str) -> list[SongInput]:
        """Return the songs of one input."""
        if text == STDIN:
            return [SongInput(STDIN, None)]
        if remote.is_url(text):
            return _expand_url(text, recursive=self._recursive)
        path = Path(text)
        if text and os.path.isdir(path):  # noqa: PTH112 - Path.is_dir raises below a closed folder
            songs = self._expand_folder(path, path)
            return songs or [self._nothing(path, f"there is no {self._kind.name} in the folder")]
        if text and os.path.lexists(path):
            return [SongInput(text, path)]
        if glob.has_magic(text[len(path.anchor) :]):
            pattern = _Pattern.parse(text)
            songs = list(self._match(pattern, pattern.base, pattern.parts))
            return songs or [self._nothing(text, f"no {self._kind.name} matches")]
        return [_missing(text)]

    def _expand_folder(self, folder: Path, base: Path) -> list[SongInput]:
        songs = list(self._songs(folder, base, recursive=self._recursive))
        if songs or self._recursive:
            return songs
        if any(song.path for song in self._songs(folder, base, recursive=True)):
            hint = "those in its subfolders are read with --recursive"
            return [_problem(folder, f"there is no {self._kind.name} in the folder; {hint}")]
        return []

    def _songs(self, folder: Path, base: Path, *, recursive: bool) -> Iterator[SongInput]:
        """Yield the songs of `folder` sorted by name, its own files before those of its subfolders."""
        listing = self._list(folder)
        yield from listing.problems
        yield from (_song(path, base) for path in listing.songs if not _is_hidden(path))
        for path in listing.folders if recursive else ():
            if _is_entered(path):
                yield from self._songs(path, base, recursive=True)

    def _match(self, pattern: _Pattern, folder: Path, parts: tuple[str, ...]) -> Iterator[SongInput]:
        """Yield the songs below `folder` that match `parts`, the rest of `pattern`."""
        if parts[0] == "**":
            yield from self._match_at_any_depth(pattern, folder, parts[1:])
            return
        listing = self._list(folder)
        yield from listing.problems
        folders = [path for path in listing.folders if _fits(path, parts[0])]
        if len(parts) > 1:
            for path in folders:
                yield from self._match(pattern, path, parts[1:])
            return
        if not pattern.only_folders:
            yield from (_song(path, pattern.base) for path in listing.songs if _fits(path, parts[0]))
        if "**" not in pattern.parts:  # `**` descends into the folders by itself
            for path in folders:
                yield from self._expand_folder(path, pattern.base)

    def _match_at_any_depth(
        self, pattern: _Pattern, folder: Path, parts: tuple[str, ...]
    ) -> Iterator[SongInput]:
        yield from self._match(pattern, folder, parts or ("*",))
        for path in self._list(folder).folders:
            if _is_entered(path):
                yield from self._match_at_any_depth(pattern, path, parts)

    def _list(self, folder: Path) -> _Listing:
        try:
            with os.scandir(folder) as entries:
                is_folder = {entry.name: _is_folder(entry) for entry in entries}
            if journal.has_journal(is_folder):
                self._stems |= journal.Journal(folder).list_files()
        except OSError as error:
            what = f"the folder cannot be read: {error.strerror}; check its name and permissions"
            return _Listing(problems=[_problem(folder, what)])
        except OutputError as error:  # of the journal, without which stems would be taken for songs
            return _Listing(problems=[SongInput(str(folder), None, problem=str(error))])
        listing = _Listing()
        for name in sorted(is_folder):
            path = folder / name
            if is_folder[name]:
                is_written = self._is_output(path) or path in self._stems
                listing.folders.extend([] if is_written else [path])
            elif path not in self._stems and self._kind.accepts(path):
                listing.songs.append(path)
        return listing

    def _is_output(self, folder: Path) -> bool:
        return self._output is not None and os.path.realpath(folder) == self._output

    def _nothing(self, label: str | Path, what: str) -> SongInput:
        return _problem(label, what + ("; stems of earlier runs are left out" if self._stems else ""))


def make_remote_input(url: str, *, mirror: PurePath = _HERE, named: str | None = None) -> SongInput:
    """Return the song at an address."""
    return SongInput(remote.redact(url), None, mirror, named=named, url=url)


def _expand_url(text: str, *, recursive: bool) -> list[SongInput]:
    try:
        urls = remote.list_songs(text, recursive=recursive)
    except AudioError as error:
        return [SongInput(remote.redact(text), None, problem=str(error))]
    base = remote.find_path(text) if text.endswith("/") else None
    songs = []
    for url in urls:
        folder = remote.find_path(url).parent
        mirror = folder.relative_to(base) if base is not None and folder.is_relative_to(base) else _HERE
        songs.append(make_remote_input(url, mirror=mirror))
    return songs or [_problem(remote.redact(text), "there is no audio file")]


def _song(path: Path, base: Path) -> SongInput:
    return SongInput(str(path), path, path.parent.relative_to(base))


def _problem(label: str | Path, what: str) -> SongInput:
    return SongInput(str(label), None, problem=f"{label}: {what}")


def _missing(text: str) -> SongInput:
    """Return the input of a file that cannot be found or reached."""
    try:
        os.lstat(text)
    except (FileNotFoundError, NotADirectoryError):
        pass
    except OSError as error:
        return _problem(text, f"it cannot be reached: {error.strerror}; check its name and permissions")
    return SongInput(text, None, problem=f"{text or repr(text)}: no such file or folder; check the name")


def _is_folder(entry: "os.DirEntry[str]") -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link into a folder without permission
        return False


def _is_hidden(path: Path) -> bool:
    return path.name.startswith(".")


def _is_entered(folder: Path) -> bool:
    """Tell whether the search descends into `folder`."""
    is_link = os.path.islink(folder)  # noqa: PTH114 - Path.is_symlink raises in a closed folder
    return not (is_link or _is_hidden(folder) or folder.name in _SYSTEM_FOLDERS)


def _fits(path: Path, part: str) -> bool:
    """Tell whether `part` of a glob matches the name of `path`; hidden names need a `part` with a dot."""
    return fnmatch.fnmatch(path.name, part) and (part.startswith(".") or not _is_hidden(path))
