"""Shifts: the mean of passes whose frames begin at different samples, with exact length and sum."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from stemsplit import Separator
from stemsplit.dsp.segments import SegmentSpec
from stemsplit.errors import SettingsError
from tests.conftest import make_noise
from tests.separation.test_separator import stream
from tests.support.external_models import GAINS, write_complex, write_magnitude, write_waveform
from tests.support.marks import slow_but

HOP = 256  # of the tiny model


@pytest.mark.parametrize("n_shifts", slow_but([3], [2, 3]))
@pytest.mark.parametrize("wiener", [0, 1])
def test_shifts_are_the_mean_of_passes_that_begin_later(tiny_model: Path, n_shifts: int, wiener: int) -> None:
    mixture = make_noise(2, 60_000)
    once = Separator(models=[tiny_model], device="cpu", wiener=wiener)
    passes = []
    for number in range(n_shifts):
        delay = number * HOP // n_shifts
        stems = once(np.pad(mixture, ((0, 0), (delay, 0))), 44100)
        passes.append({name: stem[:, delay:] for name, stem in stems.items()})
    found = Separator(models=[tiny_model], device="cpu", wiener=wiener, shifts=n_shifts)(mixture, 44100)
    for name, stem in found.items():
        expected = np.mean([each[name] for each in passes], axis=0)
        np.testing.assert_allclose(stem, expected, atol=2e-6)
        assert np.abs(stem - passes[0][name]).max() > 1e-3  # the passes differ


@pytest.mark.parametrize("sample_rate", [22050, 44100, 48000])
@pytest.mark.parametrize("n_samples", [1, 700, 50_001])
def test_shifted_stems_have_the_mixtures_length_and_sum_to_it(
    tiny_model: Path, sample_rate: int, n_samples: int
) -> None:
    mixture = make_noise(2, n_samples)
    separator = Separator(models=[tiny_model], device="cpu", shifts=3)
    stems = separator(mixture, sample_rate)
    assert all(stem.shape == mixture.shape for stem in stems.values())
    assert np.abs(sum(stems.values()) - mixture).max() < 1e-5 * np.abs(mixture).max()
    for name, stem in stream(separator, mixture, 4097, sample_rate).items():
        np.testing.assert_array_equal(stem, stems[name])


@pytest.mark.parametrize("write", [write_magnitude, write_complex, write_waveform])
def test_external_models_are_shifted_too(write: Callable[..., Path], tmp_path: Path) -> None:
    """The output of a model that applies a gain does not depend on where its frames and segments begin."""
    mixture = make_noise(2, 30_000)
    with Separator(models=[write(tmp_path)], device="cpu", shifts=4) as separator:
        stems = separator(mixture, 44100)
        assert len(separator._pipelines) == 4
    assert all(stem.shape == mixture.shape for stem in stems.values())
    assert np.abs(sum(stems.values()) - mixture).max() < 1e-5
    for name, gain in GAINS.items():
        if write is not write_complex:  # which leaves some bins out
            np.testing.assert_allclose(stems[name], gain * mixture, atol=1e-4)


def test_segments_begin_at_different_samples() -> None:
    spec = SegmentSpec(length=100, step=75, lead=10)
    assert [spec.delay(n).lead for n in (0, 20, 80, 95)] == [10, 30, 90, 99]


@pytest.mark.parametrize("n_shifts", [0, 17])
def test_shifts_out_of_range_are_rejected(tiny_model: Path, n_shifts: int) -> None:
    with pytest.raises(SettingsError, match=f"shifts is {n_shifts}; it must be from 1"):
        Separator(models=[tiny_model], device="cpu", shifts=n_shifts)
