"""Stored songs: they are read as they were saved, and damaged ones are reported."""

import json
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")

from stemsplit.errors import StemsplitError
from stemsplit.training.data.rendered_stem import RenderedStem
from stemsplit.training.data.songs import load_songs, save_song, stem_name, targets_of


def test_a_stem_name_lists_its_targets() -> None:
    assert targets_of("drums+bass+other") == ("drums", "bass", "other") and targets_of("bass") == ("bass",)
    assert stem_name(("other", "vocals")) == "vocals+other"
    assert targets_of("viola+first violin") == ("viola", "first violin")
    for wrong in ("Bass", "other+bass", "", "bass+bass", "viola+", "a/b"):
        with pytest.raises(StemsplitError, match="stem"):
            targets_of(wrong)


def test_no_songs_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(StemsplitError, match="prepare"):
        load_songs(tmp_path)


def _cut_description(folder: Path) -> None:
    (folder / "song.json").write_text('{"split": "tr', encoding="utf-8")


def _unknown_fact(folder: Path) -> None:
    facts = json.loads((folder / "song.json").read_text(encoding="utf-8"))
    (folder / "song.json").write_text(json.dumps(facts | {"mood": "blue"}), encoding="utf-8")


def _list_description(folder: Path) -> None:
    (folder / "song.json").write_text("[1, 2]", encoding="utf-8")


def _cut_array(folder: Path) -> None:
    whole = (folder / "song.npy").read_bytes()
    (folder / "song.npy").write_bytes(whole[: len(whole) // 2])


def _array_without_its_last_sample(folder: Path) -> None:
    whole = (folder / "song.npy").read_bytes()
    (folder / "song.npy").write_bytes(whole[:-2])


def _empty_array(folder: Path) -> None:
    (folder / "song.npy").write_bytes(b"")


def _array_of_floats(folder: Path) -> None:
    np.save(folder / "song.npy", np.load(folder / "song.npy").astype(np.float32))


def _array_of_two_stems(folder: Path) -> None:
    np.save(folder / "song.npy", np.repeat(np.load(folder / "song.npy"), 2, axis=0))


def _no_array(folder: Path) -> None:
    (folder / "song.npy").unlink()


@pytest.mark.parametrize(
    "damage",
    [
        _cut_description,
        _unknown_fact,
        _list_description,
        _cut_array,
        _array_without_its_last_sample,
        _empty_array,
        _array_of_floats,
        _array_of_two_stems,
        _no_array,
    ],
)
def test_a_damaged_song_is_reported_before_training_starts(
    tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    stem = RenderedStem(np.full((2, 4000), 0.5, np.float32))
    save_song(tmp_path, "song", {"drums": stem}, split="train", kind="render")
    assert len(load_songs(tmp_path)) == 1
    damage(tmp_path)
    with pytest.raises(
        StemsplitError,
        match=r"song\.json is not the description of a usable song .*delete it and run .*prepare",
    ):
        load_songs(tmp_path)


def test_a_song_is_read_as_it_was_saved(tmp_path: Path) -> None:
    waveform = np.random.default_rng(0).uniform(-0.5, 0.5, (2, 5000)).astype(np.float32)
    save_song(tmp_path, "a", {"bass": RenderedStem(waveform, ("slap",))}, split="train", kind="render")
    (song,) = load_songs(tmp_path)
    assert np.abs(song.read("bass", 0, 5000) - waveform).max() < 2 / 32768
    assert song.read("bass", 4000, 2000)[:, 1000:].max() == 0
    assert song.ingredients == {"bass": ("slap",)}


@pytest.mark.skipif(not Path("/dev/fd").exists(), reason="the system does not list open files")
def test_reading_a_song_leaves_no_file_open(tmp_path: Path) -> None:
    stem = RenderedStem(np.full((2, 4000), 0.5, np.float32))
    for number in range(20):
        save_song(tmp_path, f"{number}", {"drums": stem}, split="train", kind="render")
    songs = load_songs(tmp_path)
    open_before = len(list(Path("/dev/fd").iterdir()))
    for song in songs:
        song.read("drums", 100, 1000)
    assert len(list(Path("/dev/fd").iterdir())) == open_before


def test_a_song_is_pickled_without_its_samples(tmp_path: Path) -> None:
    save_song(
        tmp_path, "a", {"bass": RenderedStem(np.ones((2, 50_000), np.float32))}, split="train", kind="render"
    )
    (song,) = load_songs(tmp_path)
    song.read("bass", 0, 100)
    assert len(pickle.dumps(song)) < 5000 and pickle.loads(pickle.dumps(song)) == song
