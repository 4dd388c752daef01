"""Spectrogram pictures."""

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")

from matplotlib import image
from matplotlib.axes import Axes

from stemsplit.training import SAMPLE_RATE, TARGETS
from stemsplit.training.evaluation.spectrogram_plots import (
    HEIGHT,
    LOWEST_HZ,
    MAX_ROWS,
    ROWS_PER_OCTAVE,
    WIDTH,
    draw_case,
    log_spectrogram,
)
from stemsplit.training.evaluation.validation import ValidationCase
from stemsplit.types import FloatArray


def tone(frequency_hz: float, length_s: float = 1.0) -> FloatArray:
    time = np.arange(round(length_s * SAMPLE_RATE)) / SAMPLE_RATE
    return np.stack([0.1 * np.sin(2 * np.pi * frequency_hz * time)] * 2).astype(np.float32)


@pytest.mark.parametrize("frequency_hz", [55.0, 440.0, 9000.0])
def test_a_tone_is_a_line_at_its_frequency(frequency_hz: float) -> None:
    levels = log_spectrogram(tone(frequency_hz))
    row = int(levels[:, levels.shape[1] // 2].argmax())
    found_hz = LOWEST_HZ * 2 ** ((row + 0.5) / ROWS_PER_OCTAVE)
    # low rows are narrower than the 5.4 Hz between two bins
    assert abs(found_hz - frequency_hz) < max(6.0, 0.03 * frequency_hz)


def test_all_rows_hold_a_level_and_silence_is_the_floor() -> None:
    assert np.isfinite(log_spectrogram(tone(440))).all()
    assert np.allclose(log_spectrogram(np.zeros((2, SAMPLE_RATE), np.float32)), -100)


@pytest.mark.slow
def test_a_picture_has_its_size_and_shows_the_estimates(tmp_path: Path) -> None:
    stems = np.stack([tone(hz) for hz in (700, 3000, 80, 1500)])
    case = ValidationCase("song 3 s", "pjs", "song", stems, ("vocals",))
    paths = [tmp_path / "true.png", tmp_path / "swapped.png"]
    for path, estimates in zip(paths, (stems, stems[::-1]), strict=True):
        draw_case(case, estimates, path)
    true, swapped = (image.imread(path) for path in paths)
    assert true.shape[:2] == (HEIGHT, WIDTH)
    left, right = np.s_[:, : WIDTH // 3], np.s_[:, WIDTH // 2 :]
    assert true[..., :3].std() > 0.1
    assert len(TARGETS) == 4
    assert np.abs(true - swapped)[left].max() < 0.01 < np.abs(true - swapped)[right].max()


@pytest.mark.slow
def test_of_many_targets_those_that_sound_are_drawn(tmp_path: Path) -> None:
    stems = np.zeros((MAX_ROWS + 1, *tone(700).shape), np.float32)
    stems[2] = tone(700)
    targets = tuple(f"target {place}" for place in range(len(stems)))
    case, drawn = ValidationCase("song", "trio", "song", stems, targets, targets), []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Axes, "set_title", lambda _, title, **__: drawn.append(title))
        draw_case(case, stems, tmp_path / "many.png")
    assert len(drawn) == 4 and drawn[2] == "target 2, reference"
