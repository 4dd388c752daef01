"""Drum kits: folders by names and SFZ instruments, and what is wrong with others."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from stemsplit.errors import SettingsError
from stemsplit.music.drum_hits import KINDS
from stemsplit.music.drum_kit import DEFAULT_KIT, read_kit
from stemsplit.music.sfz import read_sfz
from stemsplit.music.slices import make_sfz


def write_samples(folder: Path, *names: str) -> Path:
    folder.mkdir(exist_ok=True)
    for number, name in enumerate(names):
        soundfile.write(folder / name, np.full((100, 1), 0.1 + 0.01 * number), 44100)
    return folder


def names_of(folder: Path, kind: str) -> list[str]:
    return [sample.path.name for sample in read_kit(folder).samples[kind]]


def test_the_kit_of_the_package_has_every_drum_and_names_its_sources() -> None:
    assert set(read_kit().samples) == set(KINDS)
    files = list(DEFAULT_KIT.glob("*.flac"))
    assert sum(path.stat().st_size for path in files) < 1_000_000
    assert {soundfile.info(path).subtype for path in files} == {"PCM_16"}
    listed = (DEFAULT_KIT / "README.md").read_text()
    assert "CC0-1.0" in listed
    assert all(path.stem.split("_")[0] in listed for path in files)


def test_a_folder_is_read_by_names(tmp_path: Path) -> None:
    names = ("Kick 01.wav", "BD2.wav", "snare.flac", "hi-hat.wav", "HH open.wav", "Low Tom.wav", "crash.wav")
    folder = write_samples(tmp_path / "kit", *names, "cowbell.wav", "thatched.wav")
    (folder / "readme.txt").write_text("kick")
    assert names_of(folder, "kick") == ["BD2.wav", "Kick 01.wav"]
    assert names_of(folder, "hat") == ["HH open.wav", "hi-hat.wav"]
    assert names_of(folder, "snare") == ["snare.flac"] and names_of(folder, "tom") == ["Low Tom.wav"]


def test_cymbals_play_the_hi_hat_of_a_kit_without_one(tmp_path: Path) -> None:
    assert names_of(write_samples(tmp_path / "kit", "ride.wav"), "hat") == ["ride.wav"]


def test_samples_are_chosen_by_velocity_and_take_turns(tmp_path: Path) -> None:
    names = ("kick_v1_1.wav", "kick_v1_2.wav", "kick_v2.wav")
    kit = read_kit(write_samples(tmp_path / "kit", *names))
    soft = [kit.choose("kick", 40, turn).path.name for turn in range(3)]
    assert soft == ["kick_v1_1.wav", "kick_v1_2.wav", "kick_v1_1.wav"]
    assert {kit.choose("kick", 127, turn).path.name for turn in range(3)} == {"kick_v2.wav"}
    assert kit.choose("kick", 63, 0) != kit.choose("kick", 64, 0)


def test_an_sfz_instrument_is_read(tmp_path: Path) -> None:
    folder = write_samples(tmp_path / "kit", "a soft.wav", "b.wav", "c.wav")
    text = r"""
    // a kit
    <control> default_path=.\
    <group> key=c2 loop_mode=one_shot /* kick
    drum */ <region> sample=a soft.wav hivel=60
    <region> sample=b.wav lovel=61 seq_length=2 seq_position=1
    <region> sample=c.wav lovel=61 seq_length=2 seq_position=2
    <group><region> sample=b.wav key=42
    """
    (folder / "kit.sfz").write_text(text)
    kit = read_kit(folder)
    assert kit == read_kit(folder / "kit.sfz")
    assert set(kit.samples) == {"kick", "hat"}
    assert kit.choose("kick", 50, 1).path.name == "a soft.wav"
    assert [kit.choose("kick", 100, turn).path.name for turn in range(3)] == ["b.wav", "c.wav", "b.wav"]


def test_our_own_instruments_are_read(tmp_path: Path) -> None:
    (tmp_path / "slices.sfz").write_text(make_sfz(["0001.wav", "0002.wav"]))
    assert [region.key for region in read_sfz(tmp_path / "slices.sfz")] == [36, 37]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("<region> sample=a.wav key=36 pan=20", "pan is not understood"),
        ("<curve> sample=a.wav", "<curve> is not understood"),
        ("sample=a.wav", "'sample=a.wav' is not understood"),
        ("<region> key=36", "no sample"),
        ("<region> sample=a.wav", "no key"),
        ("<region> sample=a.wav key=x", "key=x"),
        ("<region> sample=a.wav key=36 hivel=200", "hivel=200"),
        ("<region> sample=a.wav key=36 loop_mode=loop_continuous", "loop_continuous"),
        ("<region> sample=a.wav key=60", "key 60"),
        ("<region> sample=missing.wav key=36", "missing.wav"),
        ("", "no sample of a drum"),
    ],
)
def test_what_an_instrument_says_and_is_not_understood_is_named(
    tmp_path: Path, text: str, problem: str
) -> None:
    path = write_samples(tmp_path / "kit", "a.wav") / "kit.sfz"
    path.write_text(text)
    with pytest.raises(SettingsError, match=problem):
        read_kit(path)


def test_what_is_no_kit_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"missing.*is no kit"):
        read_kit(tmp_path / "missing")
    with pytest.raises(SettingsError, match="no sample of a drum"):
        read_kit(write_samples(tmp_path / "empty", "cowbell.wav"))
    folder = write_samples(tmp_path / "kit", "kick.wav")
    (folder / "snare.wav").write_bytes(b"no wav")
    with pytest.raises(SettingsError, match=r"snare\.wav"):
        read_kit(folder)
    soundfile.write(folder / "snare.wav", np.zeros(31 * 1000), 1000)
    with pytest.raises(SettingsError, match=r"31\.0 s"):
        read_kit(folder)
    (folder / "a.sfz").touch()
    (folder / "b.sfz").touch()
    with pytest.raises(SettingsError, match=r"a\.sfz, b\.sfz"):
        read_kit(folder)


def test_a_changed_sample_changes_the_digest(tmp_path: Path) -> None:
    folder = write_samples(tmp_path / "kit", "kick.wav", "snare.wav")
    before = read_kit(folder).digest()
    assert read_kit(folder).digest() == before
    soundfile.write(folder / "kick.wav", np.full((100, 1), 0.7), 44100)
    assert read_kit(folder).digest() != before
