"""``stemsplit analyse``: what is found in songs, as files, lines and JSON."""

import json
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import soundfile

from stemsplit.audio.tags import read_tags
from stemsplit.cli.analyse import _show
from stemsplit.jobs.result import FileResult, Status
from stemsplit.music.analysis import Analyser, SongAnalysis
from stemsplit.separation.separator import Separator
from tests.models.test_activity import RATE, make_song, write_activity_model
from tests.music.test_analysis import MAJOR, SAMPLE_RATE, make_chords, make_drums
from tests.support.cli import STEMS, Call, call, expect, list_files


def write_song(path: Path) -> Path:
    """Twelve seconds of drums at 120 bpm and a cadence in C."""
    chords = make_chords([(60, MAJOR), (65, MAJOR), (67, MAJOR), (60, MAJOR)], 3.0)
    soundfile.write(path, (0.5 * make_drums(120, 12) + chords).T, SAMPLE_RATE)
    return path


@pytest.mark.slow
def test_a_song_is_analysed_into_files(model: Path) -> None:
    write_song(Path("song.wav"))
    done = call("analyse", "song.wav", "-m", model, "-o", "out", "-d", "cpu")
    assert done.code == 0, done.stderr
    assert done.lines == ["out/song/analysis.json", "out/song/chords.lab"]
    found = json.loads(Path("out/song/analysis.json").read_text())
    assert found["key"] == "C major" and found["camelot"] == "8B"
    assert set(found["stems"]) >= {"vocals", "drums", "bass", "other"}
    assert sum(found["style"]["probabilities"].values()) == pytest.approx(1, abs=0.01)
    assert Path("out/song/chords.lab").read_text().split()[0] == "0.000"
    again = call("analyse", "song.wav", "-m", model, "-o", "out", "-d", "cpu")
    assert again.code == 1 and "--overwrite" in again.stderr
    assert call("analyse", "song.wav", "-m", model, "-o", "out", "-d", "cpu", "--overwrite").code == 0


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (("--overwrite",), "--overwrite replaces files in a folder; name it with --output"),
        (("--resume",), "--resume leaves out what is done in a folder; name it with --output"),
        (("--output", "-"), "analyse writes files to a folder"),
    ],
)
def test_options_of_a_folder_need_one(model: Path, options: tuple[str, ...], problem: str) -> None:
    done = call("analyse", "song.wav", "-m", model, "-d", "cpu", *options)
    assert done.code == 2 and problem in done.stderr
    assert not Path("-").exists()


@pytest.mark.slow
def test_without_a_folder_the_line_is_the_result(model: Path) -> None:
    write_song(Path("song.wav"))
    done = call("analyse", "song.wav", "-m", model, "-d", "cpu", "--quiet")
    assert done.code == 0 and not done.stderr
    (line,) = done.lines
    assert line.startswith("song.wav: ") and "C major (8B)" in line


@pytest.mark.parametrize("quiet", [False, True])
@pytest.mark.parametrize("extras", [{}, {"analysis": "out/song/analysis.json"}])
def test_standard_output_has_a_result_also_if_quiet(
    quiet: bool, extras: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    found = {"bpm": 120.0, "key": None, "camelot": None, "loudness_lufs": -9.2}
    analysis: Any = SimpleNamespace(to_dict=lambda: found)
    result = FileResult("song.wav", Status.DONE, extras=extras, analysis=analysis)
    _show(result, as_json=False, quiet=quiet)
    line = "song.wav: 120.0 bpm, no key, -9.2 LUFS"
    written = capsys.readouterr()
    assert written.out.splitlines() == (list(extras.values()) or [line])
    assert written.err.splitlines() == ([line] if extras and not quiet else [])


@pytest.mark.slow
def test_json_has_a_line_a_song_and_a_failure_stops_none(model: Path) -> None:
    write_song(Path("song.wav"))
    soundfile.write("silence.wav", np.zeros((SAMPLE_RATE, 2)), SAMPLE_RATE)
    done = call("analyse", "song.wav", "missing.wav", "silence.wav", "-m", model, "--json", "-d", "cpu")
    assert done.code == 1 and "missing.wav" in done.stderr
    song, silence = done.records
    assert (song["input"], silence["input"]) == ("song.wav", "silence.wav")
    assert abs(song["bpm"] - 120) < 2 or abs(song["bpm"] - 60) < 1
    assert (silence["bpm"], silence["key"], silence["chords"]) == (None, None, [])


@pytest.mark.slow
def test_a_song_on_standard_input_is_analysed(model: Path) -> None:
    song = write_song(Path("song.wav")).read_bytes()
    done = call("analyse", "-", "-m", model, "--json", "-d", "cpu", stdin=song)
    assert done.code == 0 and done.records[0]["key"] == "C major"


def test_files_that_exist_are_found_before_the_song_is_separated(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_song(Path("song.wav"))
    Path("out/song").mkdir(parents=True)
    Path("out/song/chords.lab").write_text("mine")
    monkeypatch.setattr(Separator, "stream", lambda *_, **__: pytest.fail("separated"))
    done = call("analyse", "song.wav", "-m", model, "-o", "out", "-d", "cpu")
    assert done.code == 1 and "chords.lab exists" in done.stderr
    assert Path("out/song/chords.lab").read_text() == "mine"


@pytest.mark.slow
def test_a_bug_in_one_song_stops_no_other(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_song(Path("first.wav"))
    write_song(Path("second.wav"))
    finish, calls = Analyser.finish, count()

    def fail_once(analyser: Analyser) -> SongAnalysis:
        if next(calls) == 0:
            raise ZeroDivisionError
        return finish(analyser)

    monkeypatch.setattr(Analyser, "finish", fail_once)
    done = call("analyse", "first.wav", "second.wav", "-m", model, "--json", "-d", "cpu")
    assert done.code == 1 and "first.wav: unexpected ZeroDivisionError" in done.stderr
    assert [record["input"] for record in done.records] == ["second.wav"]


@pytest.mark.slow
def test_an_analysis_is_resumed(model: Path) -> None:
    write_song(Path("song.wav"))
    assert call("analyse", "song.wav", "-m", model, "-o", "out", "-d", "cpu").code == 0
    before = Path("out/song/analysis.json").stat().st_mtime_ns
    done = call("analyse", "song.wav", "-m", model, "-o", "out", "-d", "cpu", "--resume")
    assert done.code == 0 and "skipped: song.wav" in done.stderr
    assert Path("out/song/analysis.json").stat().st_mtime_ns == before
    assert call("analyse", "song.wav", "-m", model, "--resume").code == 2


def separate(model: Path, *options: object) -> Call:
    return call("song.wav", "-m", model, "-d", "cpu", "-o", "out", "--analyse", *options)


@pytest.mark.slow
def test_stems_are_written_with_their_analysis(model: Path) -> None:
    write_song(Path("song.wav"))
    done = separate(model, "--json", "-f", "flac")
    assert done.code == 0, done.stderr
    (result,) = done.records
    files = list_files(Path("out"))
    assert files == [
        "song/analysis.json",
        *("song/bass.flac", "song/chords.lab", "song/drums.flac", "song/other.flac", "song/vocals.flac"),
    ]
    assert result["extras"] == {"analysis": "out/song/analysis.json", "chords": "out/song/chords.lab"}
    found = json.loads(Path("out/song/analysis.json").read_text())
    assert found == result["analysis"] and found["key"] == "C major"
    tags = read_tags(Path("out/song/drums.flac"))
    assert tags.key == "C" and float(tags.bpm) == pytest.approx(found["bpm"])


@pytest.mark.slow
def test_stems_are_named_after_the_analysis(model: Path) -> None:
    write_song(Path("song.wav"))
    template = "{camelot} {key}/{bpm:.1f} {track} {stem}.{ext}"
    done = separate(model, "--name", template)
    assert done.code == 0, done.stderr
    bpm = json.loads(next(Path("out").rglob("*analysis.json")).read_text())["bpm"]
    folder = Path("out/8B C major")
    assert {path.name for path in folder.iterdir()} == {
        *(f"{bpm:.1f} song {stem}.wav" for stem in ("vocals", "drums", "bass", "other")),
        f"{bpm:.1f} song analysis.json",
        f"{bpm:.1f} song chords.lab",
    }
    assert sorted(path.name for path in Path("out").iterdir()) == [".stemsplit", "8B C major"]
    assert sorted(done.lines) == sorted(map(str, folder.iterdir()))
    before = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    assert separate(model, "--name", template).code == 1
    again = separate(model, "--name", template, "--resume")
    assert again.code == 0 and "skipped" in again.stderr
    changed = separate(model, "--name", template, "--resume", "--bits", "24")
    assert changed.code == 0, changed.stderr
    assert set(before) == set(folder.iterdir())
    assert all(path.stat().st_mtime_ns != before[path] for path in folder.iterdir())


@pytest.mark.slow
def test_nothing_is_named_after_a_failed_song(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_song(Path("song.wav"))
    monkeypatch.setattr(Analyser, "finish", lambda _: 1 / 0)
    assert separate(model, "--name", "{bpm}/{stem}.{ext}").code == 1
    assert [path for path in Path("out").rglob("*") if ".stemsplit" not in path.parts] == []


def test_a_song_without_beat_and_key_is_named_none(model: Path) -> None:
    soundfile.write("song.wav", np.zeros((SAMPLE_RATE, 2)), SAMPLE_RATE)
    done = separate(model, "--name", "{bpm:.2f}-{key}-{camelot}/{stem}.{ext}")
    assert done.code == 0 and Path("out/none-none-none/vocals.wav").is_file()


def test_names_of_the_analysis_need_it(model: Path) -> None:
    refused = call("song.wav", "-m", model, "--name", "{bpm}/{stem}.{ext}")
    assert refused.code == 2 and "--analyse" in refused.stderr
    refused = separate(model, "--name", "{bpm}/{stem}.{ext}", "--skip-existing")
    assert refused.code == 2 and "--resume" in refused.stderr


@pytest.mark.slow
def test_what_is_missing_is_made_beside_stems_that_exist(model: Path) -> None:
    write_song(Path("song.wav"))
    assert call("song.wav", "-m", model, "-d", "cpu", "-o", "out").code == 0
    before = Path("out/song/drums.wav").stat().st_mtime_ns
    assert separate(model, "--skip-existing").code == 0
    assert Path("out/song/chords.lab").is_file()
    assert Path("out/song/drums.wav").stat().st_mtime_ns == before
    assert "skipped" in separate(model, "--skip-existing").stderr


def join(folder: Path) -> np.ndarray:
    return np.concatenate([soundfile.read(path, dtype="int32")[0] for path in sorted(folder.glob("*.wav"))])


@pytest.mark.slow
def test_slices_and_loops_lie_beside_the_stems(model: Path) -> None:
    write_song(Path("song.wav"))
    options = ("song.wav", "-m", model, "-d", "cpu", "-o", "out", "--slices", "bars", "--loop", "2bars")
    done = call(*options, "--json")
    assert done.code == 0, done.stderr
    (result,) = done.records
    assert set(result["extras"]) == {
        *(f"{stem} bars" for stem in STEMS),
        *(f"{stem} loop of 2 bars" for stem in STEMS),
    }
    assert result["analysis"]["key"] == "C major"
    for stem in STEMS:
        whole, _ = soundfile.read(f"out/song/{stem}.wav", dtype="int32")
        assert np.array_equal(join(Path(f"out/song/{stem} bars")), whole)
    assert not Path("out/song/analysis.json").exists() and read_tags(Path("out/song/bass.wav")).key == ""
    again = call(*options, "--resume")
    assert again.code == 0 and "skipped" in again.stderr
    assert call(*options).code == 1
    before = list_files(Path("out"))
    previewed = call("song.wav", "-m", model, "-d", "cpu", "-o", "short", "--preview", "2", "-s", "drums")
    assert previewed.lines == ["short/song/drums.wav", "short/song/preview.wav"]
    assert call(*options, "--overwrite").code == 0 and list_files(Path("out")) == before
    Path("out/song/drums bars/my own.wav").write_text("precious")
    Path("out/song/drums bars/bar 900.wav").write_text("of an earlier run")
    assert call(*options, "--overwrite").code == 0
    assert Path("out/song/drums bars/my own.wav").read_text() == "precious"
    assert not Path("out/song/drums bars/bar 900.wav").exists()
    listed = call("out", "-r", "-m", model, "--dry-run", "-o", "elsewhere", "--json")
    assert listed.code == 1 and "there is no audio file" in listed.stderr


def test_a_song_without_beat_has_no_bars(model: Path) -> None:
    soundfile.write("silence.wav", np.zeros((SAMPLE_RATE, 2)), SAMPLE_RATE)
    options = ("silence.wav", "-m", model, "-d", "cpu", "-o", "out", "--slices", "beats", "--loop", "8bars")
    done = call(*options, "--json")
    (result,) = done.records
    assert done.code == 0 and result["extras"] == {} and "the song has none" in result["note"]
    assert list_files(Path("out")) == expect("silence")
    assert "skipped" in call(*options, "--resume").stderr


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (("--slices", "verses"), "beats, bars, onsets"),
        (("--loop", "long"), "8bars"),
        (("--loop", "0bars"), "1 to 64"),
        (("--fade", "3"), "--slices or --loop"),
        (("--slices", "bars", "-f", "mp3"), "wav or flac or aiff"),
        (("--preview", "0.5"), "1 to 600"),
    ],
)
def test_slices_that_cannot_be_made_are_refused(model: Path, options: tuple[str, ...], reason: str) -> None:
    refused = call("song.wav", "-m", model, *options)
    assert refused.code == 2 and reason in refused.stderr


@pytest.mark.slow
def test_midi_lies_beside_the_stems(model: Path) -> None:
    write_song(Path("song.wav"))
    options = ("song.wav", "-m", model, "-d", "cpu", "-o", "out")
    done = call(*options, "--midi", "drums,bass", "--json")
    assert done.code == 0, done.stderr
    made = done.records[0]["extras"]
    assert made == {"drums midi": "out/song/drums.mid", "bass midi": "out/song/bass.mid"}
    assert "skipped" in call(*options, "--midi", "drums,bass", "--resume").stderr
    refused = call(*options, "--midi", "other")
    assert refused.code == 2 and "vocals, drums" in refused.stderr.replace("bass, ", "")
    refused = call(*options, "--stems", "drums", "--midi", "bass", "--overwrite")
    assert refused.code == 2 and "--stems" in refused.stderr


def test_a_model_that_states_where_its_targets_play_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    soundfile.write("song.wav", make_song().T, RATE)
    described = write_activity_model(tmp_path)
    found = json.loads(call("analyse", "song.wav", "-m", described, "--json", "-d", "cpu").lines[0])
    oboe, tuba = found["stems"]["oboe"]["activity"], found["stems"]["tuba"]["activity"]
    assert set(oboe) == {"step_s", "values"} and 0 < np.mean(oboe["values"]) < 1 and not any(tuba["values"])
    assert "activity" not in found["stems"]["residual"]
