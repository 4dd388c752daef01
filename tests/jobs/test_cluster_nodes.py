"""A Ray cluster of three nodes, songs and stems in object storage: the same stems, whatever is killed."""

import contextlib
import json
import os
import random
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

pytest.importorskip("ray")
pytest.importorskip("s3fs")
pytest.importorskip("moto")

from stemsplit.jobs.remote import open_storage
from tests.support.cli import call, make_command, make_environment, make_song
from tests.support.object_storage import make_bucket, serve_s3

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning"),  # Ray's logs
]

N_SONGS = 60


@pytest.fixture(scope="module")
def patch() -> Iterator[pytest.MonkeyPatch]:
    with pytest.MonkeyPatch.context() as patch:
        yield patch


@pytest.fixture(scope="module")
def bucket(patch: pytest.MonkeyPatch) -> Iterator[str]:
    """Give the address of a bucket, which the nodes reach as well."""
    with serve_s3(patch):
        yield make_bucket()


@pytest.fixture(scope="module")
def client_port() -> int:
    """Return a free port for those who reach the cluster from outside.

    It lies between those of Ray's workers and those that the system hands out, so that nobody takes it first.
    """
    while True:
        port = random.randrange(20_000, 30_000)
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


@pytest.fixture(scope="module")
def cluster(bucket: str, client_port: int, patch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Start a head and two more nodes as processes, each with one CPU."""
    from ray.cluster_utils import Cluster

    for name, value in make_environment().items():
        patch.setenv(name, value)
    patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    head = {"num_cpus": 1, "ray_client_server_port": client_port, "include_dashboard": False}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    patch.setenv("RAY_ADDRESS", cluster.address)
    for _ in range(2):
        cluster.add_node(num_cpus=1)
    yield cluster
    cluster.shutdown()


@pytest.fixture
def songs(bucket: str) -> Path:
    """Upload songs, and return a list of their addresses."""
    storage, root = open_storage(bucket)
    for number in range(N_SONGS):
        song = make_song(Path("songs", f"{number:02}.wav"), seconds=0.2, seed=number)
        storage.put_file(str(song), f"{root}/{song.as_posix()}")
    Path("list.txt").write_text("".join(f"{bucket}/songs/{n:02}.wav\n" for n in range(N_SONGS)))
    return Path("list.txt")


def start(*args: object) -> "subprocess.Popen[bytes]":
    # unbuffered: `communicate` would lose what a buffer holds behind the last line that was read
    return subprocess.Popen(
        make_command([*args, "--json"]),
        bufsize=0,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=os.environ,
    )


def read_results(process: "subprocess.Popen[bytes]", count: int) -> list[dict[str, Any]]:
    """Read the next results of a run."""
    assert process.stdout is not None
    return [json.loads(process.stdout.readline()) for _ in range(count)]


def kill_worker() -> None:
    workers = [
        process
        for process in psutil.Process().children(recursive=True)
        if process.cmdline() and process.cmdline()[0].startswith("ray::Worker")
    ]
    os.kill(workers[0].pid, signal.SIGKILL)


def check_stems(address: str) -> None:
    """The stems in object storage are those of a run without a cluster, to the bit."""
    storage, root = open_storage(address)
    storage.invalidate_cache()
    found = {
        name.removeprefix(root + "/"): storage.cat_file(name)
        for name in storage.find(root)
        if "/.stemsplit/" not in name
    }
    expected = {
        path.relative_to("plain").as_posix(): path.read_bytes() for path in Path("plain").rglob("*.wav")
    }
    assert len(expected) == 4 * N_SONGS
    assert found == expected


def test_a_worker_a_node_and_the_driver_are_killed_and_every_song_is_done_once(
    model: Path, bucket: str, songs: Path, cluster: Any
) -> None:
    assert call("songs", "-m", model, "-o", "plain", "--threads", "1").code == 0
    options = (f"@{songs}", "-m", model, "-o", f"{bucket}/out", "--resume")
    first = start(*options, "--cluster", "auto")
    done = read_results(first, 8)
    kill_worker()
    done += read_results(first, 8)
    first.kill()
    first.communicate()
    second = start(*options, "--cluster", "auto")
    done_again = read_results(second, 24)
    cluster.remove_node(cluster.list_all_nodes()[-1], allow_graceful=False)
    out, err = second.communicate(timeout=400)
    assert second.returncode == 0, err.decode()
    results = done_again + [json.loads(line) for line in out.splitlines()]
    assert [result["status"] for result in done] == ["done"] * 16
    assert [Path(result["input"]).stem for result in results] == [f"{n:02}" for n in range(N_SONGS)]
    assert {result["status"] for result in results[:16]} == {"skipped"}
    assert {result["status"] for result in results} == {"done", "skipped"}
    check_stems(f"{bucket}/out")


def test_a_cluster_is_reached_over_the_network(
    model: Path, bucket: str, client_port: int, cluster: Any
) -> None:
    make_song(Path("a.wav"), seconds=0.2)
    storage, root = open_storage(bucket)
    storage.put_file("a.wav", f"{root}/a.wav")
    run = start(
        f"{bucket}/a.wav", f"{bucket}/gone.wav", "-m", model, "-o", f"{bucket}/far",
        "--cluster", f"ray://127.0.0.1:{client_port}",
    )  # fmt: skip
    out, err = run.communicate(timeout=300)
    assert run.returncode == 1, err.decode()
    assert out, err.decode()
    done, gone = map(json.loads, out.splitlines())
    assert (done["status"], gone["status"]) == ("done", "failed"), (done, gone)
    assert call("a.wav", "-m", model, "-o", "plain", "--threads", "1").code == 0
    for path in Path("plain").rglob("*.wav"):
        assert storage.cat_file(f"{root}/far/a/{path.name}") == path.read_bytes()


def test_a_cluster_that_is_not_there_is_an_error(model: Path) -> None:
    make_song(Path("a.wav"), seconds=0.2)
    run = start("a.wav", "-m", model, "--cluster", "ray://127.0.0.1:9")
    _, err = run.communicate(timeout=300)
    assert run.returncode == 1
    assert "the cluster ray://127.0.0.1:9 cannot be reached" in err.decode()
