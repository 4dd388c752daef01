"""How a network is fitted: batches, segment length, optimiser, learning rate."""

import math
import time
from dataclasses import dataclass

from stemsplit.errors import StemsplitError

OPTIMISERS = ("adamw", "muon")
CLOCKS = {"wall": time.perf_counter, "processor": time.process_time}


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
