"""The journal: what is recorded as done is done, old journals are read, many processes share one."""

import json
import os
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stemsplit.errors import OutputError
from stemsplit.jobs.inputs import SongInput
from stemsplit.jobs.journal import FOLDER, OLD_FILE, Journal, StemRecord, hash_values, identify_file
from stemsplit.jobs.provenance import Provenance, record_settings
from stemsplit.separation.settings import SeparationSettings

SONG = "song/_.wav"


def keyed(key: str) -> Callable[[StemRecord], bool]:
    """Return the test whether a stem was recorded under a key."""
    return lambda stem: stem.key == key


def write(folder: Path, name: str, size: int = 3) -> dict[str, Path]:
    """Write a stem."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x" * size)
    return {"vocals": path}


def test_a_finished_song_is_remembered(tmp_path: Path) -> None:
    outputs = write(tmp_path, "song/vocals.wav")
    Journal(tmp_path).finish(SONG, "key", outputs)
    assert Journal(tmp_path).is_done(SONG, outputs, keyed("key"))
    assert not Journal(tmp_path).is_done(SONG, outputs, keyed("other key"))


def test_a_song_that_was_only_begun_is_not_done_but_ours(tmp_path: Path) -> None:
    parts = write(tmp_path, ".part")
    outputs = {"vocals": tmp_path / "vocals.wav"}
    Journal(tmp_path).begin(SONG, "key", outputs, parts)
    parts["vocals"].rename(outputs["vocals"])
    again = Journal(tmp_path)
    assert not again.is_done(SONG, outputs, keyed("key"))
    assert again.owns(SONG, outputs["vocals"])
    assert not again.owns(SONG, tmp_path / "drums.wav")


def test_a_name_that_was_only_begun_is_not_ours_when_another_file_has_it(tmp_path: Path) -> None:
    outputs = write(tmp_path, "vocals.wav", size=4)
    Journal(tmp_path).begin(SONG, "key", outputs, write(tmp_path, ".part"))
    assert not Journal(tmp_path).owns(SONG, outputs["vocals"])


def test_the_stem_that_is_about_to_be_replaced_stays_ours(tmp_path: Path) -> None:
    outputs = write(tmp_path, "vocals.wav")
    Journal(tmp_path).finish(SONG, "old", outputs)
    Journal(tmp_path).begin(SONG, "new", outputs, write(tmp_path, ".part", size=4))
    assert Journal(tmp_path).owns(SONG, outputs["vocals"])
    again = write(tmp_path, ".part", size=5)
    Journal(tmp_path).begin(SONG, "newer", outputs, again)
    assert Journal(tmp_path).owns(SONG, outputs["vocals"])
    again["vocals"].replace(outputs["vocals"])
    assert Journal(tmp_path).owns(SONG, outputs["vocals"])


@pytest.mark.parametrize("size", [3, 4])
def test_a_stem_that_was_edited_is_no_longer_ours(tmp_path: Path, size: int) -> None:
    outputs = write(tmp_path, "vocals.wav")
    journal = Journal(tmp_path)
    journal.finish(SONG, "key", outputs)
    assert journal.owns(SONG, outputs["vocals"])
    write(tmp_path, "vocals.wav", size=size)
    os.utime(outputs["vocals"], (1, 1))
    assert not journal.owns(SONG, outputs["vocals"])
    assert not Journal(tmp_path).owns(SONG, outputs["vocals"])


@pytest.mark.parametrize(("content", "is_ours"), [(b"abc", True), (b"abd", False), (b"ab", False)])
def test_where_only_the_time_of_a_stem_differs_its_content_is_compared(
    tmp_path: Path, content: bytes, is_ours: bool
) -> None:
    outputs = write(tmp_path, "vocals.wav")
    outputs["vocals"].write_bytes(b"abc")
    journal = Journal(tmp_path)
    journal.begin(SONG, "key", outputs, outputs)
    journal.finish(SONG, "key", outputs)
    outputs["vocals"].write_bytes(content)
    os.utime(outputs["vocals"], (1, 1))
    assert Journal(tmp_path).owns(SONG, outputs["vocals"]) is is_ours


def test_a_missing_or_changed_output_is_not_done(tmp_path: Path) -> None:
    outputs = write(tmp_path, "vocals.wav")
    Journal(tmp_path).finish(SONG, "key", outputs)
    write(tmp_path, "vocals.wav", size=2)
    assert not Journal(tmp_path).is_done(SONG, outputs, keyed("key"))
    outputs["vocals"].unlink()
    assert not Journal(tmp_path).is_done(SONG, outputs, keyed("key"))


def test_the_last_word_on_a_file_counts(tmp_path: Path) -> None:
    outputs = write(tmp_path, "vocals.wav")
    journal = Journal(tmp_path)
    journal.finish(SONG, "old", outputs)
    journal.finish(SONG, "new", outputs)
    assert not Journal(tmp_path).is_done(SONG, outputs, keyed("old"))
    journal.begin(SONG, "newer", outputs, outputs)
    assert not Journal(tmp_path).is_done(SONG, outputs, keyed("new"))


def test_the_folder_may_move(tmp_path: Path) -> None:
    Journal(tmp_path / "a").finish(SONG, "key", write(tmp_path / "a", "s/vocals.wav"))
    (tmp_path / "a").rename(tmp_path / "b")
    assert Journal(tmp_path / "b").is_done(SONG, {"vocals": tmp_path / "b/s/vocals.wav"}, keyed("key"))


def old_line(event: str, key: str, outputs: dict[str, Path], folder: Path) -> str:
    """Return a line of the journal of earlier versions."""
    marks = {
        path.relative_to(folder).as_posix(): {
            "size": path.stat().st_size,
            "mtime_ns": path.stat().st_mtime_ns,
        }
        for path in outputs.values()
    }
    return json.dumps({"event": event, "key": key, "outputs": marks, "models": []}) + "\n"


@given(st.data())
def test_a_torn_journal_of_an_earlier_version_loses_its_last_line_only(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("torn")
    songs = [write(folder, f"é{n}.wav", size=n + 1) for n in range(3)]
    lines = [old_line("done", str(n), outputs, folder).encode() for n, outputs in enumerate(songs)]
    cut = data.draw(st.integers(0, len(b"".join(lines))))
    (folder / OLD_FILE).write_bytes(b"".join(lines)[:cut])
    n_whole = sum(len(b"".join(lines[: n + 1])) - 1 <= cut for n in range(3))
    journal = Journal(folder)
    is_done = [journal.is_done(f"song {n}", outputs, keyed(str(n))) for n, outputs in enumerate(songs)]
    assert is_done == [n < n_whole for n in range(3)]
    journal.finish("song 2", "2", songs[2])
    assert Journal(folder).is_done("song 2", songs[2], keyed("2"))
    assert len(Journal(folder).list_files()) == len({*range(n_whole), 2})


@pytest.mark.parametrize("line", ["null", "[]", "3", '{"outputs": 3}', '{"outputs": {"a": 1}}', "\xff"])
def test_foreign_lines_of_an_earlier_version_are_ignored(tmp_path: Path, line: str) -> None:
    outputs = write(tmp_path, "vocals.wav")
    lines = old_line("done", "key", outputs, tmp_path) + line + "\n"
    (tmp_path / OLD_FILE).write_bytes(lines.encode("latin-1"))
    assert Journal(tmp_path).is_done(SONG, outputs, keyed("key"))


def test_a_new_record_takes_precedence_over_an_old_line(tmp_path: Path) -> None:
    outputs = write(tmp_path, "vocals.wav")
    (tmp_path / OLD_FILE).write_text(old_line("done", "old", outputs, tmp_path))
    journal = Journal(tmp_path)
    assert journal.is_done(SONG, outputs, keyed("old"))
    journal.begin(SONG, "new", outputs, write(tmp_path, ".part", size=5))
    assert journal.owns(SONG, outputs["vocals"])
    assert not Journal(tmp_path).is_done(SONG, outputs, keyed("old"))


@pytest.mark.parametrize("content", [b"", b"{", b"null", b"[]", b'{"song": 3}', b"\xff"])
def test_a_record_that_is_torn_or_foreign_is_ignored(tmp_path: Path, content: bytes) -> None:
    outputs = write(tmp_path, "vocals.wav")
    Journal(tmp_path).finish(SONG, "key", outputs)
    (record,) = (tmp_path / FOLDER).rglob("*.json")
    record.write_bytes(content)
    journal = Journal(tmp_path)
    assert not journal.is_done(SONG, outputs, keyed("key"))
    assert not journal.list_files()
    journal.finish(SONG, "key", outputs)
    assert journal.is_done(SONG, outputs, keyed("key"))


def test_a_stem_of_an_earlier_run_stays_in_the_record(tmp_path: Path) -> None:
    vocals, drums = write(tmp_path, "song/vocals.wav"), {"drums": write(tmp_path, "song/drums.wav")["vocals"]}
    Journal(tmp_path).finish(SONG, "one", vocals)
    Journal(tmp_path).finish(SONG, "other", drums)
    journal = Journal(tmp_path)
    assert journal.is_done(SONG, vocals, keyed("one")) and journal.is_done(SONG, drums, keyed("other"))
    assert journal.list_files() == {*vocals.values(), *drums.values()}


def _record_songs(folder: Path, songs: range) -> None:
    journal = Journal(folder)
    for n in songs:
        outputs = write(folder, f"{n}.wav")
        journal.begin(str(n), "key", outputs, outputs)
        journal.finish(str(n), "key", outputs)


@pytest.mark.slow
def test_many_processes_share_a_journal(tmp_path: Path) -> None:
    shares = [range(worker, 120, 4) for worker in range(4)]
    with ProcessPoolExecutor(4, mp_context=get_context("spawn")) as pool:
        list(pool.map(_record_songs, [tmp_path] * 4, shares))
    journal = Journal(tmp_path)
    assert all(journal.is_done(str(n), {"vocals": tmp_path / f"{n}.wav"}, keyed("key")) for n in range(120))


def test_records_are_written_without_a_look_at_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise a song would cost more with every song that is done; each of the folders is listed once."""
    seen: list[str] = []
    for name in ("listdir", "scandir"):
        look = getattr(os, name)
        monkeypatch.setattr(os, name, lambda path, look=look: (seen.append(os.fspath(path)), look(path))[1])
    journal = Journal(tmp_path)
    for number in range(20):
        for _ in range(2):
            journal.finish(f"{number}/_.wav", "key", write(tmp_path, f"{number}/vocals.wav"))
    looked_at = [path for path in seen if f"{FOLDER}/journal" in path]
    assert len(looked_at) == len(set(looked_at))


def test_a_journal_that_cannot_be_used_is_an_output_error(tmp_path: Path) -> None:
    outputs = write(tmp_path, "vocals.wav")
    (tmp_path / FOLDER).touch()
    with pytest.raises(OutputError, match="journal cannot be read or written"):
        Journal(tmp_path).finish(SONG, "key", outputs)
    (tmp_path / OLD_FILE).mkdir()
    with pytest.raises(OutputError, match="journal cannot be read or written"):
        Journal(tmp_path)


def test_a_file_is_known_by_size_time_and_beginning(tmp_path: Path) -> None:
    path = tmp_path / "song.wav"
    path.write_bytes(b"abc")
    first = identify_file(path)
    assert identify_file(path) == first
    path.write_bytes(b"abd")
    assert identify_file(path) != first


def test_a_pipe_is_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "song.wav")
    with pytest.raises(OSError, match="not a regular file"):
        identify_file(tmp_path / "song.wav")


def test_the_key_of_a_song_is_that_of_earlier_versions(tmp_path: Path) -> None:
    song = tmp_path / "song.wav"
    song.write_bytes(b"abc")
    os.utime(song, (1, 1))
    settings = record_settings(SeparationSettings()) | {"stems": ["vocals"], "format": "wav", "bits": None}
    key = Provenance(("vocals",), "cpu", (), settings).key(SongInput("song.wav", song).identify(), ["vocals"])
    assert key == "d3cf692468e051e9c60b3e2ee504e149839d56f4c952a0a50307154162e463c4"


def test_the_hash_does_not_depend_on_the_order_of_keys() -> None:
    assert hash_values({"a": 1, "b": 2}) == hash_values({"b": 2, "a": 1}) != hash_values({"a": 2, "b": 1})
