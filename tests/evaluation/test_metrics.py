"""Metrics: known answers for what is wrong with an estimate."""

import math

import numpy as np
import pytest

pytest.importorskip("museval")

from stemsplit.errors import StemsplitError
from stemsplit.evaluation.bss_eval import FramewiseMetrics, compute_framewise, has_sound
from stemsplit.evaluation.metrics import expected_sdr, is_silent, leakage_db, sdr, sdr_improvement, si_sdr
from stemsplit.types import FloatArray

SAMPLE_RATE = 44100


def make_sources(length_s: float = 2.0, n_channels: int = 2) -> FloatArray:
    rng = np.random.default_rng(0)
    return rng.normal(0, 0.1, (2, n_channels, round(length_s * SAMPLE_RATE))).astype(np.float32)


@pytest.fixture(scope="module")
def sources() -> FloatArray:
    return make_sources(n_channels=1)  # a quarter of the equations that two channels have


@pytest.fixture(scope="module")
def spoilt(sources: FloatArray) -> FramewiseMetrics:
    """The first estimate holds half of the other source, the second holds noise."""
    noise = np.random.default_rng(1).normal(0, 0.05, sources[1].shape).astype(np.float32)
    return compute_framewise(
        sources, np.stack([sources[0] + 0.5 * sources[1], sources[1] + noise]), sample_rate=SAMPLE_RATE
    )


def test_interference_alone_has_a_low_sir_and_a_high_sar(spoilt: FramewiseMetrics) -> None:
    sdr, sir, sar = spoilt.medians(0)
    assert sir == pytest.approx(6.0, abs=0.5) and sdr == pytest.approx(6.0, abs=0.5)
    assert sar > 25


def test_artefacts_alone_have_a_low_sar_and_a_high_sir(spoilt: FramewiseMetrics) -> None:
    sdr, sir, sar = spoilt.medians(1)
    assert sar == pytest.approx(6.0, abs=0.5) and sdr == pytest.approx(6.0, abs=0.5)
    assert sir > 20


@pytest.mark.slow
def test_a_filter_is_neither_interference_nor_artefact(sources: FloatArray) -> None:
    filtered = sources.copy()
    filtered[..., 5:] += 0.5 * sources[..., :-5]
    sdr, sir, sar = compute_framewise(sources, filtered, sample_rate=SAMPLE_RATE).medians(0)
    assert sdr == pytest.approx(6.0, abs=0.5)
    assert sir > 30 and sar > 30


@pytest.mark.slow
def test_frames_with_a_silent_reference_do_not_count() -> None:
    sources = make_sources(3.0)
    sources[1, :, :SAMPLE_RATE] = 0
    found = compute_framewise(sources, sources * 0.9 + 1e-3 * sources[::-1], sample_rate=SAMPLE_RATE)
    assert (found.n_frames, found.n_counted) == (3, 2)
    assert np.isnan(found.sdr[:, 0]).all() and np.isfinite(found.sdr[:, 1:]).all()
    assert math.isfinite(found.medians(0)[0])


def test_where_no_frame_counts_there_is_no_figure() -> None:
    nothing = np.full((1, 2), np.nan)
    assert all(map(math.isnan, FramewiseMetrics(nothing, nothing, nothing, nothing).medians(0)))


@pytest.mark.parametrize("part", [0, 1])
def test_a_silent_source_is_an_error(part: int) -> None:
    stems = [make_sources(1.0), make_sources(1.0)]
    stems[part][1] = 0
    with pytest.raises(StemsplitError, match=["reference 1", "estimate 1"][part]):
        compute_framewise(*stems, sample_rate=SAMPLE_RATE)


def test_sound_that_is_only_at_the_sides_is_none_to_museval() -> None:
    mono = make_sources(0.1)[0][[0, 0]]
    assert has_sound(mono) and not has_sound(mono * np.array([[1], [-1]], np.float32))


def test_metrics_have_their_meaning() -> None:
    rng = np.random.default_rng(0)
    reference, noise = rng.normal(size=(2, 2, 1000)).astype(np.float32)
    assert sdr(reference, 0.9 * reference) == pytest.approx(20, abs=0.01)
    assert si_sdr(reference, 0.5 * reference) > 60
    assert sdr(reference, np.zeros_like(reference)) == pytest.approx(0, abs=1e-3)
    mixture = reference + noise
    assert sdr_improvement(reference, reference + 0.1 * noise, mixture) == pytest.approx(20, abs=0.01)
    # a mask of a half where half of the energy is the reference's
    assert expected_sdr(reference, 0.5 * mixture, mixture) == pytest.approx(10 * math.log10(2), abs=1e-6)


def test_a_silent_estimate_is_worse_than_any_other() -> None:
    reference = np.random.default_rng(0).normal(size=(2, 1000)).astype(np.float32)
    wrong = 1e-3 * np.random.default_rng(1).normal(size=(2, 1000)).astype(np.float32)
    assert si_sdr(reference, np.zeros_like(reference)) < si_sdr(reference, wrong) < 0


def test_silent_references_are_said_openly() -> None:
    silence, mixture = np.zeros((2, 1000), np.float32), np.ones((2, 1000), np.float32)
    assert is_silent(silence) and math.isnan(sdr(silence, mixture)) and math.isnan(si_sdr(silence, mixture))
    assert math.isnan(expected_sdr(silence, mixture, mixture))
    assert leakage_db(0.1 * mixture, mixture) == pytest.approx(-20, abs=1e-3)
