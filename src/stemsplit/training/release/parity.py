"""Parity of an exported graph with torch, checked by the masks of a few inputs."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from onnx import ModelProto
from torch import Tensor

from stemsplit.errors import ModelError
from stemsplit.training import SAMPLE_RATE
from stemsplit.training.networks.bands import BandLayout
from stemsplit.training.networks.spectra import centred_stft, to_input
from stemsplit.training.release.onnx_graph import large_weights, store_fp16, stream_model
from stemsplit.types import FloatArray

TOLERANCE = 1e-3  # of a mask, and of an estimate relative to its amplitude (-60 dB)


@dataclass(frozen=True)
class ParityCase:
    """An input ``(batch, 4, bins, frames)`` and its masks ``(batch, targets, 2, rows, frames)``."""

    mixture: FloatArray
    masks: FloatArray


@dataclass(frozen=True)
class ParityReference:
    """Masks of a network in torch, for noise at all levels and for a piece of music.

    Parameters
    ----------
    layout : BandLayout
        Bins of each row of a mask.
    noise : sequence of ParityCase
        Noise at several batch sizes and lengths.
    music : ParityCase
        Music, whose level falls with frequency.
    delay_frames : int
        That of the graphs to be compared, see `stemsplit.models.mask_stream`.
    """

    layout: BandLayout
    noise: Sequence[ParityCase]
    music: ParityCase
    delay_frames: int

    @classmethod
    def of(
        cls, masks: Callable[[Tensor], Tensor], layout: BandLayout, *, delay_frames: int
    ) -> "ParityReference":
        """Compute the masks of a network, given as the function from ``mixture`` to ``mask``."""
        generator = torch.Generator().manual_seed(0)
        noise = [
            10 ** torch.linspace(-3, 3, n_frames)
            * torch.randn(n_batch, 4, layout.n_bins, n_frames, generator=generator)
            for n_batch, n_frames in ((1, 3), (3, 31))
        ]
        with torch.inference_mode():
            cases = [ParityCase(each.numpy(), masks(each).numpy()) for each in (*noise, _make_music())]
        return cls(layout, cases[:-1], cases[-1], delay_frames)

    def error(self, model: ModelProto) -> float:
        """Return the largest error of a mask, or of an estimate of the music relative to it.

        NaN if any is NaN.

        Raises
        ------
        ModelError
                The model's masks have another shape.
        """
        pairs = []
        for case in (*self.noise, self.music):
            found = stream_model(model, case.mixture, delay_frames=self.delay_frames)
            if found.shape != case.masks.shape:
                raise ModelError(f"the exported masks have shape {found.shape}, not {case.masks.shape}")
            pairs.append((found, case.masks))
        largest = [np.abs(found - masks).max() for found, masks in pairs]
        return float(np.max([*largest, self._estimate_error(pairs[-1][0])]))

    def _estimate_error(self, masks: FloatArray) -> float:
        """Return the amplitude of the largest error in an estimate of the music, relative to the estimate.

        The energies of the spectrograms suffice, since the inverse STFT does not amplify errors.
        """
        left_re, left_im, right_re, right_im = torch.from_numpy(self.music.mixture).unbind(1)
        bins = torch.stack([left_re**2 + left_im**2, right_re**2 + right_im**2], 1)
        power = self.layout.gather(bins).numpy()[:, None]  # (1, 1, 2, rows, frames)
        error, estimate = (
            (each**2 * power).sum(axis=(0, 2, 3, 4)) for each in (masks - self.music.masks, self.music.masks)
        )
        audible = np.maximum(estimate, 1e-6 * power.sum())  # a target that is absent counts from -60 dB
        return float(np.sqrt(error / audible).max())


class Reference(Protocol):
    """What knows how far a graph is from the network in torch."""

    def error(self, model: ModelProto) -> float:
        """Return the largest error."""


def convert_to_fp16(model: ModelProto, reference: Reference, *, tolerance: float = TOLERANCE) -> ModelProto:
    """Store as many weights as float16 as `tolerance` allows; those with the largest effect stay float32."""
    names = large_weights(model)
    converted = store_fp16(model, names)
    if reference.error(converted) <= tolerance:
        return converted
    effects = {name: reference.error(store_fp16(model, [name])) for name in names}
    # NaN is sorted as the largest effect
    names.sort(key=lambda name: math.inf if math.isnan(effects[name]) else effects[name])
    while names:
        names.pop()
        converted = store_fp16(model, names)
        if reference.error(converted) <= tolerance:
            break
    return converted


def _make_music(duration_s: float = 4.0) -> Tensor:
    """Return the STFT of chords, a bass and a beat, ``(1, 4, bins, frames)``."""
    rng = np.random.default_rng(0)
    time = np.arange(round(duration_s * SAMPLE_RATE)) / SAMPLE_RATE
    notes_hz = (55.0, 220.0, 277.2, 329.6, 440.0)
    tones = [np.sin(2 * np.pi * hz * k * time) / k**1.5 for hz in notes_hz for k in range(1, 20)]
    beat = rng.normal(size=(2, time.size)) * np.exp(-20 * (time % 0.5))
    waveform = 0.1 * (np.sum(tones, axis=0) + beat)
    return to_input(centred_stft(torch.from_numpy(waveform.astype(np.float32)))[None])
