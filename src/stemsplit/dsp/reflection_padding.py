"""Reflection padding of a waveform, as a stream."""

import numpy as np

from stemsplit.types import FloatArray


class ReflectionPadding:
    """Pads a stream ``(channels, samples)`` with mirrored samples: `n_before`, and up to `most_after`.

    The outermost sample itself is not repeated (numpy's mode ``reflect``). A waveform that is too short is
    mirrored repeatedly.
    """

    def __init__(self, n_channels: int, *, n_before: int, most_after: int) -> None:
        self._n_before = n_before
        self._n_needed = max(n_before, most_after) + 1
        self._recent = np.zeros((n_channels, 0), dtype=np.float32)
        self._has_begun = False

    def process(self, waveform: FloatArray) -> FloatArray:
        """Take ``(channels, samples)``; return no samples until the beginning can be mirrored."""
        joined = np.concatenate([self._recent, waveform], axis=1)
        if self._has_begun:
            self._recent = joined[:, -self._n_needed :]
            return waveform
        if joined.shape[1] < self._n_needed:
            self._recent = joined
            return joined[:, :0]
        self._has_begun = True
        self._recent = joined[:, -self._n_needed :]
        return np.concatenate([joined[:, self._n_before : 0 : -1], joined], axis=1)

    def flush(self, n_after: int) -> FloatArray:
        """Return `n_after` mirrored samples, or all of a waveform that was too short until now."""
        if self._has_begun:
            return self._recent[:, -2 : -n_after - 2 : -1] if n_after else self._recent[:, :0]
        return np.pad(self._recent, ((0, 0), (self._n_before, n_after)), mode="reflect")
