"""The folder of a run's stems: on a disk, or in remote storage behind a scratch folder.

Stems are always written to a local path below `OutputFolder.path`, and `OutputFolder.publish` brings them to
their place. In a local folder they are there already.
"""

import contextlib
import os
import stat
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, Protocol

import msgspec

from stemsplit.errors import OutputError
from stemsplit.files.atomic import whole_file
from stemsplit.files.digest import hash_content


class Mark(msgspec.Struct, frozen=True):
    """What distinguishes a stem from another file of the same name.

    `mtime_ns` is the modification time in nanoseconds; 0 in remote storage, where copies do not keep it.
    `digest` is the SHA-256 of the content, empty where it is not known.
    """

    size: int
    mtime_ns: int
    digest: str = ""

    @classmethod
    def of(cls, path: Path) -> "Mark":
        """Return the mark of an existing local file."""
        state = os.lstat(path)
        return cls(state.st_size, state.st_mtime_ns)

    def is_alike(self, other: "Mark") -> bool:
        """Return whether size and modification time are those of another mark."""
        return (self.size, self.mtime_ns) == (other.size, other.mtime_ns)


class OutputFolder(Protocol):
    """Where stems and the journal of a run are stored. Names are relative, with ``/`` between folders."""

    @property
    def path(self) -> Path:
        """The local folder in which stems are written."""

    @property
    def is_remote(self) -> bool:
        """Whether stems leave `path` when they are published."""

    def exists(self, path: Path) -> bool:
        """Return whether a stem exists whose local path is `path`."""

    def find_marks(self, paths: Iterable[Path]) -> dict[Path, Mark]:
        """Return the marks of those of the stems of a song that exist."""

    def find_mark(self, path: Path) -> Mark | None:
        """Return the mark of a published stem; None if there is none."""

    def has_mark(self, path: Path, mark: Mark) -> bool:
        """Return whether a published stem is the one that had a mark."""

    def mark_part(self, part: Path) -> Mark:
        """Return the mark that a stem will have which is written to the local file `part`."""

    def publish(self, paths: Iterable[Path], replaceable: Collection[Path]) -> None:
        """Bring complete stems to their place, each of them as a whole.

        A file that another run has written meanwhile is replaced only if it is among the `replaceable`.
        """

    def locate(self, path: Path) -> Path | str:
        """Return the path or the address of a stem, for results and messages."""

    def read(self, name: str) -> bytes | None:
        """Return the content of a small file; None if there is none."""

    def write(self, name: str, content: bytes) -> None:
        """Write a small file, which appears as a whole."""

    def list_files(self, folder: str) -> Iterator[str]:
        """Yield the names of all files below `folder`."""

    def close(self) -> None:
        """Remove what the folder needed during the run."""


class LocalFolder:
    """A folder on a disk of this machine, or on a file system that is mounted there."""

    is_remote = False

    def __init__(self, path: Path) -> None:
        self.path = path
        self._prefix = os.path.join(path, "")  # noqa: PTH118 - with a separator at its end

    def exists(self, path: Path) -> bool:
        """Return whether the path is taken, even by a broken link."""
        return os.path.lexists(path)

    def find_marks(self, paths: Iterable[Path]) -> dict[Path, Mark]:
        """Return the marks of the paths that are taken; in a folder that is not there, none is looked for."""
        marks: dict[Path, Mark] = {}
        folder, is_there = None, False
        for path in paths:
            parent, separator, _ = os.fspath(path).rpartition(os.sep)  # text, for every stem of every song
            if parent != folder:
                folder, is_there = parent, os.path.lexists(parent + separator or os.curdir)
            if is_there and (mark := self.find_mark(path)) is not None:
                marks[path] = mark
        return marks

    def find_mark(self, path: Path) -> Mark | None:
        """Return size and modification time of a file, or of a broken link; None if it cannot be accessed."""
        try:
            return Mark.of(path)
        except (OSError, ValueError):  # of a name that no disk can have
            return None

    def has_mark(self, path: Path, mark: Mark) -> bool:
        """Compare size and modification time; where only the time differs, the content is compared."""
        found = self.find_mark(path)
        if found is None or found.is_alike(mark):
            return found is not None
        try:
            return found.size == mark.size and hash_content(path) == mark.digest
        except OSError:
            return False

    def mark_part(self, part: Path) -> Mark:
        """Return size, modification time and content, which renaming keeps."""
        return msgspec.structs.replace(Mark.of(part), digest=hash_content(part))

    def publish(self, paths: Iterable[Path], replaceable: Collection[Path]) -> None:
        """Do nothing: the stems are in their place."""

    def locate(self, path: Path) -> Path:
        """Return the path itself."""
        return path

    def read(self, name: str) -> bytes | None:
        """Read a file."""
        try:
            with open(f"{self._prefix}{name}", "rb", buffering=0) as file:  # noqa: PTH123 - a record a song
                return file.readall()
        except FileNotFoundError:
            return None

    def write(self, name: str, content: bytes) -> None:
        """Write a file, force it to disk, and rename it to its name."""
        with whole_file(self.path / name) as file:
            file.write(content)
            file.flush()
            self._force(file)

    def _force(self, file: BinaryIO) -> None:
        os.fsync(file.fileno())

    def list_files(self, folder: str) -> Iterator[str]:
        """Yield the names of the files below a folder."""
        for path in (self.path / folder).rglob("*"):
            if path.is_file():
                yield path.relative_to(self.path).as_posix()

    def close(self) -> None:
        """Do nothing: there are no scratch files."""


def check_working_folder() -> None:
    """Check that the working folder exists.

    Raises
    ------
    OutputError
        If it has been deleted, or may not be read.
    """
    try:
        Path.cwd()
    except OSError as error:
        raise OutputError("the working folder has been deleted; change to one that exists") from error


def check_output_dir(folder: Path) -> None:
    """Check, without writing, that `folder` is a folder or can become one.

    Raises
    ------
    OutputError
        If a file has its place or its name is too long.
    """
    try:
        for part in (folder, *folder.parents):
            with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                if not stat.S_ISDIR(part.stat().st_mode):
                    raise OutputError(f"{part}: is a file, not a folder; choose another folder with --output")
    except OSError as error:
        raise OutputError(f"{folder}: cannot be a folder: {error.strerror}; choose another one") from error


def check_folder(path: Path) -> None:
    """Check, without writing, that the folder of `path` exists or can be created.

    Raises
    ------
    OutputError
        If it cannot be created.
    """
    existing = next(folder for folder in path.absolute().parents if folder.exists())
    if path.is_dir() or not existing.is_dir() or not os.access(existing, os.W_OK):
        raise OutputError(f"{path}: cannot be written below {existing}; choose another folder with --output")
