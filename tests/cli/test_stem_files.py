"""Stem files from end to end: `--format stem.mp4`, and `stemsplit unpack`."""

import json
import os
from pathlib import Path
from typing import Any

import mutagen
import numpy as np
import pytest
import soundfile

from stemsplit import SettingsError, separate
from stemsplit.audio.stem_box import append_stem_box, make_stem_box
from stemsplit.jobs.unpacking import unpack_file
from tests.support.audio_files import tones
from tests.support.av_files import encode_tracks
from tests.support.cli import call, list_files, make_song

PARTS = ("mixture", "drums", "bass", "other", "vocals")


@pytest.fixture
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in an empty folder."""
    monkeypatch.chdir(tmp_path)


def make_stem_file(model: Path, *options: object, seconds: float = 1.0) -> Path:
    make_song(Path("song.wav"), seconds=seconds)
    done = call("song.wav", "-m", model, "-d", "cpu", "--format", "stem.mp4", "--bits", 16, *options)
    assert done.code == 0, done.stderr
    assert done.lines == ["separated/song/song.stem.mp4"]
    return Path(done.lines[0])


def read_parts(folder: Path, ending: str = "wav") -> dict[str, Any]:
    return {name: soundfile.read(folder / f"{name}.{ending}", dtype="int16")[0] for name in PARTS}


def test_a_song_becomes_one_file_and_its_parts_again(model: Path) -> None:
    path = make_stem_file(model)
    assert list_files(Path("separated")) == ["song/song.stem.mp4"]
    done = call("unpack", path, "-o", "parts", "--format", "flac")
    assert done.code == 0, done.stderr
    assert done.lines == [f"parts/song/{name}.flac" for name in PARTS]
    parts = read_parts(Path("parts/song"), "flac")
    mixture = parts.pop("mixture")
    assert np.array_equal(sum(part.astype(int) for part in parts.values()), mixture)
    song, _ = soundfile.read("song.wav", dtype="int16")
    assert np.array_equal(mixture, song)
    again = call("unpack", path, "-o", "parts", "--format", "flac")
    assert again.code == 1 and "--overwrite" in again.stderr
    skipped = call("unpack", path, "-o", "parts", "--format", "flac", "--skip-existing", "--json")
    assert skipped.records[0]["status"] == "skipped"
    assert call("unpack", path, "-o", "parts", "--format", "flac", "--overwrite", "--quiet").stderr == ""


@pytest.mark.slow
def test_json_resume_tags_excerpts_and_names(model: Path) -> None:
    make_song(Path("in/song.flac"), seconds=2.0)
    tagged: Any = mutagen.File("in/song.flac")
    tagged["title"], tagged["artist"] = "Söng", "Bänd"
    tagged.save()
    options = ("in", "-m", model, "-d", "cpu", "--format", "stem.mp4", "--duration", 1, "--resume", "--json")
    name = ("--name", "{artist}/{title}.{ext}")
    (record,) = call(*options, *name).records
    assert record["outputs"] == {"stems": "separated/Bänd/Söng.stem.mp4"}
    assert record["n_samples"] == 44100 and set(record["levels_db"]) == {"vocals", "drums", "bass", "other"}
    written: Any = mutagen.File("separated/Bänd/Söng.stem.mp4")
    assert (written.tags["\xa9nam"], written.tags["\xa9ART"]) == (["Söng"], ["Bänd"])
    (record,) = call(*options, *name).records
    assert record["status"] == "skipped"
    (record,) = call(*options, *name, "--bitrate", "128k").records
    assert record["status"] == "done"
    Path("separated/Bänd/Söng.stem.mp4").write_text("mine")
    refused = call(*options, *name)
    assert refused.code == 1 and "no longer, as stemsplit wrote it" in refused.records[0]["error"]


@pytest.mark.slow
def test_a_name_with_the_key_waits_for_the_analysis(model: Path) -> None:
    make_song(Path("song.wav"))
    template = "{track} {camelot} {stem}.{ext}"
    done = call("song.wav", "-m", model, "-d", "cpu", "--format", "stem.mp4", "--analyse", "--name", template)
    assert done.code == 0, done.stderr
    key = json.loads(next(Path("separated").glob("song * analysis.json")).read_text())["camelot"] or "none"
    assert Path(f"separated/song {key} song.stem.mp4").is_file()


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["--stems", "drums"], "holds 4 stems, and here it would be 1 (drums)"),
        (["--karaoke", "vocals"], "here it would be 2 (vocals, no_vocals)"),
        (["--slices", "bars"], "choose --format wav or flac or aiff"),
        (["--bits", "32f"], "choose one of 16, 24"),
    ],
)
def test_a_stem_file_has_four_stems(model: Path, options: list[str], reason: str) -> None:
    make_song(Path("song.wav"))
    done = call("song.wav", "-m", model, "--format", "stem.mp4", *options)
    assert done.code == 2 and reason in done.stderr
    assert not Path("separated").exists()


def test_four_stems_that_are_not_the_song_are_refused(
    model: Path, tiny_model: Path, vocals_model: Path
) -> None:
    make_song(Path("song.wav"))
    # the vocals of one model with the rest of another do not sum to the song
    models, stems = [str(vocals_model), str(tiny_model)], ["vocals", "drums", "bass", "other"]
    with pytest.raises(SettingsError, match="vocals, drums, bass, other are not the whole song"):
        separate("song.wav", output_dir="out", format="stem.mp4", models=models, stems=stems)
    done = call("song.wav", "-m", model, "--format", "stem.mp4", "--stems", "vocals,drums,bass", "--residual")
    assert done.code == 0, done.stderr


def test_it_is_written_and_unpacked_in_python(model: Path) -> None:
    make_song(Path("song.wav"))
    written = separate("song.wav", output_dir="out", format="stem.mp4", models=[str(model)])
    assert written.outputs == {"stems": Path("out/song/song.stem.mp4")}
    parts = unpack_file(written.outputs["stems"], "out", start_s=0.25, duration_s=0.5)
    assert list(parts.outputs) == list(PARTS) and parts.n_samples == 22050
    assert soundfile.info(parts.outputs["drums"]).frames == 22050
    with pytest.raises(SettingsError, match="a file of its own"):
        unpack_file(written.outputs["stems"], "out", format="stem.mp4")


def test_its_mixture_is_separated_and_its_stems_by_track(model: Path) -> None:
    path = make_stem_file(model)
    Path("in").mkdir()
    path.rename("in/song.stem.mp4")
    done = call("in", "-m", model, "-d", "cpu", "-o", "again", "--json")
    assert next(iter(done.records[0]["outputs"].values())) == "again/song/vocals.wav"
    stems = [soundfile.read(path)[0] for path in done.records[0]["outputs"].values()]
    song, _ = soundfile.read("song.wav")
    assert np.abs(np.sum(stems, axis=0) - song).max() < 1e-4
    done = call("in", "-m", model, "-d", "cpu", "-o", "drums", "--track", 2, "--json")
    assert done.code == 0 and done.records[0]["n_samples"] == 44100


@pytest.mark.parametrize("seconds", [0.02, 1.0])
def test_silence_is_five_silent_tracks(model: Path, seconds: float) -> None:
    soundfile.write("song.wav", np.zeros((round(44100 * seconds), 2)), 44100)
    done = call("song.wav", "-m", model, "-d", "cpu", "--format", "stem.mp4")
    assert done.code == 0, done.stderr
    assert call("unpack", done.lines[0], "-o", "parts").code == 0
    for part in read_parts(Path("parts/song")).values():
        assert part.shape == (round(44100 * seconds), 2) and not part.any()


def test_what_is_no_stem_file_or_broken_stops_no_other(model: Path) -> None:
    path = make_stem_file(model)
    whole = path.read_bytes()
    Path("cut.stem.mp4").write_bytes(whole[: len(whole) // 2])
    Path("text.stem.mp4").write_text("not audio at all " * 100)
    two = tones(44_100, sample_rate=44_100)
    encode_tracks(Path("two.mp4"), [two, two[:1]], sample_rate=44_100)
    wrong = encode_tracks(Path("wrong.stem.mp4"), [two, two], sample_rate=44_100)
    with wrong.open("r+b") as file:
        append_stem_box(file, make_stem_box(["a", "b", "c", "d"]))
    names = ["song.wav", "missing.mp4", "cut.stem.mp4", "text.stem.mp4", "two.mp4", str(wrong)]
    done = call("unpack", *names, path, "-o", "parts", "--json")
    assert done.code == 1
    errors = [record["error"] for record in done.records]
    reasons = (
        "has one audio track, and so no stems",
        "no such file",
        "get a whole copy",
        "get another copy",
        "so it is no stem file",
        "names 4 stems and has 1 tracks",
    )
    for name, error, reason in zip(names, errors, reasons, strict=False):
        assert error.startswith(name) and reason in error, error
    assert errors[-1] is None
    assert list_files(Path("parts")) == sorted(f"song/{name}.wav" for name in PARTS)


def test_files_without_a_box_and_of_one_name(model: Path) -> None:
    track = tones(22_050, sample_rate=44_100)
    for folder in ("a", "b"):
        Path(folder).mkdir()
        encode_tracks(Path(folder, "song.stem.mp4"), [track, track / 2, track[:, :9000]], sample_rate=44_100)
    Path("b/other.mp3").write_bytes(b"no stem file, and not looked at")
    done = call("unpack", "a", "b", "-o", "parts", "--json")
    first, second = done.records
    assert list(first["outputs"]) == ["mixture", "track 2", "track 3"]
    assert second["status"] == "failed" and "would both be written to" in second["error"]
    short, _ = soundfile.read("parts/song/track 3.wav")
    assert len(short) == 22_050 and not short[9000 + 4096 :].any()


@pytest.mark.usefixtures("empty_folder")
def test_an_input_without_a_stem_file_fails() -> None:
    make_song(Path("songs/song.wav"), seconds=0.1)
    os.mkfifo("pipe.stem.mp4")
    done = call("unpack", "songs", "songs/*.wav", "-", "pipe.stem.mp4", "-o", "parts", "--json")
    assert done.code == 1 and not Path("parts").exists()
    kind = "stem file (.stem.mp4 or .stem.m4a)"
    stream = "unpack reads files, no streams and addresses; save it to one"
    assert [record["error"] for record in done.records] == [
        f"songs: there is no {kind} in the folder",
        f"songs/*.wav: no {kind} matches",
        f"-: {stream}",
        f"pipe.stem.mp4: {stream}",
    ]


@pytest.mark.usefixtures("empty_folder")
def test_unpack_says_what_helps_if_some_parts_exist() -> None:
    track = tones(22_050, sample_rate=44_100)
    encode_tracks(Path("song.stem.mp4"), [track, track], sample_rate=44_100)
    Path("parts/song").mkdir(parents=True)
    Path("parts/song/mixture.wav").write_text("mine")
    command = ("unpack", "song.stem.mp4", "-o", "parts")
    for options, advice in (
        ((), "--overwrite, --skip-existing or another folder"),
        (("--skip-existing",), "--overwrite or another folder"),
    ):
        done = call(*command, *options)
        assert done.code == 1 and f"mixture.wav exists; use {advice}" in done.stderr
    assert list_files(Path("parts")) == ["song/mixture.wav"]


@pytest.mark.usefixtures("empty_folder")
def test_parts_are_written_to_a_folder() -> None:
    done = call("unpack", "song.stem.mp4", "-o", "-")
    assert done.code == 2 and "unpack writes to a folder on a disk" in done.stderr
    assert not Path("-").exists()
