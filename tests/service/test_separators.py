"""Which models and presets separate the songs of the service, and how many are open."""

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("starlette")

from stemsplit.jobs.request import SeparationRequest
from stemsplit.separation.separator import Separator
from stemsplit.service.request import read_request
from stemsplit.service.worker import Separators
from tests.support.cli import call
from tests.support.service import WAV, Running, is_error, running


def test_separators_are_shared_and_few(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened, closed = [], []
    open_separator, close = Separator.__init__, Separator.close

    def note_open(self: Separator, stems: Any = None, **settings: Any) -> None:
        opened.append(stems)
        open_separator(self, stems, **settings)

    def note_close(self: Separator) -> None:
        closed.append(self.settings.stems)
        close(self)

    monkeypatch.setattr(Separator, "__init__", note_open)
    monkeypatch.setattr(Separator, "close", note_close)
    with running(tiny_model, tmp_path / "songs") as service:
        for stems in ("bass", "drums", "bass", "other", "vocals"):
            assert service.separate(WAV, stems=stems)["status"] == "done"
        assert opened == [None, ("bass",), ("drums",), ("other",), ("vocals",)]
        assert closed == [None, ("drums",)]  # those that were not used for longest
    assert set(closed) == set(opened)
    assert len(closed) == len(opened)


def test_as_many_are_open_as_is_said(tiny_model: Path) -> None:
    separators = Separators(1)
    first = separators.open(SeparationRequest(device="cpu", models=(str(tiny_model),)))
    assert first.models
    second = separators.open(SeparationRequest(device="cpu", models=(str(tiny_model),), karaoke="bass"))
    assert second.models and not first.models
    separators.close()
    assert not second.models


def test_a_preset_sets_what_the_request_leaves_open(service: Running) -> None:
    song = service.separate(WAV, preset="best", stems="bass")
    assert song["settings"]["transpositions"] == 4
    wanted = read_request([("preset", "best"), ("karaoke", "drums")], SeparationRequest()).separation
    assert (wanted.transpositions, wanted.int8, wanted.karaoke) == (4, True, "drums")
    assert list(song["outputs"]) == ["bass"]
    assert service.client.get("/api").json()["presets"] == ["fast", "best"]
    refused = service.client.post("/api/songs", params={"preset": "bst"}, content=WAV)
    assert is_error(refused, 400, "SettingsError", "did you mean 'best'?")


def test_an_installed_model_can_be_chosen(tiny_model: Path, vocals_model: Path, tmp_path: Path) -> None:
    installed = call("models", "add", vocals_model, "--name", "voice")
    assert installed.code == 0, installed.stderr
    with running(tiny_model, tmp_path / "songs") as service:
        about = service.client.get("/api").json()
        assert about["installed_models"] == [
            {"name": "voice", "stems": ["vocals"], "licence": "MIT", "commercial": True}
        ]
        song = service.separate(WAV, model="voice", residual="true")
        assert [model["name"] for model in song["models"]] == ["voice"]
        assert list(song["outputs"]) == ["vocals", "residual"]
        refused = service.client.post("/api/songs", params={"model": "voice", "stems": "bass"}, content=WAV)
        assert is_error(refused, 400, "SettingsError", "'bass'")


@pytest.mark.parametrize("model", ["vioce", "/etc/passwd", "../tiny.onnx"])
def test_no_client_names_a_file(service: Running, model: str) -> None:
    refused = service.client.post("/api/songs", params={"model": model}, content=WAV)
    assert is_error(refused, 400, "SettingsError", "there is no model")
