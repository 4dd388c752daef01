"""Removal of the files that killed runs left behind."""

import contextlib
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path


def remove_leftovers(
    folder: Path, pattern: re.Pattern[str], *, is_left: Callable[[Path, "re.Match[str]"], bool]
) -> None:
    """Remove the files and folders in `folder` whose names match and that no process uses any more.

    Entries that cannot be removed, or that are already gone, are ignored.

    Parameters
    ----------
    folder
        Folder to clean; it need not exist.
    pattern
        Pattern of the whole name.
    is_left
        Function of the path and the match of its name; returns whether the entry is unused.
    """
    with contextlib.suppress(OSError):
        for name in os.listdir(folder):  # noqa: PTH208 - a path for every entry takes ten times as long
            match = pattern.fullmatch(name)
            with contextlib.suppress(OSError):
                if match and is_left(folder / name, match):
                    remove(folder / name)


def remove(path: Path) -> None:
    """Remove a file or a folder."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


def is_running(pid: int) -> bool:
    """Tell whether a process runs; on Windows, where this cannot be checked, return True."""
    if os.name == "nt":
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True
