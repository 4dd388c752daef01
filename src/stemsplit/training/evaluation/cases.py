"""The validation set of any network, two-source experiments included."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from stemsplit.training.data.songs import TrainingSong
from stemsplit.training.evaluation.validation import ValidationCase, collect_cases
from stemsplit.training.examples.accompaniment import is_two_source, song_targets, sum_accompaniment


def cases_of_targets(
    songs: Sequence[TrainingSong], *, targets: Sequence[str], **options: Any
) -> list[ValidationCase]:
    """Cut the validation set for some targets; `collect_cases` has the options.

    Where a target is separated from its accompaniment, the cases are those in which the target is known.

    Raises
    ------
    StemsplitError
        There are no cases.
    """
    cases = collect_cases(songs, targets=song_targets(targets), **options)
    if not is_two_source(targets):
        return cases
    known = tuple(targets)
    return [
        replace(case, stems=sum_accompaniment(case.stems, targets[0]), known=known, targets=known)
        for case in cases
        if targets[0] in case.known
    ]
