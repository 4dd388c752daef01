"""``stemsplit replace``: the drums of songs with other samples."""

from pathlib import Path

import mido
import numpy as np
import pytest
import soundfile

from stemsplit import replace_drums
from stemsplit.separation.separator import Separator
from tests.music.test_analysis import SAMPLE_RATE
from tests.music.test_drum_replacement import HITS, write_clicks
from tests.music.test_midi import make_drums
from tests.support.cli import call, list_files


def write_song(path: Path, *, rate: int = SAMPLE_RATE, subtype: str = "PCM_16") -> Path:
    soundfile.write(path, 0.9 * make_drums(HITS, 3.7).T, rate, subtype=subtype)
    return path


@pytest.mark.slow
def test_the_drums_of_a_song_are_replaced(model: Path) -> None:
    write_song(Path("song.wav"), rate=48000)
    done = call("replace", "song.wav", "-m", model, "-d", "cpu", "-o", "out", "--mixture", "--json")
    assert done.code == 0, done.stderr
    (result,) = done.records
    assert set(result["outputs"]) == {"drums", "no_drums"}
    assert set(result["extras"]) == {"drums_replaced", "drums_replaced midi", "mixture_replaced"}
    assert "drum hits replaced:" in result["note"]
    song = soundfile.info("song.wav")
    for path in (*result["outputs"].values(), result["extras"]["drums_replaced"]):
        written = soundfile.info(path)
        assert (written.frames, written.samplerate, written.channels, written.subtype) == (
            (song.frames, song.samplerate, song.channels, song.subtype)
        )
    new, rest, mixed = (
        soundfile.read(f"out/song/{name}.wav")[0]
        for name in ("drums_replaced", "no_drums", "mixture_replaced")
    )
    assert np.abs(new).max() > 0.05 and np.allclose(mixed, new + rest, atol=2e-4)
    hits = [message for message in mido.MidiFile("out/song/drums_replaced.mid") if message.type == "note_on"]
    assert len(hits) >= len(HITS)


@pytest.mark.slow
def test_an_own_kit_and_a_blend_are_used_and_resumed(model: Path) -> None:
    write_song(Path("song.wav"))
    kit = write_clicks(Path("kit"))
    args = ("replace", "song.wav", "-m", model, "-d", "cpu", "-o", "out", "--kit", kit, "--blend", 0.5)
    assert call(*args, "--resume").code == 0
    first = Path("out/song/drums_replaced.wav").read_bytes()
    assert call(*args).code == 1
    again = call(*args, "--resume", "--json")
    assert again.code == 0 and again.records[0]["status"] == "skipped"
    # a kit that has changed under its name is another one
    soundfile.write(kit / "kick.wav", np.exp(-np.arange(3000) / 300), SAMPLE_RATE)
    assert call(*args, "--resume", "--json").records[0]["status"] == "done"
    assert Path("out/song/drums_replaced.wav").read_bytes() != first


@pytest.mark.slow
def test_a_song_without_drums_has_none_to_replace(model: Path) -> None:
    soundfile.write("song.wav", np.zeros((SAMPLE_RATE, 2)), SAMPLE_RATE)
    done = call("replace", "song.wav", "-m", model, "-d", "cpu", "-o", "out", "--json")
    assert done.code == 0 and done.records[0]["extras"] == {}
    assert done.records[0]["note"] == (
        "not written, since the song has none: drums_replaced, drums_replaced midi"
    )
    assert [path for path in list_files(Path("out")) if path.endswith((".wav", ".mid"))] == ["song/drums.wav"]


@pytest.mark.parametrize(
    ("args", "problem"),
    [
        (("--kit", "missing"), "missing is no kit"),
        (("--blend", 1.5), "1.5"),
        (("--format", "mp3"), "mp3"),
        (("--output", "-"), "--output"),
    ],
)
def test_a_mistake_is_found_before_a_song_is_separated(
    model: Path, args: tuple[str, ...], problem: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Separator, "stream", lambda *_, **__: pytest.fail("separated"))
    write_song(Path("song.wav"))
    done = call("replace", "song.wav", "-m", model, *args)
    assert done.code == 2 and problem in done.stderr
    assert not Path("separated").exists()


@pytest.mark.slow
def test_a_failure_leaves_nothing(model: Path) -> None:
    write_song(Path("song.wav"))
    kit = write_clicks(Path("kit"))
    soundfile.write(kit / "kick.wav", np.zeros(1000), SAMPLE_RATE)
    done = call("replace", "song.wav", "-m", model, "-d", "cpu", "-o", "out", "--kit", kit)
    assert done.code == 1 and "kick.wav of the kit is silent" in done.stderr
    assert not [path for path in list_files(Path("out")) if "song" in path and not path.startswith(".")]


@pytest.mark.slow
def test_drums_are_replaced_in_python(model: Path) -> None:
    write_song(Path("song.wav"))
    result = replace_drums("song.wav", "out", blend=0.5, models=[model], device="cpu")
    assert set(result.outputs) == {"drums"} and Path(result.extras["drums_replaced"]).exists()
