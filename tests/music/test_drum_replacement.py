"""Drums that are played anew: at their samples, as strong as they were, whatever the blocks."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from stemsplit.errors import SettingsError
from stemsplit.music import drum_replacement
from stemsplit.music.attack import find_attack
from stemsplit.music.drum_hits import find_hits
from stemsplit.music.drum_kit import read_kit
from stemsplit.music.drum_replacement import DrumReplacement
from stemsplit.types import FloatArray
from tests.music.test_analysis import SAMPLE_RATE
from tests.music.test_midi import make_drums

HITS = [(0.5, "kick"), (1.0, "snare"), (1.5, "hat"), (2.0, "kick"), (2.5, "hat"), (3.0, "snare")]


def write_drums(path: Path, *, subtype: str = "FLOAT", gain: float = 1.0) -> Path:
    soundfile.write(path, gain * make_drums(HITS, 4.0).T, SAMPLE_RATE, subtype=subtype)
    return path


def write_clicks(folder: Path, *, silence: int = 0) -> Path:
    """A kit of samples that begin with a click, which can be found to the sample."""
    folder.mkdir()
    time_s = np.arange(4000) / SAMPLE_RATE
    for name, hz in (("kick", 60.0), ("snare", 800.0), ("hat", 9000.0)):
        click = np.cos(2 * np.pi * hz * time_s) * np.exp(-time_s / 0.02)
        soundfile.write(folder / f"{name}.wav", np.pad(0.5 * click, (silence, 0)), SAMPLE_RATE, "FLOAT")
    return folder


def play(replacement: DrumReplacement) -> FloatArray:
    return np.concatenate(list(replacement.blocks()), axis=1)


@pytest.mark.parametrize("silence", [0, 1234])
def test_samples_begin_where_the_hits_do(tmp_path: Path, silence: int) -> None:
    drums = write_drums(tmp_path / "drums.wav")
    played = play(DrumReplacement(drums, read_kit(write_clicks(tmp_path / "kit", silence=silence))))
    assert played.shape == (2, 4 * SAMPLE_RATE)
    for time_s, _ in HITS:
        around = round(time_s * SAMPLE_RATE) - 400
        loud = np.abs(played[0, around : around + 800]) > 0.2 * np.abs(played[0, around : around + 800]).max()
        assert abs(int(np.argmax(loud)) - 400) <= 20  # 0.5 ms


def test_attacks_are_found_to_the_sample() -> None:
    rng = np.random.default_rng(0)
    waveform = 0.001 * rng.standard_normal((2, 2000))
    waveform[:, 777:] += rng.standard_normal((2, 1223)) * np.exp(-np.arange(1223) / 400)
    assert abs(find_attack(waveform.astype(np.float32), SAMPLE_RATE) - 777) <= 2
    assert find_attack(np.zeros((1, 500), np.float32), SAMPLE_RATE) == 0


@pytest.mark.slow
def test_hits_are_as_strong_as_they_were(tmp_path: Path) -> None:
    kit = read_kit()
    for gain in (1.0, 0.1):
        drums = write_drums(tmp_path / "drums.wav", gain=gain)
        replacement = DrumReplacement(drums, kit)
        replacement.write(tmp_path / "new.wav")
        before, after = (
            {(round(hit.time_s, 1), hit.kind): hit.strength for hit in find_hits(path)}
            for path in (drums, tmp_path / "new.wav")
        )
        shared = before.keys() & after.keys()
        assert {kind for _, kind in shared} == {"kick", "snare", "hat"} and len(shared) == len(HITS)
        ratios_db = [20 * np.log10(after[each] / before[each]) for each in shared]
        assert np.abs(ratios_db).max() < 3


def test_channels_are_those_of_the_stem(tmp_path: Path) -> None:
    drums = np.concatenate([make_drums(HITS, 4.0), np.zeros((1, 4 * SAMPLE_RATE), np.float32)])
    drums[1] *= 0.25
    soundfile.write(tmp_path / "drums.wav", drums.T, SAMPLE_RATE, subtype="FLOAT")
    played = play(DrumReplacement(tmp_path / "drums.wav", read_kit()))
    assert played.shape == drums.shape and not played[2].any()
    assert np.allclose(played[1], 0.25 * played[0], rtol=0.02, atol=1e-4)


def test_blocks_do_not_change_what_is_played(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drums, kit = write_drums(tmp_path / "drums.wav"), read_kit()
    whole = play(DrumReplacement(drums, kit))
    monkeypatch.setattr(drum_replacement, "_BLOCK_SAMPLES", 1000)
    assert np.allclose(play(DrumReplacement(drums, kit)), whole, atol=1e-7)


def test_a_blend_is_between_both(tmp_path: Path) -> None:
    drums, kit = write_drums(tmp_path / "drums.wav"), read_kit()
    original = soundfile.read(drums, dtype="float32", always_2d=True)[0].T
    new = play(DrumReplacement(drums, kit))
    assert np.array_equal(play(DrumReplacement(drums, kit, 0.0)), original)
    assert np.allclose(play(DrumReplacement(drums, kit, 0.25)), 0.25 * new + 0.75 * original, atol=1e-6)
    for blend in (-0.1, 1.1, float("nan")):
        with pytest.raises(SettingsError, match="blend"):
            DrumReplacement(drums, kit, blend)


def test_a_kit_without_a_drum_leaves_its_hits_out(tmp_path: Path) -> None:
    folder = write_clicks(tmp_path / "kit")
    (folder / "snare.wav").unlink()
    replacement = DrumReplacement(write_drums(tmp_path / "drums.wav"), read_kit(folder))
    assert replacement.note == (
        "drum hits replaced: 2 kick, 2 hat; left out, since the kit has no sample: 2 snare"
    )
    assert not play(replacement)[:, SAMPLE_RATE - 500 : SAMPLE_RATE + 500].any()


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24"])
def test_files_are_like_the_stem_and_do_not_clip(tmp_path: Path, subtype: str) -> None:
    drums, rest = write_drums(tmp_path / "drums.wav", subtype=subtype, gain=1.9), tmp_path / "rest.wav"
    soundfile.write(rest, np.full((4 * SAMPLE_RATE, 2), 0.8), SAMPLE_RATE, subtype=subtype)
    replacement = DrumReplacement(drums, read_kit(), rest=rest)
    replacement.write(tmp_path / "new.wav")
    replacement.write(tmp_path / "song.wav", with_rest=True)
    new, song = (soundfile.read(tmp_path / name, always_2d=True)[0] for name in ("new.wav", "song.wav"))
    assert soundfile.info(tmp_path / "new.wav").subtype == subtype
    assert replacement.gain < 1 and "lowered by" in replacement.note
    assert 0.9 < np.abs(song).max() < 1
    # both have one gain, so that they still fit together
    assert np.allclose(song - new, replacement.gain * 0.8, atol=1e-4)


def test_silence_has_no_hits(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "drums.wav", np.zeros((SAMPLE_RATE, 2)), SAMPLE_RATE)
    assert not DrumReplacement(tmp_path / "drums.wav", read_kit()).hits


def test_a_silent_sample_is_named(tmp_path: Path) -> None:
    folder = write_clicks(tmp_path / "kit")
    soundfile.write(folder / "kick.wav", np.zeros(1000), SAMPLE_RATE)
    with pytest.raises(SettingsError, match=r"kick\.wav of the kit is silent"):
        play(DrumReplacement(write_drums(tmp_path / "drums.wav"), read_kit(folder)))
