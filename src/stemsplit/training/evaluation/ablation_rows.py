"""Rows of the ablation table: which network is trained, and how."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from stemsplit.errors import StemsplitError
from stemsplit.training.examples.settings import INGREDIENTS


@dataclass(frozen=True)
class AblationRow:
    """One row of an ablation table.

    Parameters
    ----------
    name : str
        Name of the row.
    preset : str
        Preset of the network and its training, see `presets`; empty if nothing is trained.
    options : dict
        Options of the network that differ from those of the preset.
    remix : dict
        Fields of `RemixSettings` that differ from those of the preset.
    fit : dict
        Fields of `FitSettings` that differ from those of the preset.
    one_target : float
        Share of the minutes that is spent, in equal parts, on one network for each target. The rest is spent
        before on a network of all targets, whose weights initialise the others.
    """

    name: str
    preset: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    remix: Mapping[str, Any] = field(default_factory=dict)
    fit: Mapping[str, Any] = field(default_factory=dict)
    one_target: float = 0.0

    @property
    def without(self) -> tuple[str, ...]:
        """Ingredients that the training leaves out; a row without training uses no multitracks."""
        return tuple(self.remix.get("without", ())) if self.preset else ("multitracks",)


ROWS = (
    AblationRow("baseline"),
    AblationRow("oracle"),
    AblationRow("openunmix", "openunmix"),
    AblationRow("openunmix-cpu", "openunmix-cpu"),
    AblationRow("bandsplit", "cpu"),
    AblationRow("bandsplit-sigmoid", "cpu", {"mask": "sigmoid"}),
    AblationRow("bandsplit-l1", "cpu", {"loss": "l1"}),
    AblationRow("bandsplit-waveform", "cpu", {"loss": "log_energy+waveform"}),
    AblationRow("bandsplit-wide", "cpu", {"n_features": 96}),
    AblationRow("bandsplit-shallow", "cpu", {"n_layers": 4}),
    AblationRow("bandsplit-short", "cpu", {"dilations": [1, 2] * 8}),
    AblationRow("bandsplit-adamw", "cpu", fit={"optimiser": "adamw"}),
    AblationRow("fine-tuned", "cpu", one_target=0.5),
    AblationRow("one-by-one", "cpu", one_target=1.0),
    AblationRow("unmatched", "cpu", remix={"matched": 0.0}),
    *(AblationRow(f"without-{name}", "cpu", remix={"without": (name,)}) for name in INGREDIENTS),
)


def find_rows(names: str) -> list[AblationRow]:
    """Return the rows with the names in a comma-separated list, or all rows for an empty text.

    Raises
    ------
    StemsplitError
        There is no row of this name.

    >>> [row.name for row in find_rows("oracle,baseline")]
    ['oracle', 'baseline']
    """
    known = {row.name: row for row in ROWS}
    wanted = names.split(",") if names else list(known)
    for name in wanted:
        if name not in known:
            raise StemsplitError(f"no row is called {name!r}; there are {', '.join(known)}")
    return [known[name] for name in wanted]
