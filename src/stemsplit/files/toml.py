"""TOML files that people write or fetch, read with a bound on their size."""

import tomllib
from pathlib import Path
from typing import Any

from stemsplit.errors import ModelError

MAX_BYTES = 2**20


def read_toml(path: Path, *, about: str) -> dict[str, Any]:
    """Return the values of a TOML file.

    Parameters
    ----------
    path
        The file.
    about
        What it is, for the errors, such as "a list of models".

    Raises
    ------
    ModelError
        If it cannot be read, is longer than `MAX_BYTES`, or is no TOML.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ModelError(f"{path}: too large for {about}")
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ModelError(f"{path}: {about} cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:  # of TOML, or of UTF-8; of brackets in brackets
        raise ModelError(f"{path}: not a TOML file: {error}") from error


def read_tables(path: Path) -> dict[str, dict[str, Any]]:
    """Read a TOML file that holds a table for each name.

    Raises
    ------
    ModelError
        If it cannot be read, or holds anything else.
    """
    tables: dict[str, dict[str, Any]] = read_toml(path, about="a list")
    for name, table in tables.items():
        if not isinstance(table, dict):
            raise ModelError(f"{path}: {name!r} stands outside the tables; each has a [name] above it")
    return tables
