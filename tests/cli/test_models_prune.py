"""Room that models take: shown by doctor, and freed by prune."""

from pathlib import Path

import pytest

from stemsplit.cli.doctor import Health, _examine_registry
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
