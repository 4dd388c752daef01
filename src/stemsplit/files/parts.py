"""Names of files that are being written, and removal of those that killed runs left behind."""

import contextlib
import functools
import itertools
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from stemsplit.files.leftovers import is_running, remove

_PART: Final = re.compile(r"\..*\.(\d+)-\d+\.part", re.DOTALL)
_counter = itertools.count()


def make_part_name(name: str) -> str:
    """Return a new name, ``.{name}.{pid}-{n}.part``, for a file that is to be called `name`."""
    tail = f".{os.getpid()}-{next(_counter)}.part"
    if len(os.fsencode(name)) + len(tail) + 1 > 255:
        import hashlib  # not for help, which writes no file

        name = hashlib.sha256(os.fsencode(name)).hexdigest()[:32]
    return f".{name}{tail}"


def remove_older_parts(path: Path) -> None:
    """Remove the temporary files of killed runs for this destination."""
    for name, pid in _list_parts(path.parent.absolute()):
        if name.startswith(f".{path.name}.{pid}-") and not is_running(pid):
            with contextlib.suppress(OSError):
                remove(path.with_name(name))


# a folder may have the files of a million songs: it is listed once, and not for each of them
@functools.lru_cache(maxsize=1024)
def _list_parts(folder: Path) -> Sequence[tuple[str, int]]:
    """Return the temporary files that a folder has when this process first uses it, and the processes."""
    try:
        found = map(_PART.fullmatch, os.listdir(folder))  # noqa: PTH208 - a path for each takes ten times as long
        return [(match[0], int(match[1])) for match in found if match]
    except OSError:
        return []
