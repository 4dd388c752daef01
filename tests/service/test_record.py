"""Records of songs, as another service finds them: also one of another version."""

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("starlette")

from stemsplit.service.record import read_songs
from stemsplit.service.song import Stage
from tests.support.service import WAV, Running, running


@pytest.fixture(scope="module")
def service(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A service with one song that is done."""
    with running(tiny_model, tmp_path_factory.mktemp("serve") / "songs") as service:
        service.separate(WAV, name="Song.wav", stems="bass")
        yield service


def write_record(service: Running, folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Copy the record of the song into `folder`, with a change."""
    (path,) = service.folder.glob("*/song.json")
    record = json.loads(path.read_text(encoding="utf-8"))
    change(record)
    folder.mkdir(parents=True)
    (folder / "song.json").write_text(json.dumps(record), encoding="utf-8")


def test_a_song_is_read_as_it_was_written(service: Running, tmp_path: Path) -> None:
    write_record(service, tmp_path / "x", dict)
    (song,) = read_songs(tmp_path)
    (written,) = service.queue.find_all(service.queue.find(service.songs[0]).owner)
    assert (song.id, song.stage, song.request) == ("x", Stage.DONE, written.request)
    assert song.preview == written.preview
    assert song.stems == {"bass": tmp_path / "x" / "stems" / "bass.wav"}
    assert song.result is not None and written.result is not None
    ours, theirs = ({**asdict(each), "outputs": None} for each in (song.result, written.result))
    assert ours == theirs


@pytest.mark.parametrize(
    "change",
    [
        lambda record: record["result"].update(mood="blue"),
        lambda record: record["result"].pop("input"),
        lambda record: record["result"]["models"][0].pop("licence"),
        lambda record: record["result"].update(status="finished"),
        lambda record: record["result"].update(duration_s="long"),
        lambda record: record["result"].update(models=None),
        lambda record: record.update(mood="blue"),
        lambda record: record.update(result=[]),
        lambda record: record["separation"].update(models=3),
        lambda record: record["preview"].update(peaks=3),
    ],
)
def test_a_record_of_another_version_is_passed_over(
    service: Running, tmp_path: Path, change: Callable[[dict[str, Any]], object]
) -> None:
    write_record(service, tmp_path / "other", change)
    write_record(service, tmp_path / "this", dict)
    assert [song.id for song in read_songs(tmp_path)] == ["this"]


@pytest.mark.parametrize("text", ["", "[]", "null", "{"])
def test_a_record_that_is_none_is_passed_over(tmp_path: Path, text: str) -> None:
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "song.json").write_text(text, encoding="utf-8")
    assert list(read_songs(tmp_path)) == []
