"""What one model says about itself, for a person or as JSON."""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any, Final

from stemsplit.cli.console import show
from stemsplit.cli.models_list import describe_model, find_model
from stemsplit.jobs.result import ExitStatus
from stemsplit.models.description import Description
from stemsplit.models.licence import say
from stemsplit.models.output_kinds import applies
from stemsplit.registry.store import Registry

# of a description these are always shown, whatever they are
_ALWAYS: Final = ("name", "targets", "sample_rate", "n_channels", "licence", "commercial", "training_data")
_HIDDEN: Final = ("graphs", "files")


def show_model(model: str, registry: Registry, *, as_json: bool) -> ExitStatus:
    """Print what is known of one model, a name or a file: all of it as JSON, for a person what counts."""
    info, name = find_model(model, registry)
    facts = describe_model(info, name)
    if as_json:
        show(json.dumps(facts))
        return ExitStatus.OK
    if isinstance(info.spec, Description):
        facts = _select(facts, info.spec)
    shown = {key: _format(value) for key, value in facts.items() if value not in ("", None, (), {})}
    width = max(map(len, shown))
    show(*(f"{key:<{width}}  {value}" for key, value in shown.items()))
    return ExitStatus.OK


def _select(facts: Mapping[str, Any], description: Description) -> dict[str, Any]:
    """Return the fields that apply to the model and differ from the defaults, and its graphs as text."""
    defaults = {field.name: field.default for field in dataclasses.fields(Description)}
    selected = {
        key: value
        for key, value in facts.items()
        if key in _ALWAYS
        or (
            key not in _HIDDEN
            and value != defaults.get(key, dataclasses.MISSING)
            and applies(key, description.output_kind)
        )
    }
    return {
        **selected,
        "graphs": [f"{graph.file} ({', '.join(graph.targets)})" for graph in description.graphs],
    }


def _format(value: Any) -> str:
    if isinstance(value, bool):
        return say(value)
    if isinstance(value, dict):
        return ", ".join(f"{key} {each}" for key, each in value.items())
    if isinstance(value, tuple | list):
        return ", ".join(f"{each} x {n}" if n > 1 else str(each) for each, n in _count_runs(value))
    return str(value)


def _count_runs(values: Sequence[Any]) -> list[tuple[Any, int]]:
    """Return neighbours that are equal, counted."""
    return [(value, len(list(run))) for value, run in groupby(values)]
