"""Preparation: the library decoded once, its recordings stored as songs, the virtual band rendered."""

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
    """Folders of a training: the library, which is only read, and one for everything that is made."""

    library: Path
    work: Path

    @property
    def songs(self) -> Path:
        """Where songs are."""
        return self.work / "songs"

    def open_library(self) -> Library:
        """The library with its cache."""
        return Library(self.library, self.work / "decoded")


def prepare(place: WorkFolder, *, n_songs: int, seed: int, n_jobs: int, progress: Progress) -> None:
    """Do all that training needs; what is already there is kept, so an interrupted run goes on.

    Recordings that the library no longer lists as they were stored are removed.

    Parameters
    ----------
    place : WorkFolder
        The folders.
    n_songs : int
        Songs of 40 s for training that the virtual band shall have played.
    seed : int
        Of the virtual band.
    n_jobs : int
        Processes.
    progress : callable
        Told what was done.
    """
    library = place.open_library()
    for name in library.decode():
        progress(f"decoded {name}")
    progress(f"stored {collect_recordings(library, place.songs, progress)} recordings")
    wanted = [("train", number) for number in range(n_songs)] + [("valid", i) for i in range(N_VALID)]
    missing = [job for job in wanted if not (place.songs / f"{song_name(*job)}.json").exists()]
    with ProcessPoolExecutor(n_jobs) as pool:
        jobs = [pool.submit(_render, place, split, number, seed) for split, number in missing]
        try:
            for job in as_completed(jobs):
                progress(f"rendered {job.result()}")
        except BaseException:
            # what one song fails at the next fails at too, an hour later
            pool.shutdown(cancel_futures=True)
            raise


def song_name(split: str, number: int) -> str:
    """Name of a rendered song."""
    return f"render-{split}-{number:04}"


def _render(place: WorkFolder, split: str, number: int, seed: int) -> str:
    name = song_name(split, number)
    save_song(place.songs, name, _band(place, split, seed).song(number), split=split, kind="render")
    return name


@cache
def _band(place: WorkFolder, split: str, seed: int) -> "Band":
    # what plays is installed where songs are rendered, which need not be where a network is trained
    from stemsplit.training.synthesis.band import Band

    return Band(place.open_library(), split=split, seed=seed + (split == "valid"))
