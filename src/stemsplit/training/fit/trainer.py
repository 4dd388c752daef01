"""The training loop.

A checkpoint holds the complete state of a run: weights, averaged weights, optimisers, number of steps and
elapsed seconds. The learning rate follows the clock, or the steps, so that it reaches zero when the budget is
spent.
"""

import copy
import math
import time
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from filelock import FileLock, Timeout
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from stemsplit.errors import StemsplitError
from stemsplit.training import SAMPLE_RATE
from stemsplit.training.examples.source import ExampleSource
from stemsplit.training.fit.adversary import Adversary
from stemsplit.training.fit.checkpoint import (
    load_initial,
    load_state,
    network_of,
    optimiser_of,
    save_state,
    training_sources_in,
    training_sources_of,
)
from stemsplit.training.fit.curves import CurveLog
from stemsplit.training.fit.loader import ExampleLoader
from stemsplit.training.fit.objective import Objective
from stemsplit.training.fit.optimiser import make_optimisers
from stemsplit.training.fit.settings import FitSettings
from stemsplit.training.networks.base import SeparationNetwork
from stemsplit.training.networks.precision import precision_on

MAX_BAD_STEPS = 20
N_ADAPT_EXAMPLES = 64


class Trainer:
    """Trains a network on examples, step by step.

    Parameters
    ----------
    network : SeparationNetwork
        Network to train; its weights are changed.
    source : ExampleSource
        Source of the examples.
    settings : FitSettings
        Settings of the training.
    folder : Path
        Folder of ``checkpoint.pt`` and the curves. Training resumes from a checkpoint found there.
    validate : callable, optional
        Function that returns scores of the averaged network for the curves.
    initial : Path, optional
        Checkpoint or exported model with the initial weights of a new run.
    warn : callable, optional
        Function that is called with a message about each failure that the training recovered from.
    """

    def __init__(
        self,
        network: SeparationNetwork,
        source: ExampleSource,
        settings: FitSettings,
        folder: Path,
        validate: Callable[[SeparationNetwork], dict[str, float]] | None = None,
        *,
        initial: Path | None = None,
        warn: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.settings, self.folder, self._source, self._validate = settings, folder, source, validate
        self._warn, self._has_warned, self._is_stopped = warn, False, False
        self.network = network.to(settings.device)
        self.average = copy.deepcopy(self.network).requires_grad_(False)
        for part in self.average.modules():
            if isinstance(part, nn.RNNBase):
                part.flatten_parameters()  # else cuDNN copies the weights into one block at each call
        self._optimisers = make_optimisers(self.network, settings)
        self._objective = Adversary(self.network, settings) if settings.adversary else Objective()
        self.step_number, self.elapsed_s, self._bad_steps, self._rate_factor = 0, 0.0, 0, 1.0
        self._waited_s = 0.0
        self._without = set(source.settings.without)  # over all resumptions
        self._initial = initial.name if initial else ""
        self._training_sources = source.training_sources  # likewise
        self._loader = ExampleLoader(source, settings, network.n_bins)
        folder.mkdir(parents=True, exist_ok=True)
        self._curves = CurveLog(folder / "curve.csv")
        if self.checkpoint.exists():
            self._resume()
        else:
            self._start(initial)

    @property
    def checkpoint(self) -> Path:
        """Path of the checkpoint."""
        return self.folder / "checkpoint.pt"

    @property
    def audio_s(self) -> float:
        """Total duration of the examples so far, in seconds."""
        n_samples = self.step_number * self.settings.batch_size * self._source.settings.n_samples
        return n_samples / SAMPLE_RATE

    @property
    def without(self) -> tuple[str, ...]:
        """Ingredients that were left out of the whole training of these weights."""
        return tuple(sorted(self._without))

    def fit(self) -> bool:
        """Train until the budget is spent or `stop` is called; return whether it is spent.

        If a checkpoint or curve cannot be written, training continues and tries again later.

        Raises
        ------
        StemsplitError
            The loss was repeatedly not finite, or another training writes into the folder.
        OSError
            The last checkpoint or curve cannot be written.
        """
        try:
            with FileLock(self.folder / "lock", blocking=False):
                return self._fit()
        except Timeout as error:
            raise StemsplitError(
                f"another training writes into {self.folder}; let it end, or name another folder"
            ) from error

    def _fit(self) -> bool:
        saved = validated = self.elapsed_s
        losses: list[float] = []
        if not self.checkpoint.exists():  # so that a run that fails early has weights to return to
            self._write(self.save)
        while not self._is_spent and not self._is_stopped:
            began = self.settings.now_s()
            losses.append(self.step())
            self.elapsed_s += self.settings.now_s() - began
            if self.elapsed_s - validated >= self.settings.validate_s:
                self._write(partial(self._curves.add, self._row(losses)))
                validated, losses = self.elapsed_s, []
            if self.elapsed_s - saved >= self.settings.checkpoint_s:
                self._write(self.save)
                saved = self.elapsed_s
        self._loader.close()
        self.save()
        if self._is_spent and self._curves.last_step < self.step_number:
            self._curves.add(self._row(losses))
        return self._is_spent

    @property
    def _spent_s(self) -> float:
        return self.settings.spent_s(self.elapsed_s, self.step_number)

    @property
    def _is_spent(self) -> bool:
        return self._spent_s >= self.settings.budget_s

    def stop(self) -> None:
        """Make `fit` save a checkpoint and return after the current step."""
        self._is_stopped = True

    def step(self) -> float:
        """Make one training step; return its loss."""
        began = time.perf_counter()
        try:
            inputs = self._loader.load(self.step_number)
            self._waited_s += time.perf_counter() - began
        except Exception:
            self._write(self.save)  # keeps the progress since the last checkpoint
            raise
        for optimiser in (*self._optimisers, *self._objective.optimisers):
            for group in optimiser.param_groups:
                group["lr"] = self._rate_factor * self.settings.rate_at(self._spent_s)
        # random numbers in the network, such as those of dropout, depend on the step alone
        torch.manual_seed(self.settings.seed * 1_000_003 + self.step_number)
        before = [each.clone() for each in self.network.buffers()]
        loss = self._objective.loss(self.network, inputs)
        self.network.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        norm = nn.utils.clip_grad_norm_(self.network.parameters(), self.settings.clip_norm)
        # both in one transfer, since each waits for the GPU
        value, size = torch.stack([loss.detach().float(), norm.float()]).tolist()
        if math.isfinite(value) and math.isfinite(size):
            self._update()
        else:
            self._skip_step(before)
        return float(value)

    def save(self) -> None:
        """Write the checkpoint atomically."""
        save_state(self._state(), self.checkpoint)

    def _write(self, write: Callable[[], None]) -> None:
        """Try to write a file that can also be written later; the first failure is reported."""
        try:
            write()
        except OSError as error:
            if not self._has_warned:
                self._warn(f"{self.folder} cannot be written ({error}); training goes on and tries again")
            self._has_warned = True

    def _update(self) -> None:
        for optimiser in self._optimisers:
            optimiser.step()
        # a short time constant at first, so that the initial weights are forgotten
        keep = min(1 - 1 / self.settings.ema_steps, (1 + self.step_number) / (10 + self.step_number))
        with torch.no_grad():
            averages, weights = list(self.average.parameters()), list(self.network.parameters())
            average_into = get_ema_multi_avg_fn(keep)  # type: ignore[no-untyped-call]
            average_into(averages, weights, self.step_number)
            buffers = zip(self.average.buffers(), self.network.buffers(), strict=True)
            for kept, value in buffers:  # running statistics are averages already
                kept.copy_(value)
        self._bad_steps = 0
        self.step_number += 1

    def _skip_step(self, before: list[Tensor]) -> None:
        """Skip a step whose gradient is not finite; after too many in a row, return to the checkpoint, once.

        `before` holds the running statistics before the step, which may no longer be finite either.
        """
        for buffer, value in zip(self.network.buffers(), before, strict=True):
            buffer.copy_(value)
        self._bad_steps += 1
        self.step_number += 1
        if self._bad_steps < MAX_BAD_STEPS:
            return
        trouble = f"{MAX_BAD_STEPS} steps in a row had no finite loss (step {self.step_number})"
        if self._rate_factor < 1 or not self.checkpoint.exists():
            raise StemsplitError(
                f"{trouble}; the last good weights are in {self.folder}: change the settings"
            )
        elapsed_s = self.elapsed_s
        self._resume()
        # the clock goes on: the budget is one of time
        self.elapsed_s, self._bad_steps, self._rate_factor = elapsed_s, 0, 0.5
        self._write(self.save)
        self._warn(f"{trouble}; back to step {self.step_number} with half the learning rate")

    def _row(self, losses: list[float]) -> dict[str, float]:
        """Return the row of the curves for the steps since the last row."""
        own = self._objective.pop_figures()
        if self._objective.trouble:
            self._warn(f"step {self.step_number}: {self._objective.trouble}")
        self.average.eval()
        try:
            figures = self._validate(self.average) if self._validate else {}
        except StemsplitError as error:  # the estimates are not finite; training may recover from it
            self._warn(f"step {self.step_number} could not be validated: {error}")
            figures = {}
        finite = [each for each in losses if math.isfinite(each)]  # skipped steps leave no mark on the curve
        loss = {"loss": float(np.mean(finite))} if finite else {}
        waited = {"waiting_s": self._waited_s}
        self._waited_s = 0.0
        return {"elapsed_s": self.elapsed_s, "step": self.step_number} | waited | loss | own | figures

    def _state(self) -> dict[str, Any]:
        return {
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "optimisers": [optimiser.state_dict() for optimiser in self._optimisers],
            "objective": self._objective.state_dict(),
            "step_number": self.step_number,
            "elapsed_s": self.elapsed_s,
            "rate_factor": self._rate_factor,
            "settings": asdict(self.settings),
            "remix": asdict(self._source.settings),
            "network_name": self.network.name,
            "network_options": self.network.options,
            "without": list(self.without),
            "heard": sorted(self._training_sources),
            "pools": list(self._source.example_kinds),
            "initial": self._initial,
            "precision": str(precision_on(self.settings.device)).removeprefix("torch."),
        }

    def _start(self, initial: Path | None) -> None:
        if initial:
            load_initial(self.network, initial)
            self._without = set()  # the ingredients of those weights are unknown
            self._training_sources |= training_sources_of(initial)
        else:
            examples = (self._source.example(number) for number in range(N_ADAPT_EXAMPLES))
            self.network.adapt(torch.from_numpy(example.stems.sum(0)) for example in examples)
        self.average.load_state_dict(self.network.state_dict())

    def _resume(self) -> None:
        state = load_state(
            self.checkpoint
        )  # loaded on the CPU; the optimisers move their state to the device
        found = network_of(state)
        if (found.name, found.options) != (self.network.name, self.network.options):
            raise StemsplitError(
                f"{self.checkpoint} holds another network ({found.name}, {found.options}); "
                "name another folder, or the same preset, network and options"
            )
        # the first checkpoints had one optimiser
        kept = state["optimisers"] if "optimisers" in state else [state["optimiser"]]
        started = {key: state["settings"][key] for key in ("seed", "batch_size")}
        started |= {"optimiser": optimiser_of(state), "n_samples": state["remix"]["n_samples"]}
        started["adversary"] = state["settings"].get("adversary", 0.0)  # early checkpoints had none
        asked = asdict(self.settings) | {"n_samples": self._source.settings.n_samples}
        for name, value in started.items():
            if value != (wanted := asked[name]):
                raise StemsplitError(
                    f"{self.checkpoint} was started with {name} {value}, not {wanted}; "
                    "use the same value, or name another folder and the checkpoint as --init"
                )
        self.network.load_state_dict(state["network"])
        self.average.load_state_dict(state["average"])
        for optimiser, each in zip(self._optimisers, kept, strict=True):
            optimiser.load_state_dict(each)
        self._objective.load_state_dict(state.get("objective", {}))
        self.step_number, self.elapsed_s = state["step_number"], state["elapsed_s"]
        self._without &= set(state.get("without", ()))  # an ingredient that was used once stays used
        self._training_sources |= training_sources_in(state)
        self._rate_factor = state.get("rate_factor", 1.0)  # the first checkpoints had none
        self._initial = state.get("initial", self._initial)
        self._curves.forget_after(self.step_number)
