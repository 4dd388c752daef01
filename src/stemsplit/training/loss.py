"""The training objective: error energy in decibels, per stem and example.

A logarithm of the energy lets a stem that is 20 dB down count as much as a loud one.
"""

import torch
from torch import Tensor

from stemsplit.training.spectra import Batch

# Errors more than 30 dB below the mixture stop mattering.
FLOOR = 1e-3
# For a stem that is silent 20 dB must do: a higher prize for silence teaches the network to give nothing.
SILENT_FLOOR = 1e-2


def error_energy(masks: Tensor, batch: Batch) -> Tensor:
    """Energy of ``mask * mixture - stem``, ``(batch, targets)``."""
    change = masks * (masks * batch.mixture - 2 * batch.cross)
    return (change.sum((2, 3, 4)) + batch.energy).clamp_min(0)


def log_energy_loss(masks: Tensor, batch: Batch) -> Tensor:
    """``10 log10(error energy + floor * mixture energy)``, against the mixture, mean over known stems.

    Parameters
    ----------
    masks : Tensor, shape (batch, targets, 2, compact, frames)
        Output of `BandSplit.masks`.
    batch : Batch
        What the masks were made for.

    Returns
    -------
    Tensor, shape ()
        Decibels, negative where masks help; -30 at best.
    """
    mixture = batch.mixture.sum((1, 2, 3, 4)).unsqueeze(1) + 1e-6
    floor = torch.where(batch.energy > 0, FLOOR, SILENT_FLOOR)
    ratio = error_energy(masks, batch) / mixture + floor
    return (10 * torch.log10(ratio) * batch.known).sum() / batch.known.sum().clamp_min(1)
