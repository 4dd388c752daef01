"""Remote storage by fsspec (extra ``remote``): addresses such as ``s3://bucket/song.flac``.

Songs are copied to a scratch folder, since decoders seek; stems are written to one and uploaded when they are
complete. Object stores show an upload when it is whole; on other storage a stem is uploaded under a temporary
name and renamed. Credentials come from where the storage's own tools have them (environment, configuration
files); those in an address are never printed or recorded.
"""

import contextlib
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any, Final
from urllib.parse import urlsplit, urlunsplit

from stemsplit.audio.extensions import is_audio
from stemsplit.errors import AudioError, OutputError, SettingsError, StemsplitError
from stemsplit.jobs.output_folder import Mark

_ATOMIC_UPLOADS: Final = frozenset({"s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "adl", "hf"})
_CHUNK_BYTES: Final = 1 << 20


def is_url(text: str) -> bool:
    """Return whether `text` is an address such as ``s3://bucket/song.flac``.

    >>> is_url("s3://bucket/a.wav"), is_url("folder/a.wav"), is_url("C:\\\\a.wav")
    (True, False, False)
    """
    scheme, separator, rest = text.partition("://")
    return bool(separator and rest) and scheme.isalnum() and scheme[0].isalpha()


def redact(url: str) -> str:
    """Return an address without user, password and query, which may hold a signature.

    >>> redact("https://me:secret@host/a.wav?signature=abc")
    'https://host/a.wav'
    """
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def open_storage(url: str) -> tuple[Any, str]:
    """Return the fsspec file system of an address, and the path in it.

    Raises
    ------
    SettingsError
        If fsspec or the package of the storage is not installed, or the scheme is unknown.
    """
    try:
        from fsspec.core import url_to_fs

        storage, path = url_to_fs(url)
    except (ImportError, ValueError) as error:
        raise SettingsError(
            f"{redact(url)}: this storage cannot be used: {error}; "
            "run `pip install '.[remote]'` in your clone of stemsplit, or check the scheme"
        ) from error
    return storage, path


@contextlib.contextmanager
def _converting_errors(url: str, kind: type[StemsplitError], what: str) -> Iterator[None]:
    """Raise whatever a storage raises as one error that names the address without credentials."""
    try:
        yield
    except StemsplitError:
        raise
    except Exception as error:
        detail = "no such file" if isinstance(error, FileNotFoundError) else type(error).__name__
        raise kind(
            f"{redact(url)}: {what}: {detail}; check the address, the network and your credentials"
        ) from error


def list_songs(url: str, *, recursive: bool) -> list[str]:
    """Return the addresses of the songs below a folder (with ``/`` at its end) or of a pattern with ``*``.

    Any other address is a song of its own.

    Raises
    ------
    AudioError
        If the storage cannot be listed.
    """
    if not url.endswith("/") and "*" not in url:
        return [url]
    storage, path = open_storage(url)
    with _converting_errors(url, AudioError, "cannot be listed"):
        depth = None if recursive else 1
        found = storage.glob(path) if "*" in url else storage.find(path, maxdepth=depth)
        return [storage.unstrip_protocol(name) for name in sorted(found) if is_audio(Path(name))]


def identify_song(url: str) -> dict[str, Any]:
    """Return what distinguishes one version of a remote file from another: size, and tag or date.

    Raises
    ------
    AudioError
        If there is no such file, or the storage cannot be reached.
    """
    storage, path = open_storage(url)
    with _converting_errors(url, AudioError, "cannot be read"):
        info = storage.info(path)
        version = next(
            (str(info[key]) for key in ("ETag", "etag", "md5Hash", "mtime", "LastModified") if info.get(key)),
            "",
        )
        return {"size": info.get("size"), "version": version}


@contextlib.contextmanager
def fetch_song(url: str) -> Iterator[Path]:
    """Copy a song to a scratch folder, in blocks; the copy is deleted afterwards.

    Raises
    ------
    AudioError
        If it cannot be read.
    """
    storage, path = open_storage(url)
    with tempfile.TemporaryDirectory(prefix="stemsplit-") as folder:
        copy = Path(folder, PurePosixPath(urlsplit(url).path).name or "song")
        with (
            _converting_errors(url, AudioError, "cannot be read"),
            storage.open(path, "rb", block_size=_CHUNK_BYTES) as source,
            copy.open("wb") as target,
        ):
            while block := source.read(_CHUNK_BYTES):
                target.write(block)
        yield copy


class RemoteFolder:
    """An output folder in remote storage; stems pass through a scratch folder, deleted at the end."""

    is_remote = True

    def __init__(self, url: str) -> None:
        self._url = url.rstrip("/")
        self._storage, self._root = open_storage(self._url)
        self._root = self._root.rstrip("/")
        self._scratch = tempfile.TemporaryDirectory(prefix="stemsplit-")
        self.path = Path(self._scratch.name)
        protocols = self._storage.protocol
        names = {protocols} if isinstance(protocols, str) else set(protocols)
        self._is_atomic = not names.isdisjoint(_ATOMIC_UPLOADS)

    def exists(self, path: Path) -> bool:
        """Return whether the storage has the stem."""
        return self.find_mark(path) is not None

    def find_present(self, paths: Iterable[Path]) -> set[Path]:
        """Return those of the stems that the storage has."""
        return {path for path in paths if self.exists(path)}

    def find_mark(self, path: Path) -> Mark | None:
        """Return the size of the stem in the storage."""
        name = self._name(path)
        self._storage.invalidate_cache()
        with _converting_errors(self._address(name), OutputError, "cannot be accessed"):
            try:
                return Mark(self._storage.info(self._target(name))["size"], 0)
            except FileNotFoundError:
                return None

    def has_mark(self, path: Path, mark: Mark) -> bool:
        """Compare the size, which is all that an upload keeps."""
        return self.find_mark(path) == mark

    def mark_part(self, part: Path) -> Mark:
        """Return the size, which is all that an upload keeps."""
        return Mark(part.stat().st_size, 0)

    def publish(self, paths: Iterable[Path]) -> None:
        """Upload the stems; each appears when its upload is complete. The local files are deleted.

        Raises
        ------
        OutputError
            If an upload fails.
        """
        for path in paths:
            name = self._name(path)
            with _converting_errors(self._address(name), OutputError, "cannot be written"):
                self._upload(path, self._target(name))
            path.unlink()

    def locate(self, path: Path) -> str:
        """Return the address of a stem, without credentials."""
        return redact(self._address(self._name(path)))

    def read(self, name: str) -> bytes | None:
        """Read an object."""
        with _converting_errors(self._address(name), OutputError, "the journal cannot be read"):
            try:
                content: bytes = self._storage.cat_file(self._target(name))
            except FileNotFoundError:
                return None
            return content

    def write(self, name: str, content: bytes) -> None:
        """Write an object."""
        with _converting_errors(self._address(name), OutputError, "the journal cannot be written"):
            self._storage.makedirs(self._target(name).rpartition("/")[0], exist_ok=True)
            self._storage.pipe_file(self._target(name), content)

    def list_files(self, folder: str) -> Iterator[str]:
        """Yield the names of the objects below a folder."""
        with _converting_errors(self._address(folder), OutputError, "cannot be listed"):
            for found in self._storage.find(self._target(folder)):
                yield found.removeprefix(self._root + "/")

    def close(self) -> None:
        """Delete the scratch folder."""
        self._scratch.cleanup()

    def _upload(self, path: Path, target: str) -> None:
        folder, _, name = target.rpartition("/")
        if not self._is_atomic:
            self._storage.makedirs(folder, exist_ok=True)
            part = f"{folder}/.{name}.{self.path.name}.part"
            self._storage.put_file(str(path), part)
            self._storage.mv(part, target)
        else:
            self._storage.put_file(str(path), target)

    def _name(self, path: Path) -> str:
        return path.relative_to(self.path).as_posix()

    def _target(self, name: str) -> str:
        return f"{self._root}/{name}"

    def _address(self, name: str) -> str:
        return f"{self._url}/{name}"
