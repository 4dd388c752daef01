"""Estimates: where a model's stems of unseparated music may be used as pseudo-labels.

Ratio masks say by themselves how good a stem should be, see `stemsplit.dsp.meter`. Stems of real records are
rare; where a model is sure of them, its own are good enough to be mixed into examples. Noisy self-training,
after Z. Wang et al., "Semi-supervised singing voice separation with noisy self-training", ICASSP 2021, with
that promise in place of a judge that is trained.
"""

from collections.abc import Collection, Sequence

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from stemsplit.dsp.meter import expected_sdr_db
from stemsplit.training import TARGETS
from stemsplit.training.curation.activity import STEP, STEP_S, ActivityTrace
from stemsplit.training.curation.passages import Passage, runs
from stemsplit.types import FloatArray

# A stem is used where it is expected to be this good over the span, and no softer beside the mixture.
SURE_DB, AUDIBLE_DB, SPAN_S = 7.0, -15.0, 8.0


def expected_db(products: FloatArray, wanted: Collection[str]) -> NDArray[np.float64]:
    """Expected SDR of the sum of some estimates.

    Parameters
    ----------
    products : FloatArray, shape (targets, targets, ...)
        Of the estimates with each other, in the order of `TARGETS`; together they are the mixture.
    wanted : collection of str
        Targets whose estimates are summed.

    Returns
    -------
    NDArray, shape (...)
        In dB, see `stemsplit.dsp.meter`.
    """
    is_wanted = np.array([target in wanted for target in TARGETS])
    rows = products[is_wanted].sum(0)
    return expected_sdr_db(rows.sum(0), rows[~is_wanted].sum(0))


def is_confident(held: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """The estimates that each target of a recording is the sum of.

    A recording holds nothing but the targets in `held`, so whatever a model takes for another belongs to the
    last of them, which is nearly always what was mistaken: "other".

    >>> is_confident(["drums", "other"])
    {'drums': ('drums',), 'other': ('vocals', 'bass', 'other')}
    """
    strays = {target for target in TARGETS if target not in held}
    return {
        target: tuple(each for each in TARGETS if each == target or (target == held[-1] and each in strays))
        for target in held
    }


def find_confident(trace: ActivityTrace, held: Sequence[str]) -> list[Passage]:
    """Stretches of single stems that may be used as pseudo-labels; those of different stems overlap.

    Parameters
    ----------
    trace : ActivityTrace
        Of the recording, by the model whose estimates they are.
    held : sequence of str
        Targets that it may hold.

    Returns
    -------
    list of Passage
        None where there is one target only: the recording itself is its stem.
    """
    span = round(SPAN_S / STEP_S)
    if len(held) < 2 or trace.mixture_db.size < span:
        return []
    spans = sliding_window_view(trace.products, span, axis=-1).mean(-1)
    audible = 10 ** (AUDIBLE_DB / 10) * spans.sum((0, 1))
    found = []
    for target, wanted in is_confident(held).items():
        places = [TARGETS.index(each) for each in wanted]
        power = spans[np.ix_(places, places)].sum((0, 1))
        is_sure = (expected_db(spans, wanted) >= SURE_DB) & (power >= audible)
        # whatever lies in a span that may be is_confident
        covered = np.convolve(is_sure, np.ones(span)) > 0.5
        found += [Passage(start * STEP, stop * STEP, target) for start, stop in runs(covered)]
    return found
