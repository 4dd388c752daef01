"""Framewise figures of validation cases: which cases are scored framewise, and how figures are averaged."""

import math
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("torch")

from stemsplit.training import SAMPLE_RATE, TARGETS
from stemsplit.training.evaluation.scores import average
from stemsplit.training.evaluation.validation import ValidationCase, framewise_names, score_cases


@pytest.mark.slow
def test_scores_hold_framewise_figures_of_the_named_cases_only() -> None:
    sources = np.random.default_rng(0).normal(0, 0.1, (2, 2, 2 * SAMPLE_RATE)).astype(np.float32)
    stems = np.zeros((len(TARGETS), *sources.shape[1:]), np.float32)
    stems[0], stems[3] = sources
    cases = [ValidationCase(f"s {n} s", "pjs", "s", stems, ("vocals",)) for n in (1, 2, 3)]
    chosen = framewise_names(cases)
    assert chosen == {"s 2 s"}
    estimates = stems + 0.5 * np.roll(stems, 1, axis=0) + 0.5 * np.roll(stems, -1, axis=0)
    scores = score_cases(cases, lambda _: estimates, framewise=chosen)
    judged = [score for score in scores if score.n_frames]
    assert [(score.case, score.target, score.n_frames, score.n_silent) for score in judged] == [
        ("s 2 s", "vocals", 2, 0)
    ]
    assert judged[0].museval_sir_db < judged[0].museval_sar_db
    assert all(math.isnan(score.museval_sdr_db) for score in scores if not score.n_frames)


def test_few_songs_of_a_source_are_taken_apart() -> None:
    cases = [ValidationCase(f"{n} s", "pjs", f"song {n}", np.zeros((4, 2, 1)), ("vocals",)) for n in range(9)]
    assert len(framewise_names(cases)) == 6


def test_framewise_figures_are_medians_over_songs() -> None:
    stems = np.zeros((len(TARGETS), 2, 100), np.float32)
    score = score_cases([ValidationCase("a", "album", "a", stems, ("vocals",))], lambda _: stems)[0]
    scores = [replace(score, museval_sdr_db=v, sdr_db=v) for v in (0.0, 1.0, 11.0)]
    assert average(scores, "museval_sdr_db") == 1.0 and average(scores, "sdr_db") == 4.0
