"""Levels and expected SDR, compared with the values computed from reference stems."""

import numpy as np
import pytest

from stemsplit.dsp.meter import MAX_SDR_DB, StemMeter
from stemsplit.types import FloatArray

LEVELS_DB = {"vocals": -20.0, "drums": -10.0, "bass": -4.0}


def make_stems() -> dict[str, FloatArray]:
    rng = np.random.default_rng(3)
    gains = {name: np.float32(10 ** (level / 20)) for name, level in LEVELS_DB.items()}
    return {name: gain * rng.standard_normal((2, 200_000), np.float32) for name, gain in gains.items()}


def make_estimates(mixture: FloatArray) -> dict[str, FloatArray]:
    """Apply the ideal ratio masks of stationary noises: the share of each in the power, in every bin."""
    powers = {name: 10 ** (level / 10) for name, level in LEVELS_DB.items()}
    return {name: np.float32(power / sum(powers.values())) * mixture for name, power in powers.items()}


def test_the_expected_sdr_equals_the_sdr() -> None:
    stems = make_stems()
    mixture = np.sum(list(stems.values()), axis=0)
    estimates, meter = make_estimates(mixture), StemMeter()
    meter.update(mixture, estimates)
    for name, expected_db in meter.expected_sdr_db().items():
        error = np.square(stems[name] - estimates[name]).sum()
        assert expected_db == pytest.approx(10 * np.log10(np.square(stems[name]).sum() / error), abs=0.1)


def test_the_result_does_not_depend_on_blocks() -> None:
    mixture = np.sum(list(make_stems().values()), axis=0)
    estimates, whole, parts = make_estimates(mixture), StemMeter(), StemMeter()
    whole.update(mixture, estimates)
    for part in np.array_split(np.arange(mixture.shape[1]), 7):
        parts.update(mixture[:, part], {name: samples[:, part] for name, samples in estimates.items()})
    assert parts.levels_db() == whole.levels_db()
    assert parts.expected_sdr_db() == whole.expected_sdr_db()


def test_stems_that_equal_the_mixture_are_silent_or_inverted() -> None:
    song = np.sin(np.arange(1000, dtype=np.float32))[None]
    meter = StemMeter()
    meter.update(song, {"equal": song, "silent": 0 * song, "inverted": -0.1 * song})
    assert meter.expected_sdr_db() == {"equal": MAX_SDR_DB, "silent": None, "inverted": None}
    assert meter.levels_db() == {"equal": 0.0, "silent": None, "inverted": -20.0}
