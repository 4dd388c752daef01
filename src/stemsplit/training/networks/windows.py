"""Networks of windows of 200 ms, after Boulter: one window in, what belongs to it out.

A window is 8,820 samples at 44,100 Hz, about as long as the sound of one drum hit, and is normalised to
(-1, 1) by its peak. The windows of a song overlap by half.
"""

from abc import abstractmethod
from collections.abc import Iterable, Sequence
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from stemsplit.training.networks.base import SeparationNetwork, check_targets

WINDOW_SAMPLES = 8820
HOP_SAMPLES = WINDOW_SAMPLES // 2
PEAK_FLOOR = 1e-3  # -60 dB full scale: softer windows count as silence and are not amplified beyond
_TARGETS = ("drums", "accompaniment")
_BATCH = 32  # windows at a call


class WindowNetwork(SeparationNetwork):
    """A network of windows, for one target; the other target is the rest of the mixture.

    Attributes
    ----------
    summary : str
        The network in a few words, for the description of an exported model.
    """

    summary: ClassVar[str]
    n_bins = WINDOW_SAMPLES // 2 + 1

    def __init__(self, targets: Sequence[str]) -> None:
        super().__init__()
        self.targets = check_targets(targets)
        if len(self.targets) != 2:
            raise ValueError(
                f"windows have a target and the rest, such as {', '.join(_TARGETS)}, not {', '.join(targets)}"
            )

    @abstractmethod
    def separate(self, windows: Tensor) -> Tensor:
        """Return the target in windows of a mixture, ``(batch, samples) -> (batch, samples)``."""

    @torch.inference_mode()
    def estimates(self, mixture: Tensor) -> Tensor:
        """Separate a song in windows that overlap by half: ``(2, samples) -> (2, 2, samples)``."""
        n_samples = mixture.shape[-1]
        padded = functional.pad(mixture, (HOP_SAMPLES, HOP_SAMPLES + -n_samples % HOP_SAMPLES))
        windows = padded.unfold(-1, WINDOW_SAMPLES, HOP_SAMPLES)  # (channels, windows, samples)
        found = torch.cat([self.separate(each) for each in torch.split(windows.flatten(0, 1), _BATCH)])
        place = torch.arange(WINDOW_SAMPLES, device=mixture.device)
        fade = (torch.minimum(place, place.flip(0)) + 0.5) / HOP_SAMPLES  # sums to one with its neighbours
        faded = torch.unflatten(found * fade, 0, windows.shape[:2]).transpose(-1, -2)
        joined = functional.fold(faded, (1, padded.shape[-1]), (1, WINDOW_SAMPLES), stride=(1, HOP_SAMPLES))[
            :, 0, 0
        ]
        target = joined[:, HOP_SAMPLES : HOP_SAMPLES + n_samples]
        return torch.stack([target, mixture - target])

    def adapt(self, mixtures: Iterable[Tensor]) -> None:
        """Ignore the mixtures: windows are normalised one by one."""


def cut_windows(waveform: Tensor) -> Tensor:
    """Cut whole windows that do not overlap: ``(..., samples) -> (..., windows, WINDOW_SAMPLES)``."""
    return waveform.unfold(-1, WINDOW_SAMPLES, WINDOW_SAMPLES)


def cut_examples(stems: Tensor, eq_gains: Tensor) -> Tensor:
    """Cut mono windows of training examples and apply their equalisers.

    Parameters
    ----------
    stems : Tensor, shape (batch, targets, 2, samples)
        Waveforms; their channels are averaged.
    eq_gains : Tensor, shape (batch, targets, n_bins)
        Gain per bin of each stem.

    Returns
    -------
    Tensor, shape (batch, targets, windows, WINDOW_SAMPLES)
    """
    spectra = torch.fft.rfft(cut_windows(stems.mean(2)))
    windows: Tensor = torch.fft.irfft(spectra * eq_gains.unsqueeze(2), WINDOW_SAMPLES)
    return windows


def peaks(windows: Tensor) -> Tensor:
    """Return the peak of each window, `PEAK_FLOOR` at least: ``(..., samples) -> (..., 1)``."""
    return windows.abs().amax(-1, keepdim=True).clamp_min(PEAK_FLOOR)


def are_loud(windows: Tensor) -> Tensor:
    """Return whether windows are above `PEAK_FLOOR`: ``(..., samples) -> (...)``."""
    return windows.abs().amax(-1) > PEAK_FLOOR
