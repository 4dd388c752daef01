"""The files of an external model: in the folder of its description, looked through, with the right hashes.

Nothing of a model that did not come with the package is opened by onnxruntime before it has been here.
"""

import hashlib
import os
import time
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import TYPE_CHECKING, BinaryIO

from stemsplit.errors import ModelError
from stemsplit.models.onnx_scan import GraphFile

if TYPE_CHECKING:
    from stemsplit.models.description import Description

_SETTLED_S = 3.0
# after every piece the thread waits for its turn among those that import the rest of the program
_PIECE_BYTES = 2**24
_hashes: dict[tuple[int, ...], str] = {}


def _digest(file: BinaryIO) -> str:
    sha256 = hashlib.sha256()
    while piece := file.read(_PIECE_BYTES):
        sha256.update(piece)
    return sha256.hexdigest()


def hash_file(path: Path) -> str:
    """Return the SHA-256 of a model file, in hexadecimal; it is read once unless it changes.

    Raises
    ------
    ModelError
        If the file cannot be read.
    """
    try:
        with path.open("rb") as file:
            state = os.fstat(file.fileno())
            version = (state.st_dev, state.st_ino, state.st_size, state.st_mtime_ns, state.st_ctime_ns)
            if version not in _hashes:
                digest = _digest(file)
                # the clock of a file system is coarse: a change at once would leave the times as they are
                if max(state.st_mtime, state.st_ctime) > time.time() - _SETTLED_S:
                    return digest
                _hashes[version] = digest
            return _hashes[version]
    except OSError as error:
        raise ModelError(f"{path}: the model cannot be read: {error.strerror}") from error


def check_files(description: "Description", folder: Path) -> dict[str, str]:
    """Check every file that `description` leads to; return their hashes by name.

    These are its graphs and the files with weights that the graphs name.

    Raises
    ------
    ModelError
        If a file lies outside `folder`, is missing, differs from its hash, or needs operators that
        onnxruntime has not.
    """
    hashes: dict[str, str] = {}
    for name in description.files:
        path = hold(folder, name)
        hashes[name] = hash_file(path)
        for location in check_graph_file(path):
            try:
                weights = hold(path.parent, location)  # as onnxruntime looks for it
            except ModelError as error:
                raise ModelError(f"{path}: keeps its weights in {location!r}; {error}") from error
            hashes[weights.relative_to(folder).as_posix()] = hash_file(weights)
    _compare(hashes, description.sha256, folder)
    return hashes


def check_pinned(folder: Path, names: Iterable[str], sha256: Mapping[str, str]) -> None:
    """Compare the files `names` of `folder` with their hashes.

    Raises
    ------
    ModelError
        If a file lies outside `folder`, is missing or differs.
    """
    _compare({name: hash_file(hold(folder, name)) for name in names}, sha256, folder)


def check_graph_file(path: Path) -> list[str]:
    """Look through an ``.onnx`` file; return the names of the files with its weights, sorted.

    Raises
    ------
    ModelError
        If the file is no ONNX model or has operators that only other code can run.
    """
    found = GraphFile.read(path)
    if found.unknown_domains:
        raise ModelError(
            f"{path}: needs operators of {', '.join(map(repr, found.unknown_domains))}, which only a "
            "library beside onnxruntime can run; export the model with ONNX's own operators"
        )
    return sorted(found.locations)


def hold(folder: Path, name: str) -> Path:
    """Return the file `name` of `folder`.

    Raises
    ------
    ModelError
        If the name is absolute, leaves the folder by ``..`` or by a link, or names no file.
    """
    check_inside(name)
    path = folder / name
    try:
        real = path.resolve(strict=True)
    except (OSError, RuntimeError) as error:
        raise ModelError(f"{path}: the model's file is missing; get a whole copy of the model") from error
    if not real.is_relative_to(folder.resolve()):
        raise ModelError(f"{path}: is a link out of the model's folder; put the file itself there")
    if not real.is_file():
        raise ModelError(f"{path}: is no file")
    return path


def check_inside(name: str) -> None:
    """Make sure that the file `name` lies in its folder or below, on any system.

    Raises
    ------
    ModelError
        If the name is absolute or leaves the folder by ``..``.
    """
    parts = (PurePosixPath(name), PureWindowsPath(name))
    if (
        not name
        or "\0" in name
        or any(part.is_absolute() or part.drive or ".." in part.parts for part in parts)
    ):
        raise ModelError(
            f"the file name {name!r} leads out of the model's folder; it must be a plain name below it"
        )


def hash_model(description: Path, hashes: Mapping[str, str]) -> str:
    """Return one SHA-256 for a description and its files, in hexadecimal: it changes with any of them."""
    lines = [hash_file(description), *(f"{name} {hashes[name]}" for name in sorted(hashes))]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _compare(found: Mapping[str, str], wanted: Mapping[str, str], folder: Path) -> None:
    for name, value in wanted.items():
        if name not in found:
            raise ModelError(
                f"sha256 names {name!r}, which is no file of the model; there are {', '.join(found)}"
            )
        if value.lower() != found[name]:
            raise ModelError(
                f"{folder / name}: its SHA-256 is {found[name]}, not {value} as described; "
                "the file is damaged or another one, get it again"
            )
