"""The recipe of a separation: every output stem as a linear combination of the mixture and of signals.

A *signal* is the estimate of one or more targets of one model::

    stem = mixture_gain * mixture + sum(gain * signal for signal, gain in signal_gains)

The stem of an ordinary target is its signal. The stem of a model's remainder target is the mixture minus the
signals of all its other targets, so that it contains what no mask covers: content above the model's band, or
lost in sample rate conversion. A stem that several models offer is the weighted mean of their versions of it,
and the residual is the mixture minus all other stems. Gains are integers and fractions, so that terms cancel
exactly and a complete set of stems sums to the mixture by construction.
"""

from collections import defaultdict
from collections.abc import Sequence, Set
from dataclasses import dataclass
from fractions import Fraction
from typing import Protocol

from stemsplit.errors import SettingsError
from stemsplit.separation.ensemble import EnsembleWeights
from stemsplit.separation.stem_names import INSTRUMENTAL, VOCALS

RESIDUAL = "residual"

Gain = int | Fraction


class ModelTargets(Protocol):
    """The targets that a model offers."""

    @property
    def targets(self) -> tuple[str, ...]:
        """Names, in the order of the model's output."""

    @property
    def remainder(self) -> str:
        """The target that also contains what no other target covers, or an empty string."""


@dataclass(frozen=True)
class Signal:
    """The sum of the estimates of some targets of one model, by their indices."""

    model: int
    targets: tuple[int, ...]


@dataclass(frozen=True)
class StemRecipe:
    """One output stem: the mixture times its gain plus each signal times its gain."""

    name: str
    mixture_gain: Gain
    signal_gains: dict[Signal, Gain]


@dataclass(frozen=True)
class Recipe:
    """All output stems, in order."""

    stems: tuple[StemRecipe, ...]

    @property
    def is_complete(self) -> bool:
        """Whether the stems sum to the mixture."""
        rest = _subtract(RESIDUAL, self.stems)
        return rest.mixture_gain == 0 and not rest.signal_gains

    @property
    def signals(self) -> tuple[Signal, ...]:
        """Every signal that a stem needs, once."""
        return tuple(dict.fromkeys(signal for stem in self.stems for signal in stem.signal_gains))


_FIRST_MODEL_ONLY = EnsembleWeights()


def make_recipe(
    models: Sequence[ModelTargets],
    stems: Sequence[str] | None = None,
    *,
    residual: bool = False,
    karaoke: str | None = None,
    ensemble: EnsembleWeights = _FIRST_MODEL_ONLY,
    apart: Set[str] = frozenset(),
) -> Recipe:
    """Derive the recipe of the requested stems.

    Parameters
    ----------
    models
        The targets of each model.
    stems
        Names of targets, or ``instrumental``, which is the mixture without the vocals where no model offers
        it; None for all targets, completed by a residual if they do not sum to the mixture.
    residual
        Add the stem that completes the sum to the mixture.
    karaoke
        Make only this stem and the mixture minus it.
    ensemble
        How models that offer the same target are combined; by default the first one provides it.
    apart
        Targets that are in no signal together with others, since their input is another one.

    Raises
    ------
    SettingsError
        If the settings contradict each other, or the residual would be empty.
    """
    _check(stems, residual, karaoke)
    names = [karaoke] if karaoke is not None else list(stems or group_by_target(models))
    recipes = [_make_recipe_of(models, name, [*names, *apart], ensemble) for name in names]
    rest = _subtract(f"no_{karaoke}" if karaoke is not None else RESIDUAL, recipes)
    is_complete = Recipe(tuple(recipes)).is_complete
    overlapping = [name for name in names if name not in {VOCALS, INSTRUMENTAL}]
    if residual and _is_derived(INSTRUMENTAL, models) and INSTRUMENTAL in names and overlapping:
        raise SettingsError(
            f"the instrumental already contains {', '.join(overlapping)}; leave --residual or them out"
        )
    if residual and is_complete:
        raise SettingsError("the stems already sum to the mixture, nothing is left; leave --residual out")
    # stems of models that divide the song in different ways overlap: nothing completes their sum
    overlaps = rest.mixture_gain < 0
    if karaoke is not None or residual or (stems is None and not is_complete and not overlaps):
        if rest.name in names:
            raise SettingsError(
                f"a model has a stem {rest.name!r} of its own, which is also the name of the residual; "
                f"name the stems, and leave {rest.name!r} out"
            )
        recipes.append(rest)
    return Recipe(tuple(recipes))


def _check(stems: Sequence[str] | None, residual: bool, karaoke: str | None) -> None:
    if karaoke is not None and (stems is not None or residual):
        raise SettingsError("--karaoke writes a stem and the rest; use it without --stems and --residual")
    if stems is not None and not stems:
        raise SettingsError("the list of stems is empty; name one or more, such as vocals,drums")
    if stems is not None and len(set(stems)) < len(stems):
        raise SettingsError(f"a stem is named twice: {','.join(stems)}")


def group_by_target(models: Sequence[ModelTargets]) -> dict[str, list[int]]:
    """Map each target to the indices of the models that offer it."""
    candidates: dict[str, list[int]] = {}
    for index, model in enumerate(models):
        for target in model.targets:
            candidates.setdefault(target, []).append(index)
    return candidates


def _is_derived(name: str, models: Sequence[ModelTargets]) -> bool:
    """Tell whether a stem is the mixture without the vocals, since no model offers it itself."""
    return name == INSTRUMENTAL and all(name not in model.targets for model in models)


def _make_recipe_of(
    models: Sequence[ModelTargets], name: str, names: Sequence[str], ensemble: EnsembleWeights
) -> StemRecipe:
    if _is_derived(name, models):
        return _subtract(name, [_average_models(models, VOCALS, names, ensemble)])
    return _average_models(models, name, names, ensemble)


def _average_models(
    models: Sequence[ModelTargets], name: str, names: Sequence[str], ensemble: EnsembleWeights
) -> StemRecipe:
    """Make the weighted mean of the stem `name` over the models that offer it."""
    weights = ensemble.normalise(name, group_by_target(models)[name])
    mixture_gain: Gain = 0
    signal_gains: defaultdict[Signal, Gain] = defaultdict(int)
    for index, weight in weights.items():
        single = _make_stem(models[index], index, name, names)
        mixture_gain += weight * single.mixture_gain
        for signal, gain in single.signal_gains.items():
            signal_gains[signal] += weight * gain
    return StemRecipe(name, mixture_gain, dict(signal_gains))


def _make_stem(model: ModelTargets, index: int, name: str, names: Sequence[str]) -> StemRecipe:
    """Make the stem `name` from one model."""
    target = model.targets.index(name)
    if name != model.remainder:
        return StemRecipe(name, 0, {Signal(index, (target,)): 1})
    others = [other for other in range(len(model.targets)) if other != target]
    # targets that are stems themselves are subtracted one by one, since their signals are computed anyway,
    # and so are those with another input; all others are subtracted as one signal
    single = [other for other in others if model.targets[other] in names]
    joint = tuple(other for other in others if other not in single)
    signals = [Signal(index, (other,)) for other in single]
    if joint:
        signals.append(Signal(index, joint))
    return StemRecipe(name, 1, dict.fromkeys(signals, -1))


def _subtract(name: str, stems: Sequence[StemRecipe]) -> StemRecipe:
    """Make the mixture minus all `stems`."""
    signal_gains: defaultdict[Signal, Gain] = defaultdict(int)
    for stem in stems:
        for signal, gain in stem.signal_gains.items():
            signal_gains[signal] -= gain
    non_zero = {signal: gain for signal, gain in signal_gains.items() if gain}
    return StemRecipe(name, 1 - sum(stem.mixture_gain for stem in stems), non_zero)
