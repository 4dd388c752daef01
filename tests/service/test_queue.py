"""Songs wait for their turn, report their progress, and are removed."""

import json
import re
import threading
import time
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("starlette")

from stemsplit.service.limits import ServiceLimits
from stemsplit.service.worker import _Progress
from tests.support.service import WAV, Gate, Running, is_error, make_wav, running


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
    end_s = time.monotonic() + 20
    while stopped.n_samples is None:
        assert time.monotonic() < end_s
        time.sleep(0.01)
    assert service.client.delete(f"/api/songs/{first['id']}").status_code == 204
    assert service.client.get(f"/api/songs/{first['id']}").status_code == 404
    gate.open()
    assert service.wait(second)["status"] == "done"
    assert service.songs == [second["id"]]
    assert stopped.n_finished < stopped.n_samples


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
        song = service.upload(make_wav(60, n_channels=1))
        service.wait(song, "separating")
        waiting = service.upload(WAV)
        threading.Timer(0.2, gate.open).start()
        started_s = time.monotonic()
    assert time.monotonic() - started_s < 5
    assert song["id"] not in service.songs
    assert waiting["id"] in service.songs  # its folder goes with that of the service


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
    service.wait(song, "separating")  # since 0 s
    service.clock.now_s = 10
    end_s = time.monotonic() + 20
    while (said := service.wait(song, "separating"))["time_left_s"] is None:
        assert time.monotonic() < end_s
    share = said["progress"]
    assert said["time_left_s"] == pytest.approx(10 * (1 - share) / share, abs=0.1)
