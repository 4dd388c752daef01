"""A real Ray cluster that ends with the run: results equal to the bit, and a song that kills its workers."""

import json
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

pytest.importorskip("ray")

from stemsplit import SettingsError
from stemsplit.cli.options.separation import SeparationOptions
from stemsplit.jobs.cluster import ClusterSettings, make_absolute
from stemsplit.jobs.request import SeparationRequest
from tests.support.cli import (
    call,
    call_process,
    expect,
    list_files,
    make_command,
    make_environment,
    make_song,
)

CLUSTER = ("--cluster", "local", "--cpus-per-worker", "1")


def read_stems(folder: str) -> dict[str, bytes]:
    return {name: Path(folder, name).read_bytes() for name in list_files(Path(folder))}


def find_workers(driver: int, song: str) -> list[psutil.Process]:
    """Return the processes of the driver's cluster that have opened a song whose path ends in `song`."""
    children = psutil.Process(driver).children(recursive=True)
    return [child for child in children if _reads(child, song)]


def _reads(process: psutil.Process, song: str) -> bool:
    try:
        return any(file.path.endswith(song) for file in process.open_files())
    except psutil.Error:
        return False


def wait_for_workers(process: "subprocess.Popen[bytes]", song: str) -> list[psutil.Process]:
    deadline = time.monotonic() + 240
    while time.monotonic() < deadline:
        assert process.poll() is None
        if found := find_workers(process.pid, song):
            return found
        time.sleep(0.1)
    raise AssertionError("no worker began")


@pytest.fixture
def run() -> Iterator[Any]:
    """Give a function that starts the command; its processes are ended afterwards."""
    started: list[subprocess.Popen[bytes]] = []

    def start(*args: object) -> "subprocess.Popen[bytes]":
        process = subprocess.Popen(
            make_command(args), stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=make_environment()
        )
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            for child in psutil.Process(process.pid).children(recursive=True):
                child.kill()
            process.kill()
        process.communicate()


@pytest.mark.slow
def test_a_cluster_makes_the_same_stems(model: Path) -> None:
    for number in range(6):
        make_song(Path("songs", f"{number}.wav"), seconds=0.5, seed=number)
    assert call("songs", "-m", model, "--threads", "1").code == 0
    done = call_process("songs", "gone.wav", "-m", model, "-o", "out", "--json", *CLUSTER)
    assert done.code == 1, done.stderr
    assert [record["input"] for record in done.records] == [*(f"songs/{n}.wav" for n in range(6)), "gone.wav"]
    assert [record["status"] for record in done.records] == ["done"] * 6 + ["failed"]
    assert read_stems("out") == read_stems("separated")
    again = call("songs", "-m", model, "-o", "out", "--json", "--resume")
    assert [record["status"] for record in again.records] == ["skipped"] * 6


@pytest.mark.slow
def test_a_song_that_kills_its_workers_fails_and_no_other(model: Path, run: Any) -> None:
    make_song(Path("poison.wav"), seconds=300)
    make_song(Path("good.wav"), seconds=0.5)
    process = run("poison.wav", "good.wav", "-m", model, "--json", *CLUSTER, "--retries", "1")
    for _ in range(2):
        worker = wait_for_workers(process, "poison.wav")[0]
        worker.kill()
        worker.wait()
    out, err = process.communicate(timeout=400)
    poison, good = map(json.loads, out.splitlines())
    assert process.returncode == 1, err.decode()
    assert (poison["status"], good["status"]) == ("failed", "done")
    assert "2 workers died with this song" in poison["error"]
    assert [name for name in list_files(Path("separated")) if name.endswith(".wav")] == expect("good")


@pytest.mark.parametrize("address", ["", "here", "http://host"])
def test_an_invalid_address_is_rejected(address: str) -> None:
    with pytest.raises(SettingsError, match="must be local, auto or ray://"):
        ClusterSettings(address)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"inputs": ["-"]}, "standard input"),
        ({"inputs": ["a.wav"], "output": "-"}, "standard input"),
        ({"inputs": ["a.wav"], "dry_run": True}, "--dry-run"),
        ({"inputs": ["a.wav"], "jobs": 2}, "--jobs"),
    ],
)
def test_options_that_a_cluster_cannot_follow_are_rejected(options: dict[str, Any], reason: str) -> None:
    with pytest.raises(SettingsError, match=reason):
        SeparationOptions(**options, cluster="local")


def test_workers_are_counted_by_what_they_need() -> None:
    assert ClusterSettings("auto", 4).count_workers({"CPU": 10.0}) == 2
    assert ClusterSettings("auto", 1, 1).count_workers({"CPU": 10.0}) == 0


def test_workers_find_files_from_another_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("own.onnx").touch()
    Path("band").mkdir()  # a folder that is called like a model
    request = SeparationRequest(
        models=("own.onnx", "band"),
        route=("band", "own.onnx"),
        styles={"produced": "own.onnx", "acoustic": "fast"},
        presets="own.toml",
        models_dir="models",
        output_dir="out",
    )
    own, found = str(tmp_path / "own.onnx"), make_absolute(request)
    assert found.models == (own, "band") and found.route == ("band", own)
    assert found.styles == {"produced": own, "acoustic": "fast"}
    assert found.presets == str(tmp_path / "own.toml")
    assert (found.models_dir, found.output_dir) == (str(tmp_path / "models"), str(tmp_path / "out"))
    remote = make_absolute(replace(request, models_dir=None, output_dir="s3://bucket/out"))
    assert (remote.models_dir, remote.output_dir) == (None, "s3://bucket/out")
