"""Collisions: stems that would be written over an input, or over the stems of another song."""

import os
from collections import defaultdict
from collections.abc import Iterable, Mapping
from functools import cached_property, lru_cache
from pathlib import Path

from stemsplit.files.names import identity
from stemsplit.jobs.inputs import SongInput


class Inputs:
    """The input files of a run, which are recognised under every spelling and through links.

    They are looked at when one is searched for the first time.

    Parameters
    ----------
    sources
        The songs; those that are not files of this machine are ignored.
    """

    def __init__(self, sources: Iterable[SongInput]) -> None:
        self._sources = sources

    def find(self, path: Path) -> str | None:
        """Return the label of the input that is the file `path`; None if it is none of them."""
        file = _identify(path)
        songs = self._songs.get(file, []) if file is not None else []
        # a hard link is a name of its own, and replacing it leaves the input as it is
        return next((label for label, song in songs if _locate(song) == _locate(path)), None)

    @cached_property
    def _songs(self) -> Mapping[tuple[int, int], list[tuple[str, Path]]]:
        songs = defaultdict(list)
        for source in self._sources:
            if source.path is not None and (file := _identify(source.path)) is not None:
                songs[file].append((source.label, source.path))
        return songs


def _identify(path: Path) -> tuple[int, int] | None:
    """Return what two names of one file share; None if there is no file."""
    try:
        state = os.stat(path)  # noqa: PTH116 - half the time of Path.stat, for every song
    except OSError:
        return None
    return state.st_dev, state.st_ino


def _locate(path: Path) -> str:
    """Return a string that is equal for two paths of the same file."""
    folder, name = os.path.split(path)
    if os.path.islink(path):  # noqa: PTH114 - Path.is_symlink raises in a closed folder
        return identity(os.path.realpath(path))
    return identity(Path(_find_real_folder(folder), name))


@lru_cache(maxsize=1024)
def _find_real_folder(folder: str) -> str:
    return os.path.realpath(folder)
