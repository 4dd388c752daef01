"""Locks on the songs of an output folder: runs that share it do not separate one song at the same time.

A lock is a file below ``.stemsplit/locks`` that the system unlocks when its process ends, however it ends.
Songs share a fixed number of them, so that they do not become many; two songs of one lock wait for each other
in vain, and lose nothing but time.
"""

import contextlib
import errno
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from stemsplit.files.atomic import explain
from stemsplit.jobs.journal import FOLDER

_LOCKS: Final = f"{FOLDER}/locks"
# of file systems without locks, where songs are separated without them
_NO_LOCKS: Final = frozenset((errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP))


class SongIsHeld(Exception):  # noqa: N818 - nothing went wrong
    """Another run is separating the song."""


@contextlib.contextmanager
def hold_song(folder: Path, song: str) -> Iterator[None]:
    """Hold the lock of a song in an output folder.

    Raises
    ------
    SongIsHeld
        If another run, or another thread, holds it.
    OutputError
        If the folder cannot be written.
    """
    from filelock import FileLock, Timeout  # it takes time that other commands need not lose

    path = folder / _LOCKS / f"{hashlib.sha256(os.fsencode(song)).hexdigest()[:2]}.lock"
    is_new = not folder.exists()
    lock = FileLock(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=0)
    except Timeout as error:
        raise SongIsHeld from error
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise explain(error, folder) from error
    try:
        yield
    finally:
        if not (folder / FOLDER / "journal").exists():
            _remove(path, folder if is_new else None)
        lock.release()


def _remove(path: Path, folder: Path | None) -> None:
    """Remove the lock of a song that failed from a folder in which no song has ever been finished."""
    with contextlib.suppress(OSError):
        path.unlink()
        path.parent.rmdir()
        path.parent.parent.rmdir()
        if folder is not None:
            folder.rmdir()
