"""The training loop: a budget of seconds in, the averaged weights out.

Everything that a resumed run needs is in one checkpoint: weights, averaged weights, optimiser,
step and seconds spent. The learning rate follows the clock, so a run ends when its budget does.
"""

import copy
import math
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from stemsplit.errors import StemsplitError
from stemsplit.training.checkpoint import load_state, network_of
from stemsplit.training.curves import CurveLog
from stemsplit.training.remix import Example, Remixer
from stemsplit.training.separation import SeparationNetwork
from stemsplit.training.spectra import draw_colours

MAX_BAD_STEPS = 20
STEPS_AHEAD = 4
N_ADAPT_EXAMPLES = 64


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
        AdamW's.
    checkpoint_s, validate_s : float
        Seconds between checkpoints, and between validations.
    seed : int
        Of the weights and of the examples.
    device : str
        "cpu" or "cuda".
    n_workers : int
        Threads that cut the examples of the steps ahead; 0 cuts them when they are needed.
    """

    budget_s: float
    batch_size: int = 4
    learning_rate: float = 1.5e-3
    warm_up_s: float = 60.0
    ema_steps: float = 400.0
    clip_norm: float = 2.0
    weight_decay: float = 1e-2
    checkpoint_s: float = 300.0
    validate_s: float = 600.0
    seed: int = 0
    device: str = "cpu"
    n_workers: int = 0

    def rate_at(self, elapsed_s: float) -> float:
        """Learning rate after so many seconds.

        >>> FitSettings(budget_s=100, warm_up_s=10, learning_rate=1.0).rate_at(5)
        0.5
        """
        if elapsed_s < self.warm_up_s:
            return self.learning_rate * elapsed_s / self.warm_up_s
        share = min(1.0, (elapsed_s - self.warm_up_s) / max(1e-9, self.budget_s - self.warm_up_s))
        return self.learning_rate * 0.5 * (1 + math.cos(math.pi * share))


class Trainer:
    """Trains a network on examples, step by step.

    Parameters
    ----------
    network : SeparationNetwork
        Its weights are changed.
    remixer : Remixer
        Where examples come from.
    settings : FitSettings
        How to train.
    folder : Path
        Where ``checkpoint.pt`` and the curves are kept. A checkpoint found there is continued.
    validate : callable, optional
        Takes the averaged network, returns figures for the curves.
    """

    def __init__(
        self,
        network: SeparationNetwork,
        remixer: Remixer,
        settings: FitSettings,
        folder: Path,
        validate: Callable[[SeparationNetwork], dict[str, float]] | None = None,
    ) -> None:
        self.settings, self.folder, self._remixer, self._validate = settings, folder, remixer, validate
        self.network = network.to(settings.device)
        self.average = copy.deepcopy(self.network).requires_grad_(False)
        self._optimiser = torch.optim.AdamW(
            self.network.parameters(), lr=0.0, betas=(0.9, 0.98), weight_decay=settings.weight_decay
        )
        self.step_number, self.elapsed_s, self._bad_steps = 0, 0.0, 0
        self._pool = ThreadPoolExecutor(settings.n_workers) if settings.n_workers else None
        self._ahead: dict[int, Future[Example]] = {}
        folder.mkdir(parents=True, exist_ok=True)
        self._curves = CurveLog(folder / "curve.csv")
        if self.checkpoint.exists():
            self._resume()
        else:
            self._start()

    @property
    def checkpoint(self) -> Path:
        """Where the state is kept."""
        return self.folder / "checkpoint.pt"

    def fit(self) -> None:
        """Train until the budget is spent; interrupted, the last checkpoint stands."""
        saved = validated = self.elapsed_s
        losses: list[float] = []
        while self.elapsed_s < self.settings.budget_s:
            began = time.perf_counter()
            losses.append(self.step())
            self.elapsed_s += time.perf_counter() - began
            if self.elapsed_s - validated >= self.settings.validate_s:
                self._report(losses)
                validated, losses = self.elapsed_s, []
            if self.elapsed_s - saved >= self.settings.checkpoint_s:
                self.save()
                saved = self.elapsed_s
        self._report(losses)
        self.save()

    def step(self) -> float:
        """One update; returns the loss."""
        inputs = self._inputs(self.step_number)
        for group in self._optimiser.param_groups:
            group["lr"] = self.settings.rate_at(self.elapsed_s)
        # what a network draws at random, such as dropout, is a function of the step too
        torch.manual_seed(self.settings.seed * 1_000_003 + self.step_number)
        loss = self.network.loss(*inputs)
        self._optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        norm = nn.utils.clip_grad_norm_(self.network.parameters(), self.settings.clip_norm)
        self._apply(bool(torch.isfinite(loss) and torch.isfinite(norm)))
        self.step_number += 1
        return float(loss.detach())

    def save(self) -> None:
        """Write the checkpoint so that it is always whole."""
        part = self.checkpoint.with_suffix(".part")
        torch.save(self._state(), part)
        part.replace(self.checkpoint)

    def _apply(self, is_finite: bool) -> None:
        """Take the step, or leave it out where its gradient is not finite."""
        if not is_finite:
            self._bad_steps += 1
            if self._bad_steps >= MAX_BAD_STEPS:
                raise StemsplitError(
                    f"{MAX_BAD_STEPS} steps in a row had no finite loss (step {self.step_number}); "
                    f"{self.checkpoint} holds the last good weights: lower the learning rate"
                )
            return
        self._bad_steps = 0
        self._optimiser.step()
        # short memory at first, so that the random start is forgotten
        keep = min(1 - 1 / self.settings.ema_steps, (1 + self.step_number) / (10 + self.step_number))
        with torch.no_grad():
            pairs = zip(self.average.parameters(), self.network.parameters(), strict=True)
            for average, weight in pairs:
                average.lerp_(weight, 1 - keep)
            buffers = zip(self.average.buffers(), self.network.buffers(), strict=True)
            for kept, value in buffers:  # running statistics are means already
                kept.copy_(value)

    def _inputs(self, step_number: int) -> tuple[Tensor, Tensor, Tensor]:
        """Stems, known and colours of a step, on the device."""
        examples = self._examples(step_number)
        rng = np.random.default_rng((self.settings.seed, 1, step_number))
        stems = torch.from_numpy(np.stack([example.stems for example in examples]))
        known = torch.from_numpy(np.stack([example.known for example in examples]).astype(np.float32))
        colours = draw_colours(rng, len(examples), stems.shape[1], self.network.n_bins)
        return self._sent(stems), self._sent(known), self._sent(colours)

    def _examples(self, step_number: int) -> list[Example]:
        """Examples of a step; those of the steps to come are begun, where there are workers."""
        size = self.settings.batch_size
        numbers = range(step_number * size, (step_number + 1) * size)
        if self._pool is None:
            return [self._remixer.example(number) for number in numbers]
        for number in range(numbers.start, numbers.stop + STEPS_AHEAD * size):
            if number not in self._ahead:
                self._ahead[number] = self._pool.submit(self._remixer.example, number)
        return [self._ahead.pop(number).result() for number in numbers]

    def _sent(self, tensor: Tensor) -> Tensor:
        return tensor.to(self.settings.device, non_blocking=True)

    def _report(self, losses: list[float]) -> None:
        row = {
            "elapsed_s": self.elapsed_s,
            "step": self.step_number,
            "loss": float(np.mean(losses or [0])),
        }
        self.average.eval()
        self._curves.add(row | (self._validate(self.average) if self._validate else {}))

    def _state(self) -> dict[str, Any]:
        return {
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "optimiser": self._optimiser.state_dict(),
            "step_number": self.step_number,
            "elapsed_s": self.elapsed_s,
            "settings": asdict(self.settings),
            "remix": asdict(self._remixer.settings),
            "network_name": self.network.name,
            "network_options": self.network.options,
            "n_songs": self._remixer.n_songs,
        }

    def _start(self) -> None:
        examples = (self._remixer.example(number) for number in range(N_ADAPT_EXAMPLES))
        self.network.adapt(torch.from_numpy(example.stems.sum(0)) for example in examples)
        self.average.load_state_dict(self.network.state_dict())

    def _resume(self) -> None:
        state = load_state(self.checkpoint, self.settings.device)
        found = network_of(state)
        if (found.name, found.options) != (self.network.name, self.network.options):
            raise StemsplitError(
                f"{self.checkpoint} holds another network ({found.name}, {found.options}); "
                "name another folder, or the same preset, network and options"
            )
        self.network.load_state_dict(state["network"])
        self.average.load_state_dict(state["average"])
        self._optimiser.load_state_dict(state["optimiser"])
        self.step_number, self.elapsed_s = state["step_number"], state["elapsed_s"]
