"""Models of the catalogue that a separation names: listed, fetched with --yes, or their command named."""

import dataclasses
import json
from pathlib import Path

import pytest

pytest.importorskip("onnx")
from stemsplit.cli import models_fetch
from stemsplit.registry import index
from stemsplit.registry.index import RemoteModel, find_in_catalogue
from stemsplit.registry.store import Registry
from tests.registry.test_catalogue import make_stand_in
from tests.support.cli import call, make_song


@pytest.fixture
def kara(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RemoteModel:
    """An entry of the catalogue whose file is a stand-in on this disk; the registry is empty."""
    import hashlib

    monkeypatch.setenv("STEMSPLIT_MODELS", str(tmp_path / "models"))
    remote = find_in_catalogue("kara_2")
    assert remote is not None
    content = make_stand_in(remote.name, (0.5,))
    (tmp_path / remote.files[0].name).write_bytes(content)
    file = dataclasses.replace(
        remote.files[0],
        urls=((tmp_path / remote.files[0].name).as_uri(),),
        sha256=hashlib.sha256(content).hexdigest(),
    )
    local = dataclasses.replace(remote, files=(file,))
    monkeypatch.setattr(
        index, "find_in_catalogue", lambda name: local if name in (local.name, *local.aliases) else None
    )
    return local


def test_an_absent_model_is_not_fetched_without_a_word(kara: RemoteModel, tmp_path: Path) -> None:
    song = make_song(tmp_path / "song.wav")
    done = call(song, "--model", "kara_2", "-o", tmp_path / "out")
    assert done.code == 2
    assert "not installed (53 MB, commercial use: unknown)" in done.stderr
    assert f"stemsplit models pull {kara.name}" in done.stderr
    assert not (tmp_path / "models").exists()


def test_yes_fetches_and_separates(kara: RemoteModel, tmp_path: Path) -> None:
    song = make_song(tmp_path / "song.wav")
    done = call(song, "--model", "kara_2", "--yes", "-o", tmp_path / "out", "--device", "cpu")
    assert done.code == 0, done.stderr
    assert {path.stem for path in (tmp_path / "out" / "song").iterdir()} == {"backing", "lead"}
    assert Registry().names() == [kara.name]
    again = call(song, "--model", "KARA_2".lower(), "-o", tmp_path / "again", "--stems", "lead")
    assert again.code == 0, again.stderr


@pytest.mark.parametrize("answer", [True, False])
def test_a_terminal_is_asked(
    answer: bool, kara: RemoteModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    questions: list[str] = []

    def confirm(question: str, **_: object) -> bool:
        questions.append(question)
        return answer

    monkeypatch.setattr(models_fetch.typer, "confirm", confirm)
    monkeypatch.setattr(models_fetch, "_is_terminal", lambda: True)
    song = make_song(tmp_path / "song.wav")
    done = call(song, "--model", kara.name, "-o", tmp_path / "out", "--device", "cpu")
    assert done.code == (0 if answer else 2), done.stderr
    assert len(questions) == 1
    assert "53 MB, commercial use: unknown, licence: UVR asks for" in questions[0]


def test_what_can_be_fetched_is_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STEMSPLIT_MODELS", str(tmp_path / "models"))
    table = call("models", "list", "--available").stdout.decode()
    assert "htdemucs_ft" in table and "1266 MB" in table
    rows = [json.loads(line) for line in call("models", "list", "--available", "--json").stdout.splitlines()]
    (umxhq,) = (row for row in rows if row["name"] == "umxhq")
    assert umxhq["targets"] == ["vocals", "drums", "bass", "other"]
    assert umxhq["size_bytes"] == 4 * 35625585
    assert umxhq["commercial"] is True and "non-commercial" in umxhq["training_data"]
    assert umxhq["installed"] is False
