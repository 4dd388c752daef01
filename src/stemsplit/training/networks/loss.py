"""The training objective: error energy in decibels, per stem and example.

A logarithm of the energy lets a stem that is 20 dB down count as much as a loud one.
"""

import torch
from torch import Tensor

from stemsplit.training import SPEC
from stemsplit.training.networks.bands import BandLayout
from stemsplit.training.networks.spectra import Batch, inverse

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
    ratio = error_energy(masks, batch) / mixture + _floor(batch)
    return _mean(10 * torch.log10(ratio), batch)


def l1_loss(masks: Tensor, batch: Batch, layout: BandLayout) -> Tensor:
    """``20 log10`` of the summed magnitudes of the error, against those of the mixture.

    Loud moments count less than in `log_energy_loss`. Bins that share a mask count by their root mean
    square. `batch` must hold its spectra.
    """
    assert batch.spectra is not None
    widths = layout.widths().unsqueeze(-1).to(masks.device)
    with torch.no_grad():
        power = torch.view_as_real(batch.spectra).square().sum(-1)
        places = layout.gather(power.transpose(-1, -2))  # (batch, targets, 2, compact, frames)
        whole = (widths * batch.mixture).sqrt().sum((1, 2, 3, 4)).unsqueeze(1) + 1e-3
    error = (masks * (masks * batch.mixture - 2 * batch.cross) + places).clamp_min(0)
    # a root has no slope at zero: errors 80 dB below the mixture are as good as none
    size = (widths * (error + 1e-8 * batch.mixture + 1e-12)).sqrt().sum((2, 3, 4))
    return _mean(20 * torch.log10(size / whole + _floor(batch).sqrt()), batch)


def waveform_loss(masks: Tensor, batch: Batch, layout: BandLayout) -> Tensor:
    """``20 log10`` of the mean absolute error of the waveforms, against the mixture's mean absolute value.

    Unlike the other two it sees what the overlap of the frames does. `batch` must hold its spectra.
    """
    assert batch.spectra is not None
    stems = batch.spectra.transpose(-1, -2)  # (batch, targets, 2, bins, frames)
    mixture = stems.sum(1, keepdim=True)
    n_samples = (stems.shape[-1] - 1) * SPEC.hop_length + SPEC.n_fft - 2 * SPEC.padding
    error = inverse(layout.expand(masks) * mixture - stems, n_samples).abs().mean((2, 3))
    whole = inverse(mixture, n_samples).abs().mean((2, 3)) + 1e-6
    return _mean(20 * torch.log10(error / whole + _floor(batch).sqrt()), batch)


def _floor(batch: Batch) -> Tensor:
    return torch.where(batch.energy > 0, FLOOR, SILENT_FLOOR)


def _mean(decibels: Tensor, batch: Batch) -> Tensor:
    return (decibels * batch.known).sum() / batch.known.sum().clamp_min(1)
