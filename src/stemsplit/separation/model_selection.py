"""Model selection: which models a separation opens, those that offer the stems at the lowest cost."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from stemsplit.did_you_mean import unknown_name
from stemsplit.models.device import Device
from stemsplit.models.spec import ModelSpec
from stemsplit.registry.installed import Model, open_model, read_spec
from stemsplit.separation.ensemble import EnsembleWeights
from stemsplit.separation.recipe import group_by_target


def open_models(
    paths: Sequence[Path], stems: Sequence[str] | None, *, device: Device, threads: int | None = None
) -> list[Model]:
    """Open the models that offer `stems` (None: all stems), each once.

    Where two models offer the same target, the first one provides it.

    Raises
    ------
    SettingsError
        If no model offers a stem; the nearest name is suggested.
    """
    opened: list[Model] = []
    offered: set[str] = set()
    for path in paths:
        if stems is not None and offered.issuperset(stems):
            break
        model = open_model(path, device=device, threads=threads)
        targets = set(model.info.spec.targets) - offered
        if targets if stems is None else targets & set(stems):
            opened.append(model)
        offered |= targets
    for stem in stems or ():
        check_stem(stem, offered)
    return opened


def open_cheapest(
    paths: Sequence[Path], stems: Sequence[str] | None, *, device: Device, threads: int | None = None
) -> list[Model]:
    """Open the models of `paths` that offer `stems` (None: all stems) at the lowest cost.

    Only these models are opened; of the others, the metadata is read.

    Raises
    ------
    SettingsError
        If no model offers a stem; the nearest name is suggested.
    """
    if len(paths) > 1:
        chosen = choose_cheapest([read_spec(path) for path in paths], stems)
        paths = [paths[number] for number in chosen]
    return open_models(paths, stems, device=device, threads=threads)


def choose_cheapest(models: Sequence[ModelSpec], stems: Sequence[str] | None) -> tuple[int, ...]:
    """Return the indices of the models that offer `stems` (None: all stems) at the lowest cost.

    Of sets with equal cost the smallest is chosen, and of those the first. A model whose description has no
    cost is assumed to cost as much as the most expensive one.

    Raises
    ------
    SettingsError
        If no model offers a stem; the nearest name is suggested.
    """
    offered = {target for model in models for target in model.targets}
    wanted = frozenset(offered if stems is None else stems)
    for stem in stems or ():
        check_stem(stem, offered)
    highest = max((model.cost_macs_per_s or 0 for model in models), default=0)
    # the cheapest set of models for every set of stems that some models cover, as (cost, size, models)
    best: dict[frozenset[str], tuple[int, int, tuple[int, ...]]] = {frozenset(): (0, 0, ())}
    for number, model in enumerate(models):
        cost = highest if model.cost_macs_per_s is None else model.cost_macs_per_s
        for covered, (total, size, chosen) in list(best.items()):
            covers = covered | wanted.intersection(model.targets)
            rival = (total + cost, size + 1, (*chosen, number))
            best[covers] = min(best.get(covers, rival), rival)
    return best[wanted][2]


def open_ensemble(
    paths: Sequence[Path],
    stems: Sequence[str] | None,
    ensemble: EnsembleWeights,
    *,
    device: Device,
    threads: int | None = None,
) -> tuple[list[Model], EnsembleWeights]:
    """Open the models that contribute to `stems`; return them and their ensemble weights.

    Raises
    ------
    SettingsError
        If no model offers a stem, or the weights do not fit the models.
    """
    if ensemble.is_default:
        return open_models(paths, stems, device=device, threads=threads), ensemble
    ensemble.check_count(len(paths))
    models = [open_model(path, device=device, threads=threads) for path in paths]
    candidates = group_by_target([model.info.spec for model in models])
    for stem in [*(stems or ()), *ensemble.weights]:
        check_stem(stem, candidates)
    wanted = stems if stems is not None else list(candidates)
    used = sorted({number for stem in wanted for number in ensemble.normalise(stem, candidates[stem])})
    return [models[number] for number in used], ensemble.select(used)


def check_stem(stem: str, offered: Iterable[str]) -> None:
    """Raise a `SettingsError` that suggests the nearest name if `stem` is not among `offered`."""
    names = sorted(offered)
    if stem not in names:
        raise unknown_name(f"no model offers the stem {stem!r}", stem, names)
