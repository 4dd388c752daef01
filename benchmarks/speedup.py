"""Two workers of one core against one: on a Ray cluster, and as plain processes, which the machine permits.

Cores share caches, memory and disk, so that two processes that have nothing to do with each other are less
than twice as fast as one. What a cluster loses against them is its own: the driver, and the processes of Ray.
"""

import contextlib
import os
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import psutil

from benchmarks.process import find_stemsplit
from benchmarks.report import Row
from benchmarks.songs import make_song

N_SONGS = 32
SONG_S = 60
N_WARM_UP = 4  # songs that are not counted: models are opened, the cluster starts its processes


def measure_speedup(folder: Path, n_songs: int) -> list[Row]:
    """Real songs on one core and on two: songs an hour, and who spends which CPU time.

    Parameters
    ----------
    folder
        Where songs and stems are written.
    n_songs
        How many songs each run separates; more than `N_WARM_UP`.
    """
    songs = [folder / f"{number:02}.wav" for number in range(n_songs)]
    for song in songs:
        make_song(song, SONG_S)
    rows: list[Row] = []
    for run in (_run_processes, _run_cluster):
        one, two = (_run_once(run, folder, songs, n_workers) for n_workers in (1, 2))
        rows += [one, two | {"speedup": round(two["songs_per_hour"] / one["songs_per_hour"], 2)}]
    return rows


def _run_once(
    run: Callable[[Path, Sequence[Path], int], Row], folder: Path, songs: Sequence[Path], n_workers: int
) -> Row:
    """Run with an output folder that is deleted afterwards: stems are large."""
    with tempfile.TemporaryDirectory(dir=folder) as output:
        return run(Path(output), songs, n_workers)


def _run_processes(output: Path, songs: Sequence[Path], n_workers: int) -> Row:
    """Each process has a core and a part of the songs."""
    processes = []
    for number in range(n_workers):
        process = _start(songs[number::n_workers], output / f"{number}", "--threads", "1")
        os.sched_setaffinity(process.pid, {number})
        processes.append(process)
    return {"run": "processes", "workers": n_workers, **_Meter(processes, "worker").measure(len(songs))}


def _run_cluster(output: Path, songs: Sequence[Path], n_workers: int) -> Row:
    """Each worker has a core; the driver, and what else belongs to the cluster, run where there is room."""
    with _serve_cluster(n_workers) as address:
        environment = os.environ | {"RAY_ADDRESS": address}
        driver = _start(songs, output, "--cluster", "auto", environment=environment)
        return {"run": "cluster", "workers": n_workers, **_Meter([driver], "driver").measure(len(songs))}


def _start(
    songs: Sequence[Path], output: Path, *options: str, environment: dict[str, str] | None = None
) -> "subprocess.Popen[str]":
    command = [*find_stemsplit(), *map(str, songs), "-o", str(output), "--json", "--quiet", *options]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)


@contextlib.contextmanager
def _serve_cluster(n_workers: int) -> Iterator[str]:
    """Start a Ray cluster of this machine, whose nodes have a core each, and give its address."""
    from ray.cluster_utils import Cluster

    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    try:
        nodes = [cluster.head_node, *(cluster.add_node(num_cpus=1) for _ in range(n_workers - 1))]
        for core, node in enumerate(nodes):
            _pin_workers(node, core)
        yield cluster.address
    finally:
        cluster.shutdown()  # type: ignore[no-untyped-call]


def _pin_workers(node: Any, core: int) -> None:
    """Give the workers that a node starts from now on a core of their own."""
    (raylet,) = node.all_processes["raylet"]
    for task in psutil.Process(raylet.process.pid).threads():
        os.sched_setaffinity(task.id, {core})


class _Meter:
    """When the songs of a run end, and what CPU time is spent meanwhile.

    Parameters
    ----------
    processes
        The processes that print a line for every song.
    role
        What they are.
    """

    def __init__(self, processes: "Sequence[subprocess.Popen[str]]", role: str) -> None:
        self._processes = processes
        self._roles = {process.pid: role for process in processes}
        self._ends_s: list[float] = []
        self._cpu_s: dict[int, float] = {}  # by process, also of those that have ended
        self._spent_s: dict[str, float] = {}  # by role, when the warm-up is over
        self._lock = threading.Lock()

    def measure(self, n_songs: int) -> Row:
        """Return the speed and the CPU seconds of a song, of `n_songs` but for the warm-up."""
        threads = [threading.Thread(target=self._read, args=(process,)) for process in self._processes]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert [process.wait() for process in self._processes] == [0] * len(threads)
        assert len(self._ends_s) == n_songs
        n_counted = n_songs - N_WARM_UP
        hours = (self._ends_s[-1] - self._ends_s[N_WARM_UP - 1]) / 3600
        spent_s = self._sum_cpu()
        return {"songs_per_hour": round(n_counted / hours)} | {
            f"{role}_cpu_s": round((spent_s[role] - self._spent_s.get(role, 0)) / n_counted, 3)
            for role in spent_s
        }

    def _read(self, process: "subprocess.Popen[str]") -> None:
        assert process.stdout is not None
        for _ in process.stdout:
            with self._lock:
                self._ends_s.append(time.monotonic())
                self._read_cpu()
                if len(self._ends_s) == N_WARM_UP:
                    self._spent_s = self._sum_cpu()

    def _read_cpu(self) -> None:
        for process in psutil.Process().children(recursive=True):
            with contextlib.suppress(psutil.Error, IndexError):  # it has ended
                if process.cmdline()[0].startswith("ray::Worker"):  # it was idle before
                    self._roles[process.pid] = "worker"
                self._roles.setdefault(process.pid, "ray")
                times = process.cpu_times()
                self._cpu_s[process.pid] = times.user + times.system

    def _sum_cpu(self) -> dict[str, float]:
        spent_s: dict[str, float] = {}
        for pid, cpu_s in self._cpu_s.items():
            spent_s[self._roles[pid]] = spent_s.get(self._roles[pid], 0) + cpu_s
        return spent_s
