"""Sample rate conversion: alignment to the sample, and independence of blocks."""

import numpy as np
import pytest

from stemsplit.dsp.resample import Resampler
from stemsplit.types import FloatArray
from tests.conftest import make_noise


def convert(waveform: FloatArray, from_hz: int, to_hz: int, block: int) -> FloatArray:
    resampler = Resampler(from_hz=from_hz, to_hz=to_hz)
    n_samples = waveform.shape[-1]
    parts = [resampler.process(waveform[..., at : at + block]) for at in range(0, n_samples, block)]
    return np.concatenate([*parts, resampler.flush()], axis=-1)


@pytest.mark.parametrize("rates", [(48000, 44100), (44100, 96000), (22050, 44100), (192000, 44100)])
@pytest.mark.parametrize("block", [1, 999, 30000])
def test_output_does_not_depend_on_blocks(rates: tuple[int, int], block: int) -> None:
    waveform = make_noise(2, 3000 if block == 1 else 30000)
    whole = convert(waveform, *rates, waveform.shape[1])
    np.testing.assert_array_equal(convert(waveform, *rates, block), whole)


@pytest.mark.parametrize("from_hz", [8000, 22050, 48000, 96000])
def test_delay_is_compensated(from_hz: int) -> None:
    tone_hz = 440.0
    before = np.sin(2 * np.pi * tone_hz * np.arange(from_hz) / from_hz).astype(np.float32)[None]
    after = convert(before, from_hz, 44100, 4096)
    expected = np.sin(2 * np.pi * tone_hz * np.arange(after.shape[1]) / 44100)
    inner = slice(2000, -2000)
    np.testing.assert_allclose(after[0, inner], expected[inner], atol=1e-4)


@pytest.mark.parametrize("from_hz", [8000, 48000, 96000])
def test_no_sample_is_lost(from_hz: int) -> None:
    after = convert(make_noise(2, 10_007), from_hz, 44100, 1000)
    assert abs(after.shape[1] - 10_007 * 44100 / from_hz) < 1


def test_equal_rates_change_nothing() -> None:
    waveform = make_noise(2, 1000)
    np.testing.assert_array_equal(convert(waveform, 44100, 44100, 77), waveform)


def test_leading_axes_stay() -> None:
    waveform = make_noise(6, 1000).reshape(3, 2, 1000)
    converted = convert(waveform, 48000, 44100, 1000)
    assert converted.shape[:2] == (3, 2)
    np.testing.assert_array_equal(converted[1], convert(waveform[1], 48000, 44100, 1000))
