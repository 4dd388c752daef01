"""What networks take: magnitudes, or the real and imaginary part of each channel."""

import numpy as np

from stemsplit.types import ComplexArray, FloatArray


def split_parts(spectrograms: ComplexArray) -> FloatArray:
    """Return ``(batch, channels, bins, frames)`` as ``(batch, channels, parts, bins, frames)``, float32."""
    return np.stack([spectrograms.real, spectrograms.imag], axis=2).astype(np.float32, copy=False)


def join_parts(parts: FloatArray) -> ComplexArray:
    """Return ``(..., parts, bins, frames)`` as ``(..., bins, frames)``, complex64."""
    joined: ComplexArray = parts[..., 0, :, :] + np.complex64(1j) * parts[..., 1, :, :]
    return joined


def make_features(spectrograms: ComplexArray, features: str) -> FloatArray:
    """Turn ``(batch, channels, bins, frames)`` into the input of one of our own networks.

    It is the magnitude, or for ``complex`` the real and imaginary part of each channel as channels.
    """
    if features == "magnitude":
        return np.ascontiguousarray(np.abs(spectrograms))
    n_batch, n_channels, n_bins, n_frames = spectrograms.shape
    return split_parts(spectrograms).reshape(n_batch, 2 * n_channels, n_bins, n_frames)
