"""What the service hands back: stems, archives, other formats, parts of files."""

import errno
import io
import os
import zipfile
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pytest

pytest.importorskip("starlette")

from stemsplit.service.answers import MEDIA_TYPES
from stemsplit.service.errors import NoSuchSongError
from tests.support.audio_files import read_whole
from tests.support.service import WAV, Gate, Running, is_error, make_wav, read_audio


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Café – Été.flac", "Café – Été (vocals).wav"),
        ("../../etc/passwd", "passwd (vocals).wav"),
        ("C:\\Music\\So?.mp3", "So_ (vocals).wav"),
        ("", "song (vocals).wav"),
        ("Mr. Blue Sky", "Mr. Blue Sky (vocals).wav"),
        ("Mr. Blue Sky.MP3", "Mr. Blue Sky (vocals).wav"),
        ("No. 1.stem.mp4", "No. 1 (vocals).wav"),
        (".wav", "_wav (vocals).wav"),
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


def test_stems_that_are_not_there_yet_are_409(service: Running, gate: Gate) -> None:
    song = service.upload(make_wav(4))
    service.wait(song, "separating")
    for path in ("stems/bass", "stems.zip"):
        refused = service.client.get(f"/api/songs/{song['id']}/{path}")
        assert is_error(refused, 409, "NotSeparatedError", "separating")


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


def test_alac_has_the_ending_and_the_type_of_its_container(service: Running, tmp_path: Path) -> None:
    song = service.separate(WAV)
    stored = read_audio(service.client.get(song["outputs"]["bass"]).content)
    parameters = {"format": "alac"}
    response = service.client.get(song["outputs"]["bass"], params=parameters)
    assert response.headers["content-type"] == "audio/mp4"
    assert response.headers["content-disposition"].endswith(quote("song (bass).m4a"))
    (tmp_path / "bass.m4a").write_bytes(response.content)
    assert np.array_equal(read_whole(tmp_path / "bass.m4a").T, stored)
    packed = service.client.get(song["zip"], params=parameters)
    with zipfile.ZipFile(io.BytesIO(packed.content)) as archive:
        assert archive.namelist() == [f"song ({stem}).m4a" for stem in song["outputs"]]


@pytest.mark.parametrize(
    "parameters", [{"format": "/x"}, {"format": "/.."}, {"format": "mp4"}, {"bits": "/../17"}]
)
def test_a_zip_that_cannot_be_is_refused_and_leaves_nothing(
    service: Running, parameters: dict[str, str]
) -> None:
    song = service.separate(WAV, stems="bass")
    before = set(service.folder.rglob("*"))
    for _ in range(2):
        assert is_error(service.client.get(song["zip"], params=parameters), 400, "SettingsError")
    assert {path for path in service.folder.rglob("*") if path.name != "mixes"} == before


def test_a_zip_of_more_stems_than_mixes_are_kept_has_all(
    service: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stemsplit.service.song._MAX_RENDERED", 1)
    song = service.separate(WAV)
    packed = service.client.get(song["zip"], params={"format": "flac"})
    with zipfile.ZipFile(io.BytesIO(packed.content)) as archive:
        assert archive.namelist() == [f"song ({stem}).flac" for stem in song["outputs"]]
    assert service.client.get(song["mix"]).status_code == 200


def test_a_file_that_the_client_has_is_not_sent_again(service: Running) -> None:
    url = service.separate(WAV, stems="bass")["outputs"]["bass"]
    first = service.client.get(url)
    again = service.client.get(url, headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", first.headers["etag"])
