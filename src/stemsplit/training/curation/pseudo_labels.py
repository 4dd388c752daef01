"""Pseudo-labels: where a model's stems of unseparated music may be used for training.

The expected SDR of a stem follows from ratio masks alone, see `stemsplit.dsp.meter`. Stems of real records
are rare; where a model's expected SDR is above a confidence threshold, its estimates can be mixed into
examples. This is noisy self-training after Z. Wang et al., "Semi-supervised singing voice separation with
noisy self-training", ICASSP 2021, with the expected SDR in place of a trained quality estimator.
"""

from collections.abc import Collection, Sequence

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from stemsplit.dsp.meter import expected_sdr_db
from stemsplit.training import TARGETS
from stemsplit.training.curation.activity import STEP, STEP_S, Activity
from stemsplit.training.curation.passages import Passage, find_runs
from stemsplit.types import FloatArray

# Smallest expected SDR and smallest level relative to the mixture, over a span of `SPAN_S` seconds.
CONFIDENCE_DB, AUDIBLE_DB, SPAN_S = 7.0, -15.0, 8.0


def expected_db(products: FloatArray, wanted: Collection[str]) -> NDArray[np.float64]:
    """Return the expected SDR of the sum of some estimates.

    Parameters
    ----------
    products : FloatArray, shape (targets, targets, ...)
        Mean products of the estimates in the order of `TARGETS`; the estimates sum to the mixture.
    wanted : collection of str
        Targets whose estimates are summed.

    Returns
    -------
    NDArray, shape (...)
        Expected SDR in dB, see `stemsplit.dsp.meter`.
    """
    is_wanted = np.array([target in wanted for target in TARGETS])
    summed = products[is_wanted].sum(0)
    return expected_sdr_db(summed.sum(0), summed[~is_wanted].sum(0))


def estimates_by_target(held: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Return, for each target of a recording, the estimates that are summed for it.

    A recording contains only the targets in `held`, so the estimates of all others are added to the last of
    them, "other" in nearly all cases.

    >>> estimates_by_target(["drums", "other"])
    {'drums': ('drums',), 'other': ('vocals', 'bass', 'other')}
    """
    strays = {target for target in TARGETS if target not in held}
    return {
        target: tuple(each for each in TARGETS if each == target or (target == held[-1] and each in strays))
        for target in held
    }


def find_pseudo_labels(activity: Activity, held: Sequence[str]) -> list[Passage]:
    """Find stretches of single stems that may be used as pseudo-labels.

    Stretches of different stems may overlap.

    Parameters
    ----------
    activity : Activity
        Activity of the recording, measured by the same model.
    held : sequence of str
        Targets that the recording may contain.

    Returns
    -------
    list of Passage
        Empty where there is only one target: the recording itself is its stem.
    """
    span = round(SPAN_S / STEP_S)
    if len(held) < 2 or activity.mixture_db.size < span:
        return []
    spans = sliding_window_view(activity.products, span, axis=-1).mean(-1)
    audible = 10 ** (AUDIBLE_DB / 10) * spans.sum((0, 1))
    found = []
    for target, wanted in estimates_by_target(held).items():
        places = [TARGETS.index(each) for each in wanted]
        power = spans[np.ix_(places, places)].sum((0, 1))
        is_confident = (expected_db(spans, wanted) >= CONFIDENCE_DB) & (power >= audible)
        # every part of a confident span is used
        covered = np.convolve(is_confident, np.ones(span)) > 0.5
        found += [Passage(start * STEP, stop * STEP, target) for start, stop in find_runs(covered)]
    return found
