"""Named sets of training options."""

from dataclasses import dataclass, field
from typing import Any

from stemsplit.errors import StemsplitError
from stemsplit.training import SPEC
from stemsplit.training.loop import FitSettings
from stemsplit.training.remix import RemixSettings


@dataclass(frozen=True)
class Preset:
    """A network and a batch that suit a kind of machine.

    Parameters
    ----------
    network : dict
        Options of `BandSplit`.
    n_frames : int
        Length of an example in frames (64 are 4.5 s).
    batch_size : int
        Examples per step.
    learning_rate : float
        At its highest.
    n_workers : int
        Threads that cut examples.
    """

    network: dict[str, Any] = field(default_factory=dict)
    n_frames: int = 64
    batch_size: int = 6
    learning_rate: float = 1.5e-3
    n_workers: int = 0

    def settings(self, *, minutes: float, validate_minutes: float, seed: int, device: str) -> FitSettings:
        """How to train for so many minutes."""
        return FitSettings(
            budget_s=60 * minutes,
            validate_s=60 * validate_minutes,
            batch_size=self.batch_size,
            learning_rate=self.learning_rate,
            n_workers=self.n_workers,
            seed=seed,
            device=device,
        )

    def remix(self) -> RemixSettings:
        """How examples of this length are drawn."""
        return RemixSettings(n_samples=(self.n_frames - 1) * SPEC.hop_length + SPEC.n_fft)


PRESETS = {
    "cpu": Preset(),
    "gpu": Preset(
        {"n_features": 128, "n_layers": 6, "dilations": [1, 2, 4, 8, 1, 4, 2, 12, 1, 2, 1, 4]},
        n_frames=96,
        batch_size=16,
        learning_rate=1e-3,
        n_workers=12,
    ),
}


def find_preset(name: str) -> Preset:
    """The preset called `name`; `StemsplitError` if there is none."""
    if name not in PRESETS:
        raise StemsplitError(f"no preset is called {name!r}; there are {', '.join(PRESETS)}")
    return PRESETS[name]
