"""The Wiener filter: conservation, a lower error than that of ratio masks, silence."""

import numpy as np
import pytest

from stemsplit.dsp.wiener import filter_estimates
from stemsplit.types import ComplexArray


def make_sources(n_targets: int, n_channels: int, n_bins: int = 300, n_frames: int = 50) -> ComplexArray:
    """Return sources with fixed positions in the stereo field, active in different bins and frames."""
    rng = np.random.default_rng(0)
    parts = rng.standard_normal((2, n_targets, 1, n_bins, n_frames))
    active = rng.random((n_targets, 1, n_bins, n_frames)) < 0.4
    positions = rng.standard_normal((n_targets, n_channels, 1, 1))
    return ((parts[0] + 1j * parts[1]) * active * positions).astype(np.complex64)


@pytest.mark.parametrize("n_channels", [1, 2])
@pytest.mark.parametrize("iterations", [1, 3])
def test_estimates_sum_to_the_mixture(n_channels: int, iterations: int) -> None:
    sources = make_sources(4, n_channels)
    mixture = sources.sum(axis=0)
    refined = filter_estimates(sources * np.float32(0.7), mixture, iterations=iterations)
    assert refined.dtype == np.complex64
    np.testing.assert_allclose(refined.sum(axis=0), mixture, atol=1e-3)


def test_positions_in_the_stereo_field_lower_the_error() -> None:
    sources = make_sources(3, 2)
    mixture = sources.sum(axis=0)
    power = np.abs(sources) ** 2
    masked = (power / (power.sum(axis=0) + 1e-9) * mixture).astype(np.complex64)
    refined = filter_estimates(masked, mixture, iterations=1)
    before, after = (np.sum(np.abs(estimates - sources) ** 2) for estimates in (masked, refined))
    assert after < 0.7 * before


def test_silence_stays_silent() -> None:
    silence = np.zeros((4, 2, 10, 5), dtype=np.complex64)
    refined = filter_estimates(silence, silence[0], iterations=2)
    np.testing.assert_array_equal(refined, 0)


def test_arguments_are_not_modified() -> None:
    sources = make_sources(2, 2)
    mixture = sources.sum(axis=0)
    kept = sources.copy(), mixture.copy()
    filter_estimates(sources, mixture, iterations=1)
    np.testing.assert_array_equal(sources, kept[0])
    np.testing.assert_array_equal(mixture, kept[1])
