"""Change of sample rate, as a stream (the soxr library, linear phase, its delay compensated).

Sample 0 of the output stands at the time of sample 0 of the input; n samples become n times the ratio
of the rates, rounded by soxr. The output does not depend on how the input was cut into blocks.
"""

import numpy as np
import soxr

from stemsplit.types import FloatArray

QUALITY = "HQ"


class Resampler:
    """A waveform at one rate in, the same waveform at another rate out, block by block.

    Equal rates pass through untouched. Leading axes are free: ``(..., samples)``.
    """

    def __init__(self, *, from_hz: int, to_hz: int) -> None:
        self._rates = (from_hz, to_hz)
        self._stream: soxr.ResampleStream | None = None
        self._lead: tuple[int, ...] = ()

    def process(self, waveform: FloatArray) -> FloatArray:
        """Take ``(..., samples)``; return what can be said of the output so far."""
        return self._convert(waveform, last=False)

    def flush(self) -> FloatArray:
        """Return the end of the output."""
        return self._convert(np.zeros((*self._lead, 0), dtype=np.float32), last=True)

    def _convert(self, waveform: FloatArray, *, last: bool) -> FloatArray:
        self._lead = waveform.shape[:-1]
        if self._rates[0] == self._rates[1]:
            return waveform
        n_channels = int(np.prod(self._lead))
        if self._stream is None:
            self._stream = soxr.ResampleStream(*self._rates, n_channels, dtype="float32", quality=QUALITY)
        interleaved = np.ascontiguousarray(waveform.reshape(n_channels, -1).T)  # (samples, channels)
        converted: FloatArray = self._stream.resample_chunk(interleaved, last=last)
        return np.ascontiguousarray(converted.T).reshape(*self._lead, -1)
