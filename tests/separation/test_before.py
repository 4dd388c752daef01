"""A step before the networks: drums from the percussive part, everything else from the mixture."""

from pathlib import Path

import numpy as np
import pytest

from stemsplit.errors import SettingsError
from stemsplit.separation.before import HarmonicPercussiveFilter
from stemsplit.separation.separator import Separator
from stemsplit.types import FloatArray
from tests.conftest import make_noise
from tests.support.cli import call, make_song
from tests.support.marks import slow_but

RATE = 44_100


def make_mixture(seconds: float = 4.0) -> FloatArray:
    noise = make_noise(2, round(seconds * RATE))
    time_s = np.arange(noise.shape[1]) / RATE
    return noise + 0.3 * np.sin(2 * np.pi * 330 * time_s).astype(np.float32)


@pytest.mark.parametrize("block", [4_410, 100_000])
def test_both_parts_are_streamed_and_sum_to_the_mixture(block: int) -> None:
    mixture = make_mixture()
    splitter = HarmonicPercussiveFilter(sample_rate=RATE, n_channels=2)
    blocks = [splitter.process(mixture[:, at : at + block]) for at in range(0, mixture.shape[1], block)]
    blocks.append(splitter.flush())
    parts = {name: np.concatenate([each[name] for each in blocks], axis=1) for name in blocks[0]}
    np.testing.assert_allclose(parts["harmonic"] + parts["percussive"], mixture, atol=1e-6)
    whole = Separator(models=["hpss"])(mixture, RATE)
    np.testing.assert_allclose(parts["percussive"], whole["percussive"], atol=1e-6)


def test_drums_come_from_the_percussive_part_and_the_others_from_the_mixture(tiny_model: Path) -> None:
    mixture = make_mixture()
    percussive = Separator(models=["hpss"])(mixture, RATE)["percussive"]
    plain = Separator(models=[tiny_model])
    stems = Separator(models=[tiny_model], before="hpss")(mixture, RATE)
    np.testing.assert_allclose(stems["drums"], plain(percussive, RATE)["drums"], atol=1e-6)
    for name in ("vocals", "bass"):
        np.testing.assert_allclose(stems[name], plain(mixture, RATE)[name], atol=1e-6)
    np.testing.assert_allclose(sum(stems.values()), mixture, atol=1e-6)
    assert np.abs(stems["drums"] - plain(mixture, RATE)["drums"]).max() > 0.01


@pytest.mark.parametrize(
    "settings",
    slow_but(
        [{"karaoke": "drums"}],
        [{"stems": ["other"]}, {"stems": ["drums"], "residual": True}, {"karaoke": "drums"}],
    ),
)
def test_stems_that_need_drums_have_them_from_the_percussive_part(tiny_model: Path, settings: dict) -> None:
    mixture = make_mixture(3.0)
    stems = Separator(models=[tiny_model], before="hpss", **settings)(mixture, RATE)
    all_stems = Separator(models=[tiny_model], before="hpss")(mixture, RATE)
    for name in set(stems) & set(all_stems):
        np.testing.assert_allclose(stems[name], all_stems[name], atol=1e-6)
    if len(stems) == 2:
        np.testing.assert_allclose(sum(stems.values()), mixture, atol=1e-6)


@pytest.mark.slow
def test_it_works_with_two_shifts_a_wiener_filter_and_another_rate(tiny_model: Path) -> None:
    mixture = make_mixture(3.0)
    separator = Separator(models=[tiny_model], before="hpss", shifts=2, wiener=1)
    stems = separator(mixture[:1], 48_000)
    np.testing.assert_allclose(sum(stems.values()), mixture[:1], atol=1e-5)
    assert not separator.masked_stems


def test_it_is_refused_where_it_would_change_nothing(model: Path) -> None:
    make_song(Path("song.wav"))
    done = call("song.wav", "-m", model, "--before", "hpss", "--stems", "vocals,bass")
    assert done.code == 2 and "none of the stems needs" in done.stderr
    done = call("song.wav", "-m", model, "--before", "hpps")
    assert done.code == 2 and "did you mean 'hpss'" in done.stderr
    with pytest.raises(SettingsError, match="no step 'x'"):
        Separator(models=[model], before="x")


def test_it_is_recorded_only_where_it_is_set(model: Path) -> None:
    make_song(Path("song.wav"))
    options = ("song.wav", "-m", model, "-d", "cpu", "--resume", "--json")
    assert "before" not in call(*options).records[0]["settings"]
    (record,) = call(*options, "--before", "hpss").records
    assert record["status"] == "done" and record["settings"]["before"] == "hpss"
    assert record["expected_sdr_db"]["drums"] is None
