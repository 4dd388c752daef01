"""The journal: what it says is done, is; a kill at any byte loses one song at most."""

import os
from dataclasses import asdict
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stemsplit.errors import OutputError
from stemsplit.jobs.journal import FILE_NAME, Journal, hash_values, identify_file
from stemsplit.jobs.plan import Provenance
from stemsplit.separation.settings import SeparationSettings


def write(folder: Path, name: str, size: int = 3) -> dict[str, Path]:
    """Write a stem."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x" * size)
    return {"vocals": path}


def test_a_finished_song_is_remembered(tmp_path: Path) -> None:
    outputs = write(tmp_path, "song/vocals.wav")
    Journal(tmp_path).finish("key", outputs)
    assert Journal(tmp_path).is_done("key", outputs)
    assert not Journal(tmp_path).is_done("other key", outputs)


def test_a_song_that_was_only_begun_is_not_done_but_ours(tmp_path: Path) -> None:
    parts = write(tmp_path, ".part")
    outputs = {"vocals": tmp_path / "vocals.wav"}
    Journal(tmp_path).begin("key", outputs, parts)
    parts["vocals"].rename(outputs["vocals"])
    again = Journal(tmp_path)
    assert not again.is_done("key", outputs)
    assert again.owns(outputs["vocals"])
    assert not again.owns(tmp_path / "drums.wav")


def test_a_name_that_was_only_begun_is_not_ours_when_another_file_has_it(tmp_path: Path) -> None:
    outputs = write(tmp_path, "vocals.wav", size=4)
    Journal(tmp_path).begin("key", outputs, write(tmp_path, ".part"))
    assert not Journal(tmp_path).owns(outputs["vocals"])


def test_the_stem_that_is_about_to_be_replaced_stays_ours(tmp_path: Path) -> None:
    outputs = write(tmp_path, "vocals.wav")
    Journal(tmp_path).finish("old", outputs)
    Journal(tmp_path).begin("new", outputs, write(tmp_path, ".part", size=4))
    assert Journal(tmp_path).owns(outputs["vocals"])
    again = write(tmp_path, ".part", size=5)
    Journal(tmp_path).begin("newer", outputs, again)
    assert Journal(tmp_path).owns(outputs["vocals"])
    again["vocals"].replace(outputs["vocals"])
    assert Journal(tmp_path).owns(outputs["vocals"])


@pytest.mark.parametrize("size", [3, 4])
def test_a_stem_that_was_edited_is_no_longer_ours(tmp_path: Path, size: int) -> None:
    outputs = write(tmp_path, "vocals.wav")
    journal = Journal(tmp_path)
    journal.finish("key", outputs)
    assert journal.owns(outputs["vocals"])
    write(tmp_path, "vocals.wav", size=size)
    os.utime(outputs["vocals"], (1, 1))
    assert not journal.owns(outputs["vocals"])
    assert not Journal(tmp_path).owns(outputs["vocals"])


def test_a_missing_or_changed_output_is_not_done(tmp_path: Path) -> None:
    outputs = write(tmp_path, "vocals.wav")
    Journal(tmp_path).finish("key", outputs)
    write(tmp_path, "vocals.wav", size=2)
    assert not Journal(tmp_path).is_done("key", outputs)
    outputs["vocals"].unlink()
    assert not Journal(tmp_path).is_done("key", outputs)


def test_the_last_word_on_a_file_counts(tmp_path: Path) -> None:
    outputs = write(tmp_path, "vocals.wav")
    journal = Journal(tmp_path)
    journal.finish("old", outputs)
    journal.finish("new", outputs)
    assert not Journal(tmp_path).is_done("old", outputs)
    journal.begin("newer", outputs, outputs)
    assert not Journal(tmp_path).is_done("new", outputs)


def test_the_folder_may_move(tmp_path: Path) -> None:
    Journal(tmp_path / "a").finish("key", write(tmp_path / "a", "s/vocals.wav"))
    (tmp_path / "a").rename(tmp_path / "b")
    assert Journal(tmp_path / "b").is_done("key", {"vocals": tmp_path / "b/s/vocals.wav"})


@given(st.data())
def test_a_torn_journal_forgets_no_more_than_its_last_line(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("torn")
    songs = [write(folder, f"é{n}.wav", size=n + 1) for n in range(3)]
    journal = Journal(folder)
    for n, outputs in enumerate(songs):
        journal.finish(str(n), outputs)
    whole = (folder / FILE_NAME).read_bytes()
    lines = whole.splitlines(keepends=True)
    cut = data.draw(st.integers(0, len(whole)))
    (folder / FILE_NAME).write_bytes(whole[:cut])
    n_whole = sum(len(b"".join(lines[: n + 1])) - 1 <= cut for n in range(3))
    again = Journal(folder)
    assert [again.is_done(str(n), outputs) for n, outputs in enumerate(songs)] == [
        n < n_whole for n in range(3)
    ]
    again.finish("2", songs[2])
    last = Journal(folder)
    assert last.is_done("2", songs[2])
    assert all(last.is_done(str(n), songs[n]) for n in range(n_whole))


@pytest.mark.parametrize("line", ["null", "[]", "3", '{"outputs": 3}', '{"outputs": {"a": 1}}', "\xff"])
def test_foreign_lines_are_passed_over(tmp_path: Path, line: str) -> None:
    outputs = write(tmp_path, "vocals.wav")
    Journal(tmp_path).finish("key", outputs)
    with (tmp_path / FILE_NAME).open("ab") as file:
        file.write(line.encode("latin-1") + b"\n")
    assert Journal(tmp_path).is_done("key", outputs)


def test_an_unwritable_journal_is_an_output_error(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).mkdir()
    with pytest.raises(OutputError, match="journal"):
        Journal(tmp_path)
    with pytest.raises(OutputError, match="journal"):
        (tmp_path / "file").touch()
        Journal(tmp_path / "file")


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
    settings = asdict(SeparationSettings()) | {"stems": ["vocals"], "format": "wav", "bits": None}
    key = Provenance(("vocals",), "cpu", (), settings).key(song, {"vocals": tmp_path / "vocals.wav"})
    assert key == "d3cf692468e051e9c60b3e2ee504e149839d56f4c952a0a50307154162e463c4"


def test_the_hash_does_not_depend_on_the_order_of_keys() -> None:
    assert hash_values({"a": 1, "b": 2}) == hash_values({"b": 2, "a": 1}) != hash_values({"a": 2, "b": 1})
