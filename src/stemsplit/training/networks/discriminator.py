"""The discriminator of adversarial training: does a spectrogram show a true stem, or a generated one?

I. Goodfellow et al., "Generative Adversarial Nets", NeurIPS 2014. The shape, four convolutions, 32 dense
units and one linear output, is that of the slides on separating professionally produced music.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from stemsplit.training.networks.bands import BandLayout

WIDTHS = (16, 32, 32, 64)
KERNEL = 5
N_DENSE = 32
POWER_FLOOR = 1e-4  # of a row, added before the logarithm: about -100 dB full scale
LEVEL_SCALE = 4.0  # logarithms of powers are from about -9 to 9


class Discriminator(nn.Module):
    """Scores magnitudes: one for a true stem, zero for a generated one, after training.

    The features of all frames are averaged before the dense units, so spectrograms may have any length.

    Parameters
    ----------
    layout : BandLayout
        Groups of bins, each of which is a row of the input.
    """

    def __init__(self, layout: BandLayout) -> None:
        super().__init__()
        self.layout = layout
        self.convolutions = nn.ModuleList(
            nn.Conv2d(n_in, n_out, KERNEL, 2, KERNEL // 2)
            for n_in, n_out in zip((1, *WIDTHS), WIDTHS, strict=False)
        )
        n_rows = layout.n_compact
        for _ in WIDTHS:
            n_rows = (n_rows + 1) // 2
        self.dense = nn.Linear(WIDTHS[-1] * n_rows, N_DENSE)
        self.score = nn.Linear(N_DENSE, 1)

    def forward(self, magnitude: Tensor) -> Tensor:
        """Compute scores: ``(batch, bins, frames) -> (batch,)``."""
        x = torch.log(self.layout.gather(magnitude.square()) + POWER_FLOOR).unsqueeze(1) / LEVEL_SCALE
        for convolution in self.convolutions:
            x = functional.leaky_relu(convolution(x), 0.2)
        x = functional.leaky_relu(self.dense(x.mean(-1).flatten(1)), 0.2)
        scores: Tensor = self.score(x).squeeze(1)
        return scores
