"""The best of the installed models for each stem, by the figures that are known of them.

Figures are signal-to-distortion ratios in dB, from the lists of models (``sdr_db``) and, for the models of
the package, from their cards. They were measured by different people on different songs: a difference of a
few tenths says little.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final

from stemsplit.registry.index import list_remote
from stemsplit.registry.installed import bundled_models, read_properties, read_spec
from stemsplit.registry.store import Registry

# mean uSDR on commercial records, from the card
BUNDLED_SDR_DB: Final[Mapping[str, Mapping[str, float]]] = MappingProxyType(
    {"band": {"vocals": 6.5, "drums": 4.8, "bass": 5.5, "other": 3.5}}
)
STEMS: Final = ("vocals", "drums", "bass", "other")


@dataclass(frozen=True)
class FinestModels:
    """The best model for each stem.

    Parameters
    ----------
    by_stem
        For a stem the name of the model, and its figure in dB.
    """

    by_stem: Mapping[str, tuple[str, float]]

    @property
    def models(self) -> tuple[str, ...]:
        """The models, each once."""
        return tuple(dict.fromkeys(model for model, _ in self.by_stem.values()))

    @property
    def weights(self) -> dict[str, tuple[float, ...]]:
        """For a stem the weight of each of `models`: one for its best, none for the others."""
        return {
            stem: tuple(float(model == best) for model in self.models)
            for stem, (best, _) in self.by_stem.items()
        }

    def __str__(self) -> str:
        parts = []
        for model in self.models:
            figures = [f"{stem} {db:g} dB" for stem, (best, db) in self.by_stem.items() if best == model]
            parts.append(f"{model} for {', '.join(figures)}")
        return "; ".join(parts)


def find_finest(registry: Registry, *, commercial_only: bool = False) -> FinestModels:
    """Return the best model of the package and of `registry` for each stem that one with a figure offers.

    Parameters
    ----------
    commercial_only
        Leave out models whose licence does not allow commercial use, or does not say.

    Raises
    ------
    ModelError, SettingsError
        If a model with a figure or a list cannot be read.
    """
    best: dict[str, tuple[str, float]] = {}
    figures = {**{remote.name: remote.sdr_db for remote in list_remote()}, **BUNDLED_SDR_DB}
    for name, path in _list_installed(registry).items():
        if not (known := figures.get(name)):
            continue
        spec = read_properties(path)
        if commercial_only and spec.commercial is not True:
            continue
        for stem in spec.targets:
            if stem in known and known[stem] > best.get(stem, ("", float("-inf")))[1]:
                best[stem] = name, known[stem]
    order = sorted(best, key=lambda stem: (*STEMS, stem).index(stem))
    return FinestModels({stem: best[stem] for stem in order})


def _list_installed(registry: Registry) -> dict[str, Path]:
    bundled = {read_spec(path).name: path for path in bundled_models()}
    return {**bundled, **{name: registry.path(name) for name in registry.names()}}
