"""Hidden names beside a destination, and what killed runs left under them.

``.{name}.{pid}-{n}.part`` is a file that is being written, ``.{name}.{pid}-{n}.earlier`` a folder that is
being replaced. A part of a killed run is of no use any more; an earlier folder may hold files of the user.
"""

import contextlib
import functools
import itertools
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, Literal, NamedTuple

from stemsplit.files.leftovers import is_running, remove

Kind = Literal["part", "earlier"]

_HIDDEN: Final = re.compile(r"\..*(\.(\d+)-\d+\.(part|earlier))", re.DOTALL)
_MAX_NAME_BYTES: Final = 255
_counter = itertools.count()


class _Hidden(NamedTuple):
    name: str
    tail: str
    pid: int
    kind: str


def hide(path: Path, kind: Kind = "part") -> Path:
    """Return a path beside `path` that no other file has."""
    return path.with_name(_join(path.name, f".{os.getpid()}-{next(_counter)}.{kind}"))


def find_left(path: Path, kind: Kind) -> Iterator[Path]:
    """Yield what killed runs left beside a destination."""
    for hidden in _list_hidden(path.parent.absolute()):
        is_its = hidden.kind == kind and hidden.name == _join(path.name, hidden.tail)
        if is_its and not is_running(hidden.pid):
            yield path.with_name(hidden.name)


def remove_older_parts(path: Path) -> None:
    """Remove the temporary files of killed runs for this destination."""
    for part in find_left(path, "part"):
        with contextlib.suppress(OSError):
            remove(part)


def _join(name: str, tail: str) -> str:
    if len(os.fsencode(name)) + len(tail) + 1 > _MAX_NAME_BYTES:
        import hashlib  # not for help, which writes no file

        name = hashlib.sha256(os.fsencode(name)).hexdigest()[:32]
    return f".{name}{tail}"


# a folder may have the files of a million songs: it is listed once, and not for each of them
@functools.lru_cache(maxsize=1024)
def _list_hidden(folder: Path) -> Sequence[_Hidden]:
    """Return what is hidden in a folder when this process first uses it."""
    try:
        found = map(_HIDDEN.fullmatch, os.listdir(folder))  # noqa: PTH208 - a path for each takes ten times as long
        return [_Hidden(match[0], match[1], int(match[2]), match[3]) for match in found if match]
    except OSError:
        return []
