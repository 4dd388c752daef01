"""Where the models of the package are."""

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
