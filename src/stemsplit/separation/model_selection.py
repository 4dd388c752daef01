"""Which models a separation opens: those that offer the stems, for the least work."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from stemsplit.did_you_mean import unknown_name
from stemsplit.models.device import Device
from stemsplit.models.spec import ModelSpec
from stemsplit.registry.catalog import Model, open_model, read_spec
from stemsplit.separation.ensemble import EnsembleWeights


def open_models(
    paths: Sequence[Path], stems: Sequence[str] | None, *, device: Device, threads: int | None = None
) -> list[Model]:
    """Open the models that offer `stems` (all stems there are for None), each once.

    Where two models offer the same target, the one named first provides it.

    Raises
    ------
    SettingsError
        If no model offers a stem; the nearest name is proposed.
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
        check_name(stem, offered)
    return opened


def open_cheapest(
    paths: Sequence[Path], stems: Sequence[str] | None, *, device: Device, threads: int | None = None
) -> list[Model]:
    """Open those of `paths` that offer `stems` (all stems there are for None) for the least work.

    Only the models in use are opened; of the others no more than the metadata is read.

    Raises
    ------
    SettingsError
        If no model offers a stem; the nearest name is proposed.
    """
    if len(paths) > 1:
        chosen = choose_cheapest([read_spec(path) for path in paths], stems)
        paths = [paths[number] for number in chosen]
    return open_models(paths, stems, device=device, threads=threads)


def choose_cheapest(models: Sequence[ModelSpec], stems: Sequence[str] | None) -> tuple[int, ...]:
    """Return the numbers of the models that offer `stems` (all stems there are for None) for the least work.

    Of equally dear sets the smaller one is taken, and of those the one named first. A model that does not
    say its cost is taken to be as dear as the dearest that does.

    Raises
    ------
    SettingsError
        If no model offers a stem; the nearest name is proposed.
    """
    offered = {target for model in models for target in model.targets}
    wanted = frozenset(offered if stems is None else stems)
    for stem in stems or ():
        check_name(stem, offered)
    dearest = max((model.cost_macs_per_s or 0 for model in models), default=0)
    # the best set of models for every set of stems that some models cover, as (cost, size, models)
    best: dict[frozenset[str], tuple[int, int, tuple[int, ...]]] = {frozenset(): (0, 0, ())}
    for number, model in enumerate(models):
        cost = dearest if model.cost_macs_per_s is None else model.cost_macs_per_s
        for covered, (total, size, chosen) in list(best.items()):
            covers = covered | wanted.intersection(model.targets)
            rival = (total + cost, size + 1, (*chosen, number))
            best[covers] = min(best.get(covers, rival), rival)
    return best[wanted][2]


def open_ensemble(
    paths: Sequence[Path],
    stems: Sequence[str] | None,
    blend: EnsembleWeights,
    *,
    device: Device,
    threads: int | None = None,
) -> tuple[list[Model], EnsembleWeights]:
    """Open the models of which something goes into `stems`; return them and the blend of them alone.

    Raises
    ------
    SettingsError
        If no model offers a stem, or the weights do not fit the models.
    """
    if blend.is_plain:
        return open_models(paths, stems, device=device, threads=threads), blend
    blend.check(len(paths))
    models = [open_model(path, device=device, threads=threads) for path in paths]
    offering: dict[str, list[int]] = {}
    for number, model in enumerate(models):
        for target in model.info.spec.targets:
            offering.setdefault(target, []).append(number)
    for stem in [*(stems or ()), *blend.weights]:
        check_name(stem, offering)
    wanted = stems if stems is not None else list(offering)
    used = sorted({number for stem in wanted for number in blend.share(stem, offering[stem])})
    return [models[number] for number in used], blend.keep(used)


def check_name(stem: str, offered: Iterable[str]) -> None:
    """Raise a `SettingsError` that proposes the nearest name if `stem` is not among `offered`."""
    names = sorted(offered)
    if stem not in names:
        raise unknown_name(f"no model offers the stem {stem!r}", stem, names)
