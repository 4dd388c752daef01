"""How much of each model goes into a stem that several of them offer.

Shares are fractions: they sum to exactly one, and so stems that sum to the mixture go on to do so.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

from stemsplit.errors import SettingsError


@dataclass(frozen=True)
class EnsembleWeights:
    """What was asked for.

    Parameters
    ----------
    mean
        Average all models that offer a stem, where `weights` says nothing of it; else the first provides it.
    weights
        For a stem the weight of each model, in their order; only their proportions count.

    Raises
    ------
    SettingsError
        If a weight is negative, no number, or all of a stem are zero.
    """

    mean: bool = False
    weights: Mapping[str, tuple[float, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for stem, weights in self.weights.items():
            # a comparison with what is no number is never true
            if not all(0 <= weight < 1e6 for weight in weights) or not any(weights):
                raise SettingsError(
                    f"the weights of {stem!r} are {_list(weights)}; they must be 0 or more, and not all 0"
                )

    @property
    def is_plain(self) -> bool:
        """Whether every stem comes from one model, the first that offers it."""
        return not self.mean and not self.weights

    def check(self, n_models: int) -> None:
        """Raise a `SettingsError` if some stem has not one weight for each of `n_models` models."""
        for stem, weights in self.weights.items():
            if len(weights) != n_models:
                raise SettingsError(
                    f"{stem!r} has {len(weights)} weights ({_list(weights)}) for {n_models} models; "
                    "give one for each, in the order of the models"
                )

    def share(self, stem: str, offering: Sequence[int]) -> dict[int, Fraction]:
        """Return the share of each model (by its number) in `stem`; `offering` are those that offer it.

        Raises
        ------
        SettingsError
            If a model has a weight and does not offer the stem.
        """
        weights = self.weights.get(stem)
        if weights is None:
            used = list(offering) if self.mean else list(offering[:1])
            return {number: Fraction(1, len(used)) for number in used}
        exact = {number: Fraction(str(weight)) for number, weight in enumerate(weights) if weight}
        lacking = [number for number in exact if number not in offering]
        if lacking:
            raise SettingsError(
                f"model number {lacking[0] + 1} has a weight for {stem!r} and does not offer it; make it 0"
            )
        total = sum(exact.values())
        return {number: weight / total for number, weight in exact.items()}

    def keep(self, numbers: Sequence[int]) -> "EnsembleWeights":
        """Return the blend of the models `numbers` alone, counted anew."""
        weights = {stem: tuple(each[number] for number in numbers) for stem, each in self.weights.items()}
        return EnsembleWeights(self.mean, {stem: each for stem, each in weights.items() if any(each)})


def _list(weights: Sequence[float]) -> str:
    return ", ".join(f"{weight:g}" for weight in weights)
