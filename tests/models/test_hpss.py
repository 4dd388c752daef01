"""Harmonic-percussive separation: librosa's filters, the same in chunks as in one piece."""

from pathlib import Path

import numpy as np
import pytest

from stemsplit.models.hpss import HPSS, HPSS_FILE, HpssModel, filter_median, share
from stemsplit.registry.installed import open_model, read_properties, resolve
from stemsplit.separation.separator import Separator
from tests.conftest import make_noise
from tests.support.cli import call, make_song

RATE = 44_100


def make_magnitude(n_frames: int = 90) -> np.ndarray:
    magnitude = np.abs(np.random.default_rng(0).standard_normal((2, 300, n_frames))).astype(np.float32)
    magnitude[:, :40] = 0
    return magnitude


@pytest.mark.slow
@pytest.mark.parametrize("n_frames", [1, 7, 90])
def test_masks_are_those_of_librosa(n_frames: int) -> None:
    librosa = pytest.importorskip("librosa")
    magnitude = make_magnitude(n_frames)
    masks = HpssModel()(magnitude[None].astype(np.complex64))
    expected = librosa.decompose.hpss(magnitude, mask=True)
    assert masks.shape == (1, 2, 2, 300, n_frames)
    for mask, other in zip(masks[0], expected, strict=True):
        np.testing.assert_allclose(mask, other, atol=1e-6)


def test_masks_share_each_bin_and_silence_is_halved() -> None:
    masks = HpssModel()(make_magnitude()[None].astype(np.complex64))
    assert np.array_equal(masks.sum(axis=1), np.ones_like(masks[:, 0]))
    assert share(np.zeros(1, np.float32), np.zeros(1, np.float32), 2.0) == 0.5
    assert share(np.float32([1e30]), np.float32([1e-30]), 2.0) == 1


def test_the_median_is_that_of_each_row() -> None:
    rows = make_magnitude(5)
    found = filter_median(rows, 3, axis=-1)
    assert found[0, 100, 0] == np.median(rows[0, 100, [0, 0, 1]])
    assert found[1, 200, 2] == np.median(rows[1, 200, 1:4])


def test_chunks_are_what_the_whole_song_is() -> None:
    song = make_noise(2, 7 * RATE)
    song += 0.2 * np.sin(2 * np.pi * 440 * np.arange(7 * RATE) / RATE).astype(np.float32)
    parts = Separator(models=[HPSS])(song, RATE)
    whole = Separator(models=[HPSS], chunk_s=60)(song, RATE)
    assert list(parts) == ["harmonic", "percussive"]
    for name, part in parts.items():
        assert np.abs(part - whole[name]).max() < 1e-6
    np.testing.assert_allclose(sum(parts.values()), song, atol=1e-6)


def test_tones_are_harmonic_and_clicks_percussive() -> None:
    time_s = np.arange(4 * RATE) / RATE
    tone = 0.1 * np.sin(2 * np.pi * 440 * time_s).astype(np.float32)
    clicks = np.zeros_like(tone)
    clicks[RATE // 4 :: RATE // 2] = 0.9
    parts = Separator(models=[HPSS])((tone + clicks)[None], RATE)
    inner = slice(RATE // 2, -RATE // 2)
    for name, expected in {"harmonic": tone, "percussive": clicks}.items():
        error = (parts[name][0] - expected)[inner]
        assert float((error**2).sum()) < 0.05 * float((expected[inner] ** 2).sum()), name


@pytest.mark.parametrize(("n_samples", "level"), [(RATE, 0.0), (1, 0.5), (RATE // 100, 0.5)])
def test_silence_and_the_shortest_songs(n_samples: int, level: float) -> None:
    song = np.full((1, n_samples), level, np.float32)
    parts = Separator(models=[HPSS])(song, RATE)
    np.testing.assert_allclose(sum(parts.values()), song, atol=1e-6)


def test_it_is_found_listed_and_described() -> None:
    assert resolve(HPSS) == HPSS_FILE and isinstance(open_model(HPSS_FILE, device=None), HpssModel)
    assert read_properties(HPSS_FILE).targets == ("harmonic", "percussive")
    listed = call("models", "list")
    assert "without a network" in listed.text and listed.lines[-1].startswith("hpss ")
    assert call("models", "list", "--json").records[-1]["targets"] == ["harmonic", "percussive"]


@pytest.mark.slow
def test_it_works_beside_other_models_and_in_ensembles(model: Path) -> None:
    make_song(Path("song.wav"))
    both = ("song.wav", "-m", model, "-m", HPSS, "-d", "cpu", "--json", "--overwrite")
    (record,) = call(*both, "--stems", "vocals,percussive").records
    assert list(record["outputs"]) == ["vocals", "percussive"]
    # each model divides the song in its own way, so that no residual completes all six
    (record,) = call(*both, "--ensemble").records
    assert list(record["outputs"]) == ["vocals", "drums", "bass", "other", "harmonic", "percussive"]
    mean = Separator(models=[HPSS, HPSS], ensemble=True)(make_noise(2, RATE), RATE)
    one = Separator(models=[HPSS])(make_noise(2, RATE), RATE)
    np.testing.assert_allclose(mean["harmonic"], one["harmonic"], atol=1e-6)
