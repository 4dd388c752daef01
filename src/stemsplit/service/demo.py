"""The example song of the package, for those who have none at hand."""

from importlib.resources import files
from pathlib import Path

from stemsplit.errors import AudioError

NAME = "caesium.mp3"


def find_demo() -> Path:
    """Return the example song.

    An installed package holds it in ``examples``; in a source checkout it lies in ``examples/`` at the top.

    Raises
    ------
    AudioError
        If it is not there.
    """
    package = Path(str(files("stemsplit")))
    for folder in (package, package.parent.parent):
        song = folder / "examples" / NAME
        if song.is_file():
            return song
    raise AudioError(f"the package holds no {NAME}; reinstall stemsplit, or choose a song of yours")
