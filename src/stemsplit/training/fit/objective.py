"""What the steps of a training minimise."""

from typing import Any

from torch import Tensor
from torch.optim import Optimizer

from stemsplit.training.fit.loader import Inputs
from stemsplit.training.networks.base import SeparationNetwork


class Objective:
    """The network's own loss.

    Attributes
    ----------
    optimisers : list of Optimizer
        Optimisers of weights other than the network's; the trainer sets their learning rate.
    trouble : str
        What was wrong at the last call of `pop_figures`, in a sentence; empty if nothing was.
    """

    optimisers: list[Optimizer]
    trouble: str

    def __init__(self) -> None:
        self.optimisers, self.trouble = [], ""

    def loss(self, network: SeparationNetwork, inputs: Inputs) -> Tensor:
        """Compute the loss of a step, which the trainer minimises."""
        return network.loss(*inputs)

    def pop_figures(self) -> dict[str, float]:
        """Return figures for the curves: means over the steps since the last call."""
        return {}

    def state_dict(self) -> dict[str, Any]:
        """Return everything that later steps depend on."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore a state of `state_dict`."""
