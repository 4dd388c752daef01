"""Installed models: those that come with the package and those in the registry, found by name and opened."""

from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from stemsplit.did_you_mean import unknown_name
from stemsplit.errors import ModelError, SettingsError
from stemsplit.models.device import Device
from stemsplit.models.hpss import HPSS, HPSS_FILE, HpssModel, read_hpss
from stemsplit.models.integrity import check_graph_file
from stemsplit.models.licence import say
from stemsplit.models.mask_model import MaskModel, ModelInfo
from stemsplit.models.onnx_metadata import read_metadata
from stemsplit.models.package import is_packaged, package_file, package_folders
from stemsplit.models.properties import ModelProperties
from stemsplit.models.spec import ModelSpec
from stemsplit.models.spectral_model import SpectralModel
from stemsplit.models.waveform_model import WaveformModel
from stemsplit.registry.store import Registry

if TYPE_CHECKING:
    from stemsplit.registry.index import RemoteModel

Model: TypeAlias = MaskModel | SpectralModel | WaveformModel | HpssModel


class NotInstalledError(SettingsError):
    """A model of the catalogue was named that has not been fetched."""

    def __init__(self, remote: "RemoteModel") -> None:
        super().__init__(
            f"the model {remote.name!r} is not installed ({summarise(remote)}); "
            f"fetch it with `stemsplit models pull {remote.name}`, or add --yes"
        )
        self.remote = remote


def summarise(remote: "RemoteModel") -> str:
    """Return the size of a model and what may be done with it, in a few words."""
    size = "size unknown" if remote.size is None else f"{remote.size / 1e6:.0f} MB"
    return f"{size}, commercial use: {say(remote.commercial)}"


def bundled_models() -> list[Path]:
    """Return the ``.onnx`` files of the package, sorted by name."""
    for folder in package_folders():
        found = sorted(folder.glob("*.onnx"))
        if found:
            return found
    raise ModelError("the package holds no models; reinstall stemsplit, or name a file with --model")


def work_models() -> dict[str, Path]:
    """Return the small models of the package that carry out student works, by name; see ``docs/works.md``.

    They are used where they are named, and never otherwise.
    """
    found: dict[str, Path] = {}
    for folder in package_folders():
        # a description stands for the graph beside it
        paths = (*folder.glob("works/*.onnx"), *folder.glob("works/*.toml"))
        found = {path.stem: path for path in paths} or found
    return dict(sorted(found.items()))


def kit_model() -> Path:
    """Return the model of the package that takes drums apart.

    Raises
    ------
    ModelError
        If the package has none.
    """
    return package_file("parts/kit.onnx")


def resolve(model: Path | str, registry: Registry | None = None) -> Path:
    """Return the file that `model` names: an ``.onnx`` that describes itself, or a description.

    What has the suffix of one, a folder in front, or is the path of a file, is a path; any other word is
    the name of a registered model, or of one of the package. Names and aliases of the catalogue count too.

    Raises
    ------
    SettingsError
        If there is no model of this name; the nearest is proposed.
    ModelError
        If it is a file of another kind.
    """
    path = Path(model)
    if path.is_file():
        return path
    from stemsplit.registry.index import find_in_catalogue

    if path.suffix in {".onnx", ".toml"} and (path.name != str(model) or not find_in_catalogue(str(model))):
        return path
    if path.name != str(model):
        raise ModelError(
            f"{model}: no model; name an .onnx file made for stemsplit, "
            "or the .toml file that describes another one"
        )
    return find_by_name(str(model), registry or Registry())


def find_by_name(name: str, registry: Registry) -> Path:
    """Return the file of the registered model `name`, or of the one of the package.

    Raises
    ------
    SettingsError
        If there is neither; the nearest name is proposed.
    """
    if name in registry:
        return registry.path(name)
    bundled = {read_spec(path).name: path for path in bundled_models()}
    bundled |= {**work_models(), HPSS: HPSS_FILE}
    if name in bundled:
        return bundled[name]
    from stemsplit.registry.index import find_in_catalogue

    remote = find_in_catalogue(name)
    if remote is None:
        raise unknown_name(f"there is no model {name!r}", name, [*bundled, *registry.names()])
    if remote.name in registry:
        return registry.path(remote.name)
    raise NotInstalledError(remote)


def open_model(path: Path, *, device: Device, threads: int | None = None) -> Model:
    """Open an ``.onnx`` that describes itself, or the model that a description (``.toml``) is about.

    Raises
    ------
    ModelError
        If a file is missing or wrong, or leads to other files or needs operators that onnxruntime has not.
    DeviceError
        If the model cannot run on `device`.
    """
    if path == HPSS_FILE:
        return HpssModel()
    if path.suffix == ".toml":
        from stemsplit.models.external import open_external
        from stemsplit.registry.record import read_pointer

        pointed = read_pointer(path)
        if pointed is None:
            return open_external(path, device=device, threads=threads)
        path = pointed
    # what comes with the package is trusted: reading the graph takes a tenth of the start-up
    if not is_packaged(path) and (locations := check_graph_file(path)):
        raise ModelError(
            f"{path}: keeps weights in other files ({', '.join(locations)}); a model must be one file"
        )
    return MaskModel(path, device=device, threads=threads)


def read_model(path: Path) -> ModelInfo:
    """Return what the model at `path` says about itself, and make sure that onnxruntime can open it.

    Raises
    ------
    ModelError
        If the file is missing, is no ONNX model, or lacks metadata.
    """
    return open_model(path, device=Device("cpu"), threads=1).info


def read_properties(path: Path) -> ModelProperties:
    """Return the properties of any model, own or external, without opening its network.

    Raises
    ------
    ModelError
        If its file or description is missing or wrong.
    """
    if path == HPSS_FILE:
        return read_hpss()[0]
    if path.suffix != ".toml":
        return read_spec(path)
    from stemsplit.models.description_file import read_description
    from stemsplit.registry.record import read_pointer

    pointed = read_pointer(path)
    return read_description(path) if pointed is None else read_spec(pointed)


def read_spec(path: Path) -> ModelSpec:
    """Return what the model at `path` says about itself, without opening its network.

    Raises
    ------
    ModelError
        If the file is missing, is no ONNX model, or lacks metadata.
    """
    metadata = read_metadata(path)
    try:
        return ModelSpec.from_metadata(metadata)
    except ModelError as error:
        raise ModelError(f"{path}: {error}") from error
