"""The output files that the songs of a run claim, so that no two songs write the same file."""

import hashlib
import sqlite3
from collections.abc import Mapping, Sequence
from pathlib import Path

from stemsplit.files.names import identity


class Claims:
    """Output files and their owners; a path belongs to the first owner that claims it.

    Two paths can be the same file on a file system that ignores case or accents, and a file can have the path
    of a folder that another file needs. The claims are in a temporary database, which moves to the disk when
    it grows: memory does not grow with the number of songs.
    """

    def __init__(self) -> None:
        # an empty name is a temporary database that is deleted when it is closed
        self._database = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        self._database.execute("PRAGMA journal_mode = OFF")
        self._database.execute(
            "CREATE TABLE claims (name BLOB PRIMARY KEY, owner TEXT, is_folder INTEGER) WITHOUT ROWID"
        )
        self._database.execute("BEGIN")

    def claim(self, outputs: Sequence[tuple[Path, str]]) -> str | None:
        """Claim all `outputs`, pairs of a path and its owner; or none of them, and return the reason.

        >>> claims = Claims()
        >>> claims.claim([(Path("x.wav"), "the vocals of one")])
        >>> claims.claim([(Path("X.wav"), "the vocals of two")])
        'the vocals of two and the vocals of one would both be written to X.wav'
        """
        files: dict[bytes, str] = {}
        folders: dict[bytes, str] = {}
        for path, owner in outputs:
            problem = self._check_file(path, owner, files, folders) or self._check_folders(
                path, owner, files, folders
            )
            if problem is not None:
                return problem
            files[_hash(path)] = owner
        self._insert(files, is_folder=False)
        self._insert(folders, is_folder=True)
        return None

    def _check_file(
        self, path: Path, owner: str, files: Mapping[bytes, str], folders: Mapping[bytes, str]
    ) -> str | None:
        name = _hash(path)
        if name in files:
            return f"{owner} and {files[name]} would both be written to {path}"
        if name in folders:
            return f"{folders[name]} needs a folder where {owner} would be written: {path}"
        other, is_folder = self._find(name)
        if other is None:
            return None
        if is_folder:
            return f"{other} needs a folder where {owner} would be written: {path}"
        return f"{owner} and {other} would both be written to {path}"

    def _check_folders(
        self, path: Path, owner: str, files: Mapping[bytes, str], folders: dict[bytes, str]
    ) -> str | None:
        for folder in path.parents:
            name = _hash(folder)
            if name in folders:
                return None  # and so are the folders above it
            other, is_folder = (files[name], False) if name in files else self._find(name)
            if other is not None and not is_folder:
                return f"{owner} needs a folder where {other} would be written: {folder}"
            folders[name] = owner
            if other is not None:
                return None
        return None

    def _find(self, name: bytes) -> tuple[str | None, bool]:
        row = self._database.execute("SELECT owner, is_folder FROM claims WHERE name = ?", (name,)).fetchone()
        return (None, False) if row is None else (row[0], bool(row[1]))

    def _insert(self, names: Mapping[bytes, str], *, is_folder: bool) -> None:
        self._database.executemany(
            "INSERT OR IGNORE INTO claims VALUES (?, ?, ?)",
            ((name, owner, is_folder) for name, owner in names.items()),
        )


def _hash(path: Path) -> bytes:
    return hashlib.blake2b(identity(path).encode("utf-8", "surrogatepass"), digest_size=16).digest()
