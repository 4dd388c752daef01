"""Effects of the virtual band: compressors, limiters, buses and filters with a moving cutoff."""

import numpy as np
import pytest

pytest.importorskip("pedalboard")

from stemsplit.training import SAMPLE_RATE
from stemsplit.training.synthesis.effects import apply_drum_bus, compress, duck, limit_peaks
from stemsplit.training.synthesis.ladder import apply_ladder_filter
from tests.support.synthesis import share_below


def test_ducking_follows_the_kick() -> None:
    out = duck(np.ones((2, SAMPLE_RATE), np.float32), [0.5, 3.0], depth=0.8, release_s=0.1)
    assert out[0, round(0.5 * SAMPLE_RATE)] == pytest.approx(0.2, abs=0.01)
    assert out[0, round(0.45 * SAMPLE_RATE)] == 1 and out[0, round(0.95 * SAMPLE_RATE)] > 0.97


def test_compression_moves_nothing_in_the_image() -> None:
    time_s = np.arange(SAMPLE_RATE) / SAMPLE_RATE
    sound = np.stack([np.sin(600 * np.pi * time_s), 0.1 * np.sin(600 * np.pi * time_s)]).astype(np.float32)
    for seed in range(4):
        out = compress(np.random.default_rng(seed), sound, heavy=True)
        assert np.abs(out[1] - 0.1 * out[0]).max() < 1e-3 * np.abs(out).max()
        loud = np.abs(out[0]).reshape(-1, 441).max(1)
        assert loud[0] > 1.5 * loud[-1]  # and yet it compresses


@pytest.mark.parametrize("threshold_db", [-12.0, -5.0])
def test_a_limiter_evens_out_without_clipping(threshold_db: float) -> None:
    time_s = np.arange(2 * SAMPLE_RATE) / SAMPLE_RATE
    tone = (np.sin(160 * np.pi * time_s) * np.where(time_s < 1, 0.7, 0.2)).astype(np.float32)
    out = limit_peaks(np.stack([tone, tone]), threshold_db)
    loud, quiet = (np.abs(out[0, round(t * SAMPLE_RATE) :][:20_000]).max() for t in (0.5, 1.5))
    assert loud < 0.9 and (quiet / loud > 0.5 or threshold_db > -6)
    spectrum = np.abs(np.fft.rfft(out[0, 22_050:44_100] * np.hanning(22_050)))
    assert np.square(spectrum[500:]).sum() < 1e-5 * np.square(spectrum).sum()  # above 1 kHz


@pytest.mark.slow
def test_drums_are_mostly_narrow_and_not_all_bright() -> None:
    middle, side = np.random.default_rng(0).normal(0, 0.1, (2, SAMPLE_RATE))
    bright = np.stack([middle + 0.5 * side, middle - 0.5 * side]).astype(np.float32)  # sides 6 dB beneath
    sides_db, highs_db = [], []
    for seed in range(40):
        left, right = apply_drum_bus(np.random.default_rng(seed), bright, [])
        sides_db.append(10 * np.log10(np.square(left - right).sum() / np.square(left + right).sum()))
        highs_db.append(10 * np.log10(1 - share_below((left + right)[None], 5000)))
    assert np.median(sides_db) < -7.5 and np.ptp(np.quantile(sides_db, [0.1, 0.9])) > 7
    assert np.median(highs_db) < -2 and np.ptp(np.quantile(highs_db, [0.1, 0.9])) > 3


def test_a_swept_filter_opens() -> None:
    noise = np.random.default_rng(0).normal(size=(2, SAMPLE_RATE)).astype(np.float32) * 0.1
    out = apply_ladder_filter(noise, np.geomspace(100, 16_000, SAMPLE_RATE), resonance=0.1)
    assert np.std(out[:, -4000:]) > 5 * np.std(out[:, :4000])


def test_a_filter_opens_as_fast_as_its_envelope() -> None:
    noise = np.random.default_rng(0).normal(size=(2, SAMPLE_RATE)).astype(np.float32) * 0.1
    step = np.where(np.arange(SAMPLE_RATE) < SAMPLE_RATE // 2, 100.0, 8000.0)
    opened = apply_ladder_filter(noise, step, resonance=0.2)[:, SAMPLE_RATE // 2 :]
    assert np.std(opened[:, 200:600]) > 0.8 * np.std(opened[:, -4000:])


@pytest.mark.parametrize("resonance", [0.0, 0.5, 0.9])
@pytest.mark.parametrize("cutoff_hz", [5.0, 300.0, 3000.0, 30_000.0])
def test_a_filter_is_what_its_cutoff_says(resonance: float, cutoff_hz: float) -> None:
    impulse = np.zeros((1, 30_000), np.float32)
    impulse[0, 0] = 1e-3
    out = apply_ladder_filter(impulse, np.full(30_000, cutoff_hz), resonance=resonance)
    response_db = 20 * np.log10(np.abs(np.fft.rfft(out[0]) / 1e-3) + 1e-9)
    at_hz = np.fft.rfftfreq(30_000, 1 / SAMPLE_RATE)
    corner_hz = min(18_000.0, max(20.0, cutoff_hz))
    assert np.abs(response_db[at_hz < 0.2 * corner_hz]).max() < 5
    if corner_hz < 4000:
        assert response_db[at_hz > 4 * corner_hz].max() < -34
        peak_hz = at_hz[np.argmax(response_db)]
        assert resonance < 0.4 or peak_hz == pytest.approx(corner_hz, rel=0.25)
