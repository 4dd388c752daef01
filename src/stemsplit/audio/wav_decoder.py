"""Decoding WAV with samples of PCM or float: files, and streams that cannot seek."""

from pathlib import Path
from typing import BinaryIO, Self

import numpy as np

from stemsplit.audio.condition import Condition
from stemsplit.audio.info import AudioInfo
from stemsplit.audio.wav import WavFormat, decode_samples, parse_format
from stemsplit.audio.wav_chunks import WavAudio
from stemsplit.audio.wav_header import read_fully, read_header
from stemsplit.errors import AudioError
from stemsplit.types import FloatArray


class WavDecoder:
    """Decodes WAV from where its audio begins: PCM of 8 to 32 bits, float of 32 or 64.

    Parameters
    ----------
    stream : binary stream
        At the first sample.
    wav_format : WavFormat
    n_bytes : int or None
        Bytes of audio; None for all until the stream ends.
    condition : Condition
        Where what is wrong is noted.
    """

    def __init__(
        self, stream: BinaryIO, wav_format: WavFormat, n_bytes: int | None, condition: Condition
    ) -> None:
        self._stream = stream
        self._owned: BinaryIO | None = None
        self._format = wav_format
        self._bytes_left = n_bytes
        self._condition = condition
        n_samples = None if n_bytes is None else n_bytes // wav_format.frame_bytes
        self.info = AudioInfo(
            wav_format.sample_rate,
            wav_format.n_channels,
            n_samples,
            "WAV",
            wav_format.subtype,
            wav_format.channel_mask,
        )

    @classmethod
    def from_stream(cls, stream: BinaryIO, condition: Condition) -> Self:
        """Begin with a stream at its first byte, which stays open when the decoder is closed.

        Raises
        ------
        AudioError
            It is not WAV, ends in its header, or holds samples other than PCM or float.
        """
        name = str(condition.name)
        try:
            wav_format, n_bytes = read_header(stream, name)
        except OSError as error:
            raise AudioError(f"{name}: cannot be read ({error.strerror})") from error
        return cls(stream, wav_format, n_bytes, condition)

    @classmethod
    def from_file(cls, path: Path, audio: WavAudio, condition: Condition) -> Self:
        """Begin with the audio of a file."""
        wav_format = parse_format(audio.fmt, path)
        file = path.open("rb")
        file.seek(audio.start)
        decoder = cls(file, wav_format, audio.end - audio.start, condition)
        decoder.own(file)
        return decoder

    def own(self, stream: BinaryIO) -> None:
        """Close a stream, too, when the decoder is closed."""
        self._owned = stream

    def read(self, n_samples: int) -> FloatArray:
        """Decode the next block; waits until it is whole or the stream ends."""
        frame_bytes = self._format.frame_bytes
        wanted = n_samples * frame_bytes
        if self._bytes_left is not None:
            wanted = min(wanted, self._bytes_left)
        try:
            data = read_fully(self._stream, wanted)
        except OSError as error:
            raise AudioError(f"{self._condition.name}: cannot be read ({error.strerror})") from error
        if self._bytes_left is not None:
            self._bytes_left -= len(data)
        if n_stray := len(data) % frame_bytes:
            self._condition.note(f"{n_stray} bytes at its end are less than a sample")
            data = data[:-n_stray]
        samples = decode_samples(data, self._format.subtype)
        return np.ascontiguousarray(samples.reshape(-1, self._format.n_channels).T)

    def close(self) -> None:
        """Close the file; a stream stays open: it belongs to the caller."""
        if self._owned is not None:
            self._owned.close()
