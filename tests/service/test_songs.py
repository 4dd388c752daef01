"""The REST service: songs go up, wait, are separated, come back, and are gone."""

import asyncio
import errno
import io
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

from tests.support import ROOT

pytest.importorskip("starlette")

from stemsplit import __version__
from stemsplit.jobs.request import SeparationRequest
from stemsplit.separation.separator import Separator
from stemsplit.service.errors import NoSuchSongError
from stemsplit.service.limits import ServiceLimits
from stemsplit.service.worker import Separators, _Progress
from tests.support.cli import STEMS
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


def test_the_readme_has_every_address_and_no_other(service: Running) -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    told = re.findall(r"^\| `([A-Z]+) (/\S+?)(?:\?\S*)?` \|", readme, flags=re.MULTILINE)
    id = service.separate(WAV)["id"]
    for method, path in told:  # the last one removes the song
        answer = service.client.request(
            method, path.replace("ID", id), content=WAV if method == "POST" else None
        )
        assert answer.is_success, (method, path)
    starlette: Any = service.app._app  # type: ignore[attr-defined]
    paths = [route for route in starlette.routes if route.path.startswith("/api")]
    assert len(told) == len(paths) > 5


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


def test_no_answer_names_a_folder_of_this_computer(service: Running) -> None:
    done, failed = service.separate(WAV), service.separate(b"no song", name="Song.mp3")
    assert str(service.folder) not in f"{done}{failed}"
    assert failed["error"].startswith("Song.mp3: ")


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
    assert names == {song["id"], "stems", "vocals.wav"}  # whatever the client calls it


@pytest.mark.parametrize(
    ("name", "stored"), [("../../x.MP3", "song.mp3"), ("x.sh", "song"), ("x.wav/y", "song")]
)
def test_no_name_of_a_client_becomes_a_path(service: Running, gate: Gate, name: str, stored: str) -> None:
    service.wait(service.upload(make_wav(4)), "separating")
    waiting = service.upload(WAV, name=name)
    assert [path.name for path in (service.folder / waiting["id"]).iterdir()] == [stored]


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
    assert [path.name for path in service.folder.rglob("*") if path.is_file()] == ["bass.wav"]
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
        patch.setattr("stemsplit.service.app.run_in_threadpool", fill)
        refused = service.client.post("/api/songs?name=a.wav", content=WAV)
    assert is_error(refused, 507, "OutputError", "a.wav", "the disk is full")
    assert service.songs == []


# failures


def test_a_broken_song_fails_and_the_next_is_separated(service: Running) -> None:
    broken = service.upload(WAV[: len(WAV) // 2], name="cut.wav")
    whole = service.upload(WAV)
    failed = service.wait(broken)
    assert (failed["status"], failed["error_type"]) == ("failed", "AudioError")
    assert "cut.wav" in failed["error"]
    assert (failed["outputs"], failed["zip"]) == ({}, None)
    assert is_error(service.client.get(f"/api/songs/{broken['id']}/stems/bass"), 409, "NotSeparatedError")
    assert service.wait(whole)["status"] == "done"
    assert not [path for path in service.folder.rglob("song*") if path.is_file()]  # the uploads are gone


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
    assert not [path for path in service.folder.rglob("*") if path.is_file()]


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
        late = service.separate(b"no song")
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
