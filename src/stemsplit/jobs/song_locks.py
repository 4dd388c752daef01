"""Locks on the songs of an output folder: runs that share it do not separate one song at the same time.

A lock is a file below ``.stemsplit/locks`` that the system unlocks when its process ends, however it ends.
Songs share a fixed number of them, so that they do not become many; two songs of one lock wait for each other
in vain, and lose nothing but time.
"""

import contextlib
import errno
import hashlib
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from stemsplit.files.atomic import explain
from stemsplit.jobs.cancellation import Cancellation
from stemsplit.jobs.journal import FOLDER

_LOCKS: Final = f"{FOLDER}/locks"
_POLL_S: Final = 0.2
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


@contextlib.contextmanager
def hold_when_free(folder: Path, song: str, *, waits: bool, cancellation: Cancellation) -> Iterator[None]:
    """Hold the lock of a song as soon as no other run does.

    Raises
    ------
    SongIsHeld
        If another run holds it, and this one does not wait.
    Cancelled
        If the run is to stop while it waits.
    """
    with contextlib.ExitStack() as held:
        while True:
            try:
                held.enter_context(hold_song(folder, song))
                break
            except SongIsHeld:
                if not waits:
                    raise
            cancellation.check()
            time.sleep(_POLL_S)
        yield


def _remove(path: Path, folder: Path | None) -> None:
    """Remove the lock of a song that failed from a folder in which no song has ever been finished."""
    with contextlib.suppress(OSError):
        path.unlink()
        path.parent.rmdir()
        path.parent.parent.rmdir()
        if folder is not None:
            folder.rmdir()
