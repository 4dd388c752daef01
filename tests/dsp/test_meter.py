"""What can be told of stems without the true ones, against the true ones."""

import numpy as np
import pytest

from stemsplit.dsp.meter import MOST_SDR_DB, StemMeter
from stemsplit.types import FloatArray

LEVELS_DB = {"vocals": -20.0, "drums": -10.0, "bass": -4.0}


def make_stems() -> dict[str, FloatArray]:
    rng = np.random.default_rng(3)
    gains = {name: np.float32(10 ** (level / 20)) for name, level in LEVELS_DB.items()}
    return {name: gain * rng.standard_normal((2, 200_000), np.float32) for name, gain in gains.items()}


def best_estimates(mixture: FloatArray) -> dict[str, FloatArray]:
    """What ratio masks make of noises: the share of each in the power, everywhere the same."""
    powers = {name: 10 ** (level / 10) for name, level in LEVELS_DB.items()}
    return {name: np.float32(power / sum(powers.values())) * mixture for name, power in powers.items()}


def test_what_masks_promise_is_what_the_stems_are_worth() -> None:
    stems = make_stems()
    mixture = np.sum(list(stems.values()), axis=0)
    estimates, meter = best_estimates(mixture), StemMeter()
    meter.hear(mixture, estimates)
    for name, expected_db in meter.expected_sdr_db().items():
        error = np.square(stems[name] - estimates[name]).sum()
        assert expected_db == pytest.approx(10 * np.log10(np.square(stems[name]).sum() / error), abs=0.1)


def test_how_a_song_is_cut_does_not_matter() -> None:
    mixture = np.sum(list(make_stems().values()), axis=0)
    estimates, whole, parts = best_estimates(mixture), StemMeter(), StemMeter()
    whole.hear(mixture, estimates)
    for part in np.array_split(np.arange(mixture.shape[1]), 7):
        parts.hear(mixture[:, part], {name: samples[:, part] for name, samples in estimates.items()})
    assert parts.levels_db() == whole.levels_db()
    assert parts.expected_sdr_db() == whole.expected_sdr_db()


def test_a_stem_that_is_the_song_and_stems_that_are_nothing_or_against_it() -> None:
    song = np.sin(np.arange(1000, dtype=np.float32))[None]
    meter = StemMeter()
    meter.hear(song, {"song": song, "nothing": 0 * song, "against": -0.1 * song})
    assert meter.expected_sdr_db() == {"song": MOST_SDR_DB, "nothing": None, "against": None}
    assert meter.levels_db() == {"song": 0.0, "nothing": None, "against": -20.0}
