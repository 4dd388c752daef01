"""The models that come with the package, and the choice among models by the stems they offer."""

import difflib
from collections.abc import Iterable, Sequence
from importlib.resources import files
from pathlib import Path

from stemsplit.device import Device
from stemsplit.errors import ModelError, SettingsError
from stemsplit.model import MaskModel, ModelInfo


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
    """Return what the model at `path` says about itself.

    Raises
    ------
    ModelError
        If the file is missing, is no ONNX model, or lacks metadata.
    """
    return MaskModel(path, device=Device("cpu"), threads=1).info


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


def check_name(stem: str, offered: Iterable[str]) -> None:
    """Raise a `SettingsError` that proposes the nearest name if `stem` is not among `offered`."""
    names = sorted(offered)
    if stem in names:
        return
    near = difflib.get_close_matches(stem, names, n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    raise SettingsError(f"no model offers the stem {stem!r}; {hint}There are: {', '.join(names)}")
