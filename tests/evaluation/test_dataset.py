"""Data sets as they are on disk, whole and damaged."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from stemsplit.errors import AudioError, SettingsError
from stemsplit.evaluation.dataset import find_songs
from tests.conftest import make_noise
from tests.support.stem_files import write_stem_file

STEMS = ("bass", "drums", "other", "vocals")


def write(path: Path, *, n_samples: int = 400, sample_rate: int = 8000, level: float = 0.1) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.full((n_samples, 2), level, np.float32), sample_rate, subtype="FLOAT")


def write_song(folder: Path, *names: str) -> Path:
    for name in names or (*STEMS, "mixture"):
        write(folder / f"{name}.wav", level=0.4 if name == "mixture" else 0.1)
    return folder


def write_dsd(folder: Path, part: str, song: str) -> None:
    write_song(folder / "Sources" / part / song, *STEMS)
    write_song(folder / "Mixtures" / part / song, "mixture")


def test_songs_of_musdb_for_testing_come_unless_others_are_named(tmp_path: Path) -> None:
    write_song(tmp_path / "train" / "one")
    write_song(tmp_path / "test" / "two")
    assert [song.name for song in find_songs(tmp_path)] == ["two"]
    assert [(song.name, song.split) for song in find_songs(tmp_path, "all")] == [
        ("one", "train"),
        ("two", "test"),
    ]
    (song,) = find_songs(tmp_path, "train")
    audio = song.read()
    assert tuple(audio.stems) == STEMS and audio.sample_rate == 8000
    assert audio.mixture.shape == (2, 400) and audio.mixture[0, 0] == pytest.approx(0.4)


def test_songs_of_dsd100_have_their_mixtures_in_another_folder(tmp_path: Path) -> None:
    write_dsd(tmp_path, "Dev", "051 - Artist - One")
    write_dsd(tmp_path, "Test", "001 - Artist - Two")
    assert [song.split for song in find_songs(tmp_path, "all")] == ["train", "test"]
    (song,) = find_songs(tmp_path)
    assert song.name == "001 - Artist - Two" and not song.problem
    assert song.read().mixture.shape == (2, 400)


def test_a_stem_file_is_a_song(tmp_path: Path) -> None:
    parts = [0.1 * make_noise(2, 20_000, seed=seed) for seed in range(4)]
    write_stem_file(tmp_path / "test" / "Song.stem.mp4", [sum(parts), *parts])
    (song,) = find_songs(tmp_path)
    audio = song.read()
    assert song.name == "Song" and set(audio.stems) == set(STEMS)
    for name, part in zip(("drums", "bass", "other", "vocals"), parts, strict=True):
        assert np.abs(audio.stems[name][:, : part.shape[1]] - part).max() < 4 / 32768
    assert np.abs(audio.mixture - sum(audio.stems.values())).max() < 8 / 32768


def test_the_mixture_is_the_sum_where_there_is_none(tmp_path: Path) -> None:
    write_song(tmp_path / "song", *STEMS)
    (song,) = find_songs(tmp_path)
    assert song.split == "" and song.read().mixture[0, 0] == pytest.approx(0.4)


def test_songs_that_lack_something_say_what(tmp_path: Path) -> None:
    write_song(tmp_path / "whole")
    write_song(tmp_path / "part", "vocals", "drums", "mixture")
    (tmp_path / "empty").mkdir()
    write_song(tmp_path / "twice")
    soundfile.write(tmp_path / "twice" / "vocals.flac", np.zeros(400), 8000)
    problems = {song.name: song.problem for song in find_songs(tmp_path)}
    assert "lacks bass, other" in problems["part"] and str(tmp_path / "part") in problems["part"]
    assert "no stems" in problems["empty"] and "several" in problems["twice"] and not problems["whole"]
    with pytest.raises(AudioError, match="lacks"):
        next(song for song in find_songs(tmp_path) if song.name == "part").read()


def test_a_song_of_dsd100_without_mixture_or_sources_is_named(tmp_path: Path) -> None:
    write_dsd(tmp_path, "Test", "good")
    write_song(tmp_path / "Sources" / "Test" / "a", *STEMS)
    write_song(tmp_path / "Mixtures" / "Test" / "b", "mixture")
    problems = {song.name: song.problem for song in find_songs(tmp_path)}
    assert "no mixture" in problems["a"] and "no stems" in problems["b"] and not problems["good"]


@pytest.mark.parametrize(
    ("change", "said"),
    [({"n_samples": 300}, "300 samples"), ({"sample_rate": 16000}, "16000 Hz")],
)
def test_stems_that_differ_are_named(tmp_path: Path, change: dict[str, int], said: str) -> None:
    write_song(tmp_path / "song")
    write(tmp_path / "song" / "drums.wav", **change)
    (song,) = find_songs(tmp_path)
    with pytest.raises(AudioError, match=said) as error:
        song.read()
    assert "drums.wav" in str(error.value) and "bass.wav" in str(error.value)


def test_a_mixture_of_another_length_is_named(tmp_path: Path) -> None:
    write_song(tmp_path / "song")
    write(tmp_path / "song" / "mixture.wav", n_samples=300)
    with pytest.raises(AudioError, match=r"mixture\.wav"):
        find_songs(tmp_path)[0].read()


def test_a_folder_without_songs_or_split_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="not a folder"):
        find_songs(tmp_path / "missing")
    with pytest.raises(SettingsError, match="no songs"):
        find_songs(tmp_path)
    write_song(tmp_path / "train" / "song")
    assert len(find_songs(tmp_path)) == 1
    with pytest.raises(SettingsError, match="split test"):
        find_songs(tmp_path, "test")
    with pytest.raises(SettingsError, match="train, test or all"):
        find_songs(tmp_path, "valid")


def test_the_middle_of_a_song_is_cut_out_of_all_its_stems(tmp_path: Path) -> None:
    write_song(tmp_path / "song")
    audio = find_songs(tmp_path)[0].read()
    cut = audio.cut_middle(0.025)
    assert cut.mixture.shape == (2, 200) and all(stem.shape == (2, 200) for stem in cut.stems.values())
    assert audio.cut_middle(10).mixture.shape == (2, 400)
