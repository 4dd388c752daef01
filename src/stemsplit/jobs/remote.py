"""Remote storage by fsspec (extra ``remote``): addresses such as ``s3://bucket/song.flac``.

Songs are copied to a scratch folder, since decoders seek; stems are written to one and uploaded when they are
complete. Object stores show an upload when it is whole; on other storage a stem is uploaded under a temporary
name and renamed. Credentials come from where the storage's own tools have them (environment, configuration
files); those in an address are never printed or recorded.
"""

import contextlib
import errno
import tempfile
from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import partial
from itertools import groupby
from pathlib import Path, PurePosixPath
from typing import Any, Final
from urllib.parse import urlsplit

from stemsplit.audio.extensions import is_audio
from stemsplit.errors import AudioError, OutputError, SettingsError, StemsplitError
from stemsplit.files.names import clean_name
from stemsplit.jobs.output_folder import Mark

_ATOMIC_UPLOADS: Final = frozenset({"s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "adl", "hf"})
# where an upload can fail if there is an object of its name, and a prefix is listed in one request
_S3: Final = frozenset({"s3", "s3a"})
# whose addresses have a query and a fragment; elsewhere ? and # are characters of names
_WEB: Final = frozenset({"http", "https"})
_VERSION: Final = "?versionId="  # what S3 has behind the name of an object
_CHUNK_BYTES: Final = 1 << 20
_RECORD_BYTES: Final = 1 << 20


def is_url(text: str) -> bool:
    """Return whether `text` is an address such as ``s3://bucket/song.flac``.

    >>> is_url("s3://bucket/a.wav"), is_url("folder/a.wav"), is_url("C:\\\\a.wav")
    (True, False, False)
    """
    scheme, separator, rest = text.partition("://")
    return bool(separator and rest) and scheme.isalnum() and scheme[0].isalpha()


def redact(url: str) -> str:
    """Return an address without user, password and, on the web, the query, which may hold a signature.

    >>> redact("https://me:secret@host/a.wav?signature=abc"), redact("s3://bucket/What?.wav")
    ('https://host/a.wav', 's3://bucket/What?.wav')
    """
    scheme, host, path = _split(url)
    return f"{scheme}://{host.rpartition('@')[2]}{path}"


def find_path(url: str) -> PurePosixPath:
    """Return the path of a song in its storage, behind the host or bucket.

    >>> find_path("https://host/a/b.wav?signature=abc"), find_path("s3://bucket/a/No. #1.wav")
    (PurePosixPath('/a/b.wav'), PurePosixPath('/a/No. #1.wav'))
    """
    scheme, _, path = _split(url)
    return PurePosixPath(path.partition(_VERSION)[0] if scheme in _S3 else path)


def _split(url: str) -> tuple[str, str, str]:
    """Return the scheme, the host or bucket with user and password, and the path of an address."""
    scheme, _, rest = url.partition("://")
    if scheme.lower() in _WEB:
        parts = urlsplit(url)
        return scheme, parts.netloc, parts.path
    host, slash, path = rest.partition("/")
    return scheme, host, slash + path


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
        copy = Path(folder, clean_name(find_path(url).name))
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
        self._is_s3 = not names.isdisjoint(_S3)

    def exists(self, path: Path) -> bool:
        """Return whether the storage has the stem."""
        return self.find_mark(path) is not None

    def find_marks(self, paths: Iterable[Path]) -> dict[Path, Mark]:
        """Return the sizes of the stems that the storage has; those of a folder are listed together."""
        marks: dict[Path, Mark] = {}
        for folder, group in groupby(paths, key=lambda path: path.parent):
            wanted = list(group)
            # a folder that is not the song's own may have very many files
            is_shared = len(wanted) == 1 or folder == self.path
            find = self.find_mark if is_shared else self._list_marks(folder).get
            marks |= {path: mark for path in wanted if (mark := find(path)) is not None}
        return marks

    def _list_marks(self, folder: Path) -> Mapping[Path, Mark]:
        name = self._name(folder)
        with _converting_errors(self._address(name), OutputError, "cannot be listed"):
            try:
                found = self._find_below(name)
            except FileNotFoundError:
                return {}
            files = {info["name"]: Mark(info["size"], 0) for info in found.values()}
            return {self.path / each.removeprefix(self._root + "/"): mark for each, mark in files.items()}

    def _find_below(self, name: str) -> Mapping[str, Any]:
        """Return what the storage knows of the files in a folder now."""
        target = self._target(name)
        self._storage.invalidate_cache(target)
        find = partial(self._storage.find, detail=True)
        try:
            found: Mapping[str, Any] = find(self._root, prefix=f"{name}/") if self._is_s3 else find(target)
        finally:
            self._storage.invalidate_cache(target)  # otherwise it would keep the files of every song
        return found

    def find_mark(self, path: Path) -> Mark | None:
        """Return the size of the stem in the storage."""
        name = self._name(path)
        self._storage.invalidate_cache(self._target(name))
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

    def publish(self, paths: Iterable[Path], replaceable: Collection[Path]) -> None:
        """Upload the stems; each appears when its upload is complete. The local files are deleted.

        A stem of the same content that is there already stays.

        Raises
        ------
        OutputError
            If an upload fails, or another file has the name and is not among the `replaceable`.
        """
        for path in paths:
            name = self._name(path)
            with _converting_errors(self._address(name), OutputError, "cannot be written"):
                try:
                    self._upload(path, self._target(name), overwrite=path in replaceable)
                except FileExistsError as error:
                    if not self._has_content(self._target(name), path):
                        raise OutputError(
                            f"{self.locate(path)}: another run has written it meanwhile, and it is another "
                            "file; use --overwrite or another folder with --output"
                        ) from error
            path.unlink()

    def locate(self, path: Path) -> str:
        """Return the address of a stem, without credentials."""
        return redact(self._address(self._name(path)))

    def read(self, name: str) -> bytes | None:
        """Read an object."""
        with _converting_errors(self._address(name), OutputError, "the journal cannot be read"):
            try:
                # with an end, most storages need not be asked for the size
                content: bytes = self._storage.cat_file(self._target(name), start=0, end=_RECORD_BYTES)
                if len(content) == _RECORD_BYTES:
                    content = self._storage.cat_file(self._target(name))
            except FileNotFoundError:
                return None
            return content

    def write(self, name: str, content: bytes) -> None:
        """Write an object."""
        with _converting_errors(self._address(name), OutputError, "the journal cannot be written"):
            if not self._is_atomic:  # object stores have no folders
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

    def _upload(self, path: Path, target: str, *, overwrite: bool) -> None:
        """Upload a stem as a whole; raise a `FileExistsError` if it is there and may not be replaced."""
        if not overwrite and self._is_s3:
            self._create(path, target)
            return
        if not overwrite:
            self._storage.invalidate_cache(target)
            if self._storage.exists(target):
                raise FileExistsError(target)
        if self._is_atomic:
            self._storage.put_file(str(path), target)
            return
        folder, _, name = target.rpartition("/")
        self._storage.makedirs(folder, exist_ok=True)
        part = f"{folder}/.{name}.{self.path.name}.part"
        self._storage.put_file(str(path), part)
        self._storage.mv(part, target)

    def _create(self, path: Path, target: str) -> None:
        """Upload a stem if there is no object of its name, which the storage checks as it completes it."""
        try:
            self._storage.put_file(str(path), target, mode="create")
        except OSError as error:
            # servers differ in what they say, and some do not know the condition
            self._storage.invalidate_cache(target)
            if self._storage.exists(target):
                raise FileExistsError(target) from error
            if error.errno != errno.ENOSYS:
                raise
            self._storage.put_file(str(path), target)

    def _has_content(self, target: str, path: Path) -> bool:
        """Return whether an object has the content of a file."""
        if self._storage.info(target)["size"] != path.stat().st_size:
            return False
        with self._storage.open(target, "rb", block_size=_CHUNK_BYTES) as theirs, path.open("rb") as ours:
            while block := ours.read(_CHUNK_BYTES):
                if theirs.read(_CHUNK_BYTES) != block:
                    return False
        return True

    def _name(self, path: Path) -> str:
        return path.relative_to(self.path).as_posix()

    def _target(self, name: str) -> str:
        return f"{self._root}/{name}"

    def _address(self, name: str) -> str:
        return f"{self._url}/{name}"
