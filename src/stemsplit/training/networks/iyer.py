"""Networks of single instruments of an ensemble, after Iyer's preparer, detector and regenerator.

Each of the instruments has a network of its own, with the layers of the work; one module runs all of them at
once, by grouped convolutions. Their input is an image of magnitudes, 128 rows by 128 frames (10 s); they
estimate that of the instrument, which becomes a mask for the mixture.
"""

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from stemsplit.dsp.stft import StftSpec
from stemsplit.training import ORCHESTRA, SAMPLE_RATE
from stemsplit.training.networks.base import SeparationNetwork, check_targets
from stemsplit.training.networks.rows import MelRows
from stemsplit.training.networks.spectra import centred_stft, inverse_stft

IYER_SPEC = StftSpec(6912, 3456)
N_FRAMES = 128  # 10 s
N_ROWS = 128
N_STEPS = 64  # of the activity timeline
N_FILTERS = 16
_N_DETECTED = 32 * 25  # what the detector's convolution leaves of 64 x 64
_FLOOR = 1e-5


class Iyer(SeparationNetwork):
    """Magnitudes of single instruments of an ensemble.

    Parameters
    ----------
    targets : sequence of str
        The instruments.
    absent : float
        Share of the instruments that are not in a mixture which the loss counts nevertheless: their magnitude
        is zero. The work has mixtures with the instrument only: 0.
    activity : float
        Weight of the squared error of the timelines against where the instruments play. The work trains them
        by the magnitudes alone: 0.
    """

    name = "iyer"
    end_modules = ("prepare", "regenerate")
    uses_autocast = False
    summary = "networks of a preparer, a detector and a regenerator for each instrument"
    n_bins = N_ROWS

    def __init__(
        self, *, targets: Sequence[str] = ORCHESTRA, absent: float = 0.1, activity: float = 0.1
    ) -> None:
        super().__init__()
        self.targets = check_targets(targets)
        for name, value in (("absent", absent), ("activity", activity)):
            if not 0 <= value <= 1:
                raise ValueError(f"{name} is {value}; it must be from 0 to 1")
        self.options = {"targets": list(self.targets), "absent": absent, "activity": activity}
        self.rows = MelRows(N_ROWS, IYER_SPEC.n_bins, SAMPLE_RATE)
        n = len(self.targets)
        self.prepare = nn.Conv2d(1, N_FILTERS * n, 5, stride=2, padding=2)
        self.prepare_more = nn.Conv2d(N_FILTERS * n, N_FILTERS * n, 3, padding=1, groups=n)
        self.detect = nn.Conv2d(N_FILTERS * n, n, (16, 2), stride=2, groups=n)  # 16 rows, 2 frames
        self.timeline_weight = nn.Parameter(torch.randn(n, _N_DETECTED, N_STEPS) / _N_DETECTED**0.5)
        self.timeline_bias = nn.Parameter(torch.full((n, N_STEPS), 0.5))
        self.regenerate = nn.ConvTranspose2d(
            N_FILTERS * n, n, 5, stride=2, padding=2, output_padding=1, groups=n
        )
        assert self.regenerate.bias is not None
        nn.init.constant_(self.regenerate.bias, 0.05)  # a ReLU that is zero everywhere never learns

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Estimate magnitudes and timelines of all instruments.

        ``(batch, rows, frames) -> (batch, targets, rows, frames), (batch, targets, steps)``, both of them
        relative to the level of the image, see `normalise`.
        """
        return self._estimate(image, 0, len(self.targets))

    def _estimate(self, image: Tensor, first: int, last: int) -> tuple[Tensor, Tensor]:
        """Run the networks of some instruments, from `first` to before `last`."""
        n, own = last - first, slice(first, last)
        filters = slice(N_FILTERS * first, N_FILTERS * last)
        conv, elu = functional.conv2d, functional.elu
        x = elu(conv(image.unsqueeze(1), *_part(self.prepare, filters), stride=2, padding=2))
        x = elu(conv(x, *_part(self.prepare_more, filters), padding=1, groups=n))
        # (batch, targets * filters, rows / 2, frames / 2)
        found = elu(conv(x, *_part(self.detect, own), stride=2, groups=n)).flatten(2)
        timeline = torch.einsum("bti,tij->btj", found, self.timeline_weight[own]) + self.timeline_bias[own]
        timeline = elu(timeline)
        gates = timeline.repeat_interleave(N_FILTERS, 1).unsqueeze(2)  # (batch, targets * filters, 1, steps)
        assert self.regenerate.bias is not None
        magnitudes = functional.conv_transpose2d(
            x * gates,
            self.regenerate.weight[filters],
            self.regenerate.bias[own],
            stride=2,
            padding=2,
            output_padding=1,
            groups=n,
        )
        return functional.relu(magnitudes), timeline

    def loss(self, stems: Tensor, known: Tensor, eq_gains: Tensor) -> Tensor:  # noqa: ARG002 - see below
        """Compute the mean squared error of magnitudes relative to the level of the mixture.

        Parameters
        ----------
        stems : Tensor, shape (batch, targets + 1, rows, frames)
            Images of the instruments and, last, of the mixture, see `fit.power_set`.
        known : Tensor, shape (batch, targets)
            One where the instrument is in the mixture.
        eq_gains : Tensor
            Not used: the image of a sum is not the sum of the images.
        """
        image, level = normalise(stems[:, -1])
        counted = (known > 0) | (torch.rand_like(known) < self.options["absent"])
        errors = [image.new_zeros(0)]
        for place, is_counted in enumerate(counted.unbind(1)):
            chosen = is_counted.nonzero().flatten()
            if len(chosen):
                reference = (stems[chosen, place] / level[chosen]).unsqueeze(1)
                found, timeline = self._estimate(image[chosen], place, place + 1)
                missed = (timeline - played(reference)).square().mean((1, 2))
                errors.append(
                    (found - reference).square().mean((1, 2, 3)) + self.options["activity"] * missed
                )
        return torch.cat(errors).mean()

    def masks(self, magnitude: Tensor) -> tuple[Tensor, Tensor]:
        """Compute masks and timelines of `N_FRAMES` frames.

        ``(batch, bins, frames) -> (batch, targets, bins, frames), (batch, targets, steps)``, all from 0 to 1.
        """
        image, _ = normalise(self.rows.gather(magnitude.square()).sqrt())
        found, timeline = self(image)
        masks = self.rows.expand((found / (image.unsqueeze(1) + _FLOOR)).clamp(0, 1))
        return masks, timeline.clamp(0, 1)

    @torch.inference_mode()
    def estimates(self, mixture: Tensor) -> Tensor:
        """Separate each channel of a song by masks: ``(2, samples) -> (targets, 2, samples)``."""
        spectrum = centred_stft(mixture, IYER_SPEC)  # (2, bins, frames)
        n_frames = spectrum.shape[-1]
        padded = functional.pad(spectrum, (0, -n_frames % N_FRAMES))
        masks = [self.masks(piece.abs())[0] for piece in torch.split(padded, N_FRAMES, -1)]
        found = torch.cat(masks, -1)[..., :n_frames].transpose(0, 1) * spectrum
        return inverse_stft(found, mixture.shape[-1], IYER_SPEC)

    def adapt(self, mixtures: Iterable[Tensor]) -> None:
        """Ignore the mixtures: an image is divided by its own level."""


def normalise(image: Tensor) -> tuple[Tensor, Tensor]:
    """Divide images ``(batch, rows, frames)`` by their root mean squares, which are returned as well."""
    level = image.square().mean((1, 2), keepdim=True).sqrt() + _FLOOR
    return image / level, level


def played(references: Tensor) -> Tensor:
    """Return where instruments play: ``(batch, targets, rows, frames) -> (batch, targets, steps)``, 0 or 1.

    A step counts whose power is above -30 dB of the mean power of the mixture, to which `references` relate.
    """
    power = references.square().mean(2)
    steps = torch.unflatten(power, 2, (N_STEPS, -1)).mean(-1)
    return (steps > 1e-3).to(references)


def _part(layer: nn.Conv2d, outputs: slice) -> tuple[Tensor, Tensor]:
    """Return weight and bias of some outputs of a layer."""
    assert layer.bias is not None
    return layer.weight[outputs], layer.bias[outputs]
