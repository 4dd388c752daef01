"""``stemsplit report``: one page for each song."""

import os
import tempfile
import threading
from pathlib import Path

import numpy as np
import pytest
import soundfile

from stemsplit.errors import SettingsError
from stemsplit.jobs.inputs import SongInput
from stemsplit.jobs.output_settings import OutputSettings
from stemsplit.jobs.reporting import Reporter
from stemsplit.separation.separator import Separator
from tests.support.cli import call, list_files, make_song

pytestmark = pytest.mark.slow  # each analyses a song


def test_a_song_becomes_a_page(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    temporary = Path("temporary").absolute()
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    make_song(Path("song.wav"), seconds=3.0)
    done = call("report", "song.wav", "-m", model, "-d", "cpu", "-o", "out", "--excerpt", 1, "--json")
    assert done.code == 0, done.stderr
    (record,) = done.records
    assert record["outputs"] == {"report": "out/song/report.html"}
    assert record["note"].endswith(" MB") and record["analysis"]["duration_s"] == 3
    assert list_files(Path("out")) == ["song/report.html"]
    assert not list(temporary.iterdir())
    page = Path("out/song/report.html").read_text(encoding="utf-8")
    assert page.count("<audio ") == 5
    again = call("report", "song.wav", "-m", model, "-d", "cpu", "-o", "out")
    assert again.code == 1 and "report.html exists; use --overwrite or another folder" in again.stderr


def test_a_named_pipe_is_opened_once(model: Path) -> None:
    song, pipe = make_song(Path("song.wav")), Path("pipe.wav")
    os.mkfifo(pipe)
    reporter = Reporter(Separator(models=[model], device="cpu"), OutputSettings(Path("out")), excerpt_s=0)
    for work in (
        lambda: pipe.write_bytes(song.read_bytes()),
        lambda: reporter.report(SongInput("pipe.wav", pipe)),
    ):
        thread = threading.Thread(target=work, daemon=True)
        thread.start()
    thread.join(timeout=60)
    assert list_files(Path("out")) == ["pipe/report.html"]
    assert "<title>pipe" in Path("out/pipe/report.html").read_text(encoding="utf-8")


def test_a_failure_stops_no_other_song(model: Path) -> None:
    soundfile.write("silence.wav", np.zeros((4410, 2)), 44100)
    Path("text.wav").write_text("no audio at all")
    done = call("report", "text.wav", "silence.wav", "-m", model, "-d", "cpu", "--name", "{track}.{ext}")
    assert done.code == 1 and "text.wav" in done.stderr
    assert done.lines == ["separated/silence.html"]
    assert "silent" in Path("separated/silence.html").read_text(encoding="utf-8")


def test_what_makes_no_report_is_refused(model: Path, tiny_model: Path) -> None:
    make_song(Path("song.wav"))
    done = call("report", "song.wav", "-m", model, "--excerpt", 1000)
    assert done.code == 2 and "0 (none) to 120 seconds" in done.stderr
    overlapping = Separator(models=[tiny_model, "hpss"])
    with pytest.raises(SettingsError, match="sum to the song"):
        Reporter(overlapping, OutputSettings(Path("out")))
    assert not Path("separated").exists()
