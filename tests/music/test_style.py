"""The kind of music: windows do not depend on blocks or loudness, and what is not likely is unknown."""

import json
from pathlib import Path

import numpy as np
import pytest

from stemsplit.music import style
from stemsplit.music.style import (
    N_MELS,
    UNKNOWN,
    WINDOW_FRAMES,
    LogMelWindows,
    StyleClassifier,
    StyleMeter,
    style_model,
)
from stemsplit.types import FloatArray
from tests.conftest import make_noise
from tests.music.test_analysis import MAJOR, SAMPLE_RATE, make_chords, make_drums


def cut(waveform: FloatArray, block: int) -> FloatArray:
    meter = LogMelWindows(SAMPLE_RATE)
    parts = [meter.process(waveform[:, at : at + block]) for at in range(0, waveform.shape[1], block)]
    return np.concatenate([*parts, meter.flush()])


@pytest.fixture(scope="module")
def song() -> FloatArray:
    chords = make_chords([(60, MAJOR), (65, MAJOR), (67, MAJOR), (60, MAJOR)], 4.0)
    return 0.5 * make_drums(120, 16) + chords


@pytest.mark.slow
def test_windows_do_not_depend_on_blocks_or_loudness(song: FloatArray) -> None:
    whole = cut(song, song.shape[1])
    assert whole.shape == (3, N_MELS, WINDOW_FRAMES)
    np.testing.assert_allclose(cut(song, 5000), whole, atol=1e-3)
    np.testing.assert_allclose(cut(0.1 * song, 70_000), whole, atol=0.02)


def test_silence_has_no_style_and_a_short_song_has_one(song: FloatArray) -> None:
    classifier = StyleClassifier(style_model())
    silent = StyleMeter(classifier, SAMPLE_RATE)
    silent.process(np.zeros((2, 10 * SAMPLE_RATE), np.float32))
    assert silent.finish() is None and StyleMeter(classifier, SAMPLE_RATE).finish() is None
    short = StyleMeter(classifier, SAMPLE_RATE)
    short.process(song[:, :SAMPLE_RATE])
    found = short.finish()
    assert found is not None and sum(found.probabilities.values()) == pytest.approx(1, abs=0.01)


def test_what_is_not_likely_is_unknown(song: FloatArray, monkeypatch: pytest.MonkeyPatch) -> None:
    meter = StyleMeter(StyleClassifier(style_model()), SAMPLE_RATE)
    meter.process(song)
    found = meter.finish()
    assert found is not None
    best = max(found.probabilities, key=lambda name: found.probabilities[name])
    monkeypatch.setattr(style, "LEAST_PROBABILITY", found.probabilities[best] - 0.01)
    assert meter.finish().name == best  # type: ignore[union-attr]
    monkeypatch.setattr(style, "LEAST_PROBABILITY", found.probabilities[best] + 0.01)
    assert meter.finish().name == UNKNOWN  # type: ignore[union-attr]
    assert json.loads(json.dumps(found.to_dict()))["probabilities"] == found.probabilities


def test_probabilities_are_those_of_each_window() -> None:
    classifier = StyleClassifier(style_model())
    windows = make_noise(3, N_MELS * WINDOW_FRAMES).reshape(3, N_MELS, WINDOW_FRAMES)
    together = classifier(windows)
    assert together.shape == (3, len(classifier.styles))
    np.testing.assert_allclose(together.sum(axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(together[1], classifier(windows[1:2])[0], atol=1e-5)


def test_the_network_is_small_and_has_a_card() -> None:
    path: Path = style_model()
    assert path.stat().st_size < 1_000_000
    card = path.with_suffix(".md").read_text()
    assert all(name in card for name in StyleClassifier(path).styles)
