"""``stemsplit evaluate``: scores of a data set, resumed, with bad songs named."""

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.support.cli import call

pytest.importorskip("museval")
pytest.importorskip("matplotlib")

SAMPLE_RATE = 8000


def write_song(folder: Path, seed: int, *, without: str = "") -> None:
    """Write a mono song of two stems in the layout of DSD100."""
    rng = np.random.default_rng(seed)
    stems = {name: rng.normal(0, 0.1, 2 * SAMPLE_RATE) for name in ("vocals", "other")}
    sources, mixtures = folder / "Sources" / "Test", folder / "Mixtures" / "Test"
    files = {sources / f"{seed}" / f"{name}.wav": stem for name, stem in stems.items() if name != without}
    files[mixtures / f"{seed}" / "mixture.wav"] = sum(stems.values())
    for path, samples in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, samples, SAMPLE_RATE)


@pytest.mark.slow
def test_a_data_set_is_scored_and_plotted_and_not_scored_twice(model: Path) -> None:
    write_song(Path("data"), 1)
    write_song(Path("data"), 2)
    done = call("evaluate", "data", "-m", model, "-d", "cpu", "-o", "out", "-j", 2)
    assert done.code == 0, done.stderr
    assert done.lines[0].split()[:2] == ["STEM", "SDR"] and {line.split()[0] for line in done.lines[1:]} == {
        "vocals",
        "other",
    }
    assert "[2/2] 2: other" in done.stderr
    names = {path.name for path in Path("out").iterdir()}
    assert names == {"scores.csv", "scores.json", "vocals.png", "other.png", "songs"}
    assert Path("out/vocals.png").read_bytes()[:4] == b"\x89PNG"
    first = Path("out/scores.json").read_text()
    report = json.loads(first)
    assert len(report["songs"]) == 2 and report["failed"] == {}
    assert report["medians"]["vocals"]["sdr_db"] is not None
    again = call("evaluate", "data", "-m", model, "-d", "cpu", "-o", "out", "--json", "--no-plots")
    assert again.stderr.count("(kept)") == 2 and json.loads(again.text) == report
    other = call("evaluate", "data", "-m", model, "-d", "cpu", "-o", "out", "--duration", 1, "--no-plots")
    assert "(kept)" not in other.stderr
    write_song(Path("data"), 1)
    soundfile.write("data/Sources/Test/1/vocals.wav", np.full(2 * SAMPLE_RATE, 0.1), SAMPLE_RATE)
    changed = call("evaluate", "data", "-m", model, "-d", "cpu", "-o", "out", "--duration", 1, "--no-plots")
    assert changed.stderr.count("(kept)") == 1


def test_bad_songs_are_named_and_stop_no_other(model: Path) -> None:
    write_song(Path("data"), 1)
    write_song(Path("data"), 2, without="vocals")
    write_song(Path("data"), 3)
    soundfile.write("data/Sources/Test/3/vocals.wav", np.zeros(SAMPLE_RATE), SAMPLE_RATE)
    done = call("evaluate", "data", "-m", model, "-d", "cpu", "--json", "--no-plots")
    assert done.code == 1
    report = json.loads(done.text)
    assert [song["song"] for song in report["songs"]] == ["1"] and set(report["failed"]) == {
        "test/2",
        "test/3",
    }
    assert "lacks vocals" in done.stderr and "vocals.wav" in done.stderr and "8000 samples" in done.stderr
    assert sorted(path.name for path in Path("evaluation/songs/test").iterdir()) == ["1.json"]


def test_a_folder_that_is_no_data_set_is_a_mistake_in_the_call(model: Path) -> None:
    Path("data").mkdir()
    refused = call("evaluate", "data", "-m", model)
    assert refused.code == 2 and "MUSDB18" in refused.stderr and not Path("evaluation").exists()
