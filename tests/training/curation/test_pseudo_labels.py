"""Pseudo-labels: the expected quality of stems of unseparated music against their true quality."""

from collections.abc import Mapping

import numpy as np
import pytest

pytest.importorskip("torch")

from stemsplit.evaluation.metrics import sdr
from stemsplit.training import SAMPLE_RATE, TARGETS
from stemsplit.training.curation.activity import Activity, measure_activity
from stemsplit.training.curation.pseudo_labels import (
    CONFIDENCE_DB,
    estimates_by_target,
    expected_db,
    find_pseudo_labels,
)
from stemsplit.types import FloatArray

FULL = ("drums", "bass", "other")
LENGTH_S = 30


def make_stems(levels_db: Mapping[str, float]) -> dict[str, FloatArray]:
    """Return uncorrelated noise for each target, ``(2, samples)``."""
    rng = np.random.default_rng(1)
    shape = (2, LENGTH_S * SAMPLE_RATE)
    return {
        target: (
            10 ** (levels_db[target] / 20) * rng.standard_normal(shape)
            if target in levels_db
            else np.zeros(shape)
        ).astype(np.float32)
        for target in TARGETS
    }


def mixed(stems: Mapping[str, FloatArray]) -> FloatArray:
    return np.sum(list(stems.values()), axis=0, dtype=np.float32)


def products_of(estimates: Mapping[str, FloatArray]) -> FloatArray:
    return np.array([[np.mean(estimates[a] * estimates[b]) for b in TARGETS] for a in TARGETS], np.float32)


def activity_of(estimates: Mapping[str, FloatArray]) -> Activity:
    return measure_activity(mixed(estimates), estimates)


def with_bleed(stems: Mapping[str, FloatArray], bleed: float, until_s: float) -> dict[str, FloatArray]:
    """Return the stems, each with a share of all others up to a time."""
    mixture, stop = mixed(stems), int(until_s * SAMPLE_RATE)
    estimates = {target: stem.copy() for target, stem in stems.items()}
    for estimate in estimates.values():
        estimate[:, :stop] = (1 - bleed) * estimate[:, :stop] + bleed / len(stems) * mixture[:, :stop]
    return estimates


def test_the_expected_sdr_of_ratio_masks_is_their_sdr() -> None:
    levels_db = {"vocals": -20.0, "drums": -10.0, "bass": -16.0, "other": -4.0}
    stems = make_stems(levels_db)
    mixture, total = mixed(stems), sum(10 ** (level / 10) for level in levels_db.values())
    masks = {target: 10 ** (level / 10) / total for target, level in levels_db.items()}
    products = products_of({target: np.float32(mask) * mixture for target, mask in masks.items()})
    for wanted in (("vocals",), ("drums",), ("bass",), ("other",), ("vocals", "other")):
        reference = np.sum([stems[target] for target in wanted], axis=0)
        reached = sdr(reference, np.float32(sum(masks[target] for target in wanted)) * mixture)
        assert expected_db(products, wanted) == pytest.approx(reached, abs=0.1)


def test_uncorrelated_stems_have_a_high_expected_sdr_and_silence_a_low_one() -> None:
    stems = make_stems({"drums": -10.0, "bass": -10.0})
    assert expected_db(products_of(stems), ("drums",)) > 25
    assert expected_db(products_of(stems), ("vocals",)) == 0


def test_pseudo_labels_are_stems_that_correlate_little_with_the_others() -> None:
    stems = make_stems({"drums": -10.0, "bass": -10.0, "other": -10.0})
    found = find_pseudo_labels(activity_of(with_bleed(stems, 0.8, until_s=15)), FULL)
    assert [each.stem for each in found] == list(FULL)
    for each in found:  # spans of 8 s that begin a little earlier may still pass as a whole
        assert 12 <= each.start / SAMPLE_RATE <= 15 and each.stop == LENGTH_S * SAMPLE_RATE
    assert find_pseudo_labels(activity_of(with_bleed(stems, 0.8, until_s=LENGTH_S)), FULL) == []


@pytest.mark.slow
def test_the_confidence_threshold_is_an_expected_sdr() -> None:
    stems = make_stems({"drums": -10.0, "bass": -10.0, "other": -10.0})
    outcomes = set()
    for bleed in (0.05, 0.1, 0.15, 0.2, 0.3):
        estimates = with_bleed(stems, bleed, until_s=LENGTH_S)
        is_confident = bool(expected_db(products_of(estimates), ("bass",)) >= CONFIDENCE_DB)
        assert is_confident == (
            "bass" in [each.stem for each in find_pseudo_labels(activity_of(estimates), FULL)]
        )
        outcomes.add(is_confident)
    assert outcomes == {True, False}


def test_stems_that_are_too_quiet_are_no_pseudo_labels() -> None:
    stems = make_stems({"drums": -30.0, "bass": -26.0, "other": -12.0})
    assert [each.stem for each in find_pseudo_labels(activity_of(stems), FULL)] == ["bass", "other"]


def test_estimates_of_absent_targets_belong_to_the_last_target() -> None:
    assert estimates_by_target(FULL) == {"drums": ("drums",), "bass": ("bass",), "other": ("vocals", "other")}
    stems = make_stems({"drums": -10.0, "bass": -10.0, "other": -10.0})
    misjudged = stems | {"vocals": 0.5 * stems["other"], "other": 0.5 * stems["other"]}
    # each half correlates with the other half as much as with itself
    assert expected_db(products_of(misjudged), ("other",)) < CONFIDENCE_DB
    assert [each.stem for each in find_pseudo_labels(activity_of(misjudged), FULL)] == list(FULL)


@pytest.mark.slow
def test_recordings_of_one_target_or_shorter_than_a_span_have_no_pseudo_labels() -> None:
    stems = make_stems({"other": -10.0, "drums": -10.0})
    assert (
        find_pseudo_labels(activity_of(stems), ("other",)) == find_pseudo_labels(activity_of(stems), ()) == []
    )
    assert (
        find_pseudo_labels(
            activity_of({target: stem[:, : 7 * SAMPLE_RATE] for target, stem in stems.items()}), FULL
        )
        == []
    )
