"""A description as a TOML file: read, completed by its family, and written.

A family (`stemsplit.models.families`) fills in what all its models share, so that a description is short::

    name = "umxhq"
    family = "open-unmix"
    graphs = { vocals = "vocals.onnx", drums = "drums.onnx" }

or, for one graph that gives several targets, ``graph = "htdemucs.onnx"`` and ``targets = ["drums", ...]``,
where an empty name leaves a row out. A table in place of a file name picks a row or sets the length of the
transform: ``graphs = { vocals = { file = "vocals.onnx", row = 3 } }``. Every field of `Description` may be
given and then overrides the family's.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Annotated, Any

import tomli_w

from stemsplit.errors import ModelError
from stemsplit.files.schema import NonEmpty, convert, convert_value
from stemsplit.files.toml import read_toml
from stemsplit.models.description import Description, GraphEntry
from stemsplit.models.families import FAMILIES
from stemsplit.models.limits import Size
from stemsplit.models.output_kinds import applies


def read_description(path: Path) -> Description:
    """Read a description; the files that it names are not looked at.

    Raises
    ------
    ModelError
        If the file cannot be read, or a field is missing, unknown or invalid; it is named.
    """
    values = read_toml(path, about="a description of a model")
    try:
        return parse_description(values)
    except ModelError as error:
        raise ModelError(f"{path}: {error}") from error


def parse_description(values: Mapping[str, Any]) -> Description:
    """Build a description from the values of a TOML file.

    Raises
    ------
    ModelError
        If a field is missing, unknown or invalid; it is named.
    """
    family = convert_value(values.get("family", ""), str, name="family")
    if family and family not in FAMILIES:
        raise ModelError(f"unknown family {family!r}; there are {', '.join(FAMILIES)}")
    given = {"exhaustive": False, **(FAMILIES[family] if family else {}), **values}
    given["graphs"] = _read_graphs(given.pop("graph", None), given.pop("targets", None), given.get("graphs"))
    if given.get("complement"):
        given.setdefault("remainder", given["complement"])
    if family == "open-unmix" and "exhaustive" not in values:
        # four of its networks cover all music; a single one leaves the rest of it
        given["exhaustive"] = len(given["graphs"]) > 1
    missing = [key for key in ("output_kind", "features") if key not in given]
    if missing:
        raise ModelError(f"{missing[0]} is missing; or name a family, which states it")
    description = convert(given, Description, aliases=("graph", "targets"))
    for key in values:
        if not applies(key, description.output_kind):
            raise ModelError(f"{key} means nothing where output_kind is {description.output_kind!r}")
    return description


def format_description(description: Description, sha256: Mapping[str, str]) -> str:
    """Return `description` as TOML, which `parse_description` reads back to the same."""
    values = {
        each.name: getattr(description, each.name)
        for each in fields(Description)
        if each.name not in {"graphs", "sha256"} and applies(each.name, description.output_kind)
    }
    return tomli_w.dumps({**values, **_write_graphs(description), "sha256": dict(sha256)})


@dataclass(frozen=True)
class _GraphTable:
    """A target's graph, where a file name does not say it all."""

    file: Annotated[str, NonEmpty]
    row: Size = 0
    n_fft: Size = 0


def _read_graphs(graph: Any, targets: Any, graphs: Any) -> tuple[GraphEntry, ...]:
    if (graph is None) == (graphs is None) or (graph is None) != (targets is None):
        raise ModelError("name the files once: graphs = { TARGET = 'FILE' }, or graph = 'FILE' and targets")
    if graph is not None:
        names = convert_value(targets, tuple[str, ...], name="targets")
        return (_read_rows(convert_value(graph, str, name="graph"), names),)
    by_file: dict[str, GraphEntry] = {}
    for target, value in convert_value(graphs, dict[str, Any], name="graphs").items():
        entry = _read_entry(target, value)
        known = by_file.get(entry.file)
        by_file[entry.file] = _join(known, entry) if known else entry
    return tuple(by_file.values())


def _read_rows(file: str, names: tuple[str, ...]) -> GraphEntry:
    """Name the rows of a graph's output; one without a name is not used."""
    rows = tuple(row for row, name in enumerate(names) if name)
    return GraphEntry(file, tuple(filter(None, names)), rows, len(names))


def _read_entry(target: str, value: Any) -> GraphEntry:
    if not isinstance(value, Mapping):
        return GraphEntry(convert_value(value, str, name=f"graphs.{target}"), (target,))
    table = convert(value, _GraphTable, label=f"graphs.{target}.")
    return GraphEntry(table.file, (target,), (table.row,), 0, table.n_fft)


def _join(known: GraphEntry, entry: GraphEntry) -> GraphEntry:
    """Return one graph for two targets of one file."""
    if bool(known.rows) != bool(entry.rows) or known.n_fft != entry.n_fft:
        raise ModelError(f"{entry.file}: say the row of each of its targets and the same n_fft, or of none")
    return replace(known, targets=known.targets + entry.targets, rows=known.rows + entry.rows)


def _write_graphs(description: Description) -> dict[str, Any]:
    """Return the keys that `_read_graphs` reads back to the same graphs."""
    graphs = description.graphs
    if len(graphs) == 1 and not graphs[0].n_fft:
        (graph,) = graphs
        names = [""] * max(graph.n_outputs, max(graph.rows_of_targets, default=-1) + 1)
        for row, target in zip(graph.rows_of_targets, graph.targets, strict=True):
            names[row] = target
        return {"graph": graph.file, "targets": names}
    return {
        "graphs": {
            target: _write_entry(graph, row) if graph.rows or graph.n_fft else graph.file
            for graph in graphs
            for target, row in zip(graph.targets, graph.rows_of_targets, strict=True)
        }
    }


def _write_entry(graph: GraphEntry, row: int) -> dict[str, Any]:
    return {"file": graph.file, "row": row, **({"n_fft": graph.n_fft} if graph.n_fft else {})}
