"""An asymmetric U-Net with a mask each for real and imaginary part, after Laly's "DANN".

It separates vocals, drums and bass at 8.8 kHz, from 88 frames (10 s) at a call. The rest is ``other``.
O. Ronneberger, P. Fischer and T. Brox, "U-Net: Convolutional Networks for Biomedical Image Segmentation",
MICCAI 2015, has skip connections by concatenation.
"""

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from stemsplit.dsp.stft import StftSpec
from stemsplit.training import SAMPLE_RATE, TARGETS
from stemsplit.training.networks.base import SeparationNetwork, check_targets
from stemsplit.training.networks.loss import decibels_of_error
from stemsplit.training.networks.precision import autocast
from stemsplit.training.networks.spectra import centred_stft, inverse_stft, stft

DANN_RATE = 8800
DANN_SPEC = StftSpec(2048, 1024, analysis_window="hamming", synthesis_window="hamming")
N_FRAMES = 88
POWER_FLOOR = 1e-8  # of a bin beside the mean power of its chunk
LOSSES = ("decibels", "absolute")
# by which each level is smaller than the one above, in bins and in frames; a row of the lowest has 1.1 kHz
SCALES = ((2, 2), (2, 2), (2, 2), (4, 1), (4, 1))
SKIPS = ("2", "3", "2+3")


class Block(nn.Sequential):
    """Convolutions of 3 x 3 with batch normalisation and ReLU, ``n_layers`` of them."""

    def __init__(self, n_in: int, n_out: int, n_layers: int) -> None:
        layers: list[nn.Module] = []
        for n_input in (n_in, *[n_out] * (n_layers - 1)):
            layers += [nn.Conv2d(n_input, n_out, 3, padding=1, bias=False), nn.BatchNorm2d(n_out), nn.ReLU()]
        super().__init__(*layers)


class Dann(SeparationNetwork):
    """Masks for the real and the imaginary part of all targets but the last, which is the remainder.

    Parameters
    ----------
    n_features : int
        Features of the first level; the second has twice, those below it four times as many.
    n_levels : int
        Number of levels, 3 to 5.
    skip : str
        Levels whose features are concatenated on the way up: ``2``, ``3`` or ``2+3``, counted from the top.
    compression : float
        Exponent of the magnitudes of the input, above 0. At 1, the input as it is, loud bins hide soft ones.
    position : bool
        Whether the input has the frequency of each bin, which convolutions do not know.
    loss : str
        ``decibels``, the squared error of every stem in dB, or ``absolute``, the mean absolute error of all
        stems but the last, as in the report.
    targets : sequence of str
        What is separated; the last is the mixture less all others.
    """

    name = "dann"
    end_modules = ("down", "masks_of")
    summary = "a U-Net with masks for real and imaginary part, at 8.8 kHz"
    # equaliser curves span the band of the examples, of which the network has the lowest fifth
    n_bins = round((DANN_SPEC.n_bins - 1) * SAMPLE_RATE / DANN_RATE) + 1

    def __init__(
        self,
        *,
        n_features: int = 16,
        n_levels: int = 5,
        skip: str = "2+3",
        compression: float = 0.3,
        position: bool = True,
        loss: str = "decibels",
        targets: Sequence[str] = TARGETS,
    ) -> None:
        super().__init__()
        self.targets = check_targets(targets)
        if str(skip) not in SKIPS:
            raise ValueError(f"skip is {skip!r}; it must be {', '.join(SKIPS)}")
        if not 0 < compression <= 1:
            raise ValueError(f"compression is {compression}; it must be above 0 and at most 1")
        if not 3 <= n_levels <= len(SCALES):
            raise ValueError(f"n_levels is {n_levels}; it must be from 3 to {len(SCALES)}")
        if loss not in LOSSES:
            raise ValueError(f"loss is {loss!r}; it must be {' or '.join(LOSSES)}")
        self.options = {"n_features": n_features, "n_levels": n_levels, "skip": str(skip)}
        self.options |= {"compression": compression, "position": position, "loss": loss}
        self.options |= {"targets": list(self.targets)}
        self._loss = loss
        self._compression, self._has_position = compression, position
        self._skips = {int(level) for level in str(skip).split("+")}
        widths = [n_features * min(4, 2**level) for level in range(n_levels)]
        n_inputs = 3 if position else 2
        self.down = nn.ModuleList(
            Block(n_in, n_out, 2) for n_in, n_out in zip((n_inputs, *widths[:-1]), widths, strict=True)
        )
        self.bottom = Block(widths[-1], widths[-1], 1)
        # one convolution a level on the way up, two on the way down: the asymmetry
        self.up = nn.ModuleList(
            Block(below + (width if level in self._skips else 0), above, 1)
            for level, below, width, above in reversed(
                [*zip(range(1, n_levels + 1), widths, widths, (widths[0], *widths[:-1]), strict=True)]
            )
        )
        n_masks = 2 * (len(self.targets) - 1)
        self.masks_of = nn.Conv2d(widths[0], n_masks, 1)
        assert self.masks_of.bias is not None
        nn.init.zeros_(self.masks_of.weight)
        nn.init.constant_(self.masks_of.bias, 1 / len(self.targets))
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload] # faster on CPUs

    def forward(self, mixture: Tensor) -> Tensor:
        """Compute spectrograms, real and imaginary part, of all targets but the last.

        ``(batch, 2, bins, frames) -> (batch, targets - 1, 2, bins, frames)``, with `N_FRAMES` frames.
        """
        # what is loud and what is soft has the same masks
        rms = mixture.square().mean((1, 2, 3), keepdim=True).sqrt() + 1e-5
        x, kept = self._input((mixture / rms)[:, :, :-1]), []  # an even number of bins
        scales = SCALES[: len(self.down)]
        for block, scale in zip(self.down, scales, strict=True):
            kept.append(block(x))
            x = functional.max_pool2d(kept[-1], scale)
        x = self.bottom(x)
        for block, (level, scale) in zip(self.up, reversed([*enumerate(scales, 1)]), strict=True):
            x = functional.interpolate(x, scale_factor=scale, mode="bilinear", align_corners=False)
            x = block(torch.cat([x, kept[level - 1]], 1) if level in self._skips else x)
        masks = functional.pad(self.masks_of(x).float(), (0, 0, 0, 1), mode="replicate")
        return torch.unflatten(masks, 1, (-1, 2)) * mixture.unsqueeze(1)

    def _input(self, parts: Tensor) -> Tensor:
        """Compress the magnitudes of real and imaginary parts, and add where each bin lies, from -1 to 1."""
        exponent = (self._compression - 1) / 2
        # in units of the floor: the exporter of ONNX drops the addition of a number as small as that
        power = parts.square().sum(1, keepdim=True) / POWER_FLOOR + 1
        compressed: Tensor = parts * power**exponent * POWER_FLOOR**exponent
        if not self._has_position:
            return compressed
        position = torch.linspace(-1, 1, parts.shape[2], device=parts.device)
        return torch.cat([compressed, position[:, None].expand_as(parts[:, :1])], 1)

    def loss(self, stems: Tensor, known: Tensor, eq_gains: Tensor) -> Tensor:
        """Compute the error of both parts, relative to the mixture."""
        with torch.no_grad():
            mono = resample(stems.mean(2), DANN_RATE)
            spectra = stft(mono, DANN_SPEC)[..., :N_FRAMES] * eq_gains[:, :, : DANN_SPEC.n_bins, None]
            references = to_parts(spectra)
            mixture = references.sum(1)
        with autocast(stems.device.type):
            found = self(mixture)
        if self._loss == "absolute":
            return relative_absolute_error(found, references[:, :-1], mixture, known[:, :-1])
        whole = torch.cat([found, mixture.unsqueeze(1) - found.sum(1, keepdim=True)], 1)
        return decibels_of_error(whole.flatten(2, 3), references.flatten(2, 3), mixture.flatten(1, 2), known)

    @torch.inference_mode()
    def estimates(self, mixture: Tensor) -> Tensor:
        """Separate each channel of a song; the band above 4.4 kHz is in the last target."""
        low = resample(mixture, DANN_RATE)
        spectrum = to_parts(centred_stft(low, DANN_SPEC))  # (channels, 2, bins, frames)
        n_frames = spectrum.shape[-1]
        padded = functional.pad(spectrum, (0, -n_frames % N_FRAMES))
        pieces = [self(piece) for piece in torch.split(padded, N_FRAMES, -1)]
        found = torch.cat(pieces, -1)[..., :n_frames].transpose(0, 1)
        parts = torch.complex(found[:, :, 0], found[:, :, 1])  # (targets - 1, channels, bins, frames)
        waveforms = resample(inverse_stft(parts, low.shape[-1], DANN_SPEC), SAMPLE_RATE, mixture.shape[-1])
        return torch.cat([waveforms, (mixture - waveforms.sum(0)).unsqueeze(0)])

    def adapt(self, mixtures: Iterable[Tensor]) -> None:
        """Ignore the mixtures: batch normalisation has statistics of its own."""


def to_parts(spectra: Tensor) -> Tensor:
    """Convert complex ``(batch, ..., bins, frames)`` to ``(batch, ..., 2, bins, frames)``."""
    return torch.view_as_real(spectra).movedim(-1, -3)


def relative_absolute_error(found: Tensor, references: Tensor, mixture: Tensor, known: Tensor) -> Tensor:
    """Return the absolute error of parts relative to the mixture's, a mean over known stems.

    Parameters
    ----------
    found, references : Tensor, shape (batch, targets, 2, bins, frames)
        Estimated and true parts.
    mixture : Tensor, shape (batch, 2, bins, frames)
        Parts of the mixture.
    known : Tensor, shape (batch, targets)
        One where the loss counts.
    """
    whole = mixture.abs().mean((1, 2, 3)).unsqueeze(1) + 1e-5
    error = (found - references).abs().mean((2, 3, 4)) / whole
    return (error * known).sum() / known.sum().clamp_min(1)


def resample(waveform: Tensor, to_hz: int, n_samples: int | None = None) -> Tensor:
    """Resample ``(..., samples)`` by its spectrum, from or to the rate of the examples.

    Parameters
    ----------
    waveform : Tensor
        At 44,100 Hz where `to_hz` is `DANN_RATE`, else at that.
    to_hz : int
        The other rate.
    n_samples : int, optional
        Length of the result, where rounding leaves a choice.
    """
    from_hz = SAMPLE_RATE if to_hz == DANN_RATE else DANN_RATE
    length = waveform.shape[-1]
    wanted = round(length * to_hz / from_hz) if n_samples is None else n_samples
    spectrum = torch.fft.rfft(waveform)
    n_kept = min(length, wanted) // 2 + 1
    resampled: Tensor = torch.fft.irfft(spectrum[..., :n_kept], wanted) * (wanted / length)
    return resampled
