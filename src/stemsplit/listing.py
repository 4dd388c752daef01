"""The ``models`` command: what models there are, and what one says about itself."""

import difflib
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from itertools import groupby
from pathlib import Path
from typing import Any

from stemsplit.catalog import bundled_models, read_model
from stemsplit.errors import SettingsError
from stemsplit.model import ModelInfo
from stemsplit.result import ExitStatus


def list_models(*, as_json: bool) -> ExitStatus:
    """Print one line for each bundled model."""
    models = [read_model(path) for path in bundled_models()]
    if as_json:
        _print(*(json.dumps(describe_model(info)) for info in models))
    else:
        _print(*_make_table(models))
    return ExitStatus.OK


def show_model(model: str, *, as_json: bool) -> ExitStatus:
    """Print everything about one model, a bundled one's name or a file."""
    facts = describe_model(find_model(model))
    if as_json:
        _print(json.dumps(facts))
    else:
        width = max(map(len, facts))
        _print(*(f"{key:<{width}}  {_plain(value)}" for key, value in facts.items()))
    return ExitStatus.OK


def find_model(model: str) -> ModelInfo:
    """Return the model that `model` names: a file, or else a bundled model.

    Raises
    ------
    SettingsError
        If there is neither; the nearest name is proposed.
    ModelError
        If the file cannot be read.
    """
    path = Path(model)
    if path.suffix == ".onnx" or path.is_file():
        return read_model(path)
    bundled = {info.name: info for info in map(read_model, bundled_models())}
    if model not in bundled:
        near = difflib.get_close_matches(model, bundled, n=1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise SettingsError(f"there is no model {model!r}; {hint}There are: {', '.join(bundled)}")
    return bundled[model]


def describe_model(info: ModelInfo) -> dict[str, Any]:
    """Return the metadata of a model, its file, the size of it in bytes and its hash."""
    size = info.path.stat().st_size
    return {**asdict(info.spec), "path": str(info.path), "size_bytes": size, "sha256": info.sha256}


def _make_table(models: list[ModelInfo]) -> list[str]:
    rows = [("NAME", "VERSION", "STEMS", "RATE", "SIZE", "LICENCE", "SHA256")]
    for info in models:
        spec = info.spec
        rows.append(
            (
                spec.name,
                spec.version,
                ",".join(spec.targets),
                f"{spec.sample_rate} Hz",
                f"{info.path.stat().st_size / 1e6:.1f} MB",
                spec.licence,
                info.sha256[:12],
            )
        )
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if value is None:
        return "not stated"
    if isinstance(value, tuple | list):
        return ", ".join(f"{each} x {n}" if n > 1 else str(each) for each, n in _runs(value))
    return str(value)


def _runs(values: Sequence[Any]) -> list[tuple[Any, int]]:
    """Neighbours that are equal, counted."""
    return [(value, len(list(run))) for value, run in groupby(values)]


def _print(*lines: str) -> None:
    sys.stdout.writelines(line + "\n" for line in lines)
