"""The command in a real terminal: no line is lost, whatever the width and however many songs run."""

import itertools
import re
from pathlib import Path

import pytest

pytest.importorskip("pyte")
pytest.importorskip("pty")

from tests.support.cli import make_command, make_song
from tests.support.marks import slow_but
from tests.support.terminal import run_in_terminal

N_SONGS = 12


@pytest.mark.parametrize(
    ("n_jobs", "columns"), slow_but([(2, 80)], itertools.product([1, 2, 4], [40, 80, 160]))
)
def test_every_line_of_a_batch_stays_on_the_terminal(model: Path, columns: int, n_jobs: int) -> None:
    for number in range(N_SONGS):
        make_song(Path(f"in/s{number:02}.wav"), seconds=0.2 + 0.4 * (number % 3), seed=number)
    command = make_command(["in", "-m", model, "-s", "bass,drums", "-d", "cpu", "-j", n_jobs])
    shown = run_in_terminal(command, columns=columns)
    assert shown.code == 0, shown.rows
    paths = [f"separated/s{number:02}/{stem}.wav" for number in range(N_SONGS) for stem in ("bass", "drums")]
    assert [path for path in paths if not shown.has_line(path)] == []
    text = "".join(shown.rows)
    assert [n for n in range(N_SONGS) if f"done: in/s{n:02}.wav (0:0" not in text] == []
    assert text.count("done: ") == N_SONGS
    assert text.rstrip().endswith(f"{N_SONGS} songs: {N_SONGS} done")
    assert not re.search("[⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏━]", text), "the live rows are gone at the end"


@pytest.mark.slow
def test_the_live_rows_name_songs_and_count_music(model: Path) -> None:
    for name in ("a", "b"):
        make_song(Path(f"in/{name}.wav"), seconds=60)
    shown = run_in_terminal(make_command(["in", "-m", model, "-s", "bass", "-d", "cpu"]), columns=80)
    assert any(re.match(r". a +[━╸╺]+ +\d+% \d:\d\d spent", row) for row in shown.seen), sorted(shown.seen)
    assert any(re.match(r". \d/2 songs, \d:\d\d of 2:00 ", row) for row in shown.seen), sorted(shown.seen)


@pytest.mark.slow
def test_a_stem_that_is_called_like_markup_is_shown_as_it_is(model: Path) -> None:
    make_song(Path("[red]a :smile:.wav"), seconds=0.2)
    shown = run_in_terminal(
        make_command(["[red]a :smile:.wav", "-m", model, "-s", "bass", "-d", "cpu"]), columns=80
    )
    assert shown.has_line("separated/[red]a _smile_/bass.wav"), shown.rows
