"""Pending files: those of a song are written under temporary names and get their own together.

A pending file is written beside its destination as ``.{name}.{pid}-{n}.part``, forced to disk, and then moved
to its name in one step. Without ``overwrite`` this step is a hard link, which fails if the name is taken, so
that a file created in the meantime is never lost. On file systems without hard links (FAT, some network
shares) it is a check followed by a rename; only there could a file that appears between the two be replaced.

With ``overwrite`` a hard link keeps the earlier file until all files of the song are placed: after an error
every name has again what it had. Without hard links the files that were replaced already stay new.
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
from stemsplit.files.leftovers import remove
from stemsplit.files.parts import find_left, hide, remove_older_parts

_NO_HARD_LINKS: Final = frozenset(
    code
    for name in ("EPERM", "EACCES", "ENOTSUP", "EOPNOTSUPP", "ENOSYS", "EMLINK", "EINVAL", "EXDEV")
    if (code := getattr(errno, name, None)) is not None
)
# a link to a link, where the system can make one
_LINK_ITSELF: Final = {"follow_symlinks": False} if os.link in os.supports_follow_symlinks else {}


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
        self._is_placed = False
        self._earlier: Path | None = None
        self.part = hide(path)

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
                self._keep_earlier()
                self.part.replace(self.path)
            else:
                self._place_if_free()
        self._is_placed = True

    def _keep_earlier(self) -> None:
        self._existed = os.path.lexists(self.path)
        kept = hide(self.path)
        with contextlib.suppress(OSError):
            os.link(self.path, kept, **_LINK_ITSELF)
            self._earlier = kept

    def _place_if_free(self) -> None:
        try:
            os.link(self.part, self.path)
        except OSError as error:
            if error.errno not in _NO_HARD_LINKS:
                raise
            self._rename_if_free()
        else:
            # the file has its name; what `discard` cannot remove either, the next run does
            with contextlib.suppress(OSError):
                self.part.unlink()

    def _rename_if_free(self) -> None:
        if os.path.lexists(self.path):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))
        self.part.rename(self.path)

    def withdraw(self) -> None:
        """Undo `place`: the earlier file has the name again, if there was one and it could be kept."""
        with contextlib.suppress(OSError):
            if self._is_placed and self._earlier is not None:
                self._earlier.replace(self.path)
            elif self._is_placed and not self._existed:
                self.path.unlink()

    def settle(self) -> None:
        """Remove the earlier file, which `place` kept."""
        if self._earlier is not None:
            with contextlib.suppress(OSError):
                self._earlier.unlink()

    def discard(self) -> None:
        """Remove what is temporary, and the folders that were created for the file if they are empty."""
        for hidden in filter(None, (self.part, self._earlier)):
            with contextlib.suppress(OSError):
                hidden.unlink()
        for folder in reversed(self._created):
            with contextlib.suppress(OSError):
                folder.rmdir()


class PendingFolder(PendingFile):
    """One folder of files on its way to its name; it replaces an earlier one, save for foreign files in it.

    The earlier folder has a name of its own while it is replaced, see `parts`. If the run is killed before
    the foreign files are in the new folder, the next run for this destination puts them back.

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

    def prepare(self) -> None:
        """Put back what a killed run had moved away, and check the destination."""
        with explaining(self.path):
            for earlier in find_left(self.path, "earlier"):
                # of two runs that put it back, one comes too late
                with contextlib.suppress(FileNotFoundError):
                    self._put_back(earlier)
        super().prepare()

    def _put_back(self, earlier: Path) -> None:
        if not os.path.lexists(self.path):
            earlier.rename(self.path)
        else:
            self._move_foreign(earlier, self.path)
            self._remove_own(earlier)

    def _move_foreign(self, source: Path, target: Path) -> None:
        for each in list(source.iterdir()):
            if not self._is_own(each.name) and not os.path.lexists(target / each.name):
                each.rename(target / each.name)

    def _remove_own(self, folder: Path) -> None:
        """Remove a folder; if anything foreign is left in it, only the files that are not."""
        with contextlib.suppress(OSError):
            for each in list(folder.iterdir()):
                if self._is_own(each.name):
                    remove(each)
            folder.rmdir()

    def place(self) -> None:
        """Give the temporary folder its name."""
        with explaining(self.path):
            if os.path.lexists(self.path):
                if not self._overwrite:
                    raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))
                self._earlier = hide(self.path, "earlier")
                self.path.rename(self._earlier)
            self.part.rename(self.path)
            self._is_placed = True
            if self._earlier is not None:
                self._move_foreign(self._earlier, self.path)

    def withdraw(self) -> None:
        """Undo `place`: an earlier folder has its name and all of its files again."""
        with contextlib.suppress(OSError):
            if self._is_placed and self._earlier is not None:
                self._move_foreign(self.path, self._earlier)
            if self._is_placed:
                self.path.rename(self.part)
            if self._earlier is not None:
                self._earlier.rename(self.path)

    def settle(self) -> None:
        """Remove the earlier folder."""
        if self._earlier is not None:
            self._remove_own(self._earlier)

    def discard(self) -> None:
        """Remove the temporary folder, and what was made for it as far as it is empty."""
        shutil.rmtree(self.part, ignore_errors=True)
        super().discard()

    def _check_kind(self) -> None:
        if self._existed and not self.path.is_dir():
            raise explain(OSError(errno.ENOTDIR, ""), self.path)


def place_all(files: Sequence[PendingFile]) -> None:
    """Give every file its name; after an error all names have what they had before.

    Without hard links, files that replaced others stay. A run that is killed meanwhile leaves some files
    placed, each of them whole.
    """
    with contextlib.ExitStack() as undo:
        for pending in files:
            undo.callback(pending.withdraw)
            pending.place()
        undo.pop_all()
    for folder in {pending.path.parent for pending in files}:
        sync_folder(folder)
    for pending in files:
        pending.settle()
