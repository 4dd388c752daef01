"""Adversarial training: a discriminator tells true stems from generated ones, and the network deceives it.

The losses are least squares, which have gradients wherever the scores are: X. Mao et al., "Least Squares
Generative Adversarial Networks", ICCV 2017. The squared error of the network's known stems is kept beside
the adversarial loss.

Nothing needs to be paired for the discriminator. Its true examples are all known stems that sound, so those
of drums-only songs too. Its generated examples are also separated from mixtures whose stems are not known.
Examples known to be without the target count for the network's own loss alone: their best estimate is
silence, of which the discriminator must not learn that it is a stem.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import AdamW

from stemsplit.errors import StemsplitError
from stemsplit.training.fit.loader import Inputs
from stemsplit.training.fit.objective import Objective
from stemsplit.training.fit.settings import FitSettings
from stemsplit.training.networks.base import ADVERSARIAL_FIGURES, SeparationNetwork
from stemsplit.training.networks.discriminator import Discriminator
from stemsplit.training.networks.loss import SOUNDING
from stemsplit.training.networks.mask_network import MaskNetwork
from stemsplit.training.networks.precision import autocast

# Scores of true and of generated stems are one apart if the discriminator never errs.
SATURATED_MARGIN = 0.9
LOST_ENERGY_DB = -10.0  # of generated stems, relative to the true ones


class Adversary(Objective):
    """The network's own loss, and that of not deceiving a discriminator of the first target.

    Parameters
    ----------
    network : SeparationNetwork
        A network of magnitude masks.
    settings : FitSettings
        `adversary` is the weight of the adversarial loss; `clip_norm` holds for the discriminator too.

    Raises
    ------
    StemsplitError
        The network has no magnitudes.
    """

    def __init__(self, network: SeparationNetwork, settings: FitSettings) -> None:
        super().__init__()
        if not isinstance(network, MaskNetwork):
            raise StemsplitError(
                f"an adversary judges magnitudes, which {network.name} does not estimate; "
                "train another network, such as --preset gan-drums"
            )
        self._settings = settings
        self.discriminator = Discriminator(network.layout).to(settings.device)
        self.optimisers = [AdamW(self.discriminator.parameters(), lr=0.0, betas=(0.5, 0.9), weight_decay=0.0)]
        self._figures: list[Tensor] = []

    def loss(self, network: SeparationNetwork, inputs: Inputs) -> Tensor:
        """Make a step of the discriminator, and compute the loss of the network by it."""
        assert isinstance(network, MaskNetwork)
        stems, known, eq_gains = inputs
        mixture, references = network.magnitudes(stems, eq_gains)
        with autocast(stems.device.type):
            found = network.masked(mixture)
        error = network.error(found, references, mixture, known)
        is_true, is_generated = _choose(references[:, 0], mixture, known[:, 0])
        if not is_true.any() or not is_generated.any():
            return error
        true, generated = references[is_true, 0], found[is_generated, 0]
        scores = self._learn(true, generated.detach())
        self.discriminator.requires_grad_(False)
        deceit = (self.discriminator(generated) - 1).square().mean()
        self.discriminator.requires_grad_(True)
        energy = found[is_true, 0].square().sum() / true.square().sum()
        self._figures.append(torch.stack([error, deceit, *scores, 10 * torch.log10(energy + 1e-10)]).detach())
        loss: Tensor = error + self._settings.adversary * deceit
        return loss

    def pop_figures(self) -> dict[str, float]:
        """Return the mean losses and scores since the last call, and whether the training has collapsed."""
        if not self._figures:
            return {}
        steps = torch.stack(self._figures)
        self._figures.clear()
        means = steps[steps.isfinite().all(1)].mean(0).tolist()  # without steps that were skipped
        figures = dict(zip(ADVERSARIAL_FIGURES, means, strict=False))
        self.trouble = describe_collapse(figures["margin"], figures["energy_db"])
        return figures | {ADVERSARIAL_FIGURES[-1]: float(bool(self.trouble))}

    def state_dict(self) -> dict[str, Any]:
        """Return the weights of the discriminator and the state of its optimiser."""
        return {
            "discriminator": self.discriminator.state_dict(),
            "optimisers": [optimiser.state_dict() for optimiser in self.optimisers],
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore a state of `state_dict`."""
        self.discriminator.load_state_dict(state["discriminator"])
        for optimiser, each in zip(self.optimisers, state["optimisers"], strict=True):
            optimiser.load_state_dict(each)

    def _learn(self, true: Tensor, generated: Tensor) -> tuple[Tensor, Tensor]:
        """Make a step of the discriminator; return its loss, and how far the mean scores are apart."""
        of_true, of_generated = self.discriminator(true), self.discriminator(generated)
        loss = ((of_true - 1).square().mean() + of_generated.square().mean()) / 2
        self.discriminator.zero_grad()
        loss.backward()
        norm = nn.utils.clip_grad_norm_(self.discriminator.parameters(), self._settings.clip_norm)
        if torch.isfinite(norm):
            for optimiser in self.optimisers:
                optimiser.step()
        return loss, of_true.mean() - of_generated.mean()


def describe_collapse(margin: float, energy_db: float) -> str:
    """Return in which way a training has collapsed; empty if it has not.

    Parameters
    ----------
    margin : float
        Mean score of true stems less that of generated ones.
    energy_db : float
        Energy of generated stems beside that of the true ones, in dB.
    """
    if energy_db < LOST_ENERGY_DB:
        return (
            f"the generated stems have lost their energy ({energy_db:.1f} dB beside the true ones): "
            "begin again with a lower --adversary-weight"
        )
    if margin > SATURATED_MARGIN:
        return (
            f"the discriminator hardly errs any more (margin {margin:.2f} of 1), so the network learns "
            "little from it: begin again with a higher --adversary-weight"
        )
    return ""


def _choose(reference: Tensor, mixture: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
    """Return which examples have a true stem, and from which a stem is generated: ``(batch,)`` of bool."""
    energies = [magnitude.square().sum((1, 2)) for magnitude in (reference, mixture)]
    is_known, sounds = known > 0, energies[0] > SOUNDING * energies[1]
    return is_known & sounds, ~is_known | sounds
