"""Ensemble weights: how much each model contributes to a stem that several models offer.

Weights are exact fractions that sum to one: averaging keeps the sum of all stems equal to the mixture.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from stemsplit.errors import SettingsError

if TYPE_CHECKING:
    from fractions import Fraction

_MAX_WEIGHT = 1_000_000


@dataclass(frozen=True)
class EnsembleWeights:
    """How models that offer the same stem are combined.

    Parameters
    ----------
    mean
        Average all models that offer a stem, unless `weights` has an entry for it; otherwise the first model
        provides it.
    weights
        For a stem the weight of each model, in the order of the models, each from 0 to a million. Only their
        ratios matter.

    Raises
    ------
    SettingsError
        If a weight is out of its range or not a number, or all weights of a stem are zero.
    """

    mean: bool = False
    weights: Mapping[str, tuple[float, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for stem, weights in self.weights.items():
            # the comparison is also false for NaN
            if not all(0 <= weight <= _MAX_WEIGHT for weight in weights) or not any(weights):
                raise SettingsError(
                    f"the weights of {stem!r} are {_format(weights)}; they must be from 0 to "
                    f"{_MAX_WEIGHT:,}, and not all 0"
                )

    @property
    def is_default(self) -> bool:
        """Whether every stem comes from one model, the first that offers it."""
        return not self.mean and not self.weights

    def check_count(self, n_models: int) -> None:
        """Check that every stem with weights has one weight for each of `n_models` models.

        Raises
        ------
        SettingsError
            If a stem has more or fewer.
        """
        for stem, weights in self.weights.items():
            if len(weights) != n_models:
                raise SettingsError(
                    f"{stem!r} has {len(weights)} weights ({_format(weights)}) for {n_models} models; "
                    "give one for each, in the order of the models"
                )

    def normalise(self, stem: str, candidates: Sequence[int]) -> "dict[int, Fraction]":
        """Return the weights of `stem` by model index; they sum to exactly one.

        Parameters
        ----------
        stem
            The name of the stem.
        candidates
            Indices of the models that offer it.

        Raises
        ------
        SettingsError
            If a model has a weight and does not offer the stem.
        """
        from fractions import Fraction  # not for help, which weights nothing

        weights = self.weights.get(stem)
        if weights is None:
            used = list(candidates) if self.mean else list(candidates[:1])
            return {model: Fraction(1, len(used)) for model in used}
        exact = {model: Fraction(str(weight)) for model, weight in enumerate(weights) if weight}
        lacking = [model for model in exact if model not in candidates]
        if lacking:
            raise SettingsError(
                f"model number {lacking[0] + 1} has a weight for {stem!r} and does not offer it; make it 0"
            )
        total = sum(exact.values())
        return {model: weight / total for model, weight in exact.items()}

    def select(self, models: Sequence[int]) -> "EnsembleWeights":
        """Return the weights of the models with the indices `models`, re-indexed from 0."""
        weights = {stem: tuple(each[model] for model in models) for stem, each in self.weights.items()}
        return EnsembleWeights(self.mean, {stem: each for stem, each in weights.items() if any(each)})


def _format(weights: Sequence[float]) -> str:
    return ", ".join(f"{weight:g}" for weight in weights)
