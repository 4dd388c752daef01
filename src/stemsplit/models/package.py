"""Where the models of the package are, and their 8-bit forms."""

from pathlib import Path
from typing import Final

from stemsplit.errors import ModelError

_PACKAGE: Final = Path(__file__).parents[1]


def package_folders() -> tuple[Path, Path]:
    """Return the folders that may hold the package's models.

    An installed package holds them in ``weights``; in a source checkout they lie in ``models/`` at the top.
    """
    return _PACKAGE / "weights", _PACKAGE.parents[1] / "models"


def package_file(name: str) -> Path:
    """Return a file among the package's models, by its path there.

    Raises
    ------
    ModelError
        If it is missing.
    """
    for folder in package_folders():
        if (folder / name).is_file():
            return folder / name
    raise ModelError(f"the package lacks {name}; reinstall stemsplit")


def find_int8_form(path: Path) -> Path | None:
    """Return the 8-bit form of a model of the package; None if it has none.

    It is the same graph, metadata and all, with the weights of its matrix products and recurrences in 8-bit
    integers and their inputs rounded to such as they come.
    """
    form = path.parent / "int8" / path.name
    return form if is_packaged(path) and form.is_file() else None


def is_packaged(path: Path) -> bool:
    """Return whether a file is one of the package's models."""
    return any(folder in path.absolute().parents for folder in package_folders())
