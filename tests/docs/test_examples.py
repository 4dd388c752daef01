"""The example song, and the README's first command on it, end to end."""

import json
from pathlib import Path

import mutagen
import numpy as np
import pytest
import soundfile

from benchmarks.songs import EXAMPLE
from tests.support.cli import call_process

ARGUMENTS = "examples/caesium.mp3 --stems drums,vocals"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder that looks like a clone, as far as the command is concerned."""
    (tmp_path / "examples").symlink_to(EXAMPLE.parent, target_is_directory=True)
    return tmp_path


def test_it_is_a_short_stereo_song() -> None:
    samples, sample_rate = soundfile.read(EXAMPLE, dtype="float32")
    assert sample_rate == 44100
    assert samples.shape[1] == 2
    assert 25 <= len(samples) / sample_rate <= 30
    assert EXAMPLE.stat().st_size < 800_000
    assert np.abs(samples).max() < 1


def test_it_is_music_from_beginning_to_end() -> None:
    samples, sample_rate = soundfile.read(EXAMPLE, dtype="float32")
    seconds = samples[: len(samples) // sample_rate * sample_rate].reshape(-1, 2 * sample_rate)
    levels_db = 10 * np.log10((seconds**2).mean(axis=1))
    assert levels_db[1:-1].min() > -30


def test_its_tags_give_the_credit_and_the_licence() -> None:
    tags = mutagen.File(EXAMPLE).tags
    assert str(tags["TPE1"]) == "Software-Entwicklungskit"
    assert str(tags["TALB"]) == "Everything is Free"
    assert str(tags["TCOP"]) == "CC0 1.0 Universal"
    credit = EXAMPLE.with_name("README.md").read_text(encoding="utf-8")
    assert "Software-Entwicklungskit" in credit
    assert "CC0 1.0" in credit


@pytest.mark.slow
def test_the_first_command_of_the_readme(folder: Path) -> None:
    done = call_process(*ARGUMENTS.split(), cwd=folder)
    assert done.code == 0, done.stderr
    assert done.lines == ["separated/caesium/drums.wav", "separated/caesium/vocals.wav"]
    song = soundfile.info(EXAMPLE)
    for line in done.lines:
        stem = soundfile.info(folder / line)
        assert (stem.samplerate, stem.channels, stem.frames) == (44100, 2, song.frames)
        assert stem.subtype == "PCM_16"
    drums, vocals = (soundfile.read(folder / line)[0] for line in done.lines)
    correlation = np.corrcoef(drums.ravel(), vocals.ravel())[0, 1]
    assert abs(correlation) < 0.5, "the stems are much the same"
    # the voice of this song is distant, and most of it goes to `other`: see examples/README.md
    level = np.sqrt((soundfile.read(EXAMPLE)[0] ** 2).mean())
    assert min(np.sqrt((stem**2).mean()) for stem in (drums, vocals)) > 0.01 * level, "a stem is silent"


@pytest.mark.slow
def test_the_stems_sum_to_the_song_within_rounding(folder: Path) -> None:
    done = call_process("examples/caesium.mp3", "--json", cwd=folder)
    result = json.loads(done.text)
    assert result["gain"] == 1
    song = soundfile.read(EXAMPLE)[0]
    total = sum(soundfile.read(folder / path)[0] for path in result["outputs"].values())
    half_a_step = 0.5 / 2**15
    assert np.abs(total - song).max() <= (len(result["outputs"]) + 0.1) * half_a_step


@pytest.mark.slow
def test_tags_are_carried_to_the_stems(folder: Path) -> None:
    call_process(*ARGUMENTS.split(), cwd=folder)
    tags = mutagen.File(folder / "separated" / "caesium" / "vocals.wav").tags
    assert str(tags["TIT2"]) == "Caesium (excerpt) (vocals)"
    assert str(tags["TPE1"]) == "Software-Entwicklungskit"
