"""Progress under a simulated clock: what is said about the time left comes true."""

from pathlib import Path

import numpy as np
import pytest

from stemsplit.audio.info import AudioInfo
from stemsplit.audio.read_settings import ReadSettings
from stemsplit.cli import progress
from stemsplit.cli.live_progress import LiveProgress
from stemsplit.cli.run_progress import BatchProgress, SongProgress
from stemsplit.jobs.inputs import SongInput
from stemsplit.jobs.plan import Job
from stemsplit.jobs.result import FileResult, Status
from tests.support.cli import make_song

RATE = 44100
SONG_S = 240.0
# when each chunk of a song of four minutes left the mixer, on two busy cores
RECORDED_S = (
    2.582,
    3.757,
    5.369,
    6.786,
    8.09,
    9.933,
    11.761,
    13.178,
    14.093,
    15.273,
    16.589,
    17.86,
    19.236,
    20.563,
    21.743,
    23.109,
    24.25,
    25.314,
    27.006,
    28.654,
    29.673,
)


class Clock:
    """Seconds that pass when they are told to."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


def steady(first_s: float, step_s: float, *, jitter: float = 0.0, seed: int = 0) -> tuple[float, ...]:
    """When 20 chunks are finished, the first after `first_s`."""
    rng = np.random.default_rng(seed)
    steps_s = step_s * (1 + jitter * rng.uniform(-1, 1, 19))
    return tuple(first_s + np.concatenate([[0.0], np.cumsum(steps_s)]))


def follow(chunks_s: tuple[float, ...]) -> dict[float, tuple[float | None, float]]:
    """Return the time left, as estimated and in truth, when 10, 25 and 50 % are finished."""
    clock = Clock()
    song = SongProgress(AudioInfo(RATE, 2, round(SONG_S * RATE), "WAV", "PCM_16"), clock)
    began_s, n_pieces, found = clock.now_s, 8, {}
    marks = [0.1, 0.25, 0.5]
    for done_s in chunks_s:
        clock.now_s = began_s + done_s
        for _ in range(n_pieces):  # a chunk is mixed in pieces
            song.advance(round(SONG_S * RATE / len(chunks_s) / n_pieces))
            clock.now_s += 0.002
        while marks and song.done_s >= marks[0] * SONG_S * 0.999:
            found[marks.pop(0)] = song.left_s, began_s + chunks_s[-1] - clock.now_s
    return found


@pytest.mark.parametrize(
    "chunks_s",
    [
        RECORDED_S,
        steady(0.8, 0.5),
        steady(2.6, 1.3, jitter=0.2),
        steady(4.0, 4.0, jitter=0.2, seed=1),
        steady(40.0, 30.0, jitter=0.2, seed=2),
    ],
    ids=["recorded", "fast", "busy", "slow", "very slow"],
)
def test_the_estimate_comes_true(chunks_s: tuple[float, ...]) -> None:
    for (share, (left_s, true_s)), tolerance in zip(follow(chunks_s).items(), (0.4, 0.25, 0.15), strict=True):
        assert left_s is not None, share
        assert left_s == pytest.approx(true_s, rel=tolerance), share


def test_nothing_is_said_before_it_means_something() -> None:
    clock = Clock()
    song = SongProgress(AudioInfo(RATE, 2, 240 * RATE, "WAV", "PCM_16"), clock)
    assert (song.left_s, song.pace, str(song)) == (None, None, "0%, 0:00 spent")
    clock.now_s += 3.0
    for _ in range(8):
        song.advance(round(1.5 * RATE))
        clock.now_s += 0.01
    assert (song.left_s, song.amount) == (None, "5%")
    clock.now_s += 1.42
    for _ in range(8):
        song.advance(round(1.5 * RATE))
        clock.now_s += 0.01
    assert song.left_s == pytest.approx(27, rel=0.2)


def test_a_stream_without_a_length_has_no_end() -> None:
    clock = Clock()
    song = SongProgress(AudioInfo(RATE, 2, None, "WAV", "PCM_16"), clock)
    for _ in range(10):
        clock.now_s += 1
        song.advance(10 * RATE)
    assert song.left_s is None
    assert str(song) == "1:40 done, 10.0 x real time, 0:10 spent"


def test_the_estimate_follows_a_computer_that_gets_busy() -> None:
    clock = Clock()
    song = SongProgress(AudioInfo(RATE, 2, 3600 * RATE, "WAV", "PCM_16"), clock)
    for step_s in (*[0.5] * 100, *[2.0] * 100):
        clock.now_s += step_s
        song.advance(10 * RATE)
    assert song.left_s == pytest.approx(1600 / 5, rel=0.2)


def test_a_batch_counts_seconds_of_music() -> None:
    clock = Clock()
    batch = BatchProgress(4, clock)
    assert (batch.total_s, batch.amount) == (None, "0:00")
    batch.know("a", 100)
    batch.know("b", 300)
    assert batch.total_s == 800, "the others count with the mean"
    batch.know("c", 200)
    batch.know("d", 200)
    for _ in range(10):
        clock.now_s += 1
        batch.advance("a", 10)
    batch.finish("a")
    assert (batch.amount, batch.describe(short=False)) == ("12%", "1/4 songs, 1:40 of 13:20")
    assert batch.left_s == pytest.approx(70)
    batch.finish("b")  # it failed, or was done before
    batch.know("b", 300)
    assert (batch.total_s, batch.left_s) == (500, pytest.approx(40))


@pytest.mark.parametrize(("is_terminal", "quiet"), [(True, False), (True, True), (False, False)])
def test_a_display_is_imported_ahead_only_where_it_is_shown(
    is_terminal: bool, quiet: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    imported: list[str] = []
    monkeypatch.setattr(progress, "_is_terminal", lambda: is_terminal)
    monkeypatch.setattr(progress, "import_module", imported.append)
    progress.import_display(quiet=quiet)
    assert imported == (["stemsplit.cli.live_progress"] if is_terminal and not quiet else [])
    monkeypatch.undo()
    monkeypatch.setattr(progress, "_is_terminal", lambda: is_terminal)
    is_live = type(progress.make_display([], quiet=quiet)).__module__ == "stemsplit.cli.live_progress"
    assert is_live is bool(imported)


@pytest.mark.parametrize("is_live", [False, True])
def test_a_song_that_is_named_twice_has_two_states(is_live: bool, capsys: pytest.CaptureFixture[str]) -> None:
    """As in a list, with a name for each; or the second one fails, since it has the first one's files."""
    first, second = jobs = [Job(SongInput("a.wav", Path("a.wav")), {}) for _ in range(2)]
    display = LiveProgress(jobs, ReadSettings()) if is_live else progress.Lines(len(jobs))
    info = AudioInfo(RATE, 2, 10 * RATE, "WAV", "PCM_16")
    display.start(first, info)
    display.start(second, info)
    display.advance(first, 4 * RATE)
    display.finish(second, FileResult("a.wav", Status.FAILED, error="it has the files of another song"))
    display.advance(first, 6 * RATE)
    display.finish(first, FileResult("a.wav", Status.DONE))
    assert "done: a.wav" in capsys.readouterr().err
    if isinstance(display, LiveProgress):
        assert display._batch.describe(short=True) == "2/2"


def test_songs_that_wait_count_with_the_length_of_their_excerpt(tmp_path: Path) -> None:
    songs = [make_song(tmp_path / f"{seconds}.wav", seconds=seconds) for seconds in (1, 4)]
    jobs = [Job(SongInput(song.name, song), {}) for song in songs]
    display = LiveProgress(jobs, ReadSettings(start_s=0.5, end_s=2.5))
    display._read_lengths()
    assert display._batch.total_s == 2.5
    whole = LiveProgress(jobs, ReadSettings())
    whole._read_lengths()
    assert whole._batch.total_s == 5
