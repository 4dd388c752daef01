"""Settings of a training run: how to train, and how examples are drawn."""

import math
import time
from dataclasses import dataclass, field

from stemsplit.errors import StemsplitError
from stemsplit.training.augment import AugmentSettings

OPTIMISERS = ("adamw", "muon")
CLOCKS = {"wall": time.perf_counter, "processor": time.process_time}
# What an ablation may leave out.
INGREDIENTS = (
    "multitracks",
    "sung-speech",
    "distortion",
    "mastering",
    "cross-song",
    "layers",
    "backing",
    "passages",
    "separated",
)
# Settings that are a share of the examples, or a chance.
SHARES = ("coherent", "backing", "partial", "real", "maker", "silence", "speed", "master")


@dataclass(frozen=True)
class FitSettings:
    """How long and how to train.

    Parameters
    ----------
    budget_s : float
        Seconds of training in all, over every resumption.
    batch_size : int
        Examples per step.
    learning_rate : float
        At its highest.
    warm_up_s : float
        Seconds of linear rise; then a cosine falls to zero at the end of the budget.
    ema_steps : float
        Time constant of the averaged weights, in steps, once the training is long.
    clip_norm : float
        Largest norm of a gradient.
    weight_decay : float
        Share of the weights that goes in a step, times the learning rate.
    optimiser : str
        One of `OPTIMISERS`.
    checkpoint_s, validate_s : float
        Seconds between checkpoints, and between validations.
    seed : int
        Of the weights and of the examples.
    device : str
        "cpu" or "cuda".
    n_workers : int
        Processes that cut the examples of the steps ahead; 0 cuts them when they are needed.
    clock : str
        What the budget is measured by: "wall", or "processor" for the time that the process had one, so
        that runs on a machine with other work can be compared.

    Raises
    ------
    StemsplitError
        No such clock or optimiser.
    """

    budget_s: float
    batch_size: int = 4
    learning_rate: float = 1.5e-3
    warm_up_s: float = 60.0
    ema_steps: float = 400.0
    clip_norm: float = 2.0
    weight_decay: float = 1e-2
    optimiser: str = "adamw"
    checkpoint_s: float = 300.0
    validate_s: float = 600.0
    seed: int = 0
    device: str = "cpu"
    n_workers: int = 0
    clock: str = "wall"

    def __post_init__(self) -> None:
        for name, value, known in (
            ("clock", self.clock, CLOCKS),
            ("optimiser", self.optimiser, OPTIMISERS),
        ):
            if value not in known:
                raise StemsplitError(f"the {name} is {' or '.join(known)}, not {value!r}")

    def now_s(self) -> float:
        """Seconds on the clock; only differences mean anything."""
        return CLOCKS[self.clock]()

    def rate_at(self, elapsed_s: float) -> float:
        """Learning rate after so many seconds.

        >>> FitSettings(budget_s=100, warm_up_s=10, learning_rate=1.0).rate_at(5)
        0.5
        """
        if elapsed_s < self.warm_up_s:
            return self.learning_rate * elapsed_s / self.warm_up_s
        share = min(1.0, (elapsed_s - self.warm_up_s) / max(1e-9, self.budget_s - self.warm_up_s))
        return self.learning_rate * 0.5 * (1 + math.cos(math.pi * share))


@dataclass(frozen=True)
class RemixSettings:
    """How examples are drawn.

    Parameters
    ----------
    n_samples : int
        Length of an example.
    coherent : float
        Share of examples whose stems come from one place of one song.
    backing : float
        Share of examples that are a voice over unseparated real music; there only vocals are known.
    partial : float
        Share of examples where unseparated real music lacks more than the voice, drums or bass for one;
        what it lacks is added and known.
    real : float
        Chance that a stem, or a coherent song, is a real recording, or was separated out of one, instead of a
        render.
    maker : float
        Chance at most that it is of one given maker: where few recorded a target, fewer stems are real, or
        training would learn the habits of those few.
    silence : float
        Chance that a stem of an example is left out; half of it where stems come from one song.
    speed : float
        Chance that a stem is played faster or slower, pitch included, by up to what `SPEED_SPREADS` says.
    master : float
        Chance that a limiter works on the mixture, as in mastering: stems duck under the loudest together.
    loudness_db : float
        How much louder or softer than most records an example is at most, all stems alike.
    augment : AugmentSettings
        What is done to single stems.
    without : tuple of str
        Some of `INGREDIENTS`, to be left out.

    Raises
    ------
    StemsplitError
        `without` names something else, or a share or chance is none.
    """

    n_samples: int
    coherent: float = 0.2
    backing: float = 0.3
    partial: float = 0.1
    real: float = 0.4
    maker: float = 0.1
    silence: float = 0.05
    speed: float = 0.3
    master: float = 0.4
    loudness_db: float = 9.0
    augment: AugmentSettings = field(default_factory=AugmentSettings)
    without: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in self.without:
            if name not in INGREDIENTS:
                raise StemsplitError(f"{name!r} cannot be left out; there are {', '.join(INGREDIENTS)}")
        for name in SHARES:
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
                raise StemsplitError(f"{name} is {value!r}; it must be from 0 to 1")
