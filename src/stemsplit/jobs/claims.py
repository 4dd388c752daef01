"""The output files that the songs of a run claim, so that no two songs write the same file."""

import hashlib
import os
import sqlite3
from collections.abc import Collection, Mapping, Sequence
from functools import lru_cache
from itertools import count
from pathlib import Path
from typing import Final

from stemsplit.files.names import identity

_MAX_FOLDERS: Final = 4096

# the owner of a path, by the key of the path, and whether the path is a folder that the owner needs
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
        self._database.execute("CREATE TABLE songs (number INTEGER PRIMARY KEY, label TEXT)")
        self._database.execute(
            "CREATE TABLE claims (key BLOB PRIMARY KEY, name TEXT, is_folder INTEGER, song INTEGER)"
            " WITHOUT ROWID"
        )
        self._database.execute("BEGIN")
        self._numbers = count()
        self._folders: set[bytes] = set()  # claimed as folders; not all of them

    def claim(self, song: str, files: Mapping[str, Path]) -> str | None:
        """Claim all `files` of a song, by their names; or none of them, and return the reason.

        >>> claims = Claims()
        >>> claims.claim("one", {"vocals": Path("x.wav")})
        >>> claims.claim("two", {"vocals": Path("X.wav")})
        'the vocals of two and the vocals of one would both be written to X.wav'
        """
        wanted = [_Wanted(name, os.fspath(path)) for name, path in files.items()]
        folders = {key: file.name for file in wanted for key in file.folders.values()}
        is_clear = len({file.key for file in wanted} - folders.keys()) == len(files)
        if is_clear and self._insert(song, wanted, folders):
            return None
        # something is claimed already, if only a folder: look closely
        known = before = self._find({file.key for file in wanted} | folders.keys())
        for file in wanted:
            owner = f"the {file.name} of {song}"
            problem = file.find_problem(owner, known)
            if problem is not None:
                return problem
            known = dict.fromkeys(file.folders.values(), (owner, True)) | known
            known[file.key] = (owner, False)
        self._folders.update(before)
        self._insert(song, wanted, folders)
        return None

    def _insert(self, song: str, files: "Sequence[_Wanted]", folders: Mapping[bytes, str]) -> bool:
        """Insert `files`, and those `folders` that are not known to be claimed; nothing if one is claimed."""
        number = next(self._numbers)
        new = [key for key in folders if key not in self._folders]
        rows = [(file.key, file.name, False, number) for file in files]
        rows += [(key, folders[key], True, number) for key in new]
        added = self._database.executemany("INSERT OR IGNORE INTO claims VALUES (?, ?, ?, ?)", rows)
        if added.rowcount < len(rows):
            undo = "DELETE FROM claims WHERE key = ? AND song = ?"
            self._database.executemany(undo, [(key, number) for key, *_ in rows])
            return False
        self._database.execute("INSERT INTO songs VALUES (?, ?)", (number, song))
        if len(self._folders) > _MAX_FOLDERS:
            self._folders.clear()
        self._folders.update(new)
        return True

    def _find(self, keys: Collection[bytes]) -> _Known:
        query = (
            "SELECT key, name, label, is_folder FROM claims JOIN songs ON song = number"
            f" WHERE key IN ({','.join('?' * len(keys))})"
        )
        found = self._database.execute(query, list(keys))
        return {key: (f"the {name} of {label}", bool(is_folder)) for key, name, label, is_folder in found}


class _Wanted:
    """A file that is to be claimed: its key, and those of the folders that it needs."""

    def __init__(self, name: str, path: str) -> None:
        folder = os.path.dirname(path)  # noqa: PTH120 - text, for millions of paths
        self.name, self.path, self.key = name, path, _make_key(path, folder)
        self.folders = _list_folders(folder)

    def find_problem(self, owner: str, known: _Known) -> str | None:
        """Return why the file cannot be claimed by `owner`."""
        if self.key in known:
            other, is_folder = known[self.key]
            if is_folder:
                return f"{other} needs a folder where {owner} would be written: {self.path}"
            return f"{owner} and {other} would both be written to {self.path}"
        for folder, key in self.folders.items():
            other, is_folder = known.get(key, ("", True))
            if not is_folder:
                return f"{owner} needs a folder where {other} would be written: {folder}"
        return None


# the stems of a song are in the same folder, and all songs are below the output folder
@lru_cache(maxsize=1024)
def _list_folders(folder: str) -> Mapping[str, bytes]:
    """Return a folder and those above it, the innermost first, with their keys."""
    above = os.path.dirname(folder)  # noqa: PTH120
    return {folder: _make_key(folder, above), **_list_folders(above)} if folder and folder != above else {}


def _make_key(path: str, folder: str) -> bytes:
    """Return the key of a path; those of one `folder` begin alike, so that the database has them together."""
    return _hash_folder(folder) + _hash(path, 12)


@lru_cache(maxsize=1024)
def _hash_folder(folder: str) -> bytes:
    return _hash(folder, 4)


def _hash(path: str, n_bytes: int) -> bytes:
    return hashlib.blake2b(identity(path).encode("utf-8", "surrogatepass"), digest_size=n_bytes).digest()
