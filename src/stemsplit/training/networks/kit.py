"""A small network that takes the drums of a song apart: kick, snare with toms, cymbals.

Dilated convolutions along time over the levels of groups of bins: the receptive field is finite, 0.44 s to
each side, so that chunks with context give the masks of the whole.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from stemsplit.dsp.stft import StftSpec
from stemsplit.training.networks.bands import BandLayout
from stemsplit.training.networks.bandsplit import TimeConv
from stemsplit.training.networks.base import check_targets
from stemsplit.training.networks.mask_network import MaskNetwork

KIT_SPEC = StftSpec(2048, 512)
KIT_TARGETS = ("kick", "snare", "cymbals")
POWER_FLOOR = 1e-4  # of a row, added before the logarithm: about -100 dB full scale


class KitMasks(MaskNetwork):
    """Dilated convolutions over magnitude frames, and masks that sum to one.

    Parameters
    ----------
    n_features : int
        Features of a frame.
    dilations : sequence of int
        Of the convolutions, in frames.
    targets : sequence of str
        What is separated, two or more.
    """

    name = "kit"
    end_modules = ("encode", "decode")
    spec = KIT_SPEC
    n_bins = KIT_SPEC.n_bins
    context_s = 0.5
    summary = "dilated convolutions over magnitude frames of drums"

    def __init__(
        self,
        *,
        n_features: int = 64,
        dilations: Sequence[int] = (1, 2, 4, 8, 16, 1, 4),
        targets: Sequence[str] = KIT_TARGETS,
    ) -> None:
        super().__init__()
        self.targets = check_targets(targets)
        self.options = {"n_features": n_features, "dilations": list(dilations), "targets": list(self.targets)}
        # single bins up to 1.4 kHz, then groups of 16 (345 Hz)
        self.layout = BandLayout(n_bins=self.n_bins, group=16, bands=((125, 1),))
        self.encode = nn.Linear(self.layout.n_compact, n_features)
        self.time = nn.ModuleList(TimeConv(n_features, dilation) for dilation in dilations)
        self.norm = nn.LayerNorm(n_features)
        self.decode = nn.Linear(n_features, len(self.targets) * self.layout.n_compact)

    def masks(self, magnitude: Tensor) -> Tensor:
        """Compute masks: ``(batch, 1, bins, frames) -> (batch, targets, 1, rows, frames)``."""
        power = self.layout.gather(magnitude[:, 0].square())
        x = self.encode(0.5 * torch.log10(power + POWER_FLOOR).transpose(1, 2)).unsqueeze(0)
        for layer in self.time:
            x = layer(x)
        x = self.decode(self.norm(x)[0]).transpose(1, 2)
        # targets and rows are told apart where no axis of free length is: the export would fix its length
        masks = [each.unsqueeze(1) for each in x.split(self.layout.n_compact, 1)]
        return torch.cat(masks, 1).softmax(1).unsqueeze(2)
