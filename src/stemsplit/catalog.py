"""The models that come with the package, and the choice among models by the stems they offer."""

from collections.abc import Iterable, Sequence
from importlib.resources import files
from pathlib import Path
from typing import TypeAlias

from stemsplit.blend import Blend
from stemsplit.device import Device
from stemsplit.errors import ModelError
from stemsplit.foreign import SpectralModel, WaveModel, open_foreign
from stemsplit.metadata import read_metadata
from stemsplit.model import MaskModel, ModelInfo
from stemsplit.model_files import check_graph_file
from stemsplit.record import read_pointer
from stemsplit.registry import Registry
from stemsplit.spec import ModelSpec
from stemsplit.suggestion import unknown_name

Model: TypeAlias = MaskModel | SpectralModel | WaveModel


def bundled_models() -> list[Path]:
    """Return the ``.onnx`` files of the package, sorted by name.

    An installed package holds them itself; in a source checkout they lie in ``models/`` at the top.
    """
    package = Path(str(files("stemsplit")))
    for folder in (package / "models", package.parent.parent / "models"):
        found = sorted(folder.glob("*.onnx"))
        if found:
            return found
    raise ModelError("the package holds no models; reinstall stemsplit, or name a file with --model")


def resolve(model: Path | str, registry: Registry | None = None) -> Path:
    """Return the file that `model` names: an ``.onnx`` that describes itself, or a description.

    What has the suffix of one, a folder in front, or is the path of a file, is a path; any other word is
    the name of a registered model, or of one of the package.

    Raises
    ------
    SettingsError
        If there is no model of this name; the nearest is proposed.
    ModelError
        If it is a file of another kind.
    """
    path = Path(model)
    if path.suffix in {".onnx", ".toml"} or path.is_file():
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
    if name in bundled:
        return bundled[name]
    raise unknown_name(f"there is no model {name!r}", name, [*bundled, *registry.names()])


def open_model(path: Path, *, device: Device, threads: int | None = None) -> Model:
    """Open an ``.onnx`` that describes itself, or the model that a description (``.toml``) is about.

    Raises
    ------
    ModelError
        If a file is missing or wrong, or leads to other files or to foreign code.
    DeviceError
        If the model cannot run on `device`.
    """
    if path.suffix == ".toml":
        pointed = read_pointer(path)
        if pointed is None:
            return open_foreign(path, device=device, threads=threads)
        path = pointed
    locations = check_graph_file(path)
    if locations:
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


def open_models(
    paths: Sequence[Path], stems: Sequence[str] | None, *, device: Device, threads: int | None = None
) -> list[Model]:
    """Open the models that offer `stems` (all stems there are for None), each once.

    Where two models offer the same target, the one named first provides it.

    Raises
    ------
    SettingsError
        If no model offers a stem; the nearest name is proposed.
    """
    opened: list[Model] = []
    offered: set[str] = set()
    for path in paths:
        if stems is not None and offered.issuperset(stems):
            break
        model = open_model(path, device=device, threads=threads)
        targets = set(model.info.spec.targets) - offered
        if targets if stems is None else targets & set(stems):
            opened.append(model)
        offered |= targets
    for stem in stems or ():
        check_name(stem, offered)
    return opened


def open_cheapest(
    paths: Sequence[Path], stems: Sequence[str] | None, *, device: Device, threads: int | None = None
) -> list[Model]:
    """Open those of `paths` that offer `stems` (all stems there are for None) for the least work.

    Only the models in use are opened; of the others no more than the metadata is read.

    Raises
    ------
    SettingsError
        If no model offers a stem; the nearest name is proposed.
    """
    if len(paths) > 1:
        chosen = choose_cheapest([read_spec(path) for path in paths], stems)
        paths = [paths[number] for number in chosen]
    return open_models(paths, stems, device=device, threads=threads)


def choose_cheapest(models: Sequence[ModelSpec], stems: Sequence[str] | None) -> tuple[int, ...]:
    """Return the numbers of the models that offer `stems` (all stems there are for None) for the least work.

    Of equally dear sets the smaller one is taken, and of those the one named first. A model that does not
    say its cost is taken to be as dear as the dearest that does.

    Raises
    ------
    SettingsError
        If no model offers a stem; the nearest name is proposed.
    """
    offered = {target for model in models for target in model.targets}
    wanted = frozenset(offered if stems is None else stems)
    for stem in stems or ():
        check_name(stem, offered)
    dearest = max((model.cost_macs_per_s or 0 for model in models), default=0)
    # the best set of models for every set of stems that some models cover, as (cost, size, models)
    best: dict[frozenset[str], tuple[int, int, tuple[int, ...]]] = {frozenset(): (0, 0, ())}
    for number, model in enumerate(models):
        cost = dearest if model.cost_macs_per_s is None else model.cost_macs_per_s
        for covered, (total, size, chosen) in list(best.items()):
            covers = covered | wanted.intersection(model.targets)
            rival = (total + cost, size + 1, (*chosen, number))
            best[covers] = min(best.get(covers, rival), rival)
    return best[wanted][2]


def open_blend(
    paths: Sequence[Path],
    stems: Sequence[str] | None,
    blend: Blend,
    *,
    device: Device,
    threads: int | None = None,
) -> tuple[list[Model], Blend]:
    """Open the models of which something goes into `stems`; return them and the blend of them alone.

    Raises
    ------
    SettingsError
        If no model offers a stem, or the weights do not fit the models.
    """
    if blend.is_plain:
        return open_models(paths, stems, device=device, threads=threads), blend
    blend.check(len(paths))
    models = [open_model(path, device=device, threads=threads) for path in paths]
    offering: dict[str, list[int]] = {}
    for number, model in enumerate(models):
        for target in model.info.spec.targets:
            offering.setdefault(target, []).append(number)
    for stem in [*(stems or ()), *blend.weights]:
        check_name(stem, offering)
    wanted = stems if stems is not None else list(offering)
    used = sorted({number for stem in wanted for number in blend.share(stem, offering[stem])})
    return [models[number] for number in used], blend.keep(used)


def check_name(stem: str, offered: Iterable[str]) -> None:
    """Raise a `SettingsError` that proposes the nearest name if `stem` is not among `offered`."""
    names = sorted(offered)
    if stem not in names:
        raise unknown_name(f"no model offers the stem {stem!r}", stem, names)
