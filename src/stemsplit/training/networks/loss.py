"""Losses in decibels, per stem and example.

The logarithm gives a stem that is 20 dB quieter the same weight as a loud one.
"""

import torch
from torch import Tensor

from stemsplit.training import SPEC
from stemsplit.training.networks.bands import BandLayout
from stemsplit.training.networks.spectra import Batch, inverse_stft

# Errors more than 30 dB below the mixture are ignored.
FLOOR = 1e-3
# For silent stems 20 dB suffice: a higher reward for silence would make the network output nothing.
SILENT_FLOOR = 1e-2
# Stems more than 40 dB below the mixture count as silent: reverb, noise of a pause.
SOUNDING = 1e-4


def error_energy(masks: Tensor, batch: Batch) -> Tensor:
    """Return the energy of ``mask * mixture - stem``, ``(batch, targets)``."""
    change = masks * (masks * batch.mixture - 2 * batch.cross)
    return (change.sum((2, 3, 4)) + batch.energy).clamp_min(0)


def log_energy_loss(masks: Tensor, batch: Batch) -> Tensor:
    """Return ``10 log10(error energy + floor * mixture energy)`` relative to the mixture.

    The loss is the mean over known stems.

    Parameters
    ----------
    masks : Tensor, shape (batch, targets, 2, compact, frames)
        Output of `BandSplit.masks`.
    batch : Batch
        The batch that the masks were computed for.

    Returns
    -------
    Tensor, shape ()
        Loss in dB, negative where masks help; the minimum is -30.
    """
    mixture = _mixture_energy(batch)
    ratio = error_energy(masks, batch) / mixture + _floor(batch.energy, mixture)
    return _mean(10 * torch.log10(ratio), batch)


def l1_loss(masks: Tensor, batch: Batch, layout: BandLayout) -> Tensor:
    """Return ``20 log10`` of the summed magnitudes of the error relative to those of the mixture.

    Loud moments have less weight than in `log_energy_loss`. Bins that share a mask count by their root mean
    square. `batch` must hold its spectra.
    """
    assert batch.spectra is not None
    widths = layout.widths().unsqueeze(-1).to(masks.device)
    with torch.no_grad():
        power = torch.view_as_real(batch.spectra).square().sum(-1)
        places = layout.gather(power.transpose(-1, -2))  # (batch, targets, 2, compact, frames)
        whole = (widths * batch.mixture).sqrt().sum((1, 2, 3, 4)).unsqueeze(1) + 1e-3
    error = (masks * (masks * batch.mixture - 2 * batch.cross) + places).clamp_min(0)
    # the root has no derivative at zero: errors 80 dB below the mixture are negligible
    size = (widths * (error + 1e-8 * batch.mixture + 1e-12)).sqrt().sum((2, 3, 4))
    return _mean(20 * torch.log10(size / whole + _floor(batch.energy, _mixture_energy(batch)).sqrt()), batch)


def waveform_loss(masks: Tensor, batch: Batch, layout: BandLayout) -> Tensor:
    """Return ``20 log10`` of the mean absolute error of the waveforms, relative to the mixture.

    Unlike the other losses it includes the overlap of frames. `batch` must hold its spectra.
    """
    assert batch.spectra is not None
    stems = batch.spectra.transpose(-1, -2)  # (batch, targets, 2, bins, frames)
    mixture = stems.sum(1, keepdim=True)
    n_samples = (stems.shape[-1] - 1) * SPEC.hop_length + SPEC.n_fft - 2 * SPEC.padding
    error = inverse_stft(layout.expand(masks) * mixture - stems, n_samples).abs().mean((2, 3))
    whole = inverse_stft(mixture, n_samples).abs().mean((2, 3)) + 1e-6
    return _mean(20 * torch.log10(error / whole + _floor(batch.energy, _mixture_energy(batch)).sqrt()), batch)


def decibels_of_error(found: Tensor, references: Tensor, mixture: Tensor, known: Tensor) -> Tensor:
    """Return the squared error of magnitudes in dB relative to the mixture, a mean over known stems.

    Parameters
    ----------
    found, references : Tensor, shape (batch, targets, bins, frames)
        Estimated and true magnitudes of the stems.
    mixture : Tensor, shape (batch, bins, frames)
        Magnitudes of the mixture.
    known : Tensor, shape (batch, targets)
        One where the loss counts.
    """
    energy = references.square().sum((2, 3))
    whole = mixture.square().sum((1, 2)).unsqueeze(1) + 1e-6
    error = (found - references).square().sum((2, 3)) / whole
    decibels = 10 * torch.log10(error + _floor(energy, whole))
    return (decibels * known).sum() / known.sum().clamp_min(1)


def relative_squared_error(found: Tensor, references: Tensor, mixture: Tensor, known: Tensor) -> Tensor:
    """Return the squared error of magnitudes relative to the mixture's energy, a mean over known stems.

    The parameters are those of `decibels_of_error`. Without the logarithm, stems that are loud in their
    mixtures have more weight.
    """
    whole = mixture.square().sum((1, 2)).unsqueeze(1) + 1e-6
    error = (found - references).square().sum((2, 3)) / whole
    return (error * known).sum() / known.sum().clamp_min(1)


def _mixture_energy(batch: Batch) -> Tensor:
    """Return the energy of each mixture, ``(batch, 1)``."""
    return batch.mixture.sum((1, 2, 3, 4)).unsqueeze(1) + 1e-6


def _floor(energy: Tensor, mixture: Tensor) -> Tensor:
    """Return the floor of each stem, relative to the mixture, from their energies."""
    return torch.where(energy > SOUNDING * mixture, FLOOR, SILENT_FLOOR)


def _mean(decibels: Tensor, batch: Batch) -> Tensor:
    return (decibels * batch.known).sum() / batch.known.sum().clamp_min(1)
