"""Pending files: those of a song are written under temporary names and get their own together.

A pending file is written beside its destination as ``.{name}.{pid}-{n}.part``, forced to disk, and then moved
to its name in one step. Without ``overwrite`` this step is a hard link, which fails if the name is taken, so
that a file created in the meantime is never lost. On file systems without hard links (FAT, some network
shares) it is a check followed by a rename; only there could a file that appears between the two be replaced.
"""

import contextlib
import errno
import itertools
import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import BinaryIO, Final

from stemsplit.files.atomic import explain, explaining, sync_folder
from stemsplit.files.parts import make_part_name, remove_older_parts

_NO_HARD_LINKS: Final = frozenset(
    code
    for name in ("EPERM", "EACCES", "ENOTSUP", "EOPNOTSUPP", "ENOSYS", "EMLINK", "EINVAL", "EXDEV")
    if (code := getattr(errno, name, None)) is not None
)


class PendingFile:
    """A file that is written under a temporary name and then moved to its own.

    Parameters
    ----------
    path : Path
        The destination.
    overwrite : bool
        Whether a file that is already there may be replaced.

    Raises
    ------
    OutputError
        The destination exists and may not be replaced, is a folder, or cannot be named or written.
    """

    def __init__(self, path: Path, *, overwrite: bool) -> None:
        self.path = path
        self._overwrite = overwrite
        self._created: list[Path] = []
        self._existed = False
        self.part = path.parent / make_part_name(path.name)

    def prepare(self) -> None:
        """Check the destination and create its folders; nothing else exists yet."""
        with explaining(self.path):
            self._existed = os.path.lexists(self.path)
            # os.path.lexists returns False for a name that is too long
            with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                self.path.lstat()
        self._check_kind()
        if self._existed and not self._overwrite:
            raise explain(OSError(errno.EEXIST, ""), self.path)
        with explaining(self.path):
            self._create_folders()
        remove_older_parts(self.path)

    def _check_kind(self) -> None:
        if self._existed and self.path.is_dir():
            raise explain(OSError(errno.EISDIR, ""), self.path)

    def _create_folders(self) -> None:
        missing = list(
            itertools.takewhile(
                lambda folder: not folder.exists(), (self.path.parent, *self.path.parent.parents)
            )
        )
        for folder in reversed(missing):
            # another song of the batch may create the folder at the same time and then has to remove it
            with contextlib.suppress(FileExistsError):
                folder.mkdir()
                self._created.append(folder)
        if not self.path.parent.is_dir():
            raise OSError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))

    def rename(self, path: Path, *, overwrite: bool) -> None:
        """Change the destination to one of the same disk, and check it as `prepare` does."""
        self.path, self._overwrite = path, overwrite
        self.prepare()

    def open(self) -> BinaryIO:
        """Open the temporary file, empty, for unbuffered writing and reading."""
        with explaining(self.path):
            return self.part.open("w+b", buffering=0)

    def place(self) -> None:
        """Move the temporary file to its name."""
        with explaining(self.path):
            if self._overwrite:
                self.part.replace(self.path)
                return
            try:
                os.link(self.part, self.path)
            except OSError as error:
                if error.errno not in _NO_HARD_LINKS:
                    raise
                self._rename_if_free()
            else:
                self.part.unlink()

    def _rename_if_free(self) -> None:
        if os.path.lexists(self.path):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))
        self.part.rename(self.path)

    def withdraw(self) -> None:
        """Remove the file again, unless it replaced an earlier one."""
        if not self._existed:
            with contextlib.suppress(OSError):
                self.path.unlink()

    def discard(self) -> None:
        """Remove the temporary file, and the folders that were created for it if they are empty."""
        with contextlib.suppress(OSError):
            self.part.unlink()
        for folder in reversed(self._created):
            with contextlib.suppress(OSError):
                folder.rmdir()


class PendingFolder(PendingFile):
    """One folder of files on its way to its name; it replaces an earlier one, save for foreign files in it.

    Parameters
    ----------
    path, overwrite
        As of `PendingFile`.
    is_own : callable
        Tells from the name of a file in an earlier folder whether it is replaced with the folder.
    """

    def __init__(self, path: Path, *, overwrite: bool, is_own: Callable[[str], bool]) -> None:
        super().__init__(path, overwrite=overwrite)
        self._is_own = is_own

    def place(self) -> None:
        """Give the temporary folder its name."""
        with explaining(self.path):
            if not os.path.lexists(self.path):
                self.part.rename(self.path)
                return
            if not self._overwrite:
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))
            earlier = self.part.with_name(make_part_name(self.path.name))
            self.path.rename(earlier)
            self.part.rename(self.path)
            for foreign in [each for each in earlier.iterdir() if not self._is_own(each.name)]:
                if not os.path.lexists(self.path / foreign.name):
                    foreign.rename(self.path / foreign.name)
            shutil.rmtree(earlier, ignore_errors=True)

    def withdraw(self) -> None:
        """Remove the folder from its place again, unless it replaced one that was there before."""
        if not self._existed:
            shutil.rmtree(self.path, ignore_errors=True)

    def discard(self) -> None:
        """Remove the temporary folder, and what was made for it as far as it is empty."""
        shutil.rmtree(self.part, ignore_errors=True)
        super().discard()

    def _check_kind(self) -> None:
        if self._existed and not self.path.is_dir():
            raise explain(OSError(errno.ENOTDIR, ""), self.path)


def place_all(files: Sequence[PendingFile]) -> None:
    """Give every file its name, or none."""
    placed: list[PendingFile] = []
    try:
        for pending in files:
            pending.place()
            placed.append(pending)
    except BaseException:
        for pending in placed:
            pending.withdraw()
        raise
    for folder in {pending.path.parent for pending in files}:
        sync_folder(folder)
