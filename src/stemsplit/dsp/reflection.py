"""A waveform continued beyond its ends by its mirror image, as a stream."""

import numpy as np

from stemsplit.types import FloatArray


class Mirror:
    """A waveform ``(channels, samples)`` in, the same with `reach` mirrored samples at either end out.

    The outermost sample itself is not repeated. A waveform that is shorter than `reach` is mirrored again and
    again.
    """

    def __init__(self, n_channels: int, *, reach: int) -> None:
        self._reach = reach
        self._recent = np.zeros((n_channels, 0), dtype=np.float32)
        self._has_begun = False

    def process(self, waveform: FloatArray) -> FloatArray:
        """Take ``(channels, samples)``; return nothing until the beginning can be mirrored."""
        joined = np.concatenate([self._recent, waveform], axis=1)
        needed = self._reach + 1
        if self._has_begun:
            self._recent = joined[:, -needed:]
            return waveform
        if joined.shape[1] < needed:
            self._recent = joined
            return joined[:, :0]
        self._has_begun = True
        self._recent = joined[:, -needed:]
        return np.concatenate([joined[:, self._reach : 0 : -1], joined], axis=1)

    def flush(self) -> FloatArray:
        """Return the mirrored end, or the whole waveform if it was too short until now."""
        if self._has_begun:
            return self._recent[:, -2 : -self._reach - 2 : -1] if self._reach else self._recent[:, :0]
        return np.pad(self._recent, ((0, 0), (self._reach, self._reach)), mode="reflect")
