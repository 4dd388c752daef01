"""Networks that turn the magnitudes of one channel into a mask for each target.

Stereo songs go through them channel by channel. Such a network exports as a graph from magnitudes to masks,
see `stemsplit.training.release.mask_export`.
"""

from abc import abstractmethod
from typing import ClassVar

import torch
from torch import Tensor

from stemsplit.dsp.stft import StftSpec
from stemsplit.training.networks.bands import BandLayout
from stemsplit.training.networks.base import SeparationNetwork
from stemsplit.training.networks.loss import decibels_of_error
from stemsplit.training.networks.precision import autocast
from stemsplit.training.networks.spectra import centred_stft, inverse_stft, stft


class MaskNetwork(SeparationNetwork):
    """A network of masks for the magnitudes of one channel.

    Attributes
    ----------
    spec : StftSpec
        The STFT around the network.
    layout : BandLayout
        Bins of each row of a mask.
    context_s : float
        Seconds beyond which no frame changes a mask noticeably.
    is_complete : bool
        Whether the masks of all targets sum to one.
    summary : str
        The network in a few words, for the description of an exported model.
    """

    spec: ClassVar[StftSpec]
    context_s: ClassVar[float]
    is_complete: ClassVar[bool] = True
    summary: ClassVar[str]
    layout: BandLayout

    @abstractmethod
    def masks(self, magnitude: Tensor) -> Tensor:
        """Compute masks: ``(batch, 1, bins, frames) -> (batch, targets, 1, rows, frames)``."""

    def masked(self, magnitude: Tensor) -> Tensor:
        """Return magnitudes of targets: ``(batch, bins, frames) -> (batch, targets, bins, frames)``."""
        masks: Tensor = self.layout.expand(self.masks(magnitude.unsqueeze(1)).float())
        return masks[:, :, 0] * magnitude.unsqueeze(1)

    def magnitudes(self, stems: Tensor, eq_gains: Tensor) -> tuple[Tensor, Tensor]:
        """Return the magnitudes of a mono mixture and of its stems.

        Parameters
        ----------
        stems : Tensor, shape (batch, targets, 2, samples)
            Waveforms; their channels are averaged.
        eq_gains : Tensor, shape (batch, targets, bins)
            Gain per bin of each stem.

        Returns
        -------
        mixture : Tensor, shape (batch, bins, frames)
        references : Tensor, shape (batch, targets, bins, frames)
        """
        with torch.no_grad():
            spectra = stft(stems.mean(2), self.spec) * eq_gains.unsqueeze(-1)
            return spectra.sum(1).abs(), spectra.abs()

    def loss(self, stems: Tensor, known: Tensor, eq_gains: Tensor) -> Tensor:
        """Compute the error of the masked magnitudes."""
        mixture, references = self.magnitudes(stems, eq_gains)
        with autocast(stems.device.type):
            found = self.masked(mixture)
        return self.error(found, references, mixture, known)

    def error(self, found: Tensor, references: Tensor, mixture: Tensor, known: Tensor) -> Tensor:
        """Compute the loss of magnitudes: their squared error, in dB relative to the mixture.

        Parameters
        ----------
        found, references : Tensor, shape (batch, targets, bins, frames)
            Estimated and true magnitudes of the targets.
        mixture : Tensor, shape (batch, bins, frames)
            Magnitudes of the mixture.
        known : Tensor, shape (batch, targets)
            One where the loss counts.
        """
        return decibels_of_error(found, references, mixture, known)

    @torch.inference_mode()
    def estimates(self, mixture: Tensor) -> Tensor:
        """Separate a song by the phase of the mixture: ``(2, samples) -> (targets, 2, samples)``."""
        spectrum = centred_stft(mixture, self.spec)  # the channels are a batch
        masks = self.layout.expand(self.masks(spectrum.abs().unsqueeze(1)).float())
        found = masks[:, :, 0].transpose(0, 1) * spectrum
        return inverse_stft(found, mixture.shape[-1], self.spec)
