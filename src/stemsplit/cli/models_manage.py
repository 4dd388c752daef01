"""What the ``models`` commands do that change or check the registry."""

import json
import os
from collections.abc import Sequence
from pathlib import Path

from stemsplit.cli.console import show, warn
from stemsplit.cli.models_list import describe_model, read_registered
from stemsplit.cli.progress import showing_downloads
from stemsplit.errors import ModelError, OutputError
from stemsplit.files.atomic import explaining
from stemsplit.jobs.result import ExitStatus
from stemsplit.models.description_file import read_description
from stemsplit.models.integrity import check_files
from stemsplit.models.licence import note_licences
from stemsplit.registry.download import DownloadLimits
from stemsplit.registry.install import add_model, find_candidate
from stemsplit.registry.pull import Pull, prune_downloads, pull_model
from stemsplit.registry.record import read_pointer
from stemsplit.registry.scaffold import draft_description
from stemsplit.registry.store import Registry


def add(
    registry: Registry,
    file: str,
    *,
    describe: str | None = None,
    name: str | None = None,
    overwrite: bool = False,
    as_json: bool = False,
) -> ExitStatus:
    """Register a model that is on the disk; print where its record is."""
    candidate = find_candidate(Path(file), Path(describe) if describe else None)
    return show_added(registry, add_model(registry, candidate, name=name, overwrite=overwrite), as_json)


def pull(
    registry: Registry,
    request: Pull,
    *,
    name: str | None,
    overwrite: bool,
    limits: DownloadLimits,
    as_json: bool,
) -> ExitStatus:
    """Fetch a model and register it; print where its record is."""
    model = request.find()
    for file in model.files:
        if file.sha256 is None:
            warn(f"{file.name}: has no known checksum and is accepted unchecked")
    with showing_downloads() as progress:
        added = pull_model(registry, model, name=name, overwrite=overwrite, limits=limits, progress=progress)
    return show_added(registry, added, as_json)


def show_added(registry: Registry, name: str, as_json: bool) -> ExitStatus:
    """Print what has been registered, and what its licence leaves open on standard error."""
    info = read_registered(registry, name)
    show(json.dumps(describe_model(info, name)) if as_json else str(registry.path(name)))
    note = note_licences([info])
    if note:
        warn(note)
    return ExitStatus.OK


def remove(registry: Registry, name: str) -> ExitStatus:
    """Take a model out of the registry and off the disk."""
    registry.remove(name)
    return ExitStatus.OK


def prune(registry: Registry) -> ExitStatus:
    """Remove what unfinished downloads left; print how much it was."""
    pruned = prune_downloads(registry)
    show(f"{pruned.n_bytes / 1e6:.1f} MB of unfinished downloads removed")
    if pruned.n_running:
        warn(f"left alone, since another call is fetching them: {pruned.n_running}")
    return ExitStatus.OK


def verify(registry: Registry, names: Sequence[str], *, as_json: bool) -> ExitStatus:
    """Hash the files of models (none named: of all) and compare; print one line for each."""
    paths = {name: registry.path(name) for name in names or registry.names()}
    problems = {name: _find_problem(path) for name, path in paths.items()}
    for name, problem in problems.items():
        if as_json:
            show(json.dumps({"name": name, "ok": problem is None, "error": problem}))
        else:
            show(f"{'ok' if problem is None else 'broken':<7} {name}" + (f": {problem}" if problem else ""))
    return ExitStatus.FAILED if any(problems.values()) else ExitStatus.OK


def _find_problem(path: Path) -> str | None:
    try:
        if read_pointer(path) is None:
            description = read_description(path)
            found = check_files(description, path.parent)
            loose = sorted(set(found) - set(description.sha256))
            if loose:
                return f"{path}: lists no sha256 for {', '.join(loose)}; register the model again"
    except ModelError as error:
        return str(error)
    return None


def draft(files: Sequence[str], *, output: str | None) -> ExitStatus:
    """Write the beginning of a description, to standard output (``-`` too) or into a new file."""
    text = draft_description(list(map(Path, files)))
    if output in {None, "-"}:
        show(text.rstrip("\n"))
    else:
        _write_new(Path(output), text)
    return ExitStatus.OK


def _write_new(path: Path, text: str) -> None:
    if os.path.lexists(path):
        raise OutputError(f"{path} exists; choose another name, or move it away")
    if not path.parent.is_dir():
        raise OutputError(f"{path}: there is no folder {path.parent}; make it, or choose another")
    with explaining(path), path.open("x", encoding="utf-8") as written:
        written.write(text)
