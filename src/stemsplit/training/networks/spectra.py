"""Batches of stems in the form that network and loss need.

Equalisers, gains and band limits are applied here, to the spectrum, where they cost little.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from torch import Tensor

from stemsplit.dsp.stft import StftSpec
from stemsplit.training import SPEC
from stemsplit.training.networks.bands import BandLayout, stereo_powers


@dataclass(frozen=True)
class Batch:
    """Inputs of a training step, on the compact axis.

    With a mask ``m`` that is the same for all bins of a group, the error energy of a group is
    ``sum |m X - S|^2 = m^2 sum |X|^2 - 2 m sum Re(X S*) + sum |S|^2``: three sums determine it exactly.

    Parameters
    ----------
    powers : Tensor, shape (batch, 4, compact, frames)
        Input of `BandSplit.masks`.
    mixture : Tensor, shape (batch, 1, 2, compact, frames)
        ``sum |X|^2``.
    cross : Tensor, shape (batch, targets, 2, compact, frames)
        ``sum Re(X S*)``.
    energy : Tensor, shape (batch, targets)
        ``sum |S|^2`` of each stem.
    known : Tensor, shape (batch, targets)
        One where the loss counts, else zero.
    spectra : Tensor, shape (batch, targets, 2, frames, bins), optional
        The stems, complex, for losses that need more than sums.
    """

    powers: Tensor
    mixture: Tensor
    cross: Tensor
    energy: Tensor
    known: Tensor
    spectra: Tensor | None = None


@cache
def _window(spec: StftSpec, kind: str, device: torch.device) -> Tensor:
    """Return the window of analysis or synthesis.

    It is cached, since copying it to a GPU stalls every call.
    """
    with torch.inference_mode(False):  # tensors made in inference mode cannot be used in training
        return torch.from_numpy(getattr(spec, kind)).to(device)


def stft(waveform: Tensor, spec: StftSpec = SPEC) -> Tensor:
    """Transform the frames that lie entirely inside a waveform.

    ``(..., samples) -> (..., bins, frames)`` complex.
    """
    window = _window(spec, "analysis", waveform.device)
    frames = waveform.unfold(-1, spec.n_fft, spec.hop_length)
    spectra: Tensor = torch.fft.rfft(frames * window)
    return spectra.transpose(-1, -2)


def centred_stft(waveform: Tensor, spec: StftSpec = SPEC) -> Tensor:
    """Transform every frame of a song, padded as in inference: ``(..., samples) -> (..., bins, frames)``."""
    n_samples = waveform.shape[-1]
    length = (spec.n_frames(n_samples) - 1) * spec.hop_length + spec.n_fft
    padding = (spec.padding, length - spec.padding - n_samples)
    return stft(torch.nn.functional.pad(waveform, padding), spec)


def inverse_stft(spectra: Tensor, n_samples: int, spec: StftSpec = SPEC) -> Tensor:
    """Invert `centred_stft`: ``(..., bins, frames) -> (..., n_samples)``."""
    window = _window(spec, "synthesis", spectra.device)
    frames = torch.fft.irfft(spectra.transpose(-1, -2), spec.n_fft) * window
    flat = frames.flatten(0, -3).transpose(-1, -2)  # (rows, n_fft, frames)
    length = (frames.shape[-2] - 1) * spec.hop_length + spec.n_fft
    summed = torch.nn.functional.fold(flat, (1, length), (1, spec.n_fft), stride=(1, spec.hop_length))
    waveform = summed.reshape(*frames.shape[:-2], length)
    return waveform[..., spec.padding : spec.padding + n_samples]


def turn(stereo: Tensor) -> Tensor:
    """Turn left and right into mid and side or back, ``(..., 2, samples)``; energies are kept."""
    first, second = stereo.unbind(-2)
    return torch.stack([first + second, first - second], -2) / 2**0.5


def to_input(mixture: Tensor) -> Tensor:
    """Convert complex ``(batch, 2, bins, frames)`` to ``(batch, 4, bins, frames)``.

    L re, L im, R re, R im.
    """
    return torch.view_as_real(mixture).permute(0, 1, 4, 2, 3).flatten(1, 2)


def make_batch(
    layout: BandLayout,
    stems: Tensor,
    known: Tensor,
    eq_gains: Tensor,
    *,
    is_mid_side: bool = False,
    keep_spectra: bool = False,
) -> Batch:
    """Mix stems and compute the sums that network and loss need.

    Parameters
    ----------
    layout : BandLayout
        Groups of bins.
    stems : Tensor, shape (batch, targets, 2, samples)
        Waveforms.
    known : Tensor, shape (batch, targets)
        One where the loss counts.
    eq_gains : Tensor, shape (batch, targets, bins)
        Gain per bin of each stem, from `draw_eq_gains`.
    is_mid_side : bool
        Whether the channels of the stems are mid and side.
    keep_spectra : bool
        Whether the batch contains the spectra of the stems.
    """
    sums, kept = [], []
    # single examples fit into the cache of a processor; a GPU processes all of them at once
    n_at_once = len(stems) if stems.is_cuda else 1
    for waveforms, gain in zip(torch.split(stems, n_at_once), torch.split(eq_gains, n_at_once), strict=True):
        spectra = stft(waveforms).transpose(-1, -2)  # (examples, targets, 2, frames, bins)
        spectra *= gain[:, :, None, None, :]
        sums.append(_compute_sums(layout, spectra, is_mid_side=is_mid_side))
        if keep_spectra:
            kept.append(spectra)
    powers, mixture, cross, energy = (torch.cat(each) for each in zip(*sums, strict=True))
    return Batch(
        powers, mixture.unsqueeze(1), cross, energy, known, torch.cat(kept) if keep_spectra else None
    )


def _compute_sums(
    layout: BandLayout, spectra: Tensor, *, is_mid_side: bool
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return powers, mixture, cross and energy of some examples; frames precede bins, as in memory."""
    mixture = spectra.sum(1)
    cross = _product(spectra, mixture.unsqueeze(1))
    difference = _product(*2 * [mixture[:, 0] - mixture[:, 1]]) / 2
    sums = [layout.gather(each.transpose(-1, -2)) for each in (cross, difference)]
    power = sums[0].sum(1)  # Re(X X*) = sum over the stems of Re(X S*)
    powers = stereo_powers(power[:, 0], power[:, 1], sums[1], is_mid_side=is_mid_side)
    return powers, power, sums[0], torch.view_as_real(spectra).square().sum((2, 3, 4, 5))


def _product(one: Tensor, other: Tensor) -> Tensor:
    """Compute ``Re(x y*)``, written out because a sum along an axis of length two is slow."""
    return torch.addcmul(one.real * other.real, one.imag, other.imag)


def draw_eq_gains(rng: np.random.Generator, n_examples: int, n_targets: int, n_bins: int) -> Tensor:
    """Draw random smooth equaliser curves, of each stem and of all stems, and occasional band limits.

    The curves do not depend on `n_bins`: they span 0 Hz to half the sample rate.

    Returns
    -------
    Tensor, shape (n_examples, n_targets, n_bins)
        Gains.
    """
    octaves = np.log2(np.maximum(np.arange(n_bins) / n_bins, 2e-3)) / 9 + 1  # 0 low, 1 high
    waves = np.stack([np.cos(np.pi * k * octaves) for k in range(1, 7)])
    spread_db = 2.5 / np.arange(1, 7) ** 0.5
    own = rng.normal(0, 1, (n_examples, n_targets, 6)) * (rng.random((n_examples, n_targets, 1)) < 0.7)
    # records differ more in tone than independent curves of their stems would
    shared = rng.normal(0, 1, (n_examples, 1, 6))
    gain_db = (own + shared) * spread_db @ waves + rng.uniform(-14, 6, (n_examples, 1, 1))
    gain = 10 ** (gain_db / 20)
    for example in range(n_examples):
        if rng.random() < 0.15:  # the band limit of lossy files
            gain[example, :, round(rng.uniform(0.5, 0.95) * n_bins) :] *= 1e-3
    return torch.from_numpy(gain.astype(np.float32))
