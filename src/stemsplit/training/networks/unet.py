"""A U-Net over magnitudes for one target, after the slides on adversarial training.

O. Ronneberger, P. Fischer and T. Brox, "U-Net: Convolutional Networks for Biomedical Image Segmentation",
MICCAI 2015; A. Jansson et al., "Singing Voice Separation with Deep U-Net Convolutional Networks", ISMIR 2017,
has the U-Net of strided convolutions whose output is a mask.
"""

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from stemsplit.dsp.stft import StftSpec
from stemsplit.training.networks.bands import BandLayout
from stemsplit.training.networks.base import check_targets
from stemsplit.training.networks.loss import relative_squared_error
from stemsplit.training.networks.mask_network import MaskNetwork
from stemsplit.training.networks.spectra import stft

UNET_SPEC = StftSpec(2048, 1024)
POWER_FLOOR = 1e-4  # of a row, added before the logarithm: about -100 dB full scale
KERNEL = 5
N_LEVELS = 4


class UNetMasks(MaskNetwork):
    """One mask from an encoder and a decoder of four strided convolutions each; the rest has its complement.

    The convolutions halve and double the frequency axis only, so that a mask depends on no position in time
    beyond its neighbouring frames.

    Parameters
    ----------
    n_features : int
        Features of the first level; the levels below have two, three and four times as many.
    targets : sequence of str
        What is separated, and the rest: two names.
    """

    name = "unet"
    end_modules = ("down", "up")
    spec = UNET_SPEC
    n_bins = UNET_SPEC.n_bins
    context_s = 0.5
    summary = "a U-Net over magnitudes"
    input_mean: Tensor
    input_scale: Tensor

    def __init__(self, *, n_features: int = 16, targets: Sequence[str] = ("drums", "accompaniment")) -> None:
        super().__init__()
        self.targets = check_targets(targets)
        if len(self.targets) != 2:
            raise ValueError(f"targets must be a target and the rest, not {', '.join(self.targets)}")
        self.options = {"n_features": n_features, "targets": list(self.targets)}
        # single bins up to 4.3 kHz, then groups of 8 (172 Hz): 304 rows, which can be halved four times
        self.layout = BandLayout(n_bins=self.n_bins, group=8, bands=((304, 1),))
        self.register_buffer("input_mean", torch.zeros(self.layout.n_compact))
        self.register_buffer("input_scale", torch.ones(self.layout.n_compact))
        widths = [n_features * level for level in range(1, N_LEVELS + 1)]
        self.down = nn.ModuleList(
            _normalised(nn.Conv2d(n_in, n_out, KERNEL, (2, 1), KERNEL // 2, bias=False), n_out)
            for n_in, n_out in zip((1, *widths), widths, strict=False)
        )
        # all but the lowest level also read the features of the way down
        self.up = nn.ModuleList(
            _normalised(
                _upward(widths[level] * (1 if level == N_LEVELS - 1 else 2), widths[level - 1]),
                widths[level - 1],
            )
            for level in reversed(range(1, N_LEVELS))
        )
        self.mask_of = _upward(2 * widths[0], 1, bias=True)

    def masks(self, magnitude: Tensor) -> Tensor:
        """Compute masks: ``(batch, 1, bins, frames) -> (batch, 2, 1, rows, frames)``."""
        levels = torch.log(self.layout.gather(magnitude.square()) + POWER_FLOOR)
        x = (levels - self.input_mean[:, None]) * self.input_scale[:, None]
        kept = []
        for block in self.down:
            x = functional.leaky_relu(block(x), 0.2)
            kept.append(x)
        kept.pop()
        for block in self.up:
            x = torch.cat([functional.relu(block(x)), kept.pop()], 1)
        mask = torch.sigmoid(self.mask_of(x).float())
        return torch.stack([mask, 1 - mask], 1)

    def error(self, found: Tensor, references: Tensor, mixture: Tensor, known: Tensor) -> Tensor:
        """Compute the squared error of the first target's magnitudes, relative to the mixture."""
        return relative_squared_error(found[:, :1], references[:, :1], mixture, known[:, :1])

    def adapt(self, mixtures: Iterable[Tensor]) -> None:
        """Set the input's offset and scale to the mean and deviation of each row of mono mixtures."""
        powers = [stft(mixture.mean(0), self.spec).abs().square() for mixture in mixtures]
        levels = torch.cat([torch.log(self.layout.gather(each) + POWER_FLOOR) for each in powers], -1)
        deviation, mean = torch.std_mean(levels, -1, correction=0)
        self.load_state_dict({"input_mean": mean, "input_scale": 1 / deviation.clamp_min(0.1)}, strict=False)


def _upward(n_in: int, n_out: int, *, bias: bool = False) -> nn.ConvTranspose2d:
    """Return the convolution that doubles the frequency axis and keeps the frames."""
    return nn.ConvTranspose2d(n_in, n_out, KERNEL, (2, 1), KERNEL // 2, output_padding=(1, 0), bias=bias)


def _normalised(convolution: nn.Module, n_out: int) -> nn.Sequential:
    return nn.Sequential(convolution, nn.BatchNorm2d(n_out))
