"""Reading of TOML files written by users or fetched, with a limit on their size."""

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
        Description of the file for errors, such as "a list of models".

    Raises
    ------
    ModelError
        If the file cannot be read, is longer than `MAX_BYTES`, or is not TOML.
    """
    import tomllib  # only where there is such a file

    try:
        if path.stat().st_size > MAX_BYTES:
            raise ModelError(f"{path}: too large for {about}")
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ModelError(f"{path}: {about} cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:  # of TOML or UTF-8, or brackets nested too deeply
        raise ModelError(f"{path}: not a TOML file: {error}") from error


def read_tables(path: Path) -> dict[str, dict[str, Any]]:
    """Read a TOML file that consists of named tables.

    Raises
    ------
    ModelError
        If the file cannot be read, or has a key outside a table.
    """
    tables: dict[str, dict[str, Any]] = read_toml(path, about="a list")
    for name, table in tables.items():
        if not isinstance(table, dict):
            raise ModelError(f"{path}: {name!r} stands outside the tables; each has a [name] above it")
    return tables
