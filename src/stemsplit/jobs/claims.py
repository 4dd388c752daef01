"""The output files that the songs of a run claim, so that no two songs write the same file."""

import hashlib
import os
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from itertools import count
from pathlib import Path
from typing import Final

from stemsplit.files.names import identity

_MAX_FOLDERS: Final = 4096

# the owner of a hashed path, and whether the path is a folder that the owner needs
_Known = dict[bytes, tuple[str, bool]]


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
            "CREATE TABLE claims (name BLOB PRIMARY KEY, owner TEXT, is_folder INTEGER, song INTEGER)"
            " WITHOUT ROWID"
        )
        self._database.execute("BEGIN")
        self._songs = count()
        self._folders: set[bytes] = set()  # claimed as folders; not all of them

    def claim(self, outputs: Sequence[tuple[Path, str]]) -> str | None:
        """Claim all `outputs`, pairs of a path and its owner; or none of them, and return the reason.

        >>> claims = Claims()
        >>> claims.claim([(Path("x.wav"), "the vocals of one")])
        >>> claims.claim([(Path("X.wav"), "the vocals of two")])
        'the vocals of two and the vocals of one would both be written to X.wav'
        """
        wanted = [_Wanted(os.fspath(path), owner) for path, owner in outputs]
        new = self._list_new(wanted)
        if new is not None and self._insert(new):
            return None
        # something is claimed already, if only a folder: look closely
        known = before = self._find(name for file in wanted for name in (file.name, *file.folders.values()))
        for file in wanted:
            problem = file.find_problem(known)
            if problem is not None:
                return problem
            known = dict.fromkeys(file.folders.values(), (file.owner, True)) | known
            known[file.name] = (file.owner, False)
        self._insert({name: claim for name, claim in known.items() if name not in before})
        return None

    def _list_new(self, wanted: "Sequence[_Wanted]") -> _Known | None:
        """Return what is to be claimed that is not known to be a folder; None where files meet each other."""
        files: _Known = {file.name: (file.owner, False) for file in wanted}
        folders: _Known = {
            name: (file.owner, True)
            for file in wanted
            for name in file.folders.values()
            if name not in self._folders
        }
        is_clear = len(files) == len(wanted) and files.keys().isdisjoint(folders)
        return files | folders if is_clear else None

    def _insert(self, claims: _Known) -> bool:
        """Insert all `claims` if all of them are new, otherwise none."""
        song = next(self._songs)
        rows = [(name, owner, is_folder, song) for name, (owner, is_folder) in claims.items()]
        added = self._database.executemany("INSERT OR IGNORE INTO claims VALUES (?, ?, ?, ?)", rows)
        if added.rowcount < len(rows):
            undo = "DELETE FROM claims WHERE name = ? AND song = ?"
            self._database.executemany(undo, [(name, song) for name in claims])
            return False
        if len(self._folders) > _MAX_FOLDERS:
            self._folders.clear()
        self._folders.update(name for name, (_, is_folder) in claims.items() if is_folder)
        return True

    def _find(self, names: Iterable[bytes]) -> _Known:
        given = list(set(names))
        query = f"SELECT name, owner, is_folder FROM claims WHERE name IN ({','.join('?' * len(given))})"
        return {name: (owner, bool(folder)) for name, owner, folder in self._database.execute(query, given)}


class _Wanted:
    """A file that is to be claimed: its hashed path, and those of the folders that it needs."""

    def __init__(self, path: str, owner: str) -> None:
        self.path, self.owner, self.name = path, owner, _hash(path)
        self.folders = _hash_folders(os.path.dirname(path))  # noqa: PTH120 - text, for millions of paths

    def find_problem(self, known: _Known) -> str | None:
        """Return why the file cannot be claimed."""
        if self.name in known:
            other, is_folder = known[self.name]
            if is_folder:
                return f"{other} needs a folder where {self.owner} would be written: {self.path}"
            return f"{self.owner} and {other} would both be written to {self.path}"
        for folder, name in self.folders.items():
            other, is_folder = known.get(name, ("", True))
            if not is_folder:
                return f"{self.owner} needs a folder where {other} would be written: {folder}"
        return None


# the stems of a song are in the same folder, and all songs are below the output folder
@lru_cache(maxsize=1024)
def _hash_folders(folder: str) -> Mapping[str, bytes]:
    """Return the hash of a folder, and those of the folders above it, the innermost first."""
    above = os.path.dirname(folder)  # noqa: PTH120
    return {folder: _hash(folder), **_hash_folders(above)} if folder and folder != above else {}


def _hash(path: str) -> bytes:
    return hashlib.blake2b(identity(path).encode("utf-8", "surrogatepass"), digest_size=16).digest()
