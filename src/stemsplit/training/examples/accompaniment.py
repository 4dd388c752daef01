"""Two-source experiments: one target, and the accompaniment, which is all the rest of the music."""

from collections.abc import Sequence

import numpy as np

from stemsplit.training import TARGETS
from stemsplit.training.data.songs import TrainingSong
from stemsplit.training.examples.remix import Example, Remixer
from stemsplit.training.examples.settings import RemixSettings
from stemsplit.types import FloatArray

ACCOMPANIMENT = "accompaniment"


def is_two_source(targets: Sequence[str]) -> bool:
    """Return whether the targets are one of `TARGETS`, and then the accompaniment.

    >>> is_two_source(["vocals", "accompaniment"]), is_two_source(["vocals", "drums"])
    (True, False)
    """
    return len(targets) == 2 and targets[0] in TARGETS and targets[1] == ACCOMPANIMENT


def song_targets(targets: Sequence[str]) -> tuple[str, ...]:
    """Return the targets of the songs that a network of these targets is trained on."""
    return TARGETS if is_two_source(targets) else tuple(targets)


def sum_accompaniment(stems: FloatArray, target: str) -> FloatArray:
    """Sum all stems but one: ``(targets, ...) -> (2, ...)``, in the order of `TARGETS` before."""
    place = TARGETS.index(target)
    return np.stack([stems[place], np.delete(stems, place, axis=0).sum(0)])


class TwoSourceRemixer(Remixer):
    """Draws examples of one target and its accompaniment; both are known where the target is."""

    def __init__(
        self, songs: Sequence[TrainingSong], settings: RemixSettings, *, seed: int, target: str
    ) -> None:
        super().__init__(songs, settings, seed=seed)
        self._target = target

    def example(self, number: int) -> Example:
        """Draw example `number`."""
        example = super().example(number)
        is_known = example.known[TARGETS.index(self._target)]
        return Example(sum_accompaniment(example.stems, self._target), np.array([is_known] * 2))


def make_remixer(
    songs: Sequence[TrainingSong], settings: RemixSettings, *, seed: int, targets: Sequence[str]
) -> Remixer:
    """Return what draws the examples of a network with these targets; `Remixer` has the parameters."""
    if is_two_source(targets):
        return TwoSourceRemixer(songs, settings, seed=seed, target=targets[0])
    return Remixer(songs, settings, seed=seed, targets=targets)
