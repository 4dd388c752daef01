"""The drums of records by genre: which record is of which genre, and what is averaged."""

from pathlib import Path

import pytest

pytest.importorskip("torch")

from benchmarks.drums_by_genre import genres_of, summarise
from stemsplit.errors import StemsplitError

GENRES = """Track Name,Genre,Source
"Jokers Jacks & Kings - Sea Of Leaves",Pop/Rock,DSD
Patrick Talbot - Set Free Me,Jazz,DSD
Devils - Devil's Words,Electronic,DSD
"""


def write(folder: Path, songs: str) -> tuple[Path, Path]:
    for name, text in (("songs.csv", f"number,artist,title\n{songs}"), ("genres.csv", GENRES)):
        (folder / name).write_text(text, encoding="utf-8")
    return folder / "songs.csv", folder / "genres.csv"


def test_titles_are_found_whatever_their_punctuation_and_order(tmp_path: Path) -> None:
    songs = (
        '00,"Jokers, Jacks & Kings",Sea Of Leaves\n01,Patrick Talbot,Set Me Free\n02,Devils,Devils Words\n'
    )
    assert genres_of(*write(tmp_path, songs)) == {"00": "Pop/Rock", "01": "Jazz", "02": "Electronic"}


def test_a_record_that_is_not_listed_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(StemsplitError, match=r"genres\.csv does not have Nobody - Nothing"):
        genres_of(*write(tmp_path, "00,Nobody,Nothing\n"))


def test_every_record_counts_once_and_genres_apart() -> None:
    figures = {"00": 1.0, "01": 2.0, "02": 6.0}
    row = summarise(figures, {"00": "Pop/Rock", "01": "Jazz", "02": "Electronic", "03": "Jazz"})
    assert row == {"n_electronic": 1, "n_others": 2, "all": 3.0, "electronic": 6.0, "others": 1.5}
