"""The schedule of a run on a cluster: which worker has which song, and what happens when workers die.

A worker is given a song when it has opened its models, and one at a time: a song never waits for a worker
that cannot start, because its node has gone or another program has taken its place.
"""

import concurrent.futures
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Protocol

from stemsplit.errors import StemsplitError
from stemsplit.jobs.cancellation import Cancellation
from stemsplit.jobs.plan import Job, failed_result
from stemsplit.jobs.progress import ProgressListener
from stemsplit.jobs.remote import is_url
from stemsplit.jobs.result import FileResult

_POLL_S: Final = 0.2
_STOP_S: Final = 10.0
_MAX_QUEUED: Final = 1000  # results that wait for an earlier song


Call = concurrent.futures.Future[Any]  # of a method of a worker


class ClusterError(StemsplitError):
    """The cluster cannot be reached, or has no room for a worker."""


class Pool(Protocol):
    """The workers of a run: Ray actors with the methods of `stemsplit.jobs.cluster.Worker`."""

    @property
    def ray(self) -> Any:
        """The module, of which ``exceptions`` are used."""

    @property
    def n_workers(self) -> int:
        """How many workers fit into the cluster."""

    def call(self, method: Any, *args: Any) -> Call:
        """Call a method of a worker."""

    def wait(self, timeout_s: float) -> list[Call]:
        """Wait for calls that have ended since, and return them; none after `timeout_s` seconds."""

    def start_worker(self) -> Any:
        """Start a worker, which is ready when its models are open."""

    def discard(self, worker: Any) -> None:
        """End a worker that does not answer."""


@dataclass
class _Song:
    """A song on its way; `result` is set when it is finished."""

    job: Job
    result: FileResult | None = None
    is_over: bool = False
    n_deaths: int = 0


class Schedule:
    """Gives songs to workers, one at a time each, and collects the results in order.

    Parameters
    ----------
    pool
        The workers.
    retries
        How often a song is tried again whose worker died.
    root
        The local output folder for which the jobs were planned.
    cancellation
        Stops the songs in progress; they have no result.
    listener
        Is called with every result.
    """

    def __init__(
        self,
        pool: Pool,
        retries: int,
        root: Path,
        cancellation: Cancellation,
        listener: ProgressListener,
    ) -> None:
        self._pool, self._errors = pool, pool.ray.exceptions
        self._retries, self._root = retries, root
        self._cancellation, self._listener = cancellation, listener
        self._starting: dict[Call, Any] = {}  # the worker by the call that waits until it is ready
        self._idle: list[Any] = []
        self._running: dict[Call, tuple[Any, _Song]] = {}  # worker and song by the call that separates it
        self._waiting: deque[_Song] = deque()

    def run(self, jobs: Iterator[Job]) -> Iterator[FileResult]:
        """Yield the results; jobs are drawn as workers are there for them."""
        order: deque[_Song] = deque()
        is_exhausted = False
        while order or not is_exhausted:
            if self._cancellation.requested:
                self._stop()
                is_exhausted = True
            while not is_exhausted and self._has_room(len(order)):
                job = next(jobs, None)
                if job is None:
                    is_exhausted = True
                else:
                    order.append(self._take(job))
            self._assign()
            self._collect()
            while order and order[0].is_over:
                result = order.popleft().result
                if result is not None:
                    yield result

    def _take(self, job: Job) -> _Song:
        song = _Song(job)
        if job.result is not None:
            self._finish(song, job.result)
        else:
            self._waiting.append(song)
            self._assign()
        return song

    def _has_room(self, n_unreported: int) -> bool:
        n_unfinished = len(self._waiting) + len(self._running)
        return n_unreported < _MAX_QUEUED and n_unfinished < self._pool.n_workers

    def _assign(self) -> None:
        """Give songs to the workers that are ready, and start workers for the others."""
        while self._waiting and self._idle:
            worker, song = self._idle.pop(), self._waiting.popleft()
            job = _make_absolute(song.job)
            self._running[self._pool.call(worker.separate, job, self._root)] = (worker, song)
        n_free = self._pool.n_workers - len(self._running) - len(self._idle) - len(self._starting)
        for _ in range(min(n_free, len(self._waiting) - len(self._starting))):
            worker = self._pool.start_worker()
            self._starting[self._pool.call(worker.wait_until_ready)] = worker

    def _collect(self) -> None:
        """Wait for songs or for workers that become ready."""
        if not self._running and not self._starting:
            return
        for call in self._pool.wait(_POLL_S):
            if call in self._starting:
                self._collect_worker(call, self._starting.pop(call))
            elif call in self._running:
                self._collect_song(call, *self._running.pop(call))

    def _collect_worker(self, call: Call, worker: Any) -> None:
        try:
            call.result()
        except self._errors.RayError as error:
            self._pool.discard(worker)
            # without a song that pays for it, workers that cannot start would be started for ever
            if self._waiting:
                self._retry(self._waiting.popleft(), error)
        else:
            self._idle.append(worker)

    def _collect_song(self, call: Call, worker: Any, song: _Song) -> None:
        try:
            result = call.result()
        except self._errors.RayActorError as error:
            self._pool.discard(worker)
            self._retry(song, error)
        except self._errors.RayError as error:
            self._idle.append(worker)
            self._finish(song, failed_result(song.job.source, ClusterError(str(error))))
        else:
            self._idle.append(worker)
            self._finish(song, result)

    def _retry(self, song: _Song, error: Exception) -> None:
        song.n_deaths += 1
        if song.n_deaths <= self._retries:
            self._waiting.append(song)
            return
        label = song.job.source.label
        problem = (
            f"{label}: {song.n_deaths} workers died with this song, which may exceed their memory: {error}"
        )
        self._finish(song, failed_result(song.job.source, ClusterError(problem)))

    def _finish(self, song: _Song, result: FileResult | None) -> None:
        if result is not None:
            result = move_back(result, self._root)
        song.result, song.is_over = result, True
        if result is not None:
            self._listener.finish(song.job, result)

    def _stop(self) -> None:
        """Cancel the songs in progress and wait until their workers have removed their files."""
        for worker, _ in self._running.values():
            worker.cancel.remote()
        concurrent.futures.wait(self._running, timeout=_STOP_S)
        for song in (*(song for _, song in self._running.values()), *self._waiting):
            song.is_over = True
        self._running.clear()
        self._waiting.clear()


def _make_absolute(job: Job) -> Job:
    """Return the job with an absolute input: the working folder of a worker is another one."""
    path = job.source.path
    if path is None or path.is_absolute():
        return job
    return replace(job, source=replace(job.source, path=path.absolute()))


def move_job(job: Job, root: Path, folder: Path) -> Job:
    """Return the job with its files in another folder than `root`.

    The scratch folder of remote storage has another path in every process.
    """
    if folder == root:
        return job

    def move(path: Path) -> Path:
        return folder / path.relative_to(root)

    return replace(
        job,
        outputs={stem: move(path) for stem, path in job.outputs.items()},
        extras={name: move(path) for name, path in job.extras.items()},
        replaceable=frozenset(map(move, job.replaceable)),
    )


def move_back(result: FileResult, root: Path) -> FileResult:
    """Return the result of a worker, whose local paths are absolute, with paths below `root` as it is."""

    if root.is_absolute():
        return result
    absolute = root.absolute()

    def move(path: Path) -> Path:
        return root / path.relative_to(absolute) if path.is_relative_to(absolute) else path

    return replace(
        result,
        outputs={stem: move(path) for stem, path in result.outputs.items()},
        extras={
            name: text if is_url(text) else str(move(Path(text))) for name, text in result.extras.items()
        },
    )
