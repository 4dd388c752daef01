"""What goes to which stream: paths, JSON, remarks, and a stem through a pipe."""

import io
import math
import re
import subprocess
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.support.cli import (
    STEMS,
    call,
    expect,
    list_files,
    make_command,
    make_environment,
    make_song,
    names_here,
)


def test_json_tells_everything_of_every_song(model: Path) -> None:
    make_song(Path("a.wav"), sample_rate=22050, n_channels=1)
    Path("b.wav").touch()
    done = call("a.wav", "b.wav", "-m", model, "-d", "cpu", "--json")
    assert done.code == 1
    good, bad = done.records
    assert good.keys() == bad.keys()
    assert good["status"] == "done"
    assert good["outputs"] == {stem: f"separated/a/{stem}.wav" for stem in STEMS}
    assert (good["sample_rate"], good["n_channels"], good["n_samples"]) == (22050, 1, 22050)
    assert good["duration_s"] == 1.0
    assert good["speed"] == pytest.approx(good["duration_s"] / good["elapsed_s"])
    assert good["device"] == "cpu"
    assert [item["name"] for item in good["models"]] == ["tiny"]
    assert re.fullmatch("[0-9a-f]{64}", good["models"][0]["sha256"])
    song = soundfile.read("a.wav")[0]
    for stem, path in good["outputs"].items():
        made = soundfile.read(path)[0]
        level_db = 10 * math.log10((made**2).sum() / (song**2).sum())
        assert good["levels_db"][stem] == pytest.approx(level_db, abs=0.02)
        promised_db = 10 * math.log10((made * song).sum() / (made * (song - made)).sum())
        assert good["expected_sdr_db"][stem] == pytest.approx(promised_db, abs=0.02)
    assert bad["levels_db"] == bad["expected_sdr_db"] == {}
    assert good["gain"] == 1.0
    assert good["clipped_samples"] == 0
    assert good["settings"]["stems"] == list(STEMS)
    assert good["error"] is None
    assert bad["status"] == "failed"
    assert bad["error_type"] == "AudioError"
    assert "b.wav" in bad["error"]


def test_silence_has_no_level(model: Path) -> None:
    soundfile.write("a.wav", np.zeros((4410, 2)), 44100)
    (record,) = call("a.wav", "-m", model, "-s", "drums", "--residual", "--json").records
    assert record["levels_db"] == record["expected_sdr_db"] == {"drums": None, "residual": None}


def test_quiet_says_nothing_but_failures(model: Path) -> None:
    make_song(Path("a.wav"))
    Path("b.wav").touch()
    assert call("a.wav", "-m", model, "--quiet").stderr == ""
    failed = call("b.wav", "-m", model, "--quiet")
    assert failed.stderr.splitlines() == ["failed: b.wav: is empty (0 bytes); get a whole copy of the file"]


def test_pipes(model: Path) -> None:
    song = make_song(Path("a.wav"), seconds=2).read_bytes()
    piped = call("-", "-o", "-", "-s", "bass", "-m", model, stdin=song)
    assert piped.code == 0
    stem, sample_rate = soundfile.read(io.BytesIO(piped.stdout), dtype="float32")
    assert stem.shape == (88200, 2)
    assert sample_rate == 44100
    assert soundfile.info(io.BytesIO(piped.stdout)).subtype == "FLOAT"
    assert names_here() == ["a.wav"]
    shallow = call("a.wav", "-o", "-", "-s", "bass", "-m", model, "--bits", "16", "-q")
    assert soundfile.info(io.BytesIO(shallow.stdout)).subtype == "PCM_16"
    assert call("-", "-m", model, "-s", "bass", stdin=song).lines == ["separated/stdin/bass.wav"]
    assert call("-", "-m", model, "-s", "bass", "--overwrite", stdin=b"nonsense").code == 1


def test_a_reader_that_goes_away_loses_lines_not_songs(model: Path) -> None:
    for name in "abc":
        make_song(Path(f"{name}.wav"), seconds=0.2)
    command = make_command(["a.wav", "b.wav", "c.wav", "-m", model, "-q"])
    # an unbuffered standard output would have nothing left to fail with at the end
    environment = {key: value for key, value in make_environment().items() if key != "PYTHONUNBUFFERED"}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment)
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    errors = process.stderr.read()
    process.stderr.close()
    assert (process.wait(), errors) == (0, b"")
    assert list_files(Path("separated")) == expect("a", "b", "c")


def test_a_closed_pipe_for_the_stem_is_1(model: Path) -> None:
    make_song(Path("a.wav"), seconds=4)
    command = make_command(["a.wav", "-m", model, "-q", "-o", "-", "-s", "bass"])
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=make_environment()
    )
    assert process.stdout is not None
    process.stdout.read(10)
    process.stdout.close()
    assert process.stderr is not None
    errors = process.stderr.read().decode()
    process.stderr.close()
    assert process.wait() == 1
    assert errors.startswith("failed: a.wav: stdout: ")
    assert "Traceback" not in errors
