"""Treatments of stems: shape, finite values, levels, and that each does what it says."""

import numpy as np
import pytest

pytest.importorskip("torch")

from stemsplit.training import SAMPLE_RATE
from stemsplit.training.examples.augment import (
    AugmentSettings,
    apply_mastering,
    augment,
    change_speed,
    double_voice,
    fade,
    reverberate,
    saturate,
    scale_width,
    spread,
)
from stemsplit.types import FloatArray


@pytest.fixture
def stem() -> FloatArray:
    return np.random.default_rng(0).normal(0, 0.1, (2, 60000)).astype(np.float32)


def rms(waveform: FloatArray) -> float:
    return float(np.sqrt(np.square(waveform).mean()))


def side_share(waveform: FloatArray) -> float:
    return rms(waveform[0] - waveform[1]) / rms(waveform)


@pytest.mark.parametrize("silent", [False, True])
def test_every_treatment_keeps_shape_and_level(stem: FloatArray, silent: bool) -> None:
    stem = stem * (not silent)
    before = stem.copy()
    always = AugmentSettings(reverb=1, width=1, fade=1, saturation=1)
    for seed in range(20):
        treated = augment(np.random.default_rng(seed), stem, always)
        assert treated.shape == stem.shape and treated.dtype == np.float32
        assert np.isfinite(treated).all() and np.abs(treated).max() < 1.5
        assert silent or 0.2 < rms(treated) / rms(stem) < 1.2  # a fade may take most of it
    assert np.array_equal(stem, before)


def test_without_chances_a_stem_stays(stem: FloatArray) -> None:
    never = AugmentSettings(reverb=0, width=0, fade=0, saturation=0)
    assert np.array_equal(augment(np.random.default_rng(0), stem, never), stem)


def test_a_doubled_voice_is_wide_and_late(stem: FloatArray) -> None:
    silent = np.zeros_like(stem)
    assert np.array_equal(double_voice(np.random.default_rng(0), silent), silent)
    click = np.zeros_like(stem)
    click[:, 20_000] = 0.5
    narrow = np.repeat(stem[:1], 2, 0)
    for seed in range(20):
        doubled = double_voice(np.random.default_rng(seed), narrow)
        assert rms(doubled) == pytest.approx(rms(narrow), rel=1e-4)
        assert side_share(narrow) == 0 and side_share(doubled) > 0.3
        sounding_s = (
            np.flatnonzero(np.abs(double_voice(np.random.default_rng(seed), click)).max(0)) / SAMPLE_RATE
        )
        late_s = sounding_s - 20_000 / SAMPLE_RATE
        assert late_s.min() >= 0 and 0.002 < late_s.max() < 0.037


@pytest.mark.parametrize("side_db", [-12.0, -3.0])
def test_a_spread_stem_has_the_sides_that_were_asked_for(stem: FloatArray, side_db: float) -> None:
    silent = np.zeros_like(stem)
    assert np.array_equal(spread(np.random.default_rng(0), silent, side_db), silent)
    low = np.cumsum(stem, axis=1, dtype=np.float32)
    for seed in range(5):
        wide = spread(np.random.default_rng(seed), low - low.mean(), side_db)
        assert rms(wide) == pytest.approx(rms(low - low.mean()), rel=1e-3)
        middle, side = wide[0] + wide[1], wide[0] - wide[1]
        assert 20 * np.log10(rms(side) / rms(middle)) == pytest.approx(side_db, abs=0.1)


def test_a_room_goes_on_after_the_sound_and_dies(stem: FloatArray) -> None:
    click = np.zeros_like(stem)
    click[:, 1000] = 0.5
    wet = reverberate(np.random.default_rng(1), click)
    np.testing.assert_array_less(np.abs(wet[:, :1000]), 1e-5)
    early, late = rms(wet[:, 2500:8000]), rms(wet[:, 50000:])
    assert early > 1e-4 and late < 0.5 * early
    assert 0.4 < np.abs(wet[:, 1000]).max() < 0.6
    assert not np.allclose(wet[0], wet[1])


def test_width_changes_the_sides_and_no_power(stem: FloatArray) -> None:
    for width in (0.3, 1.7):
        turned = scale_width(stem, width)
        assert (side_share(turned) > side_share(stem)) == (width > 1)
        assert rms(turned) == pytest.approx(rms(stem), rel=1e-4)


def test_a_fade_is_silent_at_one_end_and_whole_at_the_other(stem: FloatArray) -> None:
    ends = set()
    for seed in range(12):
        curve = fade(np.random.default_rng(seed), np.ones((2, 300000), np.float32))[0]
        assert sorted((round(float(curve[0]), 4), round(float(curve[-1]), 4))) == [0, 1]
        assert np.abs(np.diff(curve)).max() < 0.01
        ends.add(bool(curve[0] > curve[-1]))
    assert ends == {True, False}


def test_saturation_flattens_peaks_at_the_same_power(stem: FloatArray) -> None:
    driven = saturate(stem, 12.0)
    assert rms(driven) == pytest.approx(rms(stem), rel=1e-4)
    assert np.abs(driven).max() < 0.7 * np.abs(stem).max()


def test_mastering_lowers_peaks_and_leaves_the_rest_alone() -> None:
    stems = np.full((2, 2, 44100), 0.05, np.float32)
    stems[0, :, 20000:20400] = 0.85
    limited = apply_mastering(stems, 6.0)
    assert 0.4 < np.abs(limited.sum(0)).max() < 0.6
    np.testing.assert_allclose(limited[..., :10000], stems[..., :10000], rtol=1e-5)
    ratio = limited / stems
    np.testing.assert_allclose(ratio[0], ratio[1], rtol=1e-5)


@pytest.mark.parametrize("speed", [0.88, 1.06])
def test_another_speed_keeps_the_highs_and_adds_nothing(speed: float) -> None:
    time = np.arange(60000) / SAMPLE_RATE
    tone = np.stack([np.sin(2 * np.pi * 12000 * time)] * 2).astype(np.float32)
    played = change_speed(tone, speed)
    assert played.shape == (2, round(60000 / speed))
    middle = played[0, 8000:40000] * np.hanning(32000)
    spectrum = np.abs(np.fft.rfft(middle)) ** 2
    place = round(12000 * speed / SAMPLE_RATE * 32000)
    assert 10 * np.log10(spectrum[place - 4 : place + 5].sum() / spectrum.sum()) > -0.001  # no images
    assert rms(played[:, 8000:40000]) == pytest.approx(rms(tone[:, 8000:40000]), rel=0.03)


def test_a_sound_is_as_long_as_its_speed_says_also_where_that_is_nearly_one() -> None:
    sound = np.zeros((1, 170_000), np.float32)
    for speed in (1 + sign * change for sign in (1, -1) for change in (1e-6, 2e-5, 1e-4, 3e-4, 5.1e-4, 1e-3)):
        n_samples = change_speed(sound, speed).shape[1]
        assert n_samples == 170_000 if abs(speed - 1) < 5e-4 else abs(n_samples - 170_000 / speed) <= 1
