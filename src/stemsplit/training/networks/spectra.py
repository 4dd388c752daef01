"""Batches of stems as the network and the loss need them.

Filters, gains and band limits are applied here, in the spectrum, where they cost next to nothing.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from torch import Tensor

from stemsplit.dsp.stft import StftSpec
from stemsplit.training import SPEC
from stemsplit.training.networks.bands import BandLayout, four_powers


@dataclass(frozen=True)
class Batch:
    """What a training step needs, on the compact axis.

    With a mask ``m`` that is the same for all bins of a group, the error energy of a group is
    ``sum |m X - S|^2 = m^2 sum |X|^2 - 2 m sum Re(X S*) + sum |S|^2``: three sums say it exactly.

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
    """The window of the analysis or the synthesis; kept, as a GPU would be waited for at each call."""
    with torch.inference_mode(False):  # training could not use what inference has made
        return torch.from_numpy(getattr(spec, kind)).to(device)


def transform(waveform: Tensor, spec: StftSpec = SPEC) -> Tensor:
    """Frames that lie wholly inside a waveform: ``(..., samples) -> (..., bins, frames)`` complex."""
    window = _window(spec, "analysis", waveform.device)
    frames = waveform.unfold(-1, spec.n_fft, spec.hop_length)
    spectra: Tensor = torch.fft.rfft(frames * window)
    return spectra.transpose(-1, -2)


def whole_transform(waveform: Tensor, spec: StftSpec = SPEC) -> Tensor:
    """Every frame of a song, as inference sees it: ``(..., samples) -> (..., bins, frames)``."""
    n_samples = waveform.shape[-1]
    length = (spec.n_frames(n_samples) - 1) * spec.hop_length + spec.n_fft
    padding = (spec.padding, length - spec.padding - n_samples)
    return transform(torch.nn.functional.pad(waveform, padding), spec)


def inverse(spectra: Tensor, n_samples: int, spec: StftSpec = SPEC) -> Tensor:
    """Undo `whole_transform`: ``(..., bins, frames) -> (..., n_samples)``."""
    window = _window(spec, "synthesis", spectra.device)
    frames = torch.fft.irfft(spectra.transpose(-1, -2), spec.n_fft) * window
    flat = frames.flatten(0, -3).transpose(-1, -2)  # (rows, n_fft, frames)
    length = (frames.shape[-2] - 1) * spec.hop_length + spec.n_fft
    summed = torch.nn.functional.fold(flat, (1, length), (1, spec.n_fft), stride=(1, spec.hop_length))
    waveform = summed.reshape(*frames.shape[:-2], length)
    return waveform[..., spec.padding : spec.padding + n_samples]


def as_input(mixture: Tensor) -> Tensor:
    """``(batch, 2, bins, frames)`` complex as ``(batch, 4, bins, frames)``: L re, L im, R re, R im."""
    return torch.view_as_real(mixture).permute(0, 1, 4, 2, 3).flatten(1, 2)


def make_batch(
    layout: BandLayout, stems: Tensor, known: Tensor, colour: Tensor, *, keep_spectra: bool = False
) -> Batch:
    """Mix stems and take the sums that network and loss need.

    Parameters
    ----------
    layout : BandLayout
        How bins are grouped.
    stems : Tensor, shape (batch, targets, 2, samples)
        Waveforms.
    known : Tensor, shape (batch, targets)
        One where the loss counts.
    colour : Tensor, shape (batch, targets, bins)
        Gain per bin of each stem, from `draw_colours`.
    keep_spectra : bool
        Whether the batch holds the stems' spectra too.
    """
    sums, kept = [], []
    # one by one they stay in the cache of a processor; a GPU wants them all at once
    at_once = len(stems) if stems.is_cuda else 1
    for waveforms, gain in zip(torch.split(stems, at_once), torch.split(colour, at_once), strict=True):
        spectra = transform(waveforms).transpose(-1, -2)  # (examples, targets, 2, frames, bins)
        spectra *= gain[:, :, None, None, :]
        sums.append(_sums(layout, spectra))
        if keep_spectra:
            kept.append(spectra)
    powers, mixture, cross, energy = (torch.cat(each) for each in zip(*sums, strict=True))
    return Batch(
        powers, mixture.unsqueeze(1), cross, energy, known, torch.cat(kept) if keep_spectra else None
    )


def _sums(layout: BandLayout, spectra: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Powers, mixture, cross and energy of some examples; frames before bins, as they lie in memory."""
    mixture = spectra.sum(1)
    cross = _product(spectra, mixture.unsqueeze(1))
    side = _product(*2 * [mixture[:, 0] - mixture[:, 1]]) / 2
    sums = [layout.gather(each.transpose(-1, -2)) for each in (cross, side)]
    power = sums[0].sum(1)  # Re(X X*) = sum over the stems of Re(X S*)
    powers = four_powers(power[:, 0], power[:, 1], sums[1])
    return powers, power, sums[0], torch.view_as_real(spectra).square().sum((2, 3, 4, 5))


def _product(one: Tensor, other: Tensor) -> Tensor:
    """``Re(x y*)``; written out, because a sum along an axis of two is slow."""
    return torch.addcmul(one.real * other.real, one.imag, other.imag)


def draw_colours(rng: np.random.Generator, n_examples: int, n_targets: int, n_bins: int) -> Tensor:
    """Random smooth equaliser curves: of each stem, and of all together; a gain, a band limit now and then.

    The curves are the same for any `n_bins` from 0 Hz to half the sample rate.

    Returns
    -------
    Tensor, shape (n_examples, n_targets, n_bins)
        Gains.
    """
    octaves = np.log2(np.maximum(np.arange(n_bins) / n_bins, 2e-3)) / 9 + 1  # 0 low, 1 high
    waves = np.stack([np.cos(np.pi * k * octaves) for k in range(1, 7)])
    spread_db = 2.5 / np.arange(1, 7) ** 0.5
    own = rng.normal(0, 1, (n_examples, n_targets, 6)) * (rng.random((n_examples, n_targets, 1)) < 0.7)
    # whole records differ in tone more than one curve on each stem makes them
    shared = rng.normal(0, 1, (n_examples, 1, 6))
    gain_db = (own + shared) * spread_db @ waves + rng.uniform(-14, 6, (n_examples, 1, 1))
    gain = 10 ** (gain_db / 20)
    for example in range(n_examples):
        if rng.random() < 0.15:  # as lossy files are
            gain[example, :, round(rng.uniform(0.5, 0.95) * n_bins) :] *= 1e-3
    return torch.from_numpy(gain.astype(np.float32))
