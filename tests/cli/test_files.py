"""The command and the disk: what is written where, what is left alone, what a dry run says."""

import json
import os
import subprocess
from pathlib import Path

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
from tests.support.tiny_models import make_spec, write_model


def test_a_folder_is_mirrored(model: Path) -> None:
    for name in ("in/x.wav", "in/CD 2/y.wav", "in/CD 2/deep/z.wav", "in/.hidden/h.wav"):
        make_song(Path(name), seconds=0.2)
    Path("in/notes.txt").touch()
    assert call("in", "-m", model, "-o", "in/out", "-q").code == 0
    assert list_files(Path("in/out")) == expect("x")
    done = call("in", "-m", model, "-o", "in/out", "--recursive", "--skip-existing")
    assert done.code == 0
    assert list_files(Path("in/out")) == expect("x", "CD 2/y", "CD 2/deep/z")
    assert done.stderr.splitlines()[-1] == "3 songs: 2 done, 1 skipped"


def test_stems_of_an_earlier_run_are_no_songs(model: Path) -> None:
    make_song(Path("in/x.wav"), seconds=0.2)
    for folder in ("in", "in/deep/out", "elsewhere"):
        done = call("in", "-r", "-m", model, "-o", folder, "--json")
        assert [record["input"] for record in done.records] == ["in/x.wav"]
    assert call("in/x/bass.wav", "-m", model, "-q").code == 0


def test_a_glob_and_a_template(model: Path) -> None:
    make_song(Path("in/x.flac"), seconds=0.2)
    make_song(Path("in/x.wav"), seconds=0.2)
    done = call("in/*", "-m", model, "--name", "{folder}/{file} - {stem}.{ext}", "-s", "bass", "-f", "flac")
    assert done.lines == ["separated/in/x.flac - bass.flac", "separated/in/x.wav - bass.flac"]


def test_songs_whose_names_meet_stop_no_others(model: Path) -> None:
    for name in ("a.wav", "x.flac", "x.wav", "z.wav"):
        make_song(Path("in", name), seconds=0.2)
    done = call("in", "-m", model, "--json")
    assert done.code == 1
    assert [record["status"] for record in done.records] == ["done", "done", "failed", "done"]
    reason = done.records[2]["error"]
    assert "the vocals of in/x.wav and the vocals of in/x.flac would both be written to" in reason
    assert "{file}" in reason
    assert list_files(Path("separated")) == expect("a", "x", "z")


def test_stems_residual_and_karaoke(model: Path) -> None:
    make_song(Path("a.wav"))
    both = call("a.wav", "-m", model, "-s", "drums,vocals,drums", "--residual", "-q")
    assert [Path(line).stem for line in both.lines] == ["drums", "vocals", "residual"]
    sung = call("a.wav", "-m", model, "--karaoke", "vocals", "--overwrite", "-q")
    assert [Path(line).stem for line in sung.lines] == ["vocals", "no_vocals"]


def test_names_of_stems_ignore_case(model: Path) -> None:
    make_song(Path("a.wav"))
    done = call("a.wav", "-m", model, "-s", "Vocals,DRUMS", "-s", "Voice", "-q")
    assert done.lines == ["separated/a/vocals.wav", "separated/a/drums.wav"]


def test_stems_add_up_and_are_understood(model: Path) -> None:
    make_song(Path("a.wav"))
    named = call("a.wav", "-m", model, "-s", "voice", "-s", "drum,vocals", "-q")
    assert [Path(line).stem for line in named.lines] == ["vocals", "drums"]
    sung = call("a.wav", "-m", model, "--two-stems", "vocal", "-o", "sung", "-q")
    assert [Path(line).stem for line in sung.lines] == ["vocals", "no_vocals"]
    for args in (["--instrumental"], ["-s", "accompaniment"]):
        played = call("a.wav", "-m", model, *args, "-o", "played", "--overwrite", "-q")
        assert played.lines == ["played/a/instrumental.wav"]
        played_samples, without_vocals = soundfile.read(played.lines[0])[0], soundfile.read(sung.lines[1])[0]
        assert (played_samples == without_vocals).all()
    both = call("a.wav", "-m", model, "--instrumental", "-s", "vocals", "--bits", "32f", "--overwrite", "-q")
    total = sum(soundfile.read(line)[0] for line in both.lines)
    assert abs(total - soundfile.read("a.wav")[0]).max() < 1e-6
    refused = call("a.wav", "-m", model, "--instrumental", "-s", "drums", "--residual")
    assert refused.code == 2 and "already contains drums" in refused.stderr


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        ([], ("WAV", "PCM_16")),
        (["--bits", "24"], ("WAV", "PCM_24")),
        (["--subtype", "32f"], ("WAV", "FLOAT")),
        (["--format", "flac"], ("FLAC", "PCM_16")),
        (["--format", "mp3"], ("MP3", "MPEG_LAYER_III")),
        (["--format", "ogg"], ("OGG", "VORBIS")),
    ],
)
def test_formats_and_depths(model: Path, args: list[str], expected: tuple[str, str]) -> None:
    make_song(Path("a.wav"))
    (line,) = call("a.wav", "-m", model, "-s", "bass", *args).lines
    info = soundfile.info(line)
    assert (info.format, info.subtype) == expected
    assert info.samplerate == 44100


def test_existing_files_are_kept_unless_overwritten(model: Path) -> None:
    make_song(Path("a.wav"))
    mine = Path("separated/a/bass.wav")
    mine.parent.mkdir(parents=True)
    mine.write_text("mine")
    refused = call("a.wav", "-m", model)
    assert refused.code == 1
    assert "--overwrite" in refused.stderr
    assert list_files(Path("separated")) == ["a/bass.wav"]
    assert call("a.wav", "-m", model, "--skip-existing", "--overwrite").code == 2
    assert mine.read_text() == "mine"
    assert call("a.wav", "-m", model, "--overwrite").code == 0
    assert list_files(Path("separated")) == expect("a")
    skipped = call("a.wav", "-m", model, "--skip-existing", "--json")
    assert skipped.code == 0
    assert skipped.records[0]["status"] == "skipped"


def test_skip_existing_makes_what_is_missing(model: Path) -> None:
    make_song(Path("a.wav"))
    assert call("a.wav", "-m", model, "-o", "whole").code == 0
    Path("separated/a").mkdir(parents=True)
    Path("separated/a/bass.wav").write_text("mine")
    made = call("a.wav", "-m", model, "--skip-existing")
    assert (made.code, made.lines) == (0, [f"separated/a/{stem}.wav" for stem in STEMS])
    assert Path("separated/a/bass.wav").read_text() == "mine"
    for stem in set(STEMS) - {"bass"}:
        assert Path(f"separated/a/{stem}.wav").read_bytes() == Path(f"whole/a/{stem}.wav").read_bytes()


def test_a_missing_stem_gets_the_gain_that_all_stems_would_share(model: Path) -> None:
    loud = 4 * soundfile.read(make_song(Path("a.wav")))[0]
    soundfile.write("a.wav", loud / abs(loud).max(), 44100, "PCM_16")
    gains = [call("a.wav", "-m", model, "-o", "whole", "--json").records[0]["gain"]]
    Path("separated/a").mkdir(parents=True)
    for stem in STEMS[:-1]:
        Path(f"separated/a/{stem}.wav").touch()
    gains.append(call("a.wav", "-m", model, "--skip-existing", "--json").records[0]["gain"])
    assert gains[0] == gains[1]


def test_resume_looks_at_the_settings(model: Path, vocals_model: Path) -> None:
    make_song(Path("a.wav"))

    def status(*args: object) -> str:
        return str(call("a.wav", "--resume", "--json", *args).records[0]["status"])

    assert status("-m", model) == "done"
    assert status("-m", model) == "skipped"
    assert status("-m", model, "--bits", "24") == "done"
    assert status("-m", model, "--bits", "24", "--wiener", "1") == "done"
    other = write_model(Path("other.onnx"), make_spec(), seed=2)
    assert status("-m", other, "--bits", "24", "--wiener", "1") == "done"
    assert status("-m", vocals_model, "--residual") == "done"
    assert status("-m", vocals_model, "--residual", "--threads", "2", "--jobs", "2", "--quiet") == "skipped"


@pytest.mark.slow
def test_two_runs_share_a_folder(model: Path) -> None:
    """Two processes at the same time: each song is made once, by one of them, and nothing fails."""
    names = [f"{number}.wav" for number in range(6)]
    for number, name in enumerate(names):
        make_song(Path("songs", name), seconds=3, seed=number)
    args = ("songs", "-m", model, "--resume", "--json", "--threads", 1)
    runs = [
        subprocess.Popen(
            make_command(args), env=make_environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        for _ in range(2)
    ]
    outputs = [run.communicate(timeout=100) for run in runs]
    assert [run.returncode for run in runs] == [0, 0], [stderr.decode() for _, stderr in outputs]
    results = [json.loads(line) for stdout, _ in outputs for line in stdout.splitlines()]
    by_status = {
        status: sorted(Path(result["input"]).name for result in results if result["status"] == status)
        for status in ("done", "skipped")
    }
    assert by_status == {"done": names, "skipped": names}
    assert list_files(Path("separated")) == expect(*(str(number) for number in range(6)))


def test_resume_does_not_mind_the_order_of_the_stems(model: Path) -> None:
    make_song(Path("a.wav"), seconds=0.2)
    for stems, status in (("vocals,drums", "done"), ("drums,vocals", "skipped"), ("drums", "done")):
        assert call("a.wav", "-m", model, "--resume", "--json", "-s", stems).records[0]["status"] == status


def test_a_dry_run_writes_nothing_and_tells_what_would_fail(model: Path) -> None:
    make_song(Path("a.wav"))
    done = call("a.wav", "-m", model, "--dry-run")
    assert done.code == 0
    assert done.lines == [f"separated/a/{stem}.wav" for stem in STEMS]
    make_song(Path("wide.wav"), n_channels=3)
    Path("b.wav").touch()
    doomed = call("a.wav", "b.wav", "wide.wav", "-m", model, "--dry-run", "--json", "-f", "mp3")
    assert doomed.code == 1
    assert [record["status"] for record in doomed.records] == ["planned", "failed", "failed"]
    assert doomed.records[0]["duration_s"] == 1.0
    assert names_here() == ["a.wav", "b.wav", "wide.wav"]


def test_a_dry_run_sees_a_folder_that_cannot_be_written(model: Path) -> None:
    make_song(Path("a.wav"))
    Path("file").touch()
    done = call("a.wav", "-m", model, "--dry-run", "-o", "file/out")
    assert done.code == 1
    assert "file: is a file, not a folder" in done.stderr
    Path("out").mkdir()
    Path("out/a").touch()
    done = call("a.wav", "-m", model, "--dry-run", "-o", "out")
    assert done.code == 1
    assert "failed: a.wav: out/a/vocals.wav: cannot be written below" in done.stderr


def test_nothing_is_left_in_the_home_folder(model: Path, tmp_path: Path) -> None:
    """onnxruntime's telemetry would keep a number of the device and a queue of events there."""
    make_song(Path("a.wav"), seconds=0.2)
    home = tmp_path / "home"
    home.mkdir()
    outside = {"ORT_DISABLE_TELEMETRY", *(name for name in make_environment() if name.startswith("XDG_"))}
    environment = {name: value for name, value in make_environment().items() if name not in outside}
    command = make_command(["a.wav", "-m", model, "-d", "cpu", "-q"])
    subprocess.run(command, env=environment | {"HOME": str(home)}, check=True)
    assert list_files(Path("separated")) == expect("a")
    assert list(home.rglob("*")) == []


@pytest.mark.skipif(os.name == "nt", reason="a folder in use cannot be deleted")
def test_a_deleted_working_folder_is_one_line(model: Path, tmp_path: Path) -> None:
    song = make_song(tmp_path / "a.wav").absolute()
    gone = tmp_path / "gone"
    gone.mkdir()
    os.chdir(gone)
    gone.rmdir()
    done = call(str(song))
    assert done.code == 1
    assert done.stderr == "stemsplit: the working folder has been deleted; change to one that exists\n"
