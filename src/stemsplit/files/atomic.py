"""Atomic writes: a file appears under its name only when it is complete, and errors name it.

What the program keeps for itself is written by `whole_file`; for what a user asked for see `pending`.
"""

import contextlib
import errno
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import BinaryIO, Final

from stemsplit.errors import OutputError
from stemsplit.files.parts import hide, remove_older_parts

_FIXES: Final = {
    errno.ENOSPC: "the disk is full; free some space or choose another folder",
    errno.EDQUOT: "the disk quota is used up; free some space or choose another folder",
    errno.EFBIG: "the file is larger than the file system or a limit allows; choose another folder",
    errno.EROFS: "the disk is read-only; choose another folder",
    errno.EACCES: "permission denied; choose another folder or change its permissions",
    errno.EPERM: "not permitted; choose another folder or change its permissions",
    errno.ENAMETOOLONG: "the name is too long for this disk; choose a shorter one",
    errno.ENOTDIR: "a part of the path is a file, not a folder; choose another folder",
    errno.EISDIR: "there is a folder of this name; choose another name",
    errno.EEXIST: "there is already a file of this name; allow overwriting or choose another name",
    errno.ENOENT: "the folder is gone; do not move it during the run",
    errno.EILSEQ: "the disk cannot store this name; choose another one",
    errno.EINVAL: "the disk cannot store this name; choose another one",
    errno.EIO: "the disk reports an error; check it",
}


def explain(error: OSError, path: Path) -> OutputError:
    """Return an `OutputError` that says why `path` could not be written, and what to do.

    An error without a number is none of the system, and says all of it in its own words.
    """
    if error.errno is None:
        return OutputError(f"{path}: cannot be written: {error}")
    fix = _FIXES.get(error.errno, f"{error.strerror or error}; choose another folder")
    return OutputError(f"{path}: cannot be written: {fix}")


@contextlib.contextmanager
def explaining(path: Path) -> Iterator[None]:
    """Convert an `OSError` of the body into the `OutputError` of `path`, see `explain`."""
    try:
        yield
    except OSError as error:
        raise explain(error, path) from error


@contextlib.contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """Open a file that replaces `path` when the body ends without an error.

    This is for files that the program keeps for itself: an `OSError` is not converted.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    remove_older_parts(path)
    part = hide(path)
    try:
        with part.open("wb") as file:
            yield file
        part.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            part.unlink()
        raise


def write_json(path: Path, content: Mapping[str, object]) -> None:
    """Write indented JSON atomically, see `whole_file`."""
    import json  # not for help, which writes no file

    with whole_file(path) as file:
        file.write((json.dumps(content, indent=1) + "\n").encode())


def sync_folder(folder: Path) -> None:
    """Force the directory entries of a folder to disk, where the system supports it."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
