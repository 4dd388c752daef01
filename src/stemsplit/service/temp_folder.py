"""The folder of the service: private, gone at its end; what a killed one left, the next one takes over."""

import contextlib
import os
import re
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from filelock import FileLock, Timeout

from stemsplit.files.leftovers import remove_leftovers

PREFIX: Final = "stemsplit-serve-"

_NAME: Final = re.compile(re.escape(PREFIX) + ".*")
_LOCK: Final = "alive"
_NEW_S: Final = 5.0  # a folder is made before it is locked


@contextlib.contextmanager
def private_folder() -> Iterator[Path]:
    """Make a temporary folder that only this user can enter; at the end it goes, with all that is in it.

    The songs of services that were killed are moved into it, and the rest of their folders is removed.
    """
    with (
        tempfile.TemporaryDirectory(prefix=PREFIX, ignore_cleanup_errors=True) as name,
        FileLock(Path(name, _LOCK)),
    ):

        def take_over(folder: Path, match: "re.Match[str]") -> bool:
            is_left = _is_left(folder, match)
            if is_left:
                _move_songs(folder, Path(name))
            return is_left

        remove_leftovers(Path(tempfile.gettempdir()), _NAME, is_left=take_over)
        yield Path(name)


def _move_songs(source: Path, target: Path) -> None:
    for folder in source.iterdir():
        if folder.is_dir() and not folder.is_symlink():
            with contextlib.suppress(OSError):
                folder.rename(target / folder.name)


def _is_left(folder: Path, _: "re.Match[str]") -> bool:
    """Tell whether the service that made a folder was killed, so that its lock is free."""
    lock = folder / _LOCK
    if not (_is_old(lock) and _is_own(folder)):
        return False
    try:
        with FileLock(lock, timeout=0):
            return True
    except Timeout:
        return False


def _is_old(file: Path) -> bool:
    return time.time() - file.lstat().st_mtime > _NEW_S


def _is_own(folder: Path) -> bool:
    return os.name == "nt" or folder.lstat().st_uid == os.getuid()
