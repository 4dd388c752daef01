"""The header of a WAV file: parsed from a stream, built for a file or a pipe.

Sizes that a writer could not know (a pipe, an interrupted recorder) are placeholders; here they are None.
Files beyond 4 GiB are RF64 (EBU Tech 3306): the same layout, with 64-bit sizes in a ``ds64`` chunk. Where the
final size is unknown at first, a ``JUNK`` chunk of the same size keeps its place, as the standard recommends.
"""

import struct
from dataclasses import dataclass
from typing import BinaryIO, Final

import numpy as np
import numpy.typing as npt

from stemsplit.errors import AudioError

_PCM, _FLOAT, _EXTENSIBLE = 1, 3, 0xFFFE
_GUID_TAIL: Final = bytes.fromhex("000000001000800000aa00389b71")
_SUBTYPES: Final = {
    (_PCM, 8): "PCM_U8",
    (_PCM, 16): "PCM_16",
    (_PCM, 24): "PCM_24",
    (_PCM, 32): "PCM_32",
    (_FLOAT, 32): "FLOAT",
    (_FLOAT, 64): "DOUBLE",
}
_CODES: Final = {subtype: code for code, subtype in _SUBTYPES.items()}
_DS64_SIZE: Final = 28
# Longest chunk in front of the audio that is skipped on a pipe (cover art is the largest in practice).
_LARGEST_CHUNK: Final = 64 * 2**20
MAX_RIFF_BYTES: Final = 2**32 - 2**16  # leaves room for a tag chunk behind the audio


@dataclass(frozen=True)
class WavFormat:
    """What the ``fmt`` chunk says.

    ``subtype`` has libsndfile's names: "PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE".
    """

    sample_rate: int
    n_channels: int
    subtype: str

    @property
    def sample_bytes(self) -> int:
        """Bytes of one sample of one channel."""
        return _CODES[self.subtype][1] // 8

    @property
    def frame_bytes(self) -> int:
        """Bytes of one sample of all channels."""
        return self.sample_bytes * self.n_channels


def is_placeholder(size: int) -> bool:
    """Tell whether a 32-bit chunk size is what a writer puts that does not know it.

    ffmpeg writes 0xFFFFFFFF, sox 0x7FFFF000, arecord about 2 GiB; some subtract their header.
    """
    return any(mark - 128 <= size <= mark for mark in (0x7FFFF000, 0x80000000, 0xFFFFFFFF))


def read_header(stream: BinaryIO) -> tuple[WavFormat, int | None]:
    """Read from the start of a WAV stream up to its first sample, without seeking.

    Returns
    -------
    format : WavFormat
    data_bytes : int or None
        Bytes of audio that follow; None when the header does not know (then: until the stream ends).

    Raises
    ------
    AudioError
        The stream is not WAV, ends in its header, or holds samples other than PCM or float.
    """
    riff, riff_size, wave = struct.unpack("<4sI4s", _exactly(stream, 12))
    if riff not in (b"RIFF", b"RF64") or wave != b"WAVE":
        raise AudioError(
            "stdin: the data is not a wav stream; convert it on the way in, for example with "
            "`ffmpeg -i song.mp3 -f wav - | stemsplit -`"
        )
    wav_format: WavFormat | None = None
    data_bytes_64: int | None = None
    position = 12
    while True:
        name, size = struct.unpack("<4sI", _exactly(stream, 8))
        position += 8
        if name == b"data":
            break
        if size > _LARGEST_CHUNK:
            raise AudioError(f"stdin: the wav header is corrupt (chunk {name!r} claims {size} bytes)")
        body = _exactly(stream, size + size % 2)
        position += len(body)
        if name == b"fmt ":
            wav_format = _parse_format(body)
        elif name == b"ds64" and size >= 16:
            data_bytes_64 = int.from_bytes(body[8:16], "little")
    if wav_format is None:
        raise AudioError("stdin: the wav header is corrupt (no 'fmt ' chunk before the audio)")
    if riff == b"RF64" and size == 0xFFFFFFFF and data_bytes_64:
        return wav_format, data_bytes_64
    # A header that says of itself that nothing follows was written before the length was known.
    is_unknown = is_placeholder(size) or (
        size == 0 and (riff_size + 8 <= position or is_placeholder(riff_size))
    )
    return wav_format, None if is_unknown else size


def _exactly(stream: BinaryIO, n_bytes: int) -> bytes:
    data = read_fully(stream, n_bytes)
    if not data and n_bytes:
        raise AudioError("stdin: no audio arrived; pipe a wav stream into it")
    if len(data) < n_bytes:
        raise AudioError("stdin: the stream ended inside the wav header; check the program that writes it")
    return data


def read_fully(stream: BinaryIO, n_bytes: int) -> bytes:
    """Read ``n_bytes`` or, only where the stream ends, fewer; a pipe may hand out less at a time."""
    pieces = []
    while n_bytes > 0 and (piece := stream.read(n_bytes)):
        pieces.append(piece)
        n_bytes -= len(piece)
    return b"".join(pieces)


def _parse_format(body: bytes) -> WavFormat:
    """Parse the body of a ``fmt`` chunk."""
    if len(body) < 16:
        raise AudioError(f"stdin: the wav header is corrupt ('fmt ' chunk of {len(body)} bytes, 16 expected)")
    code, n_channels, sample_rate, _, frame_bytes, bits = struct.unpack("<HHIIHH", body[:16])
    if code == _EXTENSIBLE and len(body) >= 40:
        code = struct.unpack("<H", body[24:26])[0] if body[26:40] == _GUID_TAIL else -1
    subtype = _SUBTYPES.get((code, bits))
    if subtype is None:
        raise AudioError(
            f"stdin: wav samples of format {code} with {bits} bits cannot be read from a pipe: "
            "send PCM of 8, 16, 24 or 32 bits, or float"
        )
    if not n_channels or not sample_rate or frame_bytes != n_channels * bits // 8:
        raise AudioError(
            f"stdin: the wav header is corrupt ({n_channels} channels, {sample_rate} Hz, "
            f"{frame_bytes} bytes a frame)"
        )
    return WavFormat(sample_rate, n_channels, subtype)


def build_header(wav_format: WavFormat, n_samples: int | None, *, reserve: bool = False) -> bytes:
    """Build everything in front of the first sample.

    Parameters
    ----------
    wav_format : WavFormat
    n_samples : int or None
        Samples a channel; None writes 0xFFFFFFFF, which readers take as "until the end".
    reserve : bool
        Keep the place of a ``ds64`` chunk, so that the header can be rewritten at the same length once the
        size is known. RF64 is written where the sizes need it.
    """
    data_bytes = None if n_samples is None else n_samples * wav_format.frame_bytes
    is_long = data_bytes is not None and data_bytes > MAX_RIFF_BYTES
    body = _format_chunk(wav_format)
    if wav_format.subtype in ("FLOAT", "DOUBLE"):
        fact = 0xFFFFFFFF if n_samples is None else min(n_samples, 0xFFFFFFFF)
        body += struct.pack("<4sII", b"fact", 4, fact)
    extra = 8 + _DS64_SIZE if is_long or reserve else 0
    if data_bytes is None or is_long:
        riff_size = data_size = 0xFFFFFFFF
    else:
        riff_size, data_size = 4 + extra + len(body) + 8 + data_bytes + data_bytes % 2, data_bytes
    if is_long:
        assert data_bytes is not None and n_samples is not None
        total = 4 + extra + len(body) + 8 + data_bytes + data_bytes % 2
        place = struct.pack("<4sIQQQI", b"ds64", _DS64_SIZE, total, data_bytes, n_samples, 0)
    else:
        place = struct.pack("<4sI28x", b"JUNK", _DS64_SIZE) if reserve else b""
    head = struct.pack("<4sI4s", b"RF64" if is_long else b"RIFF", riff_size, b"WAVE")
    return head + place + body + struct.pack("<4sI", b"data", data_size)


def _format_chunk(wav_format: WavFormat) -> bytes:
    code, bits = _CODES[wav_format.subtype]
    rate, n_channels, frame = wav_format.sample_rate, wav_format.n_channels, wav_format.frame_bytes
    byte_rate = min(rate * frame, 0xFFFFFFFF)
    if n_channels <= 2:
        size = 16 if code == _PCM else 18
        chunk = struct.pack("<4sIHHIIHH", b"fmt ", size, code, n_channels, rate, byte_rate, frame, bits)
        return chunk + b"\0\0" * (code != _PCM)
    # More than two channels need the extensible form; mask 0 names no speakers, as the source may not have.
    chunk = struct.pack("<4sIHHIIHH", b"fmt ", 40, _EXTENSIBLE, n_channels, rate, byte_rate, frame, bits)
    return chunk + struct.pack("<HHIH", 22, bits, 0, code) + _GUID_TAIL


def decode_samples(data: bytes, subtype: str) -> npt.NDArray[np.float32]:
    """Turn the bytes of WAV samples into float32, full scale 1.0."""
    if subtype == "FLOAT":
        return np.frombuffer(data, "<f4").astype(np.float32)
    if subtype == "DOUBLE":
        # What overflows becomes infinite, and is refused by the reader, as NaN is.
        with np.errstate(over="ignore", invalid="ignore"):
            return np.frombuffer(data, "<f8").astype(np.float32)
    if subtype == "PCM_U8":
        return (np.frombuffer(data, np.uint8).astype(np.float32) - 128) / np.float32(128)
    if subtype == "PCM_24":
        wide = np.zeros((len(data) // 3, 4), np.uint8)
        wide[:, 1:] = np.frombuffer(data, np.uint8).reshape(-1, 3)
        return wide.view("<i4")[:, 0].astype(np.float32) / np.float32(2**31)
    bits = 16 if subtype == "PCM_16" else 32
    return np.frombuffer(data, f"<i{bits // 8}").astype(np.float32) / np.float32(2.0 ** (bits - 1))


def encode_samples(values: npt.NDArray[np.generic], subtype: str) -> memoryview:
    """Turn samples (float32, or integers from `encoding.quantise`) into the bytes of WAV samples."""
    if subtype == "PCM_24":
        wide = np.ascontiguousarray(values, "<i4").view(np.uint8).reshape(-1, 4)
        return np.ascontiguousarray(wide[:, :3]).data.cast("B")
    kind = {"PCM_16": "<i2", "PCM_32": "<i4", "FLOAT": "<f4"}[subtype]
    return np.ascontiguousarray(values, kind).reshape(-1).view(np.uint8).data
