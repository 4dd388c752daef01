"""The REST service: a song goes up, is separated, comes back; what fails is said."""

import errno
import io
import os
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from tests.conftest import make_noise
from tests.support import ROOT

pytest.importorskip("starlette")

from stemsplit import __version__
from tests.support.cli import STEMS
from tests.support.service import WAV, Running, is_error, make_wav, read_audio, running


def test_the_service_says_what_it_has(service: Running) -> None:
    about = service.client.get("/api").json()
    assert about["version"] == __version__
    assert about["stems"] == list(STEMS)
    assert about["stems_sum_to_song"] is True
    assert about["models"] == [{"name": "tiny", "version": "1", "licence": "MIT", "commercial": True}]
    assert about["device"] == "cpu"
    assert about["formats"]["wav"] == ["16", "24", "32f"]
    assert about["formats"]["mp3"] == []
    assert about["limits"] == {"max_bytes": 500_000_000, "max_waiting": 50, "keep_minutes": 60}


def test_a_model_that_leaves_something_over_says_so(vocals_model: Path, tmp_path: Path) -> None:
    with running(vocals_model, tmp_path / "songs") as service:
        about = service.client.get("/api").json()
        assert (about["stems"], about["stems_sum_to_song"]) == (["vocals"], False)
        assert list(service.separate(WAV)["outputs"]) == ["vocals", "residual"]


def test_the_docs_have_every_address_and_no_other(service: Running) -> None:
    text = (ROOT / "docs" / "web-page.md").read_text(encoding="utf-8")
    told = re.findall(r"^\| `([A-Z]+) (/[^?`\s]+)(\?[^`]*)?` \|", text, flags=re.MULTILINE)
    id = service.separate(WAV)["id"]
    for method, pattern, query in told:  # the last one removes the song
        body = WAV if (method, pattern) == ("POST", "/api/songs") else None
        address = (pattern + query).replace("ID", id).replace("STEM", "vocals")
        answer = service.client.request(method, address, content=body)
        assert answer.is_success or pattern == "/api/address.svg", (method, address, answer.text)
    starlette: Any = service.app._app  # type: ignore[attr-defined]
    paths = [route.path for route in starlette.routes if route.path.startswith("/api")]
    expected = [path.replace("{id}", "ID").replace("{stem:path}", "STEM") for path in paths]
    assert sorted(path for _, path, _ in told) == sorted(expected)


def test_a_song_becomes_stems_that_sum_to_it(service: Running) -> None:
    up = service.client.post("/api/songs", params={"name": "Song.wav", "bits": "32f"}, content=WAV)
    assert up.status_code == 202
    song = up.json()
    assert up.headers["location"] == f"/api/songs/{song['id']}"
    assert (song["status"], song["input"]) == ("queued", "Song.wav")
    done = service.wait(song)
    assert (done["status"], done["place"], done["progress"]) == ("done", None, 1.0)
    assert done["outputs"] == {stem: f"/api/songs/{song['id']}/stems/{stem}" for stem in STEMS}
    assert (done["sample_rate"], done["n_channels"], done["n_samples"]) == (44100, 2, 22050)
    assert set(done["expected_sdr_db"]) == set(done["levels_db"]) == set(STEMS)
    assert done["models"][0]["name"] == "tiny"
    stems = [read_audio(service.client.get(url).content) for url in done["outputs"].values()]
    assert np.abs(np.sum(stems, axis=0) - read_audio(WAV)).max() < 1e-6


def test_no_answer_names_a_folder_of_this_computer(service: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    done = service.separate(WAV)
    refused = service.client.post("/api/songs?name=Song.mp3", content=b"no song").json()
    with monkeypatch.context() as patch:
        patch.setattr("stemsplit.jobs.worker.open_audio", lambda path: 1 / 0 if path.exists() else None)
        failed = service.separate(WAV)
    assert failed["status"] == "failed"
    assert str(service.folder) not in f"{done}{refused}{failed}"
    assert refused["error"].startswith("Song.mp3: ")


def test_what_is_asked_for_is_made(service: Running) -> None:
    rest = service.separate(WAV, stems="drums,vocals", residual="true", format="flac", bits="24")
    assert list(rest["outputs"]) == ["drums", "vocals", "residual"]
    assert (rest["settings"]["format"], rest["settings"]["bits"]) == ("flac", "24")
    assert service.client.get(rest["outputs"]["drums"]).content.startswith(b"fLaC")
    karaoke = service.separate(WAV, karaoke="vocals")
    assert list(karaoke["outputs"]) == ["vocals", "no_vocals"]


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({"stems": "Vocal,drum"}, ["vocals", "drums"]),
        ({"stems": "instrumental"}, ["instrumental"]),
        ({"karaoke": "voice"}, ["vocals", "no_vocals"]),
    ],
)
def test_stems_have_the_names_of_the_command_line(
    service: Running, parameters: dict[str, str], expected: list[str]
) -> None:
    assert list(service.separate(WAV, **parameters)["outputs"]) == expected


def test_what_is_not_there_is_404(service: Running) -> None:
    song = service.separate(WAV, stems="bass")
    for path in ("/api/songs/x", "/api/songs/x/stems/bass", "/api/songs/x/stems.zip"):
        assert is_error(service.client.get(path), 404, "NoSuchSongError")
    missing = service.client.get(f"/api/songs/{song['id']}/stems/drums")
    assert is_error(missing, 404, "NoSuchSongError", "'drums'", "bass")
    assert is_error(service.client.delete("/api/songs/x"), 404, "NoSuchSongError")
    assert is_error(service.client.get("/nowhere"), 404, "HTTPException")
    assert is_error(service.client.put("/api/songs"), 405, "HTTPException")


def test_a_broken_song_fails_and_the_next_is_separated(service: Running) -> None:
    flac = io.BytesIO()
    soundfile.write(flac, make_noise(2, 44100).T, 44100, format="FLAC")
    broken = service.upload(flac.getvalue()[:20_000], name="cut.flac")
    whole = service.upload(WAV)
    failed = service.wait(broken)
    assert (failed["status"], failed["error_type"]) == ("failed", "AudioError")
    assert "cut.flac" in failed["error"]
    assert (failed["outputs"], failed["zip"], failed["preview"]) == ({}, None, None)
    assert is_error(service.client.get(f"/api/songs/{broken['id']}/stems/bass"), 409, "NotSeparatedError")
    assert service.wait(whole)["status"] == "done"
    assert {path.name for path in service.folder.rglob("song*")} == {"song.json"}  # the uploads are gone


@pytest.mark.parametrize("place", ["stemsplit.jobs.worker.open_audio", "stemsplit.service.worker.plan_jobs"])
def test_a_bug_is_a_failed_song(service: Running, monkeypatch: pytest.MonkeyPatch, place: str) -> None:
    def stumble(*_: Any, **__: Any) -> None:
        raise KeyError("oh")

    with monkeypatch.context() as patch:
        patch.setattr(place, stumble)
        failed = service.separate(WAV)
    assert (failed["status"], failed["error_type"]) == ("failed", "BugError")
    assert service.separate(WAV)["status"] == "done"


def test_a_disk_that_fills_up_fails_the_song(service: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    def fill(*_: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr("stemsplit.audio.encoders.write_all", fill)
        failed = service.separate(WAV, stems="bass")
    assert (failed["status"], failed["error_type"]) == ("failed", "OutputError")
    assert failed["error"].startswith("bass.wav: ") and "the disk is full" in failed["error"]
    assert {path.name for path in service.folder.rglob("*") if path.is_file()} == {"song.json"}


def test_a_bug_in_the_service_is_500_and_one_line(
    service: Running, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(service.queue, "find", lambda _: 1 / 0)
    assert is_error(service.client.get("/api/songs/x"), 500, "BugError", "ZeroDivisionError")
    (record,) = (record for record in caplog.records if record.name.startswith("stemsplit"))
    assert "GET /api/songs/x" in record.getMessage() and "\n" not in record.getMessage()


def test_an_excerpt_is_cut_to_the_sample(service: Running) -> None:
    whole = read_audio(make_wav(1.0))
    song = service.separate(make_wav(1.0), start_s="0.25", end_s="0.75", bits="32f")
    assert song["duration_s"] == pytest.approx(0.5)
    stems = [read_audio(service.client.get(address).content) for address in song["outputs"].values()]
    assert np.abs(sum(stems) - whole[11025:33075]).max() < 1e-6
    original = read_audio(service.client.get(song["preview"] + "/original").content)
    assert np.abs(original - whole[11025:33075]).max() < 1e-4
    assert service.client.get(song["preview"]).json()["n_samples"] == 22050


@pytest.mark.parametrize(
    ("parameters", "status", "kind", "words"),
    [
        ({"start_s": "3", "end_s": "1"}, 400, "SettingsError", "excerpt is empty"),
        ({"start_s": "-1"}, 400, "SettingsError", "before the song"),
        ({"end_s": "soon"}, 400, "SettingsError", "no number"),
        ({"start_s": "1e308"}, 400, "SettingsError", "no number up to"),
        ({"start_s": "9"}, 422, "AudioError", "song.wav: ends before 9 s"),
    ],
)
def test_an_excerpt_that_cannot_be_is_refused(
    service: Running, parameters: dict[str, str], status: int, kind: str, words: str
) -> None:
    refused = service.client.post("/api/songs", params={"name": "song.wav", **parameters}, content=WAV)
    assert is_error(refused, status, kind, words)
    assert service.songs == []


@pytest.mark.slow
@pytest.mark.parametrize("format", ["wav", "alac"])
def test_tempo_and_key_are_found_when_asked_for(service: Running, format: str) -> None:
    assert service.separate(WAV)["analysis"] is None
    analysis = service.separate(make_wav(6), analyse="true", format=format)["analysis"]
    assert {"bpm", "key", "camelot", "loudness_lufs"} <= set(analysis)
    assert analysis["duration_s"] == pytest.approx(6)
