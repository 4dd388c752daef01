"""Rows of the comparison: what is trained, and how."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from stemsplit.errors import StemsplitError
from stemsplit.training.examples.settings import INGREDIENTS


@dataclass(frozen=True)
class AblationRow:
    """One line of a comparison.

    Parameters
    ----------
    name : str
        What the line is called.
    preset : str
        What the network is and how it is trained, see `presets`; empty where nothing is trained.
    options : dict
        Options of the network, where they differ from the preset's.
    remix : dict
        Changes of `RemixSettings`.
    fit : dict
        Changes of `FitSettings`.
    one_target : float
        Share of the minutes that goes, in equal parts, into a network of its own for each target. What is
        left comes before: a network of all targets, whose weights those start from.
    """

    name: str
    preset: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    remix: Mapping[str, Any] = field(default_factory=dict)
    fit: Mapping[str, Any] = field(default_factory=dict)
    one_target: float = 0.0

    @property
    def without(self) -> tuple[str, ...]:
        """Ingredients that its training leaves out; models without training have no multitracks."""
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
    AblationRow("bandsplit-short", "cpu", {"dilations": [1, 2] * 6}),
    AblationRow("bandsplit-adamw", "cpu", fit={"optimiser": "adamw"}),
    AblationRow("fine-tuned", "cpu", one_target=0.5),
    AblationRow("one-by-one", "cpu", one_target=1.0),
    AblationRow("unmatched", "cpu", remix={"matched": 0.0}),
    *(AblationRow(f"without-{name}", "cpu", remix={"without": (name,)}) for name in INGREDIENTS),
)


def find_rows(names: str) -> list[AblationRow]:
    """Rows by their names, joined by commas; all of them for an empty text.

    Raises
    ------
    StemsplitError
        No row is called so.

    >>> [row.name for row in find_rows("oracle,baseline")]
    ['oracle', 'baseline']
    """
    known = {row.name: row for row in ROWS}
    wanted = names.split(",") if names else list(known)
    for name in wanted:
        if name not in known:
            raise StemsplitError(f"no row is called {name!r}; there are {', '.join(known)}")
    return [known[name] for name in wanted]
