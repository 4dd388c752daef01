"""The command: exit codes, and what is on the disk afterwards."""

import os
import re
import tempfile
from pathlib import Path

import pytest

from stemsplit.audio.encoding import FORMATS, choose_encoding, extension_of
from stemsplit.audio.info import AudioInfo
from stemsplit.audio.reader import open_audio
from stemsplit.audio.stem_set import StemSet
from tests.conftest import make_noise
from tests.support.cli import (
    STEMS,
    call,
    expect,
    list_files,
    make_song,
    names_here,
)
from tests.support.tiny_models import make_spec, write_model


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
