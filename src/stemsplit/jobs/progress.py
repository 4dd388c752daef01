"""The progress of songs, as those who show it are called with it."""

from typing import Protocol

from stemsplit.audio.info import AudioInfo
from stemsplit.jobs.plan import Job
from stemsplit.jobs.result import FileResult


class ProgressListener(Protocol):
    """Is called with the progress of songs, from the threads that separate them."""

    def start(self, job: Job, info: AudioInfo) -> None:
        """Take note that the song of `job` has been opened."""

    def advance(self, job: Job, n_samples: int) -> None:
        """Take note that `n_samples` more samples of every stem are finished."""

    def finish(self, job: Job, result: FileResult) -> None:
        """Take note that `job` has ended."""


class NoProgress:
    """A listener that ignores the progress."""

    def start(self, job: Job, info: AudioInfo) -> None:
        """Do nothing."""

    def advance(self, job: Job, n_samples: int) -> None:
        """Do nothing."""

    def finish(self, job: Job, result: FileResult) -> None:
        """Do nothing."""
