"""``stemsplit analyse``: what is found in songs, as files, lines and JSON."""

import json
from pathlib import Path

import numpy as np
import soundfile

from tests.music.test_analysis import MAJOR, SAMPLE_RATE, make_chords, make_drums
from tests.support.cli import call


def write_song(path: Path) -> Path:
    """Twelve seconds of drums at 120 bpm and a cadence in C."""
    chords = make_chords([(60, MAJOR), (65, MAJOR), (67, MAJOR), (60, MAJOR)], 3.0)
    soundfile.write(path, (0.5 * make_drums(120, 12) + chords).T, SAMPLE_RATE)
    return path


def test_a_song_is_analysed_into_files(model: Path) -> None:
    write_song(Path("song.wav"))
    done = call("analyse", "song.wav", "-m", model, "-o", "out", "-d", "cpu")
    assert done.code == 0, done.stderr
    assert done.lines == ["out/song/analysis.json", "out/song/chords.lab"]
    found = json.loads(Path("out/song/analysis.json").read_text())
    assert found["key"] == "C major" and found["camelot"] == "8B"
    assert set(found["stems"]) >= {"vocals", "drums", "bass", "other"}
    assert Path("out/song/chords.lab").read_text().split()[0] == "0.000"
    again = call("analyse", "song.wav", "-m", model, "-o", "out", "-d", "cpu")
    assert again.code == 1 and "--overwrite" in again.stderr
    assert call("analyse", "song.wav", "-m", model, "-o", "out", "-d", "cpu", "--overwrite").code == 0


def test_json_has_a_line_a_song_and_a_failure_stops_none(model: Path) -> None:
    write_song(Path("song.wav"))
    soundfile.write("silence.wav", np.zeros((SAMPLE_RATE, 2)), SAMPLE_RATE)
    done = call("analyse", "song.wav", "missing.wav", "silence.wav", "-m", model, "--json", "-d", "cpu")
    assert done.code == 1 and "missing.wav" in done.stderr
    song, silence = done.records
    assert (song["input"], silence["input"]) == ("song.wav", "silence.wav")
    assert abs(song["bpm"] - 120) < 2 or abs(song["bpm"] - 60) < 1
    assert (silence["bpm"], silence["key"], silence["chords"]) == (None, None, [])


def test_standard_input_is_refused(model: Path) -> None:
    refused = call("analyse", "-", "-m", model)
    assert refused.code == 2 and "file" in refused.stderr
