"""The folder of the service: private, gone at its end; what a killed one left, the next one removes."""

import contextlib
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from filelock import FileLock, Timeout

PREFIX: Final = "stemsplit-serve-"

_LOCK: Final = "alive"
_NEW_S: Final = 60.0  # a folder is made before it is locked


@contextlib.contextmanager
def private_folder() -> Iterator[Path]:
    """Make a temporary folder that only this user can enter; at the end it goes, with all that is in it."""
    _remove_leftovers()
    with (
        tempfile.TemporaryDirectory(prefix=PREFIX, ignore_cleanup_errors=True) as name,
        FileLock(Path(name, _LOCK)),
    ):
        yield Path(name)


def _remove_leftovers() -> None:
    """Remove the folders of services that were killed: nobody holds their lock any more."""
    for folder in Path(tempfile.gettempdir()).glob(PREFIX + "*"):
        with contextlib.suppress(OSError, Timeout):
            lock = folder / _LOCK
            if _is_old(lock) and _is_own(folder):
                with FileLock(lock, timeout=0):
                    pass
                shutil.rmtree(folder)  # refuses links


def _is_old(file: Path) -> bool:
    return time.time() - file.lstat().st_mtime > _NEW_S


def _is_own(folder: Path) -> bool:
    return os.name == "nt" or folder.lstat().st_uid == os.getuid()
