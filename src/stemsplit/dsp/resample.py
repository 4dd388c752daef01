"""Sample rate conversion, as a stream: the soxr library, linear phase, with its delay compensated.

Sample 0 of the output is aligned with sample 0 of the input; n samples become n times the ratio of the rates,
rounded by soxr. The output does not depend on how the input is divided into blocks.
"""

import numpy as np
import soxr

from stemsplit.types import FloatArray

QUALITY = "HQ"


class Resampler:
    """Converts a stream from one sample rate to another.

    Equal rates pass through unchanged. Leading axes are free: ``(..., samples)``.
    """

    def __init__(self, *, from_hz: float, to_hz: float) -> None:
        self._rates_hz = (from_hz, to_hz)
        self._stream: soxr.ResampleStream | None = None
        self._leading_shape: tuple[int, ...] = ()

    def process(self, waveform: FloatArray) -> FloatArray:
        """Take ``(..., samples)``; return the output samples that are complete."""
        return self._convert(waveform, last=False)

    def flush(self) -> FloatArray:
        """Return the remaining samples of the output."""
        return self._convert(np.zeros((*self._leading_shape, 0), dtype=np.float32), last=True)

    def _convert(self, waveform: FloatArray, *, last: bool) -> FloatArray:
        self._leading_shape = waveform.shape[:-1]
        if self._rates_hz[0] == self._rates_hz[1]:
            return waveform
        n_channels = int(np.prod(self._leading_shape))
        if self._stream is None:
            self._stream = soxr.ResampleStream(*self._rates_hz, n_channels, dtype="float32", quality=QUALITY)
        interleaved = np.ascontiguousarray(waveform.reshape(n_channels, -1).T)  # (samples, channels)
        converted: FloatArray = self._stream.resample_chunk(interleaved, last=last)
        return np.ascontiguousarray(converted.T).reshape(*self._leading_shape, -1)
