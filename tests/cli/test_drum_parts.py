"""``--drums kit``: kick, snare and cymbals as files, in place of the drums."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.support.cli import call, make_song


def test_the_parts_are_files_and_sum_to_the_song(model: Path) -> None:
    make_song(Path("song.wav"))
    done = call(
        "song.wav", "-m", model, "-d", "cpu", "-o", "out", "--drums", "kit", "--json", "--bits", "32f"
    )
    assert done.code == 0, done.stderr
    (result,) = done.records
    stems = ["vocals", "kick", "snare", "cymbals", "bass", "other"]
    assert list(result["outputs"]) == stems and list(result["levels_db"]) == stems
    assert result["settings"]["drums"] == "kit" and [each["name"] for each in result["models"]][-1] == "kit"
    song = soundfile.read("song.wav")[0]
    total = sum(soundfile.read(path)[0] for path in result["outputs"].values())
    np.testing.assert_allclose(total, song, atol=1e-5)


def test_the_drums_as_one_stem_leave_no_trace_in_the_journal(model: Path) -> None:
    make_song(Path("song.wav"))
    args = ("song.wav", "-m", model, "-d", "cpu", "-o", "out", "--json", "--resume")
    assert "drums" not in call(*args).records[0]["settings"]
    assert call(*args, "--drums", "stem").records[0]["status"] == "skipped"


@pytest.mark.parametrize("args", [("--drums", "parts"), ("--drums", "kit", "--stems", "vocals")])
def test_a_mistake_is_one_of_the_call(model: Path, args: tuple[str, ...]) -> None:
    make_song(Path("song.wav"))
    done = call("song.wav", "-m", model, "-d", "cpu", *args)
    assert done.code == 2 and "drums" in done.stderr and not Path("separated").exists()
