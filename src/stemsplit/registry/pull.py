"""Fetching a model: every file of it, held against its hash, then registered like one from the disk."""

import contextlib
import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

from stemsplit.errors import DownloadError, ModelError, SettingsError
from stemsplit.files.atomic import explaining
from stemsplit.models.description import Description
from stemsplit.models.description_file import read_description
from stemsplit.models.integrity import hash_file
from stemsplit.models.spec import NOT_DESCRIBED
from stemsplit.registry.archive import extract
from stemsplit.registry.download import OFFLINE_VARIABLE, DownloadLimits, Progress, fetch
from stemsplit.registry.index import RemoteFile, RemoteModel, check_sha256, find_remote
from stemsplit.registry.install import InstallCandidate, add_model
from stemsplit.registry.installed import read_model
from stemsplit.registry.remote_metadata import lacks_metadata
from stemsplit.registry.store import Registry
from stemsplit.registry.urls import ARCHIVE_SUFFIXES, is_archive, is_url, name_of_url

DOWNLOADS = ".downloads"
_LOCK = ".lock"


@dataclass(frozen=True)
class Pull:
    """What was asked for.

    Parameters
    ----------
    what
        An address of an ``.onnx`` file or of an archive, or a name of the list.
    index
        The list; None for the user's.
    sha256
        What the one file must be.
    describe
        Description of a file that has none itself, or of the files of an archive.
    allow_unpinned
        Whether files without a known checksum are accepted.
    """

    what: str
    index: Path | None = None
    sha256: str | None = None
    describe: Path | None = None
    allow_unpinned: bool = False

    def find(self) -> RemoteModel:
        """Return the model to fetch.

        Raises
        ------
        SettingsError
            If there is none of the name, an address is none, or a file is not pinned and must be.
        """
        model = self._from_url() if is_url(self.what) else self._from_index()
        if self.sha256 is not None:
            model = replace(model, files=(_pin(model, check_sha256(self.sha256)),))
        loose = [file.name for file in model.files if file.sha256 is None]
        if loose and not self.allow_unpinned:
            raise SettingsError(
                f"nothing pins what {', '.join(loose)} must be; give its --sha256, or take whatever comes "
                "with --allow-unpinned"
            )
        return model

    def _from_url(self) -> RemoteModel:
        if self.index is not None:
            raise SettingsError("--index lists names; leave it out with an address")
        name = name_of_url(self.what, (".onnx", *ARCHIVE_SUFFIXES))
        description = read_description(self.describe) if self.describe else None
        if is_archive(name):
            if description is None:
                raise SettingsError(
                    f"{name}: is an archive; name with --describe the description of the files in it, which "
                    "`stemsplit models new-description FILE` begins"
                )
        elif description and description.files != (name,):
            raise SettingsError(f"{self.describe} describes {', '.join(description.files)}, not {name} alone")
        return RemoteModel(name, (RemoteFile(name, (self.what,), None),), description, {})

    def _from_index(self) -> RemoteModel:
        if self.describe is not None:
            raise SettingsError("--describe goes with an address; the list describes its models itself")
        return find_remote(self.what, self.index)


def _pin(model: RemoteModel, sha256: str) -> RemoteFile:
    if len(model.files) != 1:
        raise SettingsError(
            f"{model.name} has {len(model.files)} files; --sha256 is for one, the list for all"
        )
    (file,) = model.files
    if file.sha256 not in {None, sha256}:
        raise SettingsError(f"--sha256 is {sha256}, and the list says {file.sha256}; one of them is wrong")
    return replace(file, sha256=sha256)


def pull_model(
    registry: Registry,
    model: RemoteModel,
    *,
    name: str | None,
    overwrite: bool,
    limits: DownloadLimits,
    progress: Callable[[str, int, int | None], None] | None = None,
) -> str:
    """Fetch and register `model`; return the name it got.

    What has been fetched is kept until the model is registered, so that a call after a failure goes on.
    `progress` is called with a file's name, the bytes so far, and those of the whole where they are known.

    Raises
    ------
    DownloadError
        If a file cannot be fetched, or another call fetches the same model now.
    ModelError, SettingsError, OutputError
    """
    # one that was named by its address is called as it calls itself
    wanted = name or (None if model.name == model.files[0].name else model.name)
    if wanted is not None:
        registry.check_free(wanted, overwrite=overwrite)
    folder = registry.folder / DOWNLOADS / _key(model)
    with _alone_in(folder, model.name):
        if model.description is None:
            _check_described(model.files[0], folder, limits)
        for file in model.files:
            _fetch_one(file, folder, limits, partial(progress, file.name) if progress else None)
        if model.description is None:
            _compare_licence(model, folder / model.files[0].name)
        with _opening(model, folder, limits) as content:
            candidate = InstallCandidate(content, model.files[0].name, _describe(model))
            added = add_model(registry, candidate, name=wanted, overwrite=overwrite)
        shutil.rmtree(folder, ignore_errors=True)
    return added


@contextlib.contextmanager
def _alone_in(folder: Path, model: str) -> Iterator[None]:
    """Keep other calls out of the folder of a download; it stays behind only if something is in it."""
    from filelock import FileLock, Timeout  # for other commands on models it is time lost

    path = folder / _LOCK
    lock = FileLock(path)
    with explaining(folder):
        folder.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire(blocking=False)
        except Timeout as error:
            raise DownloadError(f"{model}: is being fetched by another call; wait for its end") from error
    try:
        yield
    finally:
        # while it is held: afterwards it could be that of another call
        with contextlib.suppress(OSError):
            path.unlink()
        lock.release()
        for emptied in (folder, folder.parent):
            with contextlib.suppress(OSError):
                emptied.rmdir()


def _key(model: RemoteModel) -> str:
    """Name the folder of a download, so that other addresses or hashes never go on with it."""
    said = repr([(file.name, file.urls, file.sha256) for file in model.files])
    return hashlib.sha256(said.encode()).hexdigest()[:32]


def _fetch_one(file: RemoteFile, folder: Path, limits: DownloadLimits, progress: Progress | None) -> None:
    path = folder / file.name
    if path.is_file() and file.sha256 in {None, hash_file(path)}:
        return  # whole: it has its name
    problems = []
    for url in file.urls:
        try:
            fetch(url, path, sha256=file.sha256, limits=limits, progress=progress)
            return
        except DownloadError as error:
            problems.append(str(error))
    raise DownloadError("; ".join(problems))


def _check_described(file: RemoteFile, folder: Path, limits: DownloadLimits) -> None:
    """Refuse a file that does not describe itself before it is fetched, if the server shows its end."""
    if not (folder / file.name).exists() and lacks_metadata(file.urls[0], limits):
        raise ModelError(f"{file.urls[0]}: {NOT_DESCRIBED}")


@contextlib.contextmanager
def _opening(model: RemoteModel, folder: Path, limits: DownloadLimits) -> Iterator[Path]:
    """Give the folder of a model's files; what comes out of an archive for that is removed afterwards."""
    if not model.is_archive:
        yield folder
        return
    content = folder / "content"
    shutil.rmtree(content, ignore_errors=True)  # of a call that was killed
    try:
        yield _unpack(model, folder, content, limits)
    finally:
        shutil.rmtree(content, ignore_errors=True)


def _unpack(model: RemoteModel, folder: Path, content: Path, limits: DownloadLimits) -> Path:
    """Extract the archive of a model into `content`; return the folder of its files."""
    found = extract(folder / model.files[0].name, content, max_bytes=limits.max_bytes)
    assert model.description is not None
    missing = [name for name in model.description.files if not (found / name).is_file()]
    if missing:
        names = ", ".join(sorted(path.relative_to(found).as_posix() for path in found.rglob("*.onnx")))
        raise ModelError(
            f"{model.files[0].name}: holds no {missing[0]}, which the description names; "
            f"of graphs it holds {names or 'none'}"
        )
    return found


def _describe(model: RemoteModel) -> Description | None:
    """Return the description, with the first address as the source if none is given."""
    description = model.description
    if description is None or description.source:
        return description
    return replace(description, source=model.files[0].urls[0])


def _compare_licence(model: RemoteModel, path: Path) -> None:
    if not model.stated:
        return
    info = read_model(path)
    for key, value in model.stated.items():
        found = getattr(info, key)
        if found != value:
            raise ModelError(f"{model.name}: the list says that {key} is {value!r}, the file says {found!r}")


class Pruned(NamedTuple):
    """What pruning has done: how many bytes it removed, and how many downloads are running and stay."""

    n_bytes: int
    n_running: int


def prune_downloads(registry: Registry) -> Pruned:
    """Remove what downloads that were never finished left; those of other calls that run stay.

    Raises
    ------
    OutputError
        If something cannot be read or removed.
    """
    folder = registry.folder / DOWNLOADS
    with explaining(folder):
        downloads = [path for path in folder.iterdir() if path.is_dir()] if folder.is_dir() else []
    n_bytes = n_running = 0
    for download in downloads:
        try:
            with _alone_in(download, download.name):
                n_bytes += _clear(download)
        except DownloadError:
            n_running += 1
    return Pruned(n_bytes, n_running)


def _clear(folder: Path) -> int:
    """Remove what is in the folder of a download but the lock, which is held; return how many bytes."""
    n_bytes = measure_folder(folder)
    with explaining(folder):
        for path in folder.iterdir():
            if path.is_dir():
                shutil.rmtree(path)
            elif path.name != _LOCK:
                path.unlink()
    return n_bytes


def measure_folder(folder: Path) -> int:
    """Return the bytes of all files in a folder, 0 if there is none; those that vanish meanwhile count 0."""
    return sum(_measure(Path(place, name)) for place, _, names in os.walk(folder) for name in names)


def _measure(path: Path) -> int:
    with contextlib.suppress(FileNotFoundError):
        return path.stat().st_size
    return 0


def is_offline(asked: bool) -> bool:
    """Tell whether the network is not to be used: by an option, or by the environment."""
    return asked or os.environ.get(OFFLINE_VARIABLE, "") not in {"", "0"}
