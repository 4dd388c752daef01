"""What runs that were killed left behind, removed by the next one that comes along."""

import contextlib
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path


def remove_leftovers(
    folder: Path, pattern: re.Pattern[str], *, is_left: Callable[[Path, "re.Match[str]"], bool]
) -> None:
    """Remove files and folders of `folder` whose names match and which nobody uses any more.

    What cannot be removed, or is gone meanwhile, is passed over.

    Parameters
    ----------
    folder
        Where they lie; it need not exist.
    pattern
        Of the whole name.
    is_left
        Called with the path and the match of its name; whether nobody uses it any more.
    """
    with contextlib.suppress(OSError):
        for path in list(folder.iterdir()):
            match = pattern.fullmatch(path.name)
            with contextlib.suppress(OSError):
                if match and is_left(path, match):
                    _remove(path)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


def is_running(pid: int) -> bool:
    """Tell whether a process of this number runs; on Windows, where nobody can ask, it does."""
    if os.name == "nt":
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True
