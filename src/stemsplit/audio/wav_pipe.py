"""Writing WAV into a pipe: it cannot seek, and the length may be unknown until it is over."""

import errno
from types import TracebackType
from typing import BinaryIO, Self

import numpy as np

from stemsplit.audio.encoding import Encoding
from stemsplit.audio.pcm import quantise
from stemsplit.audio.wav import WavFormat, build_header, encode_samples
from stemsplit.audio.write_report import WriteReport
from stemsplit.errors import OutputError
from stemsplit.types import FloatArray


class WavStream:
    """Writes one stem as a WAV stream, at once; a context manager.

    A pipe cannot be rewritten, so there is no gain: samples beyond full scale clip in PCM and are counted.

    Parameters
    ----------
    stream : binary stream
        For example ``sys.stdout.buffer``. It stays open.
    sample_rate : int
        In Hz.
    n_channels : int
    encoding : Encoding
        "wav" of any depth; 32-bit float by default, which cannot clip.
    n_samples : int or None
        Samples a channel, if known; None writes the length 0xFFFFFFFF, "until the end".

    Raises
    ------
    OutputError
        The encoding is not wav, the reader closed the pipe, or the length is not what was announced.
    """

    def __init__(
        self,
        stream: BinaryIO,
        *,
        sample_rate: int,
        n_channels: int,
        encoding: Encoding | None = None,
        n_samples: int | None = None,
    ) -> None:
        encoding = encoding or Encoding("wav", "FLOAT")
        if encoding.format != "wav":
            raise OutputError(
                f"stdout carries wav, not {encoding.format!r}: drop the format, or write a file"
            )
        self._stream = stream
        self._encoding = encoding
        self._n_channels = n_channels
        self._announced = n_samples
        self._n_samples = 0
        self._n_clipped = 0
        self._peak = 0.0
        self._send(build_header(WavFormat(sample_rate, n_channels, encoding.subtype), n_samples))

    def write(self, block: FloatArray) -> None:
        """Send one block, float32 ``(channels, samples)``."""
        assert block.shape[0] == self._n_channels
        if not block.shape[1]:
            return
        self._peak = max(self._peak, float(block.max()), -float(block.min()))
        self._n_samples += block.shape[1]
        interleaved = np.ascontiguousarray(block.T)
        if self._encoding.bits is None:
            self._send(encode_samples(interleaved, self._encoding.subtype))
            return
        values, n_clipped = quantise(interleaved, self._encoding.bits)
        self._n_clipped += n_clipped
        self._send(encode_samples(values, self._encoding.subtype))

    def commit(self) -> WriteReport:
        """Flush what was sent; call it when the stem is whole."""
        if self._announced is not None and self._announced != self._n_samples:
            raise OutputError(
                f"stdout: {self._n_samples} samples were written where {self._announced} had been announced"
            )
        data_bytes = self._n_samples * self._n_channels * (self._encoding.bits or 32) // 8
        if data_bytes % 2 and self._announced is not None:
            self._send(b"\0")
        try:
            self._stream.flush()
        except (OSError, ValueError) as error:
            raise _explain(error) from error
        return WriteReport(1.0, self._n_clipped, self._peak, self._n_samples)

    def _send(self, data: bytes | memoryview) -> None:
        view = memoryview(data)
        try:
            while view:
                # An unbuffered pipe may take less than it is given.
                view = view[self._stream.write(view) :]
        except (OSError, ValueError) as error:
            raise _explain(error) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None


def _explain(error: OSError | ValueError) -> OutputError:
    code = getattr(error, "errno", None)
    if isinstance(error, BrokenPipeError) or code in (errno.EPIPE, errno.EINVAL):
        return OutputError("stdout: the program that reads the stem closed the pipe; check it")
    return OutputError(f"stdout: cannot be written ({getattr(error, 'strerror', None) or error})")
