"""The models that come with the package, and the choice among models by the stems they offer."""

import difflib
from collections.abc import Iterable, Sequence
from importlib.resources import files
from pathlib import Path

from stemsplit.device import Device
from stemsplit.errors import ModelError, SettingsError
from stemsplit.metadata import read_metadata
from stemsplit.model import MaskModel, ModelInfo
from stemsplit.spec import ModelSpec


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


def read_model(path: Path) -> ModelInfo:
    """Return what the model at `path` says about itself, and make sure that onnxruntime can open it.

    Raises
    ------
    ModelError
        If the file is missing, is no ONNX model, or lacks metadata.
    """
    return MaskModel(path, device=Device("cpu"), threads=1).info


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
) -> list[MaskModel]:
    """Open the models that offer `stems` (all of `paths` for None), each once.

    Where two models offer the same target, the one named first provides it.

    Raises
    ------
    SettingsError
        If no model offers a stem; the nearest name is proposed.
    """
    opened: list[MaskModel] = []
    offered: set[str] = set()
    for path in paths:
        if stems is not None and offered.issuperset(stems):
            break
        model = MaskModel(path, device=device, threads=threads)
        targets = set(model.info.spec.targets) - offered
        if stems is None or targets & set(stems):
            opened.append(model)
        offered |= targets
    for stem in stems or ():
        check_name(stem, offered)
    return opened


def open_cheapest(
    paths: Sequence[Path], stems: Sequence[str] | None, *, device: Device, threads: int | None = None
) -> list[MaskModel]:
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


def check_name(stem: str, offered: Iterable[str]) -> None:
    """Raise a `SettingsError` that proposes the nearest name if `stem` is not among `offered`."""
    names = sorted(offered)
    if stem in names:
        return
    near = difflib.get_close_matches(stem, names, n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    raise SettingsError(f"no model offers the stem {stem!r}; {hint}There are: {', '.join(names)}")
