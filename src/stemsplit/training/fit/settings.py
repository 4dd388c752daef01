"""Settings of the training: budget, batch size, optimiser, learning rate."""

import math
import time
from dataclasses import dataclass

from stemsplit.errors import StemsplitError

ADVERSARY_WEIGHT = 0.02  # of the adversarial loss, where there is one
OPTIMISERS = ("adamw", "muon", "sgd")
CLOCKS = {"wall": time.perf_counter, "processor": time.process_time}


@dataclass(frozen=True)
class FitSettings:
    """Settings of a training.

    Parameters
    ----------
    budget_s : float
        Total training time in seconds, resumptions included; with `n_steps`, a scale for `warm_up_s` only.
    batch_size : int
        Examples per step.
    learning_rate : float
        Peak learning rate.
    warm_up_s : float
        Seconds of linear warm-up, followed by a cosine decay to zero at the end of the budget.
    ema_steps : float
        Time constant of the moving average of the weights, in steps; it is shorter in the first steps.
    clip_norm : float
        Norm to which gradients are clipped.
    weight_decay : float
        Weight decay: decoupled, as in AdamW, but for "sgd", which adds it to the gradient.
    optimiser : str
        One of `OPTIMISERS`.
    checkpoint_s, validate_s : float
        Seconds between checkpoints, and between validations.
    seed : int
        Random seed of the weights and the examples.
    device : str
        "cpu" or "cuda".
    n_workers : int
        Number of processes that load the examples of later steps; 0 loads them in the training process.
    adversary : float
        Weight of the adversarial loss, see `adversary`; 0 trains without a discriminator.
    clock : str
        Clock of the budget: "wall", or "processor" for the processor time of the process, so that runs on a
        machine with other processes are comparable.
    n_steps : int
        Number of steps that end the training, and that the learning rate follows, in place of the clock; 0
        for the clock.

    Raises
    ------
    StemsplitError
        The clock or the optimiser is unknown.
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
    adversary: float = 0.0
    clock: str = "wall"
    n_steps: int = 0

    def __post_init__(self) -> None:
        for name, value, known in (
            ("clock", self.clock, CLOCKS),
            ("optimiser", self.optimiser, OPTIMISERS),
        ):
            if value not in known:
                raise StemsplitError(f"the {name} is {' or '.join(known)}, not {value!r}")

    def now_s(self) -> float:
        """Return the time on the clock in seconds; only differences are meaningful."""
        return CLOCKS[self.clock]()

    def spent_s(self, elapsed_s: float, step_number: int) -> float:
        """Return how much of the budget is spent after so many seconds and steps.

        >>> FitSettings(budget_s=60, n_steps=200).spent_s(1e4, 50)
        15.0
        """
        return self.budget_s * step_number / self.n_steps if self.n_steps else elapsed_s

    def rate_at(self, spent_s: float) -> float:
        """Return the learning rate after so many seconds of the budget.

        >>> FitSettings(budget_s=100, warm_up_s=10, learning_rate=1.0).rate_at(5)
        0.5
        """
        if spent_s < self.warm_up_s:
            return self.learning_rate * spent_s / self.warm_up_s
        share = min(1.0, (spent_s - self.warm_up_s) / max(1e-9, self.budget_s - self.warm_up_s))
        return self.learning_rate * 0.5 * (1 + math.cos(math.pi * share))
