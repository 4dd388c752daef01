"""Songs on a Ray cluster (extra ``ray``): a pool of actors, each with one separator that is opened once.

The driver plans the songs and gives every worker one at a time, so that there may be any number of songs and
a worker that dies loses only its own. A song whose worker dies is tried again on a new one, and fails when
that happens too often; other songs are not affected. Songs and stems must be accessible from all nodes: in a
folder that all of them mount, or in remote storage.
"""

import contextlib
import os
import queue
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from stemsplit.errors import SettingsError
from stemsplit.jobs.cancellation import Cancellation, Cancelled
from stemsplit.jobs.journal import Journal
from stemsplit.jobs.plan import Job
from stemsplit.jobs.progress import ProgressListener
from stemsplit.jobs.remote import is_url
from stemsplit.jobs.request import SeparationRequest, make_output_settings, open_separator
from stemsplit.jobs.result import FileResult
from stemsplit.jobs.schedule import Call, ClusterError, Schedule, move_job
from stemsplit.jobs.worker import SongWorker


@dataclass(frozen=True)
class ClusterSettings:
    """Where a cluster is, and what a worker needs.

    Parameters
    ----------
    address
        ``local`` for a cluster on this machine that ends with the run, ``auto`` for the cluster of this
        machine, or ``ray://HOST:PORT``.
    cpus_per_worker
        CPU cores of a worker, which are also the threads of its networks.
    gpus_per_worker
        GPUs of a worker; a fraction shares one.
    retries
        How often a song is tried again whose worker died.

    Raises
    ------
    SettingsError
        If a number is out of its range, or the address is not one.
    """

    address: str
    cpus_per_worker: int = 1
    gpus_per_worker: float = 0.0
    retries: int = 2

    def __post_init__(self) -> None:
        if self.address not in {"local", "auto"} and not self.address.startswith("ray://"):
            raise SettingsError(f"--cluster {self.address!r} must be local, auto or ray://HOST:PORT")
        if self.cpus_per_worker < 1 or self.gpus_per_worker < 0 or self.retries < 0:
            raise SettingsError("a worker needs 1 CPU or more, and 0 GPUs and retries or more")

    def count_workers(self, resources: dict[str, float]) -> int:
        """Return how many workers fit into the resources of a cluster.

        >>> ClusterSettings("local", 2, 0.5).count_workers({"CPU": 16.0, "GPU": 2.0})
        4
        """
        counts = [resources.get("CPU", 0) / self.cpus_per_worker]
        if self.gpus_per_worker:
            counts.append(resources.get("GPU", 0) / self.gpus_per_worker)
        return int(min(counts))


class Worker:
    """One process of the cluster: a separator, and one song at a time."""

    def __init__(self, request: SeparationRequest) -> None:
        self._cancellation = Cancellation()
        self._separator = open_separator(request)
        self._output = make_output_settings(request)
        self._worker = SongWorker(
            self._separator,
            self._output,
            request.reading,
            journal=Journal(self._output.storage),
            cancellation=self._cancellation,
        )

    def wait_until_ready(self) -> None:
        """Return when the models are open."""

    def separate(self, job: Job, root: Path) -> FileResult | None:
        """Separate a song that was planned for the output folder `root`; None if the run was cancelled."""
        try:
            return self._worker.run(
                move_job(job, root, self._output.output_dir), step=self._worker.write_files
            )
        except Cancelled:
            return None

    def cancel(self) -> None:
        """Stop the song that is being separated."""
        self._cancellation.request()


def run_on_cluster(
    jobs: Iterable[Job],
    request: SeparationRequest,
    settings: ClusterSettings,
    *,
    root: Path,
    cancellation: Cancellation,
    listener: ProgressListener,
) -> Iterator[FileResult]:
    """Yield the result of every job, in the order of `jobs`, which are drawn as workers become free.

    Parameters
    ----------
    jobs
        The songs.
    request
        What the workers do; they open its models. It has absolute paths, see `make_absolute`.
    settings
        The cluster.
    root
        The local output folder for which the jobs were planned.
    cancellation
        Stops the songs in progress; they have no result.
    listener
        Is called with every result.

    Raises
    ------
    SettingsError
        If Ray is not installed.
    ClusterError
        If the cluster cannot be reached, or is too small for one worker.
    """
    with RayPool(request, settings) as pool:
        schedule = Schedule(pool, settings.retries, root, cancellation, listener)
        yield from schedule.run(iter(jobs))


def make_absolute(request: SeparationRequest) -> SeparationRequest:
    """Return the request with absolute paths: the working folder of a worker is another one.

    The driver takes it as well, since the names of routed models are part of how stems are made.
    """
    output = request.output_dir
    return replace(
        request,
        models=tuple(map(_locate_model, request.models)),
        route=tuple(map(_locate_model, request.route)),
        styles={style: _locate_model(name) for style, name in request.styles.items()},
        presets=_locate(request.presets),
        models_dir=_locate(request.models_dir),
        output_dir=output if is_url(output) else str(Path(output).absolute()),
    )


def _locate_model(name: str) -> str:
    """Return the path of a file; a name of a model or preset stays as it is."""
    return str(Path(name).absolute()) if Path(name).is_file() else name


def _locate(path: str | None) -> str | None:
    return None if path is None else str(Path(path).absolute())


class RayPool:
    """The actors of a run; a context manager that ends them.

    Parameters
    ----------
    request
        What the workers do.
    settings
        The cluster.
    worker_class
        Of the actors; it is made with the request.
    """

    def __init__(
        self,
        request: SeparationRequest,
        settings: ClusterSettings,
        worker_class: type = Worker,
    ) -> None:
        # reports of usage to the makers of Ray are off, unless they are asked for
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        try:
            import ray
        except ImportError as error:
            raise SettingsError(
                "--cluster needs Ray; run `pip install '.[ray]'` in your clone of stemsplit"
            ) from error
        self.ray: Any = ray
        self._request = replace(request, threads=request.threads or settings.cpus_per_worker)
        self._settings, self._worker_class = settings, worker_class
        self._actors: list[Any] = []
        self._ended: queue.SimpleQueue[Call] = queue.SimpleQueue()

    def __enter__(self) -> "RayPool":
        # a cluster that ends with the run needs no web page
        options = {"include_dashboard": False} if self._settings.address == "local" else {}
        try:
            self.ray.init(self._settings.address, logging_level="ERROR", log_to_driver=False, **options)
        except (ConnectionError, RuntimeError, ValueError) as error:
            raise ClusterError(f"the cluster {self._settings.address} cannot be reached: {error}") from error
        self.n_workers = self._settings.count_workers(self.ray.cluster_resources())
        if not self.n_workers:
            self.ray.shutdown()
            raise ClusterError(
                f"the cluster has no room for a worker of {self._settings.cpus_per_worker} CPUs and "
                f"{self._settings.gpus_per_worker:g} GPUs; ask for less, or add nodes"
            )
        return self

    def __exit__(self, *_: object) -> None:
        for actor in self._actors:
            self.ray.kill(actor)
        self.ray.shutdown()

    def start_worker(self) -> Any:
        """Start an actor; two calls at a time, so that one can cancel the other."""
        actor_class = self.ray.remote(self._worker_class).options(
            num_cpus=self._settings.cpus_per_worker,
            num_gpus=self._settings.gpus_per_worker,
            max_concurrency=2,
        )
        actor = actor_class.remote(self._request)
        self._actors.append(actor)
        return actor

    def call(self, method: Any, *args: Any) -> Call:
        """Call a method of an actor.

        `wait` costs the same for any number of calls, unlike ``ray.wait``, which looks at all of them.
        """
        call: Call = method.remote(*args).future()
        call.add_done_callback(self._ended.put)
        return call

    def wait(self, timeout_s: float) -> list[Call]:
        """Wait for calls that have ended since, and return them; none after `timeout_s` seconds."""
        ended: list[Call] = []
        with contextlib.suppress(queue.Empty):
            ended.append(self._ended.get(timeout=timeout_s))
            while True:
                ended.append(self._ended.get_nowait())
        return ended

    def discard(self, actor: Any) -> None:
        """End an actor that does not answer."""
        self._actors.remove(actor)
        self.ray.kill(actor)
