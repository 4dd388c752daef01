"""What the service accepts as an upload, and what it refuses before anything is separated."""

import asyncio
import errno
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("starlette")

from stemsplit.audio.info import AudioInfo
from stemsplit.jobs.request import SeparationRequest
from stemsplit.service.limits import ServiceLimits
from stemsplit.service.room import estimate_bytes
from tests.support.service import WAV, Gate, Running, is_error, make_wav, running


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"stems": "drms"}, ["no model offers the stem 'drms'; did you mean 'drums'?"]),
        ({"stems": "vocals,,bass"}, ["empty name"]),
        ({"karaoke": "drms"}, ["did you mean 'drums'?"]),
        ({"karaoke": "drums", "stems": "bass"}, ["--karaoke"]),
        ({"residual": "true"}, ["already sum"]),
        ({"residual": "yes"}, ["'yes'", "true or false"]),
        ({"format": "mp5"}, ["format 'mp5' is unknown"]),
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


@pytest.mark.parametrize(
    ("name", "stored"), [("../../x.MP3", "song.mp3"), ("x.sh", "song"), ("x.wav/y", "song")]
)
def test_no_name_of_a_client_becomes_a_path(service: Running, gate: Gate, name: str, stored: str) -> None:
    service.wait(service.upload(make_wav(4)), "separating")
    waiting = service.upload(WAV, name=name)
    names = {path.name for path in (service.folder / waiting["id"]).iterdir()}
    assert names == {stored, "song.json"}


def test_an_empty_song_is_refused(service: Running) -> None:
    assert is_error(
        service.client.post("/api/songs?name=a.wav", content=b""), 422, "AudioError", "a.wav: is empty"
    )
    assert service.songs == []


def call_asgi(
    service: Running, messages: list[dict[str, Any]], n_bytes: int | None = None, kind: bytes = b"audio/wav"
) -> list[dict[str, Any]]:
    """Upload the body in `messages`, after which the client is gone; return what is sent."""
    sent: list[dict[str, Any]] = []
    scope = {
        "type": "http",
        "method": "POST",
        "path": "/api/songs",
        "query_string": b"",
        "headers": [
            (b"content-type", kind),
            *([] if n_bytes is None else [(b"content-length", b"%d" % n_bytes)]),
        ],
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
        form = {"file": ("a.wav", WAV, "audio/wav")}
        answer = service.client.post("/api/songs", files=form, data={"stems": "bass"})
        assert service.wait(answer.json())["status"] == "done"


@pytest.mark.parametrize("length", [1, 9000])
def test_fields_of_a_form_count_as_well(service: Running, length: int) -> None:
    field = b'--x\r\nContent-Disposition: form-data; name="name"\r\n\r\n%s\r\n' % (b"a" * length)
    body = field * (9000 // length)
    messages = [{"type": "http.request", "body": body, "more_body": True} for _ in range(100)]
    sent = call_asgi(service, messages, kind=b"multipart/form-data; boundary=x")
    assert sent[0]["status"] == 413
    assert len(messages) > 70  # not read any further
    assert service.songs == []


def test_an_upload_that_breaks_off_leaves_nothing(service: Running) -> None:
    call_asgi(service, [{"type": "http.request", "body": WAV[:10_000], "more_body": True}])
    assert service.songs == []
    assert service.separate(WAV)["status"] == "done"


def test_an_upload_that_breaks_off_gives_its_place_back(tiny_model: Path, tmp_path: Path) -> None:
    with running(tiny_model, tmp_path / "songs", limits=ServiceLimits(max_waiting=1)) as service:
        for _ in range(2):
            call_asgi(service, [{"type": "http.request", "body": WAV[:1000], "more_body": True}])
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


def test_a_song_is_taken_only_if_its_stems_will_fit_beside_those_before_it(
    service: Running, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = len(WAV) * 5  # four stems, and the original for the page
    usage = shutil.disk_usage(service.folder)._replace(free=2 * whole)
    monkeypatch.setattr("stemsplit.service.room.shutil.disk_usage", lambda _: usage)
    first, second = service.upload(WAV), service.upload(WAV)
    refused = service.client.post("/api/songs?name=a.wav", content=WAV)
    assert is_error(refused, 507, "OutputError", "the disk is full", "send it again later")
    assert sorted(service.songs) == sorted([first["id"], second["id"]])
    assert service.upload(WAV, start_s="0.4999")["status"] == "queued"
    gate.open()
    for song in (first, second):
        assert service.wait(song)["status"] == "done"
    assert service.separate(WAV)["status"] == "done"


def test_room_is_kept_for_copies_of_stems_that_cannot_be_played_as_they_are() -> None:
    info = AudioInfo(44100, 2, 1000, "WAV", "PCM_16")
    n_bytes = {
        format: estimate_bytes(info, SeparationRequest(format=format), 4) for format in ("wav", "alac", "m4a")
    }
    assert n_bytes == {"wav": 5 * 4000, "alac": 9 * 4000, "m4a": 9 * 4000}


@pytest.mark.parametrize("data", [b"no song", b"%PDF-1.7", b"<html></html>" * 100, WAV[: len(WAV) // 2]])
def test_what_is_no_audio_never_waits(service: Running, data: bytes) -> None:
    refused = service.client.post("/api/songs?name=cut.wav", content=data)
    assert is_error(refused, 422, "AudioError", "cut.wav")
    assert service.songs == []
    assert service.separate(WAV)["status"] == "done"


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
    assert is_error(refused, 400, "SettingsError", words)
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
