"""Presets: named sets of training settings."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

from stemsplit.errors import StemsplitError
from stemsplit.training import ORCHESTRA, SPEC
from stemsplit.training.examples.settings import SHARES, RemixSettings
from stemsplit.training.fit.settings import FitSettings
from stemsplit.training.networks.base import SeparationNetwork
from stemsplit.training.networks.catalog import build


@dataclass(frozen=True)
class Preset:
    """A network and a batch that suit a kind of machine.

    Parameters
    ----------
    network : str
        Name of the network, see `networks.catalog`.
    options : dict
        Options of the network.
    n_frames : int
        Length of an example in frames; 64 are 4.5 s.
    batch_size : int
        Examples per step.
    learning_rate : float
        Peak learning rate.
    n_workers : int
        Number of processes that load examples.
    clip_norm, weight_decay, optimiser
        As in `FitSettings`.
    shares : dict
        Values for some of `settings.SHARES`, in place of their defaults.
    """

    network: str = "bandsplit"
    options: dict[str, Any] = field(default_factory=dict)
    n_frames: int = 64
    batch_size: int = 6
    learning_rate: float = 1.5e-3
    n_workers: int = 0
    clip_norm: float = 2.0
    weight_decay: float = 1e-2
    optimiser: str = "muon"
    shares: dict[str, float] = field(default_factory=dict)

    def build(self, name: str = "", **options: Any) -> SeparationNetwork:
        """Build the network of the preset or the one called `name`; `options` override the preset's."""
        chosen = name or self.network
        return build(chosen, **((self.options if chosen == self.network else {}) | options))

    def with_examples(self, *, n_frames: int | None, batch_size: int | None) -> "Preset":
        """Return the preset with examples of another length or number; None keeps its own."""
        return replace(self, n_frames=n_frames or self.n_frames, batch_size=batch_size or self.batch_size)

    def settings(self, *, minutes: float, validate_minutes: float, seed: int, device: str) -> FitSettings:
        """Return the settings of a training of so many minutes."""
        return FitSettings(
            budget_s=60 * minutes,
            warm_up_s=min(60.0, 60 * minutes / 7),
            validate_s=60 * validate_minutes,
            batch_size=self.batch_size,
            learning_rate=self.learning_rate,
            n_workers=self.n_workers,
            clip_norm=self.clip_norm,
            weight_decay=self.weight_decay,
            optimiser=self.optimiser,
            seed=seed,
            device=device,
        )

    def remix(
        self, *, without: Sequence[str] = (), chances: Mapping[str, Any] = MappingProxyType({})
    ) -> RemixSettings:
        """Return the settings of the examples of this preset.

        Parameters
        ----------
        without : sequence of str
            Ingredients to leave out.
        chances : mapping of str to float
            Values for some of `settings.SHARES`, in place of the preset's.

        Raises
        ------
        StemsplitError
            An ingredient or a name in `chances` is unknown, or a value is invalid.
        """
        for name in chances:
            if name not in SHARES:
                raise StemsplitError(f"examples have no {name!r}; there are {', '.join(SHARES)}")
        n_samples = (self.n_frames - 1) * SPEC.hop_length + SPEC.n_fft
        return RemixSettings(n_samples=n_samples, without=tuple(without), **self.shares | dict(chances))


# as published, except that the learning rate follows the clock instead of a plateau of the loss
_OPENUNMIX = Preset(
    "openunmix",
    n_frames=85,  # 6 s
    batch_size=16,
    learning_rate=1e-3,
    clip_norm=math.inf,
    weight_decay=1e-5,
    optimiser="adamw",
)
# examples of a window of 200 ms, or of ten, are too short to be matched to records; and the drums of backing
# are not known
_BOULTER = Preset(
    n_frames=2,
    batch_size=16,
    learning_rate=1e-3,
    weight_decay=0.0,
    optimiser="adamw",
    shares={"backing": 0.0, "partial": 0.2, "matched": 0.0},
)
_BOULTER_CONV = replace(_BOULTER, network="conv-autoencoder", batch_size=8, learning_rate=2e-3)
# attenuated input improves small networks, see models/band.md
_ATTENUATION = {"attenuation_db": 12.0}
_BUNDLED = {
    **_ATTENUATION,
    "channels": "mid-side",
    "n_layers": 8,
    "dilations": [1, 2, 4, 8, 1, 4, 2, 16, 1, 2, 1, 4, 1, 4, 2, 8],
}
PRESETS = {
    "cpu": Preset(options=_BUNDLED),
    "gpu": Preset(
        options={"n_features": 128, **_BUNDLED},
        n_frames=96,
        batch_size=16,
        learning_rate=1e-3,
        n_workers=12,
    ),
    "openunmix": _OPENUNMIX,
    # four times as many steps in the same time, which matters more than large batches in short trainings
    "openunmix-cpu": replace(_OPENUNMIX, batch_size=4),
    # the parts of drums, of songs that `render-kits` makes
    "kit": Preset("kit", n_frames=43, batch_size=8, learning_rate=2e-3),
    # the works, see docs/works.md
    "boulter-presence": replace(_BOULTER, network="presence", n_frames=28, learning_rate=2e-3),
    "boulter-dense": replace(_BOULTER, network="dense-autoencoder", n_frames=28, batch_size=8),
    "boulter-conv": _BOULTER_CONV,
    "boulter-denoise": replace(_BOULTER_CONV, options={"task": "denoise"}),
    "lstm": Preset("lstm", n_frames=85, batch_size=8, learning_rate=2e-3),
    # as published are `--optimiser sgd --learning-rate 1e-4`, and the loss and the input of docs/works.md
    "dann": Preset(
        "dann",
        n_frames=148,  # 10.4 s
        batch_size=4,
        learning_rate=2e-3,
        clip_norm=math.inf,
        weight_decay=0.0,
        optimiser="adamw",
        shares={"matched": 0.0},
    ),
    # drums and accompaniment; `--adversary` goes on from such a run
    "gan-drums": Preset(
        "unet", n_frames=43, batch_size=8, learning_rate=1e-3, weight_decay=0.0, optimiser="adamw"
    ),
    # ensembles of acoustic instruments: the network of the work, and ours for the same targets
    "iyer": Preset(
        "iyer",
        n_frames=143,  # 10 s
        batch_size=8,
        learning_rate=2e-3,
        weight_decay=0.0,
        optimiser="adamw",
    ),
    "ensemble": Preset(
        options={"targets": ORCHESTRA, "n_layers": 4, "hidden_features": 64, **_ATTENUATION},
        batch_size=3,
        # of 13 instruments about four play; half of the examples are subsets of the parts of one piece
        shares={"silence": 0.7, "coherent": 0.5, "master": 0.1},
    ),
}


def find_preset(name: str) -> Preset:
    """Return the preset called `name`; raises `StemsplitError` if there is none."""
    if name not in PRESETS:
        raise StemsplitError(f"no preset is called {name!r}; there are {', '.join(PRESETS)}")
    return PRESETS[name]


def read_options(pairs: Sequence[str]) -> dict[str, Any]:
    """Parse options of a network from a command line: ``key=value``, where the value is JSON or plain text.

    >>> read_options(["n_layers=2", "dilations=[1, 2]", "mask=sigmoid"])
    {'n_layers': 2, 'dilations': [1, 2], 'mask': 'sigmoid'}
    """
    options: dict[str, Any] = {}
    for pair in pairs:
        key, is_pair, text = pair.partition("=")
        if not is_pair or not key.isidentifier():
            raise StemsplitError(f"{pair!r} is not of the form key=value")
        try:
            options[key] = json.loads(text)
        except json.JSONDecodeError:
            options[key] = text
    return options
