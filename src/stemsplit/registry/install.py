"""How a model gets into the registry: looked through, tried, hashed, and only then given its name."""

import os
import shutil
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from stemsplit.errors import ModelError, SettingsError
from stemsplit.files.atomic import explaining
from stemsplit.models.description import Description
from stemsplit.models.description_file import format_description, read_description
from stemsplit.models.device import Device
from stemsplit.models.integrity import check_files, hash_file, hold
from stemsplit.registry.installed import bundled_models, open_model, read_model, read_spec
from stemsplit.registry.record import FILE_NAME, format_pointer
from stemsplit.registry.smoke_test import try_model
from stemsplit.registry.store import Registry

_CPU = Device("cpu")


@dataclass(frozen=True)
class InstallCandidate:
    """A model that is to be registered: its files, and their description unless the one file has its own."""

    folder: Path
    file: str
    description: Description | None

    @property
    def name(self) -> str:
        """What it calls itself."""
        return self.description.name if self.description else read_model(self.folder / self.file).name


def find_candidate(source: Path, describe: Path | None = None) -> InstallCandidate:
    """Return the model that the file `source` is, or describes.

    Parameters
    ----------
    source
        An ``.onnx`` file, or the ``.toml`` file that describes one or several beside it.
    describe
        The description of `source`, where it lies elsewhere.

    Raises
    ------
    SettingsError
        If the two do not go together.
    ModelError
        If `source` is neither, or cannot be read.
    """
    if source.suffix not in {".onnx", ".toml"}:
        raise ModelError(f"{source}: no model; name an .onnx file, or the .toml file that describes one")
    if source.suffix == ".toml":
        if describe is not None:
            raise SettingsError(
                f"{source} is a description itself; name the .onnx file, or leave --describe out"
            )
        return InstallCandidate(source.parent, "", read_description(source))
    if describe is None:
        return InstallCandidate(source.parent, source.name, None)
    description = read_description(describe)
    if source.name not in description.files:
        raise SettingsError(
            f"{describe} describes {', '.join(description.files)}, not {source.name}; write its name there"
        )
    return InstallCandidate(source.parent, source.name, description)


def add_model(
    registry: Registry, candidate: InstallCandidate, *, name: str | None = None, overwrite: bool = False
) -> str:
    """Register `candidate` under `name` (None: what it calls itself); return the name.

    Raises
    ------
    SettingsError
        If the name cannot be one, or is taken.
    ModelError
        If the model cannot be run, or fails on silence or noise.
    OutputError
        If the registry cannot be written.
    """
    wanted = candidate.name if name is None else name
    if wanted in {read_spec(path).name for path in bundled_models()}:
        raise SettingsError(f"{wanted!r} is a model of the package; choose another --name")

    def fill(folder: Path) -> None:
        try:
            if candidate.description is None:
                _fill_pointer(folder, candidate)
            else:
                _fill_described(folder, candidate.folder, replace(candidate.description, name=wanted))
        except ModelError as error:  # in words of the files that will still be there
            raise ModelError(str(error).replace(str(folder), str(candidate.folder))) from error

    registry.put(wanted, fill, overwrite=overwrite)
    return wanted


def _fill_pointer(folder: Path, candidate: InstallCandidate) -> None:
    _copy([candidate.file], candidate.folder, folder)
    file = folder / candidate.file
    try_model(open_model(file, device=_CPU))
    _write(folder, format_pointer(candidate.file, hash_file(file)))


def _fill_described(folder: Path, source: Path, description: Description) -> None:
    hashes = check_files(description, source)
    _copy(hashes, source, folder)
    # of the copies, and of a description that names all of them
    _write(folder, format_description(description, hashes))
    model = open_model(folder / FILE_NAME, device=_CPU)
    try_model(model)
    assert isinstance(model.info.spec, Description)
    _write(folder, format_description(model.info.spec, hashes))


def _copy(names: Iterable[str], source: Path, folder: Path) -> None:
    for name in names:
        if name.lower() == FILE_NAME:
            raise ModelError(
                f"{source / name}: a file of the model must not be called {FILE_NAME}; rename it"
            )
        with explaining(folder / name):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(hold(source, name), folder / name)
            _sync(folder / name)


def _write(folder: Path, text: str) -> None:
    with explaining(folder / FILE_NAME), (folder / FILE_NAME).open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def _sync(path: Path) -> None:
    with path.open("rb+") as file:
        os.fsync(file.fileno())
