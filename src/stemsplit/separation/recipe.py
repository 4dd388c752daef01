"""What is written, as sums: every stem is the mixture and separated signals, added or subtracted.

A *signal* is the part of the mixture that the masks of one or more targets of one model let through. The
stem of a model's remainder target is the mixture minus the signals of all its other targets, so that
content which no mask reaches (above the model's band, or lost in a change of sample rate) is in it.

A stem that several models share is the weighted mean of what each would make of it. Factors are whole
numbers and fractions, so that what cancels cancels exactly.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Protocol

from stemsplit.errors import SettingsError
from stemsplit.separation.ensemble import EnsembleWeights

RESIDUAL = "residual"

Factor = int | Fraction


class Offer(Protocol):
    """What a model offers: its targets, and the one that also gets what no target reaches (or none)."""

    @property
    def targets(self) -> tuple[str, ...]:
        """Names, in the order of the model's output."""

    @property
    def remainder(self) -> str:
        """One of the targets, or empty."""


@dataclass(frozen=True)
class Signal:
    """Targets of model number `model`, by their place in it, whose masks are added up."""

    model: int
    targets: tuple[int, ...]


@dataclass(frozen=True)
class StemRecipe:
    """One output: `mixture` times the mixture plus each signal times its factor."""

    name: str
    mixture: Factor
    signals: dict[Signal, Factor]


@dataclass(frozen=True)
class Recipe:
    """All outputs in order, and the signals that they are made of."""

    stems: tuple[StemRecipe, ...]

    @property
    def signals(self) -> tuple[Signal, ...]:
        """Every signal that a stem needs, once."""
        return tuple(dict.fromkeys(signal for stem in self.stems for signal in stem.signals))


_PLAIN = EnsembleWeights()


def make_recipe(
    models: Sequence[Offer],
    stems: Sequence[str] | None = None,
    *,
    residual: bool = False,
    karaoke: str | None = None,
    blend: EnsembleWeights = _PLAIN,
) -> Recipe:
    """Work out how to make the stems that were asked for.

    Parameters
    ----------
    models
        Where two offer a target, `blend` says how much of it is whose.
    stems
        Names of targets; None for all of them, completed by a residual if they do not sum to the mixture.
    residual
        Add the stem that completes the sum.
    karaoke
        Only this stem and the mixture minus it.
    blend
        By default the first model that offers a target provides it.

    Raises
    ------
    SettingsError
        If the settings contradict each other or leave nothing to write.
    """
    _check(stems, residual, karaoke)
    names = [karaoke] if karaoke is not None else list(stems or _all_targets(models))
    made = [_average_stem(models, name, names, blend) for name in names]
    rest = _subtract(f"no_{karaoke}" if karaoke is not None else RESIDUAL, made)
    is_whole = rest.mixture == 0 and not any(rest.signals.values())
    if residual and is_whole:
        raise SettingsError("the stems already sum to the mixture, nothing is left; leave --residual out")
    if karaoke is not None or residual or (stems is None and not is_whole):
        if rest.name in names:
            raise SettingsError(
                f"a model has a stem {rest.name!r} of its own, and what is left over would be called so; "
                f"name the stems, and leave {rest.name!r} out"
            )
        made.append(rest)
    return Recipe(tuple(made))


def _check(stems: Sequence[str] | None, residual: bool, karaoke: str | None) -> None:
    if karaoke is not None and (stems is not None or residual):
        raise SettingsError("--karaoke writes a stem and the rest; use it without --stems and --residual")
    if stems is not None and not stems:
        raise SettingsError("no stem was asked for; name one or more, such as vocals,drums")
    if stems is not None and len(set(stems)) < len(stems):
        raise SettingsError(f"a stem is named twice: {','.join(stems)}")


def _all_targets(models: Sequence[Offer]) -> dict[str, list[int]]:
    """Map each target to the models that offer it."""
    offering: dict[str, list[int]] = {}
    for number, spec in enumerate(models):
        for target in spec.targets:
            offering.setdefault(target, []).append(number)
    return offering


def _average_stem(
    models: Sequence[Offer], name: str, names: Sequence[str], blend: EnsembleWeights
) -> StemRecipe:
    shares = blend.share(name, _all_targets(models)[name])
    mixture: Factor = 0
    signals: dict[Signal, Factor] = {}
    for number, share in shares.items():
        made = _make_stem(models[number], number, name, names)
        mixture += share * made.mixture
        for signal, sign in made.signals.items():
            signals[signal] = signals.get(signal, 0) + share * sign
    return StemRecipe(name, mixture, signals)


def _make_stem(spec: Offer, number: int, name: str, names: Sequence[str]) -> StemRecipe:
    """Make the stem of one model alone."""
    place = spec.targets.index(name)
    if name != spec.remainder:
        return StemRecipe(name, 0, {Signal(number, (place,)): 1})
    others = [other for other in range(len(spec.targets)) if other != place]
    # signals that are needed anyway are subtracted one by one, the rest of the model as a whole
    single = [other for other in others if spec.targets[other] in names]
    joint = tuple(other for other in others if other not in single)
    signals = [Signal(number, (other,)) for other in single]
    if joint:
        signals.append(Signal(number, joint))
    return StemRecipe(name, 1, dict.fromkeys(signals, -1))


def _subtract(name: str, stems: Sequence[StemRecipe]) -> StemRecipe:
    """The mixture minus all `stems`."""
    signals: dict[Signal, Factor] = {}
    for stem in stems:
        for signal, factor in stem.signals.items():
            signals[signal] = signals.get(signal, 0) - factor
    kept = {signal: factor for signal, factor in signals.items() if factor}
    return StemRecipe(name, 1 - sum(stem.mixture for stem in stems), kept)
