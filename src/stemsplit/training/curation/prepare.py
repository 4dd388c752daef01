"""Preparation: decodes the library, stores its recordings as songs, renders the virtual band."""

from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from stemsplit.training.data.library import Library
from stemsplit.training.data.recordings import collect_recordings
from stemsplit.training.data.songs import save_song

if TYPE_CHECKING:
    from stemsplit.training.synthesis.band import Band

Progress = Callable[[str], None]
N_VALID = 4


@dataclass(frozen=True)
class WorkFolder:
    """Folders of a training.

    The library, which is only read, and the folder for everything that is written.
    """

    library: Path
    work: Path

    @property
    def songs(self) -> Path:
        """Folder of the songs."""
        return self.work / "songs"

    def open_library(self) -> Library:
        """Open the library with its cache of decoded audio."""
        return Library(self.library, self.work / "decoded")


def prepare(folders: WorkFolder, *, n_songs: int, seed: int, n_jobs: int, progress: Progress) -> None:
    """Store all songs that training needs; existing ones are kept, so that an interrupted run can continue.

    Recordings that the library no longer lists as they were stored are removed.

    Parameters
    ----------
    folders : WorkFolder
        The folders.
    n_songs : int
        Number of rendered training songs of 40 s each.
    seed : int
        Seed of the virtual band.
    n_jobs : int
        Number of processes.
    progress : callable
        Called with a message after each step.
    """
    library = folders.open_library()
    for name in library.decode():
        progress(f"decoded {name}")
    progress(f"stored {collect_recordings(library, folders.songs, progress)} recordings")
    wanted = [("train", number) for number in range(n_songs)] + [("valid", i) for i in range(N_VALID)]
    missing = [job for job in wanted if not (folders.songs / f"{song_name(*job)}.json").exists()]
    with ProcessPoolExecutor(n_jobs) as pool:
        jobs = [pool.submit(_render, folders, split, number, seed) for split, number in missing]
        try:
            for job in as_completed(jobs):
                progress(f"rendered {job.result()}")
        except BaseException:
            # the remaining songs would fail for the same reason, an hour later
            pool.shutdown(cancel_futures=True)
            raise


def song_name(split: str, number: int) -> str:
    """Return the name of a rendered song."""
    return f"render-{split}-{number:04}"


def _render(folders: WorkFolder, split: str, number: int, seed: int) -> str:
    name = song_name(split, number)
    save_song(folders.songs, name, _band(folders, split, seed).song(number), split=split, kind="render")
    return name


@cache
def _band(folders: WorkFolder, split: str, seed: int) -> "Band":
    # the dependencies of rendering need not be installed where networks are trained
    from stemsplit.training.synthesis.band import Band

    return Band(folders.open_library(), split=split, seed=seed + (split == "valid"))
