"""What models there are, and what one says about itself."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from stemsplit.cli.console import show, warn
from stemsplit.errors import ModelError
from stemsplit.jobs.result import ExitStatus
from stemsplit.models.description import Description
from stemsplit.models.description_file import read_description
from stemsplit.models.hpss import HPSS, HpssModel
from stemsplit.models.integrity import hash_file, hash_model
from stemsplit.models.licence import UNKNOWN, say
from stemsplit.models.mask_model import ModelInfo
from stemsplit.registry.index import RemoteModel, list_remote
from stemsplit.registry.installed import bundled_models, read_model, read_spec, resolve, work_models
from stemsplit.registry.record import read_pointer
from stemsplit.registry.store import Registry


def list_models(registry: Registry, *, as_json: bool) -> ExitStatus:
    """Print one line for each model, of the package and of the user; models of works come apart, at the end.

    A registered model that cannot be read is named on standard error, and is a failure.
    """
    models, problems = [read_model(path) for path in bundled_models()], []
    entries = {info.name: info for info in models}
    for name in registry.names():
        try:
            entries[name] = read_registered(registry, name)
        except ModelError as error:
            problems.append(f"{name}: {error}")
    works = {name: _read_unopened(path) for name, path in work_models().items() if name not in entries}
    filters = {HPSS: HpssModel().info} if HPSS not in entries else {}
    if as_json:
        show(*(json.dumps(describe_model(info, name)) for name, info in (entries | works | filters).items()))
    else:
        show(*_make_table(entries))
        show(*(["", "student works, used only where they are named:", *_make_table(works)] if works else ()))
        show(*(["", "without a network, likewise:", *_make_table(filters)] if filters else ()))
    for problem in problems:
        warn(f"stemsplit: {problem}")
    return ExitStatus.FAILED if problems else ExitStatus.OK


def list_available(registry: Registry, *, as_json: bool) -> ExitStatus:
    """Print one line for each model that can be fetched by name, of the user's list and of the catalogue."""
    installed = set(registry.names())
    remotes = list_remote()
    if as_json:
        show(*(json.dumps(describe_remote(each, each.name in installed)) for each in remotes))
        return ExitStatus.OK
    rows = [("NAME", "STEMS", "SIZE", "COMMERCIAL", "SPEED", "INSTALLED", "QUALITY AS PUBLISHED")]
    for each in remotes:
        rows.append(
            (
                each.name,
                ",".join(each.description.targets) if each.description else UNKNOWN,
                UNKNOWN if each.size is None else f"{each.size / 1e6:.0f} MB",
                say(each.commercial),
                each.speed,
                "yes" if each.name in installed else "no",
                each.quality or "none",
            )
        )
    show(*_align(rows))
    return ExitStatus.OK


def describe_remote(remote: RemoteModel, installed: bool) -> dict[str, Any]:
    """Return what is known of a model that can be fetched."""
    description = remote.description
    return {
        "name": remote.name,
        "aliases": remote.aliases,
        "targets": description.targets if description else None,
        "size_bytes": remote.size,
        "licence": remote.licence,
        "commercial": remote.commercial,
        "training_data": description.training_data if description else UNKNOWN,
        "quality": remote.quality,
        "sdr_db": dict(remote.sdr_db),
        "speed": remote.speed,
        "installed": installed,
    }


def show_licence(model: str, registry: Registry, *, as_json: bool) -> ExitStatus:
    """Print what may be done with a model, and who is to be named."""
    info, name = find_model(model, registry)
    spec = info.spec
    facts = {
        "name": name,
        "licence": info.licence,
        "commercial": info.commercial,
        "attribution": spec.attribution,
        "source": spec.source,
    }
    if as_json:
        show(json.dumps(facts))
        return ExitStatus.OK
    show(
        f"licence         {info.licence}",
        f"commercial use  {say(info.commercial)}",
        f"attribution     {spec.attribution or UNKNOWN}",
        f"source          {facts['source'] or UNKNOWN}",
    )
    return ExitStatus.OK


def find_model(model: str, registry: Registry) -> tuple[ModelInfo, str]:
    """Return the model that `model` names, see `stemsplit.registry.installed.resolve`, and what it is called.

    Raises
    ------
    SettingsError
        If there is no model of this name; the nearest is proposed.
    ModelError
        If it is a file that is no model, or cannot be read.
    """
    path = resolve(model, registry)
    if model in registry and path == registry.path(model):
        return read_registered(registry, model), model
    info = read_model(path)
    return info, info.name


def read_registered(registry: Registry, name: str) -> ModelInfo:
    """Return what the registry knows of a model. An external one is not opened, nor are its files hashed.

    Raises
    ------
    ModelError
        If its record cannot be read.
    """
    path = registry.path(name)
    pointed = read_pointer(path)
    return read_model(pointed) if pointed is not None else _read_unopened(path)


def _read_unopened(path: Path) -> ModelInfo:
    """Return what a file says of a model; an external one is not opened, nor are its files hashed."""
    if path.suffix == ".onnx":
        return ModelInfo(path, hash_file(path), read_spec(path))
    description = read_description(path)
    return ModelInfo(path, hash_model(path, description.sha256), description)


def describe_model(info: ModelInfo, name: str) -> dict[str, Any]:
    """Return the metadata of a model, its file, the size of it in bytes and its hash."""
    spec = info.spec.to_dict()
    files = {"files": spec["sha256"]} if "sha256" in spec else {}
    targets = info.spec.targets
    known = {
        "name": name,
        "targets": targets,
        "licence": info.licence,
        "commercial": info.commercial,
        **files,
    }
    return {**spec, **known, "path": str(info.path), "size_bytes": _size(info), "sha256": info.sha256}


def _size(info: ModelInfo) -> int:
    """Bytes of all files of a model."""
    spec = info.spec
    if not isinstance(spec, Description):
        return info.path.stat().st_size
    files = [info.path.parent / file for file in {*spec.files, *spec.sha256}]
    return sum(file.stat().st_size for file in files if file.is_file())


def _make_table(entries: Mapping[str, ModelInfo]) -> list[str]:
    rows = [("NAME", "VERSION", "STEMS", "RATE", "SIZE", "LICENCE", "SHA256")]
    for name, info in entries.items():
        spec = info.spec
        rows.append(
            (
                name,
                spec.version,
                ",".join(spec.targets),
                f"{spec.sample_rate} Hz",
                f"{_size(info) / 1e6:.1f} MB",
                info.licence + ("" if info.commercial is True else f" (commercial: {say(info.commercial)})"),
                info.sha256[:12],
            )
        )
    return _align(rows)


def _align(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]
