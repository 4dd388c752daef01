"""Optimisers: Muon, and the choice of optimisers by name."""

import math
from collections import defaultdict
from collections.abc import Iterable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import SGD, AdamW, Optimizer

from stemsplit.training.fit.settings import FitSettings
from stemsplit.training.networks.base import SeparationNetwork

MOMENTUM = 0.95
# RMS of a step at a learning rate of one. AdamW's is about 0.2, but more is better here.
STEP_RMS = 0.5


class Muon(Optimizer):
    """Momentum with orthogonalised updates: all directions of a matrix are updated equally.

    The algorithm is that of K. Jordan et al., "Muon: An optimizer for hidden layers in neural networks",
    2024; step size and weight decay follow J. Liu et al., "Muon is scalable for LLM training", 2025, except
    that our steps are 2.5 times as large as theirs, which have the RMS of AdamW's. Unlike `torch.optim.Muon`,
    it accepts stacks of matrices, such as those of `BandLinear`, which has one for each band.

    Parameters
    ----------
    groups : iterable of dict
        ``params``, tensors with at least two axes, and ``n_stacked``, the number of matrices that each holds
        stacked along its rows, such as the gates of an LSTM.
    lr : float
        Learning rate.
    weight_decay : float
        Decoupled weight decay: the weights shrink by this factor times the learning rate in each step.
    """

    def __init__(self, groups: Iterable[dict[str, Any]], *, lr: float, weight_decay: float) -> None:
        super().__init__(groups, {"lr": lr, "weight_decay": weight_decay, "n_stacked": 1})

    @torch.no_grad()
    def step(self) -> None:  # type: ignore[override]
        """Update the weights."""
        for group in self.param_groups:
            alike: dict[torch.Size, list[nn.Parameter]] = defaultdict(list)
            for weight in group["params"]:
                alike[weight.shape].append(weight)
            for weights in alike.values():
                self._update(weights, group)

    def _update(self, weights: list[nn.Parameter], group: dict[str, Any]) -> None:
        """Update weights of one shape as a batch, which takes a GPU no longer than one of them."""
        momenta = torch.stack([self._update_momentum(weight) for weight in weights])
        matrices = torch.unflatten(momenta, -2, (group["n_stacked"], -1))
        scale = STEP_RMS * math.sqrt(max(matrices.shape[-2:]))
        changes = orthogonalise(matrices).flatten(-3, -2)
        for weight, change in zip(weights, changes, strict=True):
            weight.mul_(1 - group["lr"] * group["weight_decay"])
            weight.add_(change, alpha=-group["lr"] * scale)

    def _update_momentum(self, weight: nn.Parameter) -> Tensor:
        """Return the Nesterov momentum: the updated momentum plus the gradient of this step."""
        assert weight.grad is not None
        state = self.state[weight]
        if not state:
            state["momentum"] = torch.zeros_like(weight)
        momentum: Tensor = state["momentum"].mul_(MOMENTUM).add_(weight.grad)
        return weight.grad.add(momentum, alpha=MOMENTUM)


def orthogonalise(matrices: Tensor, n_iterations: int = 5) -> Tensor:
    """Map all singular values of matrices ``(..., rows, columns)`` to between about 0.7 and 1.2.

    The Newton-Schulz iteration with the coefficients of Jordan et al., which grow fast and do not converge.
    """
    is_tall = matrices.shape[-2] > matrices.shape[-1]
    x: Tensor = matrices.mT if is_tall else matrices
    x = x / (torch.linalg.matrix_norm(x, keepdim=True) + 1e-7)
    for _ in range(n_iterations):
        square = x @ x.mT
        x = 3.4445 * x + (-4.7750 * square + 2.0315 * square @ square) @ x
    return x.mT if is_tall else x


def make_optimisers(network: SeparationNetwork, settings: FitSettings) -> list[Optimizer]:
    """Return the optimisers: AdamW or SGD for all, or Muon for hidden matrices and AdamW for the rest."""
    if settings.optimiser == "sgd":
        return [SGD(network.parameters(), lr=0.0, momentum=0.9, weight_decay=settings.weight_decay)]
    adamw = partial(AdamW, lr=0.0, betas=(0.9, 0.98), weight_decay=settings.weight_decay)
    if settings.optimiser == "adamw":
        return [adamw(network.parameters())]
    plain: list[nn.Parameter] = []
    gated: list[nn.Parameter] = []
    rest: list[nn.Parameter] = []
    for name, module in network.named_modules():
        hidden = gated if isinstance(module, nn.LSTM) else plain
        for weight in module.parameters(recurse=False):
            is_matrix = weight.ndim > 1 and min(weight.shape[-2:]) > 1
            is_hidden = not set(name.split(".")) & set(network.end_modules)
            (hidden if is_matrix and is_hidden else rest).append(weight)
    groups = [{"params": weights, "n_stacked": n} for weights, n in ((plain, 1), (gated, 4)) if weights]
    return [Muon(groups, lr=0.0, weight_decay=settings.weight_decay), adamw(rest)]
