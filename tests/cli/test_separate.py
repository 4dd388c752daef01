"""The command: exit codes, what goes to which stream, and what is on the disk afterwards."""

import io
import math
import os
import re
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from typer.main import get_command

from stemsplit import __version__
from stemsplit.audio.encoding import FORMATS, choose_encoding, extension_of
from stemsplit.audio.info import AudioInfo
from stemsplit.audio.reader import open_audio
from stemsplit.audio.stem_set import StemSet
from stemsplit.cli.app import app
from stemsplit.cli.options.panels import MAIN_COMMANDS, MAIN_OPTIONS, Panel
from stemsplit.cli.options.separation import SeparationOptions
from tests.conftest import make_noise
from tests.support.cli import (
    STEMS,
    call,
    call_process,
    expect,
    list_files,
    make_command,
    make_environment,
    make_song,
    names_here,
)
from tests.support.tiny_models import make_spec, write_model

# exit codes


def test_all_done_is_0_and_paths_are_on_standard_output(model: Path) -> None:
    make_song(Path("a song é.wav"))
    done = call("a song é.wav", "-m", model)
    assert done.code == 0
    assert done.lines == [f"separated/a song é/{stem}.wav" for stem in STEMS]
    assert list_files(Path("separated")) == expect("a song é")
    assert re.search(r"done: a song é\.wav \(0:01\) in .* x real time", done.stderr)


def test_one_failure_is_1_and_stops_nothing(model: Path) -> None:
    make_song(Path("a.wav"))
    make_song(Path("c.wav"))
    Path("b.wav").write_bytes(b"RIFF")
    done = call("a.wav", "b.wav", "gone.wav", "c.wav", "-m", model)
    assert done.code == 1
    assert list_files(Path("separated")) == expect("a", "c")
    summary = done.stderr.splitlines()[-3:]
    assert summary[0] == "4 songs: 2 done, 2 failed"
    assert summary[1].startswith("failed: b.wav: ")
    assert summary[2].startswith("failed: gone.wav: no such file")


@pytest.mark.parametrize(
    ("args", "reason"),
    [
        (["--stems", "vocasl"], "did you mean 'vocals'"),
        (["--stems", "vocals,,bass"], "empty name"),
        (["--karaoke", "vocasl"], "did you mean 'vocals'"),
        (["--karaoke", ""], "no model offers the stem ''"),
        (["--name", "{trak}/{stem}.{ext}"], "{track}"),
        (["--name", "{track}.{ext}"], "would both be written"),
        (["--format", "mp5"], "mp5"),
        (["--bits", "17"], "17"),
        (["--format", "mp3", "--bits", "16"], "mp3"),
        (["--format", "flac", "--subtype", "32f"], "flac"),
        (["--device", "gpu"], "gpu"),
        (["--wiener", "11"], "wiener"),
        (["--wiener", "some"], "wiener"),
        (["--jobs", "0"], "jobs"),
        (["--chunk", "-1"], "chunk"),
        (["--chunk", "0"], "from 0.1 to 600 s"),
        (["--threads", "0"], "threads"),
        (["--threads", "99999999"], "threads"),
        (["--nonsense"], "nonsense"),
        (["--skip-existing", "--resume"], "exclude"),
        (["--output", ""], "--output is empty"),
        (["--output", "-", "--stems", "vocals,drums"], "one stem"),
        (["--output", "-", "--stems", "vocals", "--json"], "--json"),
        (["--output", "-", "--stems", "vocals", "b.wav"], "one song"),
        (["-", "--resume"], "standard input"),
    ],
)
def test_a_mistake_in_the_call_is_2_and_nothing_is_done(model: Path, args: list[str], reason: str) -> None:
    make_song(Path("a.wav"))
    done = call("a.wav", "-m", model, *args)
    assert done.code == 2, done
    assert reason in done.stderr
    assert done.stdout == b""
    assert names_here() == ["a.wav"]


@pytest.mark.parametrize("format", FORMATS)
def test_every_format_can_be_asked_for(model: Path, format: str) -> None:
    make_song(Path("a.wav"), sample_rate=48000)
    done = call("a.wav", "-m", model, "-s", "bass", "-d", "cpu", "-f", format)
    assert done.code == 0, done.stderr
    assert done.lines == [f"separated/a/bass.{extension_of(format)}"]
    with open_audio(Path(done.lines[0])) as reader:
        assert reader.info.sample_rate == 48000


def test_a_rate_that_the_format_lacks_is_converted_with_a_note(model: Path) -> None:
    make_song(Path("a.wav"), sample_rate=44100)
    done = call("a.wav", "-m", model, "-d", "cpu", "-s", "bass", "-f", "Opus", "--json")
    assert done.code == 0
    assert done.records[0]["note"] == "opus has no 44100 Hz: resampled to 48000 Hz"


def test_an_excerpt_is_exact_to_the_sample(model: Path) -> None:
    make_song(Path("a.wav"), sample_rate=44100, seconds=2)
    whole = call("a.wav", "-m", model, "-d", "cpu", "--json")
    part = call(
        "a.wav", "-m", model, "-d", "cpu", "--start", "0:00.5", "--duration", "1", "-o", "part", "--json"
    )
    assert whole.records[0]["n_samples"] == 88_200
    assert part.records[0]["n_samples"] == 44_100
    late = call("a.wav", "-m", model, "-d", "cpu", "--start", "1:00", "-o", "late")
    assert late.code == 1 and "the song ends at 2.000 s" in late.stderr
    wrong = call("a.wav", "-m", model, "--start", "1", "--end", "0.5")
    assert wrong.code == 2 and "the excerpt is empty" in wrong.stderr


def test_a_salvaged_song_says_how_much_is_missing(model: Path) -> None:
    """The song fails in one line; with --salvage what there is becomes stems, with a note in the result."""
    song = make_song(Path("song.wav"), seconds=2)
    song.write_bytes(song.read_bytes()[:-88_200])
    done = call(song, "-m", model)
    assert done.code == 1
    assert done.stderr.count("truncated") == 1
    assert not Path("separated").exists()
    (record,) = call(song, "-m", model, "--salvage", "--json").records
    assert record["n_samples"] == 66_150
    assert "declares 352800 bytes of audio, the file holds 264600" in record["note"]


@pytest.mark.skipif(os.name == "nt", reason="POSIX permissions")
def test_a_folder_that_may_not_be_written_is_one_line(model: Path, tmp_path: Path) -> None:
    """As another user, since nothing is closed to root; the working folder is closed to that user, too."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        song = make_song(folder / "song.wav")
        public = folder / model.name
        public.write_bytes(model.read_bytes())
        assert call(song, "-m", public, "-o", tmp_path / "out").code == 0  # loads what root may read
        is_root = os.geteuid() == 0
        folder.chmod(0o555)
        if is_root:
            os.seteuid(65534)
        try:
            done = call(song, "-m", public, "-o", folder / "stems")
        finally:
            if is_root:
                os.seteuid(0)
            folder.chmod(0o755)
        assert done.code == 1
        assert "permission denied; choose another folder or change its permissions" in done.stderr
        assert done.stderr.count("failed") == 1
        assert sorted(path.name for path in folder.iterdir()) == ["song.wav", public.name]


@pytest.mark.parametrize("format", ["wav", "flac"])
def test_a_quad_song_keeps_its_speakers(model: Path, format: str) -> None:
    encoding = choose_encoding(format, "16", AudioInfo(44_100, 4, None, "WAV", "PCM_16"))
    paths = {"quad": Path(f"quad.{format}")}
    quad = StemSet(paths, sample_rate=44_100, n_channels=4, encoding=encoding, channel_mask=0x33)
    with quad as stems:
        stems.write({"quad": make_noise(4, 44_100)})
        stems.complete()
        stems.place()
    for written in ("wav", "flac"):
        assert call(paths["quad"], "-m", model, "-s", "vocals", "-f", written, "-o", written).code == 0
        with open_audio(Path(written, f"quad/vocals.{written}")) as reader:
            assert (reader.info.n_channels, reader.info.channel_mask) == (4, 0x33)


def test_no_arguments_show_the_help_and_are_2() -> None:
    done = call()
    assert done.code == 2
    assert "INPUTS" in done.stderr


def test_a_missing_model_is_1(model: Path) -> None:
    make_song(Path("a.wav"))
    done = call("a.wav", "--model", "gone.onnx")
    assert done.code == 1
    assert "gone.onnx" in done.stderr


def test_a_device_that_is_not_there_is_1(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stemsplit.models.device.find_cuda_problem", lambda _index=0: "no GPU here; buy one")
    make_song(Path("a.wav"))
    done = call("a.wav", "-m", model, "--device", "cuda")
    assert done.code == 1
    assert "no GPU here" in done.stderr
    assert not Path("separated").exists()


def test_auto_says_what_it_chose_and_nothing_else(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stemsplit.models.device.find_cuda_problem", lambda _index=0: "no GPU here")
    make_song(Path("a.wav"))
    assert call("a.wav", "-m", model, "--dry-run").stderr.splitlines()[0] == "device: cpu"
    assert "device:" not in call("a.wav", "-m", model, "--dry-run", "--device", "cpu").stderr


# streams


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


# the program itself


def test_the_help_fits_a_screen() -> None:
    for args in (["--help"], ["-h"], ["separate", "--help"]):
        shown = call(*args, columns=80)
        assert shown.code == 0
        assert shown.lines[0] == "Usage: stemsplit [OPTIONS] INPUTS..."
        assert len(shown.lines) <= 24 and max(map(len, shown.lines)) <= 80
    assert sum(line.startswith("  stemsplit ") for line in shown.lines) == 3
    for name in (*MAIN_OPTIONS, "help-all"):
        assert f"--{name}" in shown.text
    for command in MAIN_COMMANDS:
        assert f"\n  {command} " in shown.text
    commands: Any = get_command(app)
    named = set(re.findall(r"\w+", shown.text.partition("Commands:")[2]))
    assert {name for name, command in commands.commands.items() if not command.hidden} <= named


def test_the_whole_help_names_every_option_in_its_panel() -> None:
    shown = call("--help-all", columns=100)
    assert shown.code == 0
    assert max(map(len, shown.lines)) <= 100
    titles = [line for line in shown.lines if line.endswith(":") and not line.startswith(" ")]
    assert titles == ["Arguments:", *(f"{panel}:" for panel in Panel), "Commands:"]
    for field in SeparationOptions.__dataclass_fields__:
        assert field == "inputs" or f"--{field.replace('_', '-')}" in shown.text
    assert call("--help-all", "a.wav").lines[0] == shown.lines[0]


def test_a_usage_error_names_the_command_as_it_is_called(model: Path) -> None:
    done = call("a.wav", "--nonsense")
    assert done.stderr.splitlines()[0] == "Usage: stemsplit [OPTIONS] INPUTS..."
    assert "separate" not in done.stderr


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("serv", "serve"),
        ("doctr", "doctor"),
        ("Models", "models"),
        ("list", "models list"),
        ("version", "--version"),
        ("help", "--help"),
    ],
)
def test_a_mistyped_command_is_a_mistyped_command(model: Path, word: str, meant: str) -> None:
    done = call(word, "--json")
    assert done.code == 2
    assert f"there is no command and no file {word!r}; did you mean 'stemsplit {meant}'?" in done.stderr
    make_song(Path("song.wav")).rename(word)
    assert call(word, "-m", model, "-s", "bass").lines == [f"separated/{word}/bass.wav"]


def test_a_word_like_no_command_is_a_song_that_is_missing(model: Path) -> None:
    for name in ("song", "serve.mp3", "./serv"):
        done = call(name, "-m", model)
        assert done.code == 1
        assert f"failed: {name}: no such file" in done.stderr


def test_the_version() -> None:
    for args in (["--version"], ["a.wav", "--version"], ["a.wav", "-o", "b", "--version", "-q"]):
        assert call(*args).lines == [f"stemsplit {__version__}"]
    assert "--version: no such file" in call("--dry-run", "--", "--version").stderr


def test_separate_may_be_named_and_options_may_come_first(model: Path) -> None:
    make_song(Path("a.wav"))
    assert call("separate", "a.wav", "-m", model, "-s", "bass").code == 0
    assert call("--stems", "drums", "-m", model, "a.wav").code == 0
    assert list_files(Path("separated")) == ["a/bass.wav", "a/drums.wav"]


def test_a_song_called_like_a_command(model: Path) -> None:
    make_song(Path("song.wav")).rename("models")
    done = call("./models", "-m", model, "-s", "bass")
    assert done.lines == ["separated/models/bass.wav"]


def test_models_are_listed(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("cli.models_list", "registry.installed"):
        monkeypatch.setattr(f"stemsplit.{module}.bundled_models", lambda: [tiny_model])
        monkeypatch.setattr(f"stemsplit.{module}.work_models", lambda: {})
    shown = call("models")
    assert shown.code == 0
    assert shown.lines[0].split() == ["NAME", "VERSION", "STEMS", "RATE", "SIZE", "LICENCE", "SHA256"]
    assert "vocals,drums,bass,other" in shown.lines[1]
    record, without_network = call("models", "list", "--json").records
    assert without_network["name"] == "hpss"
    assert record == call("models", "info", "tiny", "--json").records[0]
    assert record == call("models", "info", tiny_model, "--json").records[0]
    assert record["targets"] == list(STEMS)
    assert record["size_bytes"] == tiny_model.stat().st_size
    wrong = call("models", "info", "tinny")
    assert wrong.code == 2
    assert "did you mean 'tiny'" in wrong.stderr


@pytest.mark.parametrize("option", [["--models-dir", "mine"], ["--json"]])
def test_an_option_of_the_list_is_not_ignored_before_another_command(option: list[str]) -> None:
    for command in (["list"], ["remove", "tiny"]):
        refused = call("models", *option, *command)
        assert refused.code == 2
        assert f"behind the command: stemsplit models {command[0]} {option[0]}" in refused.stderr
        assert refused.stdout == b""


def test_a_model_that_is_not_there_is_the_same_mistake_everywhere(model: Path) -> None:
    make_song(Path("a.wav"))
    for name, code in (("./gone", 1), ("gone", 2), ("gone.onnx", 1)):
        shown, used = call("models", "info", name), call("a.wav", "-d", "cpu", "-m", name)
        assert (shown.code, shown.stderr) == (used.code, used.stderr)
        assert shown.code == code


def test_an_external_model_is_1(tmp_path: Path) -> None:
    external = tmp_path / "external.onnx"
    external.write_bytes(b"no model")
    for args in (["models", "info", external], ["a.wav", "--model", external]):
        done = call(*args)
        assert done.code == 1
        assert "external.onnx" in done.stderr


@pytest.mark.parametrize("target", [["-o", "-", "-s", "bass"], ["-o", "out"]])
def test_a_model_that_makes_no_numbers_is_1_and_leaves_nothing(model: Path, target: list[str]) -> None:
    make_song(Path("a.wav"))
    broken = write_model(model.with_name("broken.onnx"), make_spec(), floor=-1.0)
    done = call("a.wav", "-m", broken, *target)
    assert done.code == 1
    assert "NaN or infinity" in done.stderr
    assert names_here() == ["a.wav"]


def test_it_runs_as_a_module() -> None:
    assert call_process("--version").lines == [f"stemsplit {__version__}"]
    assert call_process("-x").code == 2
