"""``--show-config``: the value of every option, and where it comes from."""

from collections.abc import Mapping
from typing import Any

from stemsplit.cli.console import show
from stemsplit.jobs.result import ExitStatus

_LEFT_OUT = ("inputs", "show_config", "json")


def show_config(values: Mapping[str, Any], sources: Mapping[str, str], *, as_json: bool) -> ExitStatus:
    """Print the options and their sources; those that somebody set come first.

    Parameters
    ----------
    values
        Of the options, by their names.
    sources
        ``command line``, a preset, a file or ``default``, by the names of the options.
    as_json
        Print one object instead of a table.
    """
    names = [name for name in values if name not in _LEFT_OUT]
    names.sort(key=lambda name: sources[name] == "default")
    import json

    if as_json:
        records = {_key(name): {"value": values[name], "source": sources[name]} for name in names}
        show(json.dumps(records))
        return ExitStatus.OK
    rows = [(_key(name), format_value(values[name]), sources[name]) for name in names]
    widths = [max(len(row[column]) for row in rows) for column in (0, 1)]
    show(*(f"{key:<{widths[0]}}  {value:<{widths[1]}}  {source}" for key, value, source in rows))
    return ExitStatus.OK


def _key(name: str) -> str:
    return name.replace("_", "-")


def format_value(value: Any) -> str:
    """Return a value as a settings file has it; nothing is set for None.

    >>> format_value(["vocals"]), format_value(True), format_value("wav"), format_value(None)
    ('["vocals"]', 'true', '"wav"', '-')
    """
    import json

    return "-" if value is None else json.dumps(value, ensure_ascii=False, default=str)
