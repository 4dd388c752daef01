"""``python -m benchmarks.scale [NAME...]``: what a run of very many songs costs, see ``docs/scale.md``.

``simulation`` plans, schedules and records songs on 1,000 workers, some of which die; only the audio is left
out. ``driver`` measures the driver of a real Ray cluster whose workers do nothing. ``resume`` plans a run of
which half is done. ``manifest`` measures the memory of planning. ``speedup`` separates real songs on one core
and on two, on a Ray cluster of this machine and without one.

Songs and folders are made in the temporary folder (``TMPDIR``): ``simulation`` of a million songs needs 5 GB
and half an hour there. ``--songs N`` makes them fewer.
"""

import argparse
import heapq
import os
import random
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import count, islice
from pathlib import Path
from typing import Any, BinaryIO, ClassVar

from benchmarks.machine import describe_machine, describe_models
from benchmarks.report import RESULTS, Row, save
from benchmarks.speedup import N_SONGS, measure_speedup
from stemsplit.jobs.cancellation import Cancellation
from stemsplit.jobs.cluster import ClusterSettings, RayPool
from stemsplit.jobs.journal import Journal
from stemsplit.jobs.manifest import read_manifest
from stemsplit.jobs.output_folder import LocalFolder, Mark
from stemsplit.jobs.output_settings import OutputSettings
from stemsplit.jobs.plan import Job, plan_stream
from stemsplit.jobs.progress import NoProgress
from stemsplit.jobs.provenance import Provenance
from stemsplit.jobs.request import SeparationRequest
from stemsplit.jobs.result import FileResult, ModelReference, Status
from stemsplit.jobs.schedule import Call, Schedule

STEMS = ("vocals", "drums", "bass", "other")
MADE = Provenance(STEMS, "cpu", (ModelReference("band", "1", "0" * 64, "MIT", True),), {"format": "wav"})
N_WORKERS = 1000
START_S = 5.0  # until a worker has opened its models
SONG_S = 7.0  # that a worker is busy with a song, on average
DEATHS = 1e-3  # share of the songs during which their worker dies
POISON = 1e-5  # share of the songs with which every worker dies
PROGRESS_SONGS = 100_000
DRIVER_WARM_UP = 500


class _UnforcedFolder(LocalFolder):
    """A folder whose files are not forced to disk, and whose stems are taken to be there."""

    def _force(self, file: BinaryIO) -> None:
        pass

    def find_mark(self, path: Path) -> Mark:  # noqa: ARG002 - of LocalFolder
        return Mark(1, 1)

    def mark_part(self, part: Path) -> Mark:  # noqa: ARG002 - of LocalFolder
        return Mark(1, 1)


class _ActorError(Exception):
    """A worker has died."""


@dataclass
class _Clock:
    """CPU seconds by what they were spent on."""

    spent_s: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))

    def spend(self, name: str, work: Callable[[], Any]) -> Any:
        started_s = time.process_time()
        try:
            return work()
        finally:
            self.spent_s[name] += time.process_time() - started_s


@dataclass(frozen=True)
class _SimulatedWorker:
    """A worker, whose methods return for how long it is busy, and with which song."""

    random: random.Random

    def wait_until_ready(self) -> tuple[float, None]:
        return START_S, None

    def separate(self, job: Job, root: Path) -> tuple[float, Job]:  # noqa: ARG002 - of a worker
        return self.random.expovariate(1 / SONG_S), job


class _SimulatedPool:
    """Stands for Ray's pool of workers: songs end in simulated time, and some workers die."""

    class exceptions:  # noqa: N801 - the name of Ray's module
        """What Ray raises."""

        RayError: ClassVar = _ActorError
        RayActorError: ClassVar = _ActorError

    def __init__(self, n_workers: int, journal: Journal, clock: _Clock) -> None:
        self.ray, self.n_workers = self, n_workers
        self.now_s, self.n_deaths = 0.0, 0
        self._journal, self._clock = journal, clock
        self._random = random.Random(0)
        self._numbers = count()
        self._calls: list[tuple[float, int, Call, Job | None]] = []  # by the time at which they end

    def start_worker(self) -> _SimulatedWorker:
        return _SimulatedWorker(self._random)

    def discard(self, worker: _SimulatedWorker) -> None:  # noqa: ARG002 - of the pool of workers
        self.n_deaths += 1

    def call(self, method: Callable[..., tuple[float, Job | None]], *args: Any) -> Call:
        call = Call()
        duration_s, job = method(*args)
        heapq.heappush(self._calls, (self.now_s + duration_s, next(self._numbers), call, job))
        return call

    def wait(self, timeout_s: float) -> list[Call]:
        assert timeout_s > 0
        self.now_s, _, call, job = heapq.heappop(self._calls)
        if job is not None and (self._random.random() < DEATHS or _is_poison(job)):
            call.set_exception(_ActorError())
        else:
            call.set_result(None if job is None else self._make_result(job))
        return [call]

    def _make_result(self, job: Job) -> FileResult:
        self._clock.spend("journal", lambda: self._record(job))
        return FileResult(job.source.label, Status.DONE, outputs=job.outputs)

    def _record(self, job: Job) -> None:
        key = MADE.key({"size": 1}, job.outputs)
        self._journal.begin(job.name, key, job.outputs, job.outputs)
        self._journal.finish(job.name, key, job.outputs)


def _is_poison(job: Job) -> bool:
    return random.Random(job.name).random() < POISON


def measure_simulation(folder: Path, n_songs: int) -> list[Row]:
    """Songs on 1,000 workers with failures: the cost of planning, scheduling and recording.

    Ray is left out as well: what it takes to call a worker is measured by ``driver``.
    """
    names = _write_list(folder, n_songs)
    output = OutputSettings(_UnforcedFolder(folder / "out"))
    journal, clock = Journal(output.storage), _Clock()
    pool = _SimulatedPool(N_WORKERS, journal, clock)
    jobs = plan_stream(read_manifest(str(names)), MADE, output, journal)
    schedule = Schedule(pool, 2, output.output_dir, Cancellation(), NoProgress())
    started_s = time.process_time()
    statuses = Counter(result.status for result in schedule.run(_timed(jobs, clock)))
    total_s = time.process_time() - started_s
    plan_s, journal_s = clock.spent_s["plan"], clock.spent_s["journal"]
    assert sum(statuses.values()) == n_songs
    return [
        {
            "songs": n_songs,
            "workers": N_WORKERS,
            "done": statuses[Status.DONE],
            "failed": statuses[Status.FAILED],
            "deaths": pool.n_deaths,
            "simulated_h": round(pool.now_s / 3600, 2),
            "plan_us": round(1e6 * plan_s / n_songs),
            "schedule_us": round(1e6 * (total_s - plan_s - journal_s) / n_songs),
            "journal_us": round(1e6 * journal_s / n_songs),
            "peak_mb": _peak_mb(),
        }
    ]


class _IdleWorker:
    """A worker of a cluster that has a result for every song, and does nothing for it."""

    def __init__(self, request: SeparationRequest) -> None:
        pass

    def wait_until_ready(self) -> None:
        pass

    def separate(self, job: Job, root: Path) -> FileResult:  # noqa: ARG002 - of a worker
        levels_db = dict.fromkeys(STEMS, -10.0)
        return FileResult(
            job.source.label,
            Status.DONE,
            outputs=job.outputs,
            levels_db=levels_db,
            expected_sdr_db=levels_db,
            models=MADE.models,
            settings=MADE.settings,
        )


def measure_driver(folder: Path, n_songs: int) -> list[Row]:
    """A driver of a real Ray cluster whose workers do nothing: its CPU time for a song."""
    output, clock = OutputSettings(folder / "out"), _Clock()
    journal, names = Journal(output.storage), _write_list(folder, n_songs + DRIVER_WARM_UP)
    jobs = plan_stream(read_manifest(str(names)), MADE, output, journal)
    with RayPool(SeparationRequest(), ClusterSettings("local"), _IdleWorker) as pool:
        schedule = Schedule(pool, 2, output.output_dir, Cancellation(), NoProgress())
        results = schedule.run(_timed(jobs, clock))
        assert sum(1 for _ in islice(results, DRIVER_WARM_UP)) == DRIVER_WARM_UP
        clock.spent_s.clear()
        started_s = time.process_time()
        assert {result.status for result in results} == {Status.DONE}
        total_s = time.process_time() - started_s
    plan_s = clock.spent_s["plan"]
    row = {"songs": n_songs, "workers": pool.n_workers, "plan_us": round(1e6 * plan_s / n_songs)}
    return [row | {"schedule_us": round(1e6 * (total_s - plan_s) / n_songs)}]


def _timed(jobs: Iterator[Job], clock: _Clock) -> Iterator[Job]:
    for number in count(1):
        job = clock.spend("plan", lambda: next(jobs, None))
        if job is None:
            return
        if number % PROGRESS_SONGS == 0:
            print(f"{number} songs are planned", file=sys.stderr, flush=True)
        yield job


def measure_resume(folder: Path, n_songs: int) -> list[Row]:
    """A run of which half is done: CPU and wall time until all songs are planned."""
    names, head = _write_list(folder, n_songs), os.urandom(1 << 17)
    for song in read_manifest(str(names)):
        assert song.path is not None
        song.path.parent.mkdir(parents=True, exist_ok=True)
        song.path.write_bytes(head)
    output = OutputSettings(folder / "out", resume=True)
    recorded = Journal(_UnforcedFolder(folder / "out"))
    for job in plan_stream(islice(read_manifest(str(names)), n_songs // 2), MADE, output, None):
        for path in job.outputs.values():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"x")
        recorded.finish(job.name, MADE.key(job.source.identify(), job.outputs), job.outputs)
    started_s, cpu_s = time.monotonic(), time.process_time()
    jobs = plan_stream(read_manifest(str(names)), MADE, output, Journal(output.storage))
    n_done = sum(job.result is not None for job in jobs)
    assert n_done == n_songs // 2
    row = {"songs": n_songs, "done": n_done, "wall_s": round(time.monotonic() - started_s, 2)}
    return [row | {"cpu_s": round(time.process_time() - cpu_s, 2), "peak_mb": _peak_mb()}]


def measure_manifest(folder: Path, n_songs: int) -> list[Row]:
    """Planning of a long list: the memory after a tenth of it and after all of it."""
    output = OutputSettings(folder / "out")
    journal = Journal(output.storage)
    jobs = plan_stream(read_manifest(str(_write_list(folder, n_songs))), MADE, output, journal)
    rows: list[Row] = []
    for n_planned in (n_songs // 10, n_songs - n_songs // 10):
        assert sum(1 for _ in islice(jobs, n_planned)) == n_planned
        rows.append({"songs": n_planned if not rows else n_songs, "peak_mb": _peak_mb()})
    return rows


def _write_list(folder: Path, n_songs: int) -> Path:
    path = folder / "songs.txt"
    with path.open("w", encoding="utf-8") as file:
        file.writelines(f"{folder}/songs/{n % 100:02}/Song number {n}.wav\n" for n in range(n_songs))
    return path


def _peak_mb() -> float:
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6, 1)


BENCHMARKS: dict[str, tuple[Callable[[Path, int], list[Row]], int]] = {
    "simulation": (measure_simulation, 1_000_000),
    "driver": (measure_driver, 10_000),
    "resume": (measure_resume, 100_000),
    "manifest": (measure_manifest, 1_000_000),
    "speedup": (measure_speedup, N_SONGS),
}


def main() -> None:
    """Measure what is named on the command line, or all, each in a process of its own; keep the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(BENCHMARKS))
    parser.add_argument("--songs", type=int, help="instead of the usual number")
    given = parser.parse_args()
    if len(given.names) != 1:
        _run_each(given.names or BENCHMARKS, given.songs)
        return
    (name,) = given.names
    # the folder is removed when the benchmark is stopped
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    work, usual = BENCHMARKS[name]
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        rows = work(Path(folder), given.songs or usual)
    for row in rows:
        print(name, row, file=sys.stderr, flush=True)
    save(f"scale_{name}", rows, {"machine": describe_machine(), "models": describe_models()}, RESULTS)


def _run_each(names: Iterable[str], n_songs: int | None) -> None:
    songs = [] if n_songs is None else ["--songs", str(n_songs)]
    for name in names:
        subprocess.run([sys.executable, "-m", "benchmarks.scale", name, *songs], check=True)


if __name__ == "__main__":
    main()
