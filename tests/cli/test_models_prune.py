"""Room that models take: shown by doctor, and freed by prune."""

import os
from pathlib import Path

import pytest
from filelock import FileLock

from stemsplit.cli.doctor import Health, _examine_registry
from stemsplit.registry.pull import measure_folder
from tests.support.cli import call


def test_unfinished_downloads_are_found_and_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STEMSPLIT_MODELS", str(tmp_path))
    assert _examine_registry().health is Health.OK
    left = tmp_path / ".downloads" / "abc"
    left.mkdir(parents=True)
    (left / "model.onnx.part").write_bytes(bytes(2_500_000))
    found = _examine_registry()
    assert found.health is Health.MISSING
    assert found.detail == f"0 in {tmp_path}, 2.5 MB, 2.5 MB of it unfinished downloads"
    assert found.fix == "stemsplit models prune"
    done = call("models", "prune")
    assert (done.code, done.text) == (0, "2.5 MB of unfinished downloads removed\n")
    assert not (tmp_path / ".downloads").exists()
    assert call("models", "prune").text == "0.0 MB of unfinished downloads removed\n"


def test_downloads_that_are_running_are_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STEMSPLIT_MODELS", str(tmp_path))
    running, left = tmp_path / ".downloads" / "running", tmp_path / ".downloads" / "left"
    for folder in (running, left):
        (folder / "content").mkdir(parents=True)
        (folder / "content" / "model.onnx.part").write_bytes(bytes(500_000))
    (left / ".lock").touch()  # of a call that was killed
    with FileLock(running / ".lock"):
        done = call("models", "prune")
        assert (running / "content" / "model.onnx.part").exists() and not left.exists()
    assert (done.code, done.text) == (0, "0.5 MB of unfinished downloads removed\n")
    assert done.stderr == "left alone, since another call is fetching them: 1\n"
    assert call("models", "prune").text == "0.5 MB of unfinished downloads removed\n"
    assert not (tmp_path / ".downloads").exists()


def test_files_that_vanish_while_they_are_measured_count_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = [tmp_path / name for name in ("one", "other")]
    for file in files:
        file.write_bytes(bytes(5))
    stat = Path.stat

    def vanish(path: Path, **options: bool) -> os.stat_result:
        found = stat(path, **options)
        for file in files if path in files else ():
            file.unlink(missing_ok=True)
        return found

    monkeypatch.setattr(Path, "stat", vanish)
    assert measure_folder(tmp_path) == 5
