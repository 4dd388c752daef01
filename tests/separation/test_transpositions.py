"""Transpositions: the mean of passes in other keys, with exact length and sum."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from stemsplit import Separator
from stemsplit.dsp.resample import Resampler
from stemsplit.errors import SettingsError
from stemsplit.separation.settings import TRANSPOSITIONS
from stemsplit.types import FloatArray
from tests.conftest import make_noise
from tests.separation.test_separator import stream
from tests.support.external_models import GAINS, write_complex, write_magnitude, write_waveform

RATE = 44100


def convert(waveform: FloatArray, from_hz: float, to_hz: float) -> FloatArray:
    """Convert a whole waveform from one sample rate to another."""
    resampler = Resampler(from_hz=from_hz, to_hz=to_hz)
    return np.concatenate([resampler.process(waveform), resampler.flush()], axis=-1)


@pytest.mark.parametrize("wiener", [0, 1])
def test_transpositions_are_the_mean_of_passes_at_other_speeds(tiny_model: Path, wiener: int) -> None:
    mixture = make_noise(2, 60_000)
    once = Separator(models=[tiny_model], device="cpu", wiener=wiener)
    passes = []
    for semitones in TRANSPOSITIONS[:3]:
        rate_hz = RATE / 2 ** (semitones / 12)
        stems = once(convert(mixture, RATE, rate_hz), RATE)
        passes.append({name: convert(stem, rate_hz, RATE) for name, stem in stems.items()})
    found = Separator(models=[tiny_model], device="cpu", wiener=wiener, transpositions=3)(mixture, RATE)
    completing = list(found)[-1]  # it is the mixture minus the others
    for name in found.keys() - {completing}:
        expected = np.mean([each[name] for each in passes], axis=0)
        # the last frame goes beyond the song, which the resampler of a whole stem cannot know
        np.testing.assert_allclose(found[name][:, :-200], expected[:, :-200], atol=1e-5)
        assert all(np.abs(found[name] - each[name]).max() > 1e-2 for each in passes)  # they differ


@pytest.mark.parametrize("sample_rate", [22050, 44100, 48000])
@pytest.mark.parametrize("n_samples", [1, 700, 50_001])
def test_stems_have_the_mixtures_length_and_sum_to_it(
    tiny_model: Path, sample_rate: int, n_samples: int
) -> None:
    mixture = make_noise(2, n_samples)
    separator = Separator(models=[tiny_model], device="cpu", transpositions=len(TRANSPOSITIONS), shifts=2)
    stems = separator(mixture, sample_rate)
    assert len(separator._pipelines) == 2 * len(TRANSPOSITIONS)
    assert all(stem.shape == mixture.shape for stem in stems.values())
    assert np.abs(sum(stems.values()) - mixture).max() < 1e-5 * np.abs(mixture).max()
    for name, stem in stream(separator, mixture, 4097, sample_rate).items():
        np.testing.assert_allclose(stem, stems[name], atol=1e-6)


@pytest.mark.parametrize("write", [write_magnitude, write_complex, write_waveform])
def test_external_models_are_transposed_too(write: Callable[..., Path], tmp_path: Path) -> None:
    """The stems of a model that applies a gain stay where they are in time, and keep their level."""
    time_s = np.arange(40_000) / RATE
    mixture = np.tile(np.sin(2 * np.pi * 3000 * time_s) * np.hanning(40_000), (2, 1)).astype(np.float32)
    with Separator(models=[write(tmp_path)], device="cpu", transpositions=3) as separator:
        stems = separator(mixture, RATE)
        assert len(separator._pipelines) == 3
    assert np.abs(sum(stems.values()) - mixture).max() < 1e-5
    for name, gain in GAINS.items():
        if write is not write_complex:  # which leaves some bins out
            np.testing.assert_allclose(stems[name], gain * mixture, atol=1e-3)


@pytest.mark.parametrize("n_passes", [0, 6])
def test_transpositions_out_of_range_are_rejected(tiny_model: Path, n_passes: int) -> None:
    with pytest.raises(SettingsError, match=f"transpositions is {n_passes}; it must be from 1"):
        Separator(models=[tiny_model], device="cpu", transpositions=n_passes)
