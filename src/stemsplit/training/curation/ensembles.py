"""Preparation of chamber ensembles: renders songs whose stems are single instruments."""

from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from stemsplit.training import OPEN_DATA
from stemsplit.training.curation.prepare import Progress, WorkFolder
from stemsplit.training.data.songs import save_song

if TYPE_CHECKING:
    from stemsplit.training.synthesis.chamber import ChamberRenderer

DATASET = "ensembles"
# Validation songs with the players of training, and with others; pieces and rooms are held out in both.
UNSEEN_PLAYERS = "ensembles-unseen-players"


@dataclass(frozen=True)
class _Job:
    name: str
    split: str
    dataset: str
    number: int


def prepare_ensembles(
    folders: WorkFolder, *, n_songs: int, n_valid: int, seed: int, n_jobs: int, progress: Progress
) -> None:
    """Render ensembles; existing ones are kept, so that an interrupted run can continue.

    Parameters
    ----------
    folders : WorkFolder
        The folders.
    n_songs, n_valid : int
        Number of songs of 30 s for training, and for validation by each kind of players.
    seed : int
        Seed of all songs.
    n_jobs : int
        Number of processes.
    progress : callable
        Called with a message after each song.
    """
    wanted = [
        _Job(f"{dataset}-{split}-{number:04}", split, dataset, number)
        for split, dataset, count in (
            ("train", DATASET, n_songs),
            ("valid", DATASET, n_valid),
            ("valid", UNSEEN_PLAYERS, n_valid),
        )
        for number in range(count)
    ]
    missing = [job for job in wanted if not (folders.songs / f"{job.name}.json").exists()]
    with ProcessPoolExecutor(n_jobs) as pool:
        jobs = [pool.submit(_render, folders, job, seed) for job in missing]
        try:
            for done in as_completed(jobs):
                progress(f"rendered {done.result()}")
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _render(folders: WorkFolder, job: _Job, seed: int) -> str:
    stems = _renderer(folders, job.split, job.dataset, seed).song(job.number)
    save_song(
        folders.songs,
        job.name,
        stems,
        split=job.split,
        kind="added",
        dataset=job.dataset,
        licence=OPEN_DATA,
    )
    return job.name


@cache
def _renderer(folders: WorkFolder, split: str, dataset: str, seed: int) -> "ChamberRenderer":
    # the dependencies of rendering need not be installed where networks are trained
    from stemsplit.training.synthesis.chamber import ChamberRenderer

    held_out = dataset == UNSEEN_PLAYERS
    return ChamberRenderer(
        folders.open_library(),
        split=split,
        held_out_players=held_out,
        seed=seed + 2 * (split == "valid") + held_out,
    )
