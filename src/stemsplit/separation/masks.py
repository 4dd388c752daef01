"""Masks: computing them for any number of channels, and applying them to a spectrogram."""

from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from stemsplit.dsp.channels import group_channels
from stemsplit.models.properties import ModelProperties
from stemsplit.types import ComplexArray, FloatArray

# (batch, channels, bins, frames) -> (batch, targets, channels, rows, frames)
MaskFunction: TypeAlias = Callable[[ComplexArray], FloatArray]


def mask_channels(
    functions: Sequence[MaskFunction], spec: ModelProperties, spectrograms: ComplexArray
) -> FloatArray:
    """Compute masks for any number of channels.

    A single channel goes into a stereo network twice, and the mean of its two masks is taken; into one of mid
    and side it goes as the mid of that pair, whose side is silent.

    Parameters
    ----------
    functions
        The model, for ``spec.n_channels`` channels: one for each group of `group_channels`, in order. All may
        be the same.
    spec
        The properties of the model.
    spectrograms
        ``(batch, channels, bins, frames)``.

    Returns
    -------
    FloatArray
        ``(batch, targets, channels, rows, frames)``.
    """
    n_batch, n_channels, _, n_frames = spectrograms.shape
    group_size = spec.n_channels
    groups = group_channels(n_channels, group_size=group_size)
    if len(groups) == 1 and n_channels == group_size:
        return functions[0](spectrograms)
    shape = (n_batch, spec.n_outputs, n_channels, spec.n_rows, n_frames)
    all_masks = np.empty(shape, dtype=np.float32)
    for compute_masks, group in zip(functions, groups, strict=True):
        if len(group) == group_size:
            all_masks[:, :, group] = compute_masks(spectrograms[:, group])
        else:
            all_masks[:, :, group] = _mask_lone_channel(compute_masks, spec, spectrograms[:, group])
    return all_masks


def _mask_lone_channel(
    compute_masks: MaskFunction, spec: ModelProperties, spectrograms: ComplexArray
) -> FloatArray:
    """Compute the masks ``(batch, targets, 1, rows, frames)`` of a channel without a partner, in stereo."""
    if spec.mid_side:
        mid = spectrograms * np.float32(np.sqrt(2))
        return compute_masks(np.concatenate([mid, np.zeros_like(mid)], axis=1))[:, :, :1]
    masks: FloatArray = compute_masks(np.repeat(spectrograms, 2, axis=1)).mean(axis=2, keepdims=True)
    return masks


def apply_mask(
    mask: FloatArray, spectrogram: ComplexArray, *, rows: NDArray[np.intp] | None = None
) -> ComplexArray:
    """Multiply a spectrogram by a mask, keeping its memory layout.

    Parameters
    ----------
    mask
        ``(channels, rows, frames)``.
    spectrogram
        ``(channels, bins, frames)``.
    rows
        The row of the mask that applies to each bin, ``(bins,)``; None where rows and bins are the same.
    """
    by_frame = np.ascontiguousarray(mask.swapaxes(-1, -2))
    if rows is not None:
        by_frame = by_frame.take(rows, axis=-1)
    return np.asarray(by_frame * spectrogram.swapaxes(-1, -2)).swapaxes(-1, -2)


def copy_frames(spectrogram: ComplexArray) -> ComplexArray:
    """Copy ``(channels, bins, frames)`` in its memory layout, so that the original array can be freed."""
    return spectrogram.swapaxes(-1, -2).copy().swapaxes(-1, -2)
