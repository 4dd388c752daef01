"""Archives of models: ``.zip`` and ``.tar`` files, extracted into an empty folder without trust in either.

A member may be a plain file below the folder and nothing else: no link, no device, no absolute name, no
``..``. What comes out is counted as it comes, whatever the archive says of it: a small file that unpacks to
terabytes ends at the limit.
"""

import bz2
import gzip
import io
import lzma
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any, Final

from stemsplit.errors import ModelError
from stemsplit.files.atomic import explaining
from stemsplit.models.integrity import check_inside

_OPENERS: Final[dict[str, Callable[[Path], Any]]] = {
    ".tar": lambda path: path.open("rb"),
    ".tar.gz": gzip.open,
    ".tgz": gzip.open,
    ".tar.bz2": bz2.open,
    ".tar.xz": lzma.open,
}
_MAX_MEMBERS: Final = 10_000
_MAX_READ: Final = 2**24  # of a header at a time; a longer one is no name
_BLOCK: Final = 2**18
_DAMAGE: Final = (
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    NotImplementedError,
    RuntimeError,  # a password is needed
    ValueError,
    OSError,
)


def extract(path: Path, folder: Path, *, max_bytes: float) -> Path:
    """Extract the archive at `path` into the new `folder`; return where its files are.

    That is the one folder that holds everything, if there is one in the archive.

    Parameters
    ----------
    max_bytes
        Of all files together.

    Raises
    ------
    ModelError
        If the archive is damaged or too large, or a member is no plain file below the folder.
    OutputError
        If a file cannot be written.
    """
    with explaining(folder):
        folder.mkdir()
    n_left = max_bytes
    try:
        for number, (name, file) in enumerate(_read_members(path, max_bytes), start=1):
            if number > _MAX_MEMBERS:
                raise ModelError(f"{path.name}: holds more than {_MAX_MEMBERS} files; no model has so many")
            n_left -= _copy(path.name, name, file, folder, n_left)
    except ModelError:
        raise
    except _DAMAGE as error:
        raise ModelError(f"{path.name}: the archive is damaged: {error or type(error).__name__}") from error
    inner = list(folder.iterdir())
    return inner[0] if len(inner) == 1 and inner[0].is_dir() else folder


def _read_members(path: Path, max_bytes: float) -> Iterator[tuple[str, IO[bytes]]]:
    if path.name.lower().endswith(".zip"):
        yield from _read_zip(path)
        return
    suffix = next(each for each in _OPENERS if path.name.lower().endswith(each))
    with _OPENERS[suffix](path) as stream:
        yield from _read_tar(path.name, _Bounded(path.name, stream, max_bytes))


def _read_zip(path: Path) -> Iterator[tuple[str, IO[bytes]]]:
    with zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            kind = stat.S_IFMT(member.external_attr >> 16)
            if member.is_dir():
                continue
            if kind not in {0, stat.S_IFREG}:
                raise _refuse(path.name, member.filename)
            with archive.open(member) as file:
                yield member.filename, file


def _read_tar(archive: str, stream: "_Bounded") -> Iterator[tuple[str, IO[bytes]]]:
    with tarfile.open(fileobj=stream, mode="r:") as tar:
        for member in tar:
            if member.isdir():
                continue
            if not member.isreg() or member.issparse():
                raise _refuse(archive, member.name)
            file = tar.extractfile(member)
            assert file is not None
            yield member.name, file


def _refuse(archive: str, member: str) -> ModelError:
    return ModelError(
        f"{archive}: holds {member!r}, which is a link or a device and no file; unpack it yourself"
    )


def _copy(archive: str, name: str, file: IO[bytes], folder: Path, n_left: float) -> int:
    """Write one member; return its bytes."""
    try:
        check_inside(name)
    except ModelError as error:
        raise ModelError(f"{archive}: {error}") from error
    target, n_bytes = folder / name, 0
    with _create(archive, name, target) as written:
        while block := file.read(_BLOCK):
            n_bytes += len(block)
            if n_bytes > n_left:
                raise ModelError(f"{archive}: unpacks to more than is allowed, see --max-size")
            with explaining(target):
                written.write(block)
    return n_bytes


def _create(archive: str, name: str, target: Path) -> IO[bytes]:
    with explaining(target):
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            return target.open("xb")
        except (FileExistsError, NotADirectoryError) as error:
            raise ModelError(f"{archive}: holds {name!r} twice") from error


class _Bounded(io.RawIOBase):
    """A file that ends in an error where too much is read from it, at once or in all."""

    def __init__(self, name: str, stream: IO[bytes], max_bytes: float) -> None:
        self._name = name
        self._stream = stream
        self._max_bytes = max_bytes + _MAX_MEMBERS * 3 * tarfile.BLOCKSIZE  # their headers

    def read(self, size: int = -1) -> bytes:
        """Return up to `size` bytes."""
        if not 0 <= size <= _MAX_READ:
            raise ModelError(f"{self._name}: has a header of {size} bytes; no model has such names")
        block = self._stream.read(size)
        if self._stream.tell() > self._max_bytes:
            raise ModelError(f"{self._name}: unpacks to more than is allowed, see --max-size")
        return block

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to `offset`, if it is not beyond the limit."""
        if offset > self._max_bytes:
            raise ModelError(f"{self._name}: unpacks to more than is allowed, see --max-size")
        return self._stream.seek(offset, whence)

    def tell(self) -> int:
        """Return the place of the next byte."""
        return self._stream.tell()
