"""The REST service: songs go up, wait, are separated, come back, and are gone."""

import asyncio
import errno
import io
import json
import os
import re
import threading
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pytest
import soundfile

from tests.conftest import make_noise
from tests.support import ROOT

pytest.importorskip("starlette")

from stemsplit import __version__
from stemsplit.jobs.request import SeparationRequest
from stemsplit.separation.separator import Separator
from stemsplit.service.answers import MEDIA_TYPES
from stemsplit.service.errors import NoSuchSongError
from stemsplit.service.limits import ServiceLimits
from stemsplit.service.request import read_request
from stemsplit.service.worker import Separators, _Progress
from tests.support.cli import STEMS, call
from tests.support.service import Gate, Running, make_wav, read_audio, running

WAV = make_wav()


@pytest.fixture
def service(tiny_model: Path, tmp_path: Path) -> Iterator[Running]:
    """A service with generous limits."""
    with running(tiny_model, tmp_path / "songs") as service:
        yield service


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Iterator[Gate]:
    """A gate that is open in the end, so that the worker can be."""
    gate = Gate(monkeypatch)
    yield gate
    gate.open()


def is_error(response: Any, status: int, kind: str, *words: str) -> bool:
    """Tell whether a request was refused as it should be."""
    said = response.json()
    assert (response.status_code, said["error_type"]) == (status, kind), response.text
    assert all(word in said["error"] for word in words), said
    return set(said) == {"error", "error_type"}


# what there is


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


# from upload to download


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
    ("name", "expected"),
    [
        ("Café – Été.flac", "Café – Été (vocals).wav"),
        ("../../etc/passwd", "passwd (vocals).wav"),
        ("C:\\Music\\So?.mp3", "So_ (vocals).wav"),
        ("", "song (vocals).wav"),
        ("a\r\nX-Evil: 1.wav", "a__X-Evil_ 1 (vocals).wav"),
    ],
)
def test_downloads_have_good_names(service: Running, name: str, expected: str) -> None:
    song = service.separate(WAV, name=name, stems="vocals")
    response = service.client.get(song["outputs"]["vocals"])
    assert response.headers["content-type"] == "audio/wav"
    said = response.headers["content-disposition"]
    assert said in (f'attachment; filename="{expected}"', f"attachment; filename*=utf-8''{quote(expected)}")
    names = {path.name for path in service.folder.rglob("*")}
    assert names == {
        song["id"],
        "stems",
        "vocals.wav",
        "original.wav",
        "song.json",
    }  # whatever the client calls it


@pytest.mark.parametrize(
    ("name", "stored"), [("../../x.MP3", "song.mp3"), ("x.sh", "song"), ("x.wav/y", "song")]
)
def test_no_name_of_a_client_becomes_a_path(service: Running, gate: Gate, name: str, stored: str) -> None:
    service.wait(service.upload(make_wav(4)), "separating")
    waiting = service.upload(WAV, name=name)
    names = {path.name for path in (service.folder / waiting["id"]).iterdir()}
    assert names == {stored, "song.json"}


def test_players_can_seek(service: Running) -> None:
    url = service.separate(WAV, stems="bass")["outputs"]["bass"]
    whole = service.client.get(url).content
    part = service.client.get(url, headers={"Range": "bytes=100-199"})
    assert part.status_code == 206
    assert part.headers["content-range"] == f"bytes 100-199/{len(whole)}"
    assert part.content == whole[100:200]
    beyond = service.client.get(url, headers={"Range": f"bytes={len(whole)}-"})
    assert beyond.status_code == 416


def test_a_zip_holds_the_stems_as_they_are(service: Running) -> None:
    song = service.separate(WAV, name="Été.wav", stems="bass,other")
    response = service.client.get(song["zip"])
    assert response.headers["content-disposition"].endswith(quote("Été (stems).zip"))
    with zipfile.ZipFile(io.BytesIO(response.content)) as archive:
        assert {entry.compress_type for entry in archive.infolist()} == {zipfile.ZIP_STORED}
        packed = {name: archive.read(name) for name in archive.namelist()}
    stems = {stem: service.client.get(url).content for stem, url in song["outputs"].items()}
    assert packed == {f"Été ({stem}).wav": data for stem, data in stems.items()}


def test_a_zip_is_made_once(service: Running) -> None:
    song = service.separate(WAV, stems="bass")
    service.client.get(song["zip"])
    (path,) = service.folder.glob("*/stems.zip")
    before = path.stat().st_mtime_ns, path.stat().st_ino
    assert service.client.get(song["zip"]).status_code == 200
    assert (path.stat().st_mtime_ns, path.stat().st_ino) == before


def test_a_zip_for_which_there_is_no_room_is_an_error_and_no_file(
    service: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fill(*_: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    song = service.separate(WAV, stems="bass")
    with monkeypatch.context() as patch:
        patch.setattr(zipfile.ZipFile, "write", fill)
        assert is_error(service.client.get(song["zip"]), 507, "OutputError", "the disk is full")
    assert not list(service.folder.rglob("*.zip*"))
    assert service.client.get(song["zip"]).status_code == 200


def test_a_song_that_is_removed_gets_no_zip_any_more(service: Running) -> None:
    song = service.queue.find(service.separate(WAV, stems="bass")["id"])
    service.queue.remove(song.id)
    with pytest.raises(NoSuchSongError):
        song.pack()
    assert service.songs == []


# the queue


def test_songs_wait_for_their_turn(service: Running, gate: Gate) -> None:
    songs = [service.upload(make_wav(4, seed=number), name=f"{number}.wav") for number in range(3)]
    first = service.wait(songs[0], "separating")
    assert first["place"] is None
    waiting = [service.wait(song, "queued") for song in songs[1:]]
    assert [(song["place"], song["progress"]) for song in waiting] == [(1, 0.0), (2, 0.0)]
    gate.open()
    ended = [service.wait(song) for song in songs]
    assert [song["status"] for song in ended] == ["done"] * 3
    made = [next(service.folder.glob(f"{song['id']}/stems/*")).stat().st_mtime_ns for song in songs]
    assert made == sorted(made)


def test_progress_is_told(service: Running, gate: Gate) -> None:
    song = service.upload(make_wav(4))
    end_s = time.monotonic() + 20
    while not (said := service.wait(song, "separating"))["progress"]:
        assert time.monotonic() < end_s
    assert 0 < said["progress"] < 1


def test_a_full_queue_takes_no_more(tiny_model: Path, tmp_path: Path, gate: Gate) -> None:
    with running(tiny_model, tmp_path / "songs", limits=ServiceLimits(max_waiting=1)) as service:
        first = service.upload(make_wav(4))
        service.wait(first, "separating")
        second = service.upload(WAV)
        refused = service.client.post("/api/songs", content=WAV)
        assert is_error(refused, 503, "BusyError", "try again")
        assert int(refused.headers["retry-after"]) > 0
        assert service.songs == sorted([first["id"], second["id"]])
        gate.open()
        service.wait(second)
        assert service.separate(WAV)["status"] == "done"


def test_an_upload_that_breaks_off_gives_its_place_back(tiny_model: Path, tmp_path: Path) -> None:
    with running(tiny_model, tmp_path / "songs", limits=ServiceLimits(max_waiting=1)) as service:
        for _ in range(2):
            call_asgi(service, [{"type": "http.request", "body": WAV[:1000], "more_body": True}])
        assert service.separate(WAV)["status"] == "done"


# mistakes


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"stems": "drms"}, ["no model offers the stem 'drms'; did you mean 'drums'?"]),
        ({"stems": "vocals,,bass"}, ["empty name"]),
        ({"karaoke": "drms"}, ["did you mean 'drums'?"]),
        ({"karaoke": "drums", "stems": "bass"}, ["--karaoke"]),
        ({"residual": "true"}, ["already sum"]),
        ({"residual": "yes"}, ["'yes'", "true or false"]),
        ({"format": "mp4"}, ["format 'mp4' is unknown"]),
        ({"format": "flac", "bits": "32f"}, ["cannot hold '32f' bits"]),
        ({"bits": "17"}, ["cannot hold '17' bits"]),
        ({"output": "/etc"}, ["'output' is unknown", "karaoke"]),
        ({"stems": ["bass", "drums"]}, ["twice"]),
    ],
)
def test_a_mistake_is_told_before_the_upload_is_read(
    service: Running, parameters: dict[str, Any], words: list[str]
) -> None:
    refused = service.client.post("/api/songs", params=parameters, content=b"")
    assert is_error(refused, 400, "SettingsError", *words)
    assert service.songs == []


@pytest.mark.parametrize(
    "path", ["/api", "/api/songs/x", "/api/songs/x/stems/bass", "/api/songs/x/stems.zip"]
)
def test_no_parameter_is_ignored(service: Running, path: str) -> None:
    assert is_error(service.client.get(path, params={"v": "1"}), 400, "SettingsError", "'v' is unknown")


def test_an_empty_song_is_refused(service: Running) -> None:
    assert is_error(
        service.client.post("/api/songs?name=a.wav", content=b""), 422, "AudioError", "a.wav: is empty"
    )
    assert service.songs == []


def test_what_is_not_there_is_404(service: Running) -> None:
    song = service.separate(WAV, stems="bass")
    for path in ("/api/songs/x", "/api/songs/x/stems/bass", "/api/songs/x/stems.zip"):
        assert is_error(service.client.get(path), 404, "NoSuchSongError")
    missing = service.client.get(f"/api/songs/{song['id']}/stems/drums")
    assert is_error(missing, 404, "NoSuchSongError", "'drums'", "bass")
    assert is_error(service.client.delete("/api/songs/x"), 404, "NoSuchSongError")
    assert is_error(service.client.get("/nowhere"), 404, "HTTPException")
    assert is_error(service.client.put("/api/songs"), 405, "HTTPException")


def test_stems_that_are_not_there_yet_are_409(service: Running, gate: Gate) -> None:
    song = service.upload(make_wav(4))
    service.wait(song, "separating")
    for path in ("stems/bass", "stems.zip"):
        refused = service.client.get(f"/api/songs/{song['id']}/{path}")
        assert is_error(refused, 409, "NotSeparatedError", "separating")


# limits of an upload


def call_asgi(
    service: Running, messages: list[dict[str, Any]], n_bytes: int | None = None
) -> list[dict[str, Any]]:
    """Upload the body in `messages`, after which the client is gone; return what is sent."""
    sent: list[dict[str, Any]] = []
    scope = {
        "type": "http",
        "method": "POST",
        "path": "/api/songs",
        "query_string": b"",
        "headers": [] if n_bytes is None else [(b"content-length", b"%d" % n_bytes)],
    }

    async def receive() -> dict[str, Any]:
        return messages.pop(0) if messages else {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    asyncio.run(service.app(scope, receive, send))
    return sent


def test_a_large_song_is_refused_at_once(tiny_model: Path, tmp_path: Path) -> None:
    with running(tiny_model, tmp_path / "songs", limits=ServiceLimits(max_bytes=1000)) as service:
        refused = service.client.post("/api/songs", content=b"x" * 1001)
        assert is_error(refused, 413, "TooLargeError", "--max-mb")
        messages: list[dict[str, Any]] = [{"type": "http.request", "body": b"x" * 1001, "more_body": False}]
        assert call_asgi(service, messages, n_bytes=1001)[0]["status"] == 413
        assert len(messages) == 1  # not read at all
        assert service.songs == []


def test_a_large_song_that_does_not_say_so_is_refused_on_the_way(tiny_model: Path, tmp_path: Path) -> None:
    with running(tiny_model, tmp_path / "songs", limits=ServiceLimits(max_bytes=1000)) as service:
        part = {"type": "http.request", "body": b"x" * 600, "more_body": True}
        messages = [dict(part) for _ in range(5)]
        sent = call_asgi(service, messages)
        assert sent[0]["status"] == 413
        assert len(messages) == 3  # not read any further
        assert service.songs == []


def test_a_song_as_large_as_may_be_is_taken(tiny_model: Path, tmp_path: Path) -> None:
    with running(tiny_model, tmp_path / "songs", limits=ServiceLimits(max_bytes=len(WAV))) as service:
        assert service.separate(WAV)["status"] == "done"


def test_an_upload_that_breaks_off_leaves_nothing(service: Running) -> None:
    call_asgi(service, [{"type": "http.request", "body": WAV[:10_000], "more_body": True}])
    assert service.songs == []
    assert service.separate(WAV)["status"] == "done"


def test_an_upload_that_stops_is_given_up(tiny_model: Path, tmp_path: Path) -> None:
    with running(tiny_model, tmp_path / "songs", limits=ServiceLimits(patience_s=0.05)) as service:

        async def upload() -> list[dict[str, Any]]:
            sent: list[dict[str, Any]] = []
            messages = [{"type": "http.request", "body": b"RIFF", "more_body": True}]

            async def receive() -> dict[str, Any]:
                return messages.pop() if messages else await asyncio.Future()

            async def send(message: Any) -> None:
                sent.append(message)

            scope = {
                "type": "http",
                "method": "POST",
                "path": "/api/songs",
                "query_string": b"",
                "headers": [],
            }
            await asyncio.wait_for(service.app(scope, receive, send), 10)
            return sent

        assert asyncio.run(upload())[0]["status"] == 408
        assert service.songs == []


def test_a_full_disk_refuses_the_upload(service: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    def fill(*_: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr("stemsplit.service.endpoints.run_in_threadpool", fill)
        refused = service.client.post("/api/songs?name=a.wav", content=WAV)
    assert is_error(refused, 507, "OutputError", "a.wav", "the disk is full")
    assert service.songs == []


# failures


@pytest.mark.parametrize("data", [b"no song", b"%PDF-1.7", b"<html></html>" * 100, WAV[: len(WAV) // 2]])
def test_what_is_no_audio_never_waits(service: Running, data: bytes) -> None:
    refused = service.client.post("/api/songs?name=cut.wav", content=data)
    assert is_error(refused, 422, "AudioError", "cut.wav")
    assert service.songs == []
    assert service.separate(WAV)["status"] == "done"


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
        patch.setattr("stemsplit.audio.stem_file.write_all", fill)
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


# removal


def test_a_removed_song_is_gone(service: Running) -> None:
    song = service.separate(WAV)
    path = f"/api/songs/{song['id']}"
    removed = service.client.delete(path)
    assert (removed.status_code, removed.content) == (204, b"")
    assert service.songs == []
    assert is_error(service.client.get(path), 404, "NoSuchSongError")
    assert is_error(service.client.get(song["outputs"]["bass"]), 404, "NoSuchSongError")


def test_a_song_is_stopped_while_it_is_separated(service: Running, gate: Gate) -> None:
    first, second = service.upload(make_wav(60, n_channels=1)), service.upload(WAV)
    service.wait(first, "separating")
    stopped = service.queue.find(first["id"])
    assert service.client.delete(f"/api/songs/{first['id']}").status_code == 204
    assert service.client.get(f"/api/songs/{first['id']}").status_code == 404
    gate.open()
    assert service.wait(second)["status"] == "done"
    assert service.songs == [second["id"]]
    assert stopped.n_samples is not None and stopped.n_finished < stopped.n_samples


def test_a_song_that_waits_is_never_separated(service: Running, gate: Gate) -> None:
    first, second = service.upload(make_wav(4)), service.upload(WAV)
    service.wait(first, "separating")
    assert service.client.delete(f"/api/songs/{second['id']}").status_code == 204
    assert service.songs == [first["id"]]
    third = service.upload(WAV)
    assert service.wait(third, "queued")["place"] == 1
    gate.open()
    assert service.wait(third)["status"] == "done"


def test_a_song_that_is_removed_at_its_very_end_leaves_nothing(
    service: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    def remove(progress: _Progress, job: Any, result: Any) -> None:
        service.queue.remove(progress.song.id)

    with monkeypatch.context() as patch:
        patch.setattr(_Progress, "finish", remove)
        service.upload(WAV)
        end_s = time.monotonic() + 20
        while service.songs:
            assert time.monotonic() < end_s
            time.sleep(0.01)
    assert service.separate(WAV)["status"] == "done"


def test_songs_are_removed_when_their_time_is_over(tiny_model: Path, tmp_path: Path) -> None:
    with running(tiny_model, tmp_path / "songs", limits=ServiceLimits(keep_s=60, sweep_s=0.02)) as service:
        early = service.separate(WAV)
        service.clock.now_s = 30
        late = service.separate(WAV, format="mp3")
        service.clock.now_s = 59.9
        time.sleep(0.1)
        assert service.songs == sorted([early["id"], late["id"]])
        service.clock.now_s = 60
        end_s = time.monotonic() + 10
        while service.songs != [late["id"]]:  # without a request
            assert time.monotonic() < end_s
            time.sleep(0.01)
        assert service.client.get(f"/api/songs/{early['id']}").status_code == 404
        assert service.client.get(f"/api/songs/{late['id']}").status_code == 200


def test_a_song_that_is_not_over_is_not_swept(service: Running, gate: Gate) -> None:
    songs = [service.upload(make_wav(4)), service.upload(WAV)]
    service.wait(songs[0], "separating")
    service.clock.now_s = 1e9
    service.queue.sweep()
    gate.open()
    assert [service.wait(song)["status"] for song in songs] == ["done", "done"]


def test_a_service_that_ends_stops_its_song(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate(monkeypatch)
    with running(tiny_model, tmp_path / "songs") as service:
        song = service.upload(make_wav(600, n_channels=1))
        service.wait(song, "separating")
        waiting = service.upload(WAV)
        threading.Timer(0.2, gate.open).start()
        started_s = time.monotonic()
    assert time.monotonic() - started_s < 5
    assert song["id"] not in service.songs
    assert waiting["id"] in service.songs  # its folder goes with that of the service


# separators


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


# mixes and playback


def test_a_mix_is_the_sum_of_what_sounds(service: Running) -> None:
    song = service.separate(WAV, bits="32f")
    stems = {stem: read_audio(service.client.get(url).content) for stem, url in song["outputs"].items()}
    parameters = {"stems": "drums,bass", "gains_db": "drums:-6,bass:3.5", "pans": "bass:-0.5"}
    mix = service.client.get(song["mix"], params=parameters)
    assert mix.headers["content-disposition"].endswith(quote("song (mix).wav"))
    left, right = stems["bass"].T * 10 ** (3.5 / 20)
    near, far = np.sin(np.pi / 4), np.cos(np.pi / 4)
    bass = np.stack([left + far * right, near * right], axis=1)
    assert np.abs(read_audio(mix.content) - (10 ** (-6 / 20) * stems["drums"] + bass)).max() < 1e-6


def test_a_part_of_a_mix_is_cut_to_the_sample(service: Running) -> None:
    song = service.separate(WAV, bits="32f")
    whole = read_audio(service.client.get(song["mix"]).content)
    part = read_audio(service.client.get(song["mix"], params={"start_s": "0.1", "end_s": "0.2"}).content)
    assert np.array_equal(part, whole[4410:8820])
    assert np.abs(whole - read_audio(WAV)).max() < 1e-6


@pytest.mark.parametrize("format", ["flac", "mp3", "ogg"])
def test_stems_come_in_any_format(service: Running, format: str) -> None:
    song = service.separate(WAV)
    stored = read_audio(service.client.get(song["outputs"]["bass"]).content)
    response = service.client.get(song["outputs"]["bass"], params={"format": format})
    assert response.headers["content-type"] == MEDIA_TYPES[format]
    converted = read_audio(response.content)
    assert np.abs(converted[: len(stored)] - stored).max() < (1e-9 if format == "flac" else 0.2)
    with zipfile.ZipFile(
        io.BytesIO(service.client.get(song["zip"], params={"format": format}).content)
    ) as archive:
        assert archive.namelist() == [f"song ({stem}).{format}" for stem in song["outputs"]]
        assert archive.read(f"song (bass).{format}") == response.content


def test_a_mix_that_would_clip_is_turned_down(service: Running) -> None:
    song = service.separate(WAV)
    mix = read_audio(service.client.get(song["mix"], params={"gains_db": "other:12", "bits": "16"}).content)
    assert 0.5 < np.abs(mix).max() <= 1.0
    loud = read_audio(service.client.get(song["mix"], params={"gains_db": "other:12", "bits": "32f"}).content)
    assert np.abs(mix / np.abs(mix).max() - loud / np.abs(loud).max()).max() < 1e-3


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"stems": "drms"}, ["'drms'", "did you mean 'drums'?"]),
        ({"gains_db": "drums"}, ["drums:-6,bass:3"]),
        ({"gains_db": "drums:loud"}, ["'loud'", "no number"]),
        ({"gains_db": "drums:nan"}, ["no number"]),
        ({"gains_db": "drums:40"}, ["-60 to 12"]),
        ({"pans": "drums:2"}, ["-1 to 1"]),
        ({"format": "mp4"}, ["'mp4' is unknown"]),
        ({"format": "flac", "bits": "32f"}, ["cannot hold '32f' bits"]),
        ({"start_s": "3", "end_s": "1"}, ["is empty"]),
        ({"start_s": "9"}, ["behind the end"]),
        ({"volume": "1"}, ["'volume' is unknown"]),
    ],
)
def test_a_mix_that_cannot_be_is_refused(
    service: Running, parameters: dict[str, str], words: list[str]
) -> None:
    song = service.separate(WAV)
    assert is_error(service.client.get(song["mix"], params=parameters), 400, "SettingsError", *words)


def test_only_the_last_mixes_are_kept(service: Running) -> None:
    song = service.separate(WAV)
    for gain in range(12):
        assert service.client.get(song["mix"], params={"gains_db": f"drums:{gain}"}).status_code == 200
    assert len(list(service.folder.glob("*/mixes/*"))) == 8


@pytest.mark.parametrize("format", ["wav", "flac", "mp3"])
def test_segments_are_the_track_without_a_seam(service: Running, format: str) -> None:
    data = make_wav(9)
    song = service.separate(data, format=format)
    preview = service.client.get(song["preview"]).json()
    assert (preview["sample_rate"], preview["n_channels"], preview["n_samples"]) == (44100, 2, 9 * 44100)
    assert preview["n_segments"] == 5
    for track, url in [*preview["stems"].items(), ("original", preview["original"])]:
        segments = [
            read_audio(service.client.get(url, params={"segment": n}).content)
            for n in range(preview["n_segments"])
        ]
        stored = data if track == "original" else service.client.get(song["outputs"][track]).content
        expected = read_audio(stored)[: preview["n_samples"]]
        assert np.abs(np.concatenate(segments) - expected).max() <= 1 / 32768
    assert is_error(service.client.get(f"{url}?segment=5"), 404, "NoSuchSongError", "there are 5")


def test_peaks_are_those_of_the_tracks(service: Running) -> None:
    song = service.separate(WAV)
    preview = service.client.get(song["preview"]).json()
    assert set(preview["peaks"]) == set(song["outputs"])
    stem = np.abs(read_audio(service.client.get(song["outputs"]["drums"]).content)).max(axis=1)
    n = -(-len(stem) // 1800)
    expected = [round(255 * float(stem[start : start + n].max())) for start in range(0, len(stem), n)]
    assert preview["peaks"]["drums"] == pytest.approx(expected, abs=1)


def test_a_song_that_cannot_be_played_is_done_all_the_same(
    service: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("stemsplit.service.worker.make_preview", lambda *_, **__: 1 / 0)
        song = service.separate(WAV)
    assert (song["status"], song["preview"]) == ("done", None)
    assert service.client.get(song["outputs"]["bass"]).status_code == 200
    assert is_error(service.client.get(f"/api/songs/{song['id']}/preview"), 409, "NotSeparatedError")


# forms, repeats, owners, events


def test_a_form_is_as_good_as_a_body(service: Running) -> None:
    form = {"file": ("Été.wav", WAV, "audio/wav")}
    answer = service.client.post("/api/songs", files=form, data={"stems": "bass", "format": "flac"})
    assert answer.status_code == 202
    song = service.wait(answer.json())
    assert (song["input"], list(song["outputs"])) == ("Été.wav", ["bass"])
    assert service.client.get(song["outputs"]["bass"]).content.startswith(b"fLaC")


def test_fields_may_come_behind_the_file(service: Running) -> None:
    part = b'--x\r\nContent-Disposition: form-data; name="%s"%s\r\n\r\n%s\r\n'
    body = part % (b"file", b'; filename="a.wav"', WAV) + part % (b"karaoke", b"", b"drums") + b"--x--\r\n"
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    answer = service.client.post("/api/songs", content=body, headers=headers)
    assert list(service.wait(answer.json())["outputs"]) == ["drums", "no_drums"]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"--x--\r\n", "no file"),
        (b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\nRIFF', "breaks off"),
        (b"no form", "cannot be read"),
    ],
)
def test_a_form_that_is_none_leaves_nothing(service: Running, body: bytes, words: str) -> None:
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    refused = service.client.post("/api/songs", content=body, headers=headers)
    assert refused.status_code in {400, 422}
    assert words in refused.text or "is empty" in refused.text
    assert service.songs == []


@pytest.mark.parametrize("kind", ["application/json", "text/html", "image/png", "multipart/form-data"])
def test_a_body_that_is_not_understood_is_415(service: Running, kind: str) -> None:
    refused = service.client.post("/api/songs", content=WAV, headers={"Content-Type": kind})
    assert is_error(refused, 415, "UnsupportedBodyError", "curl -F file=@song.mp3")
    assert "multipart/form-data" in refused.headers["accept"]


def test_an_upload_that_comes_twice_is_one_song(service: Running) -> None:
    headers = {"Idempotency-Key": "8e03978e-40d5-43dd-bc93-6894a57f9324"}
    first, again = (service.client.post("/api/songs", content=WAV, headers=headers) for _ in range(2))
    assert first.json()["id"] == again.json()["id"]
    assert service.songs == [first.json()["id"]]
    other = service.client.post("/api/songs?format=flac", content=WAV, headers=headers)
    assert is_error(other, 409, "RepeatedUploadError", "take a new one")
    service.wait(first.json())
    service.client.delete(f"/api/songs/{first.json()['id']}")
    assert service.client.post("/api/songs", content=WAV, headers=headers).json()["id"] != first.json()["id"]


def test_an_upload_that_failed_may_come_again(service: Running) -> None:
    headers = {"Idempotency-Key": "0"}
    assert service.client.post("/api/songs", content=b"no song", headers=headers).status_code == 422
    assert service.client.post("/api/songs", content=WAV, headers=headers).status_code == 202


def test_each_client_sees_its_own_songs(service: Running) -> None:
    service.client.cookies.clear()
    own = service.upload(WAV)
    assert [song["id"] for song in service.client.get("/api/songs").json()["songs"]] == [own["id"]]
    cookies = dict(service.client.cookies)
    service.client.cookies.clear()
    assert service.client.get("/api/songs").json() == {"songs": []}
    other = service.upload(WAV)
    assert [song["id"] for song in service.client.get("/api/songs").json()["songs"]] == [other["id"]]
    assert cookies != dict(service.client.cookies)
    service.wait(other)


def test_events_tell_how_songs_get_on(service: Running) -> None:
    song = service.upload(make_wav(4))
    with service.client.stream("GET", f"/api/events?songs={song['id']}") as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        text = "".join(response.iter_text())
    events = re.findall(r"^event: (\w+)\ndata: (.*)\n\n", text, flags=re.MULTILINE)
    assert {name for name, _ in events} == {"song"}
    assert json.loads(events[-1][1]) == service.wait(song)
    assert is_error(service.client.get("/api/events?songs=x"), 404, "NoSuchSongError")


def test_the_time_that_is_left_is_told(service: Running, gate: Gate) -> None:
    song = service.upload(make_wav(4))
    assert service.wait(song, "separating")["time_left_s"] is None
    service.clock.now_s = 10
    end_s = time.monotonic() + 20
    while (said := service.wait(song, "separating"))["time_left_s"] is None:
        assert time.monotonic() < end_s
    share = said["progress"]
    assert said["time_left_s"] == pytest.approx(10 * (1 - share) / share, abs=0.1)


def test_a_file_that_the_client_has_is_not_sent_again(service: Running) -> None:
    url = service.separate(WAV, stems="bass")["outputs"]["bass"]
    first = service.client.get(url)
    again = service.client.get(url, headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", first.headers["etag"])


# presets, models, analysis


def test_a_preset_sets_what_the_request_leaves_open(service: Running) -> None:
    song = service.separate(WAV, preset="best", stems="bass")
    assert song["settings"]["shifts"] == 2
    wanted = read_request([("preset", "best"), ("karaoke", "drums")], SeparationRequest()).separation
    assert (wanted.shifts, wanted.karaoke) == (2, "drums")
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


def test_tempo_and_key_are_found_when_asked_for(service: Running) -> None:
    assert service.separate(WAV)["analysis"] is None
    analysis = service.separate(make_wav(6), analyse="true")["analysis"]
    assert {"bpm", "key", "camelot", "loudness_lufs"} <= set(analysis)
    assert analysis["duration_s"] == pytest.approx(6)
