"""The format of WAV: its header is built here, and its samples become numbers and bytes again.

Files beyond 4 GiB are RF64 (EBU Tech 3306): the same layout, with 64-bit sizes in a ``ds64`` chunk. Where the
final size is unknown at first, a ``JUNK`` chunk of the same size keeps its place, as the standard recommends.
"""

import struct
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from stemsplit.audio.channel_mask import USUAL_MASKS
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
MAX_RIFF_BYTES: Final = 2**32 - 2**16  # leaves room for a tag chunk behind the audio


@dataclass(frozen=True)
class WavFormat:
    """What the ``fmt`` chunk says.

    ``subtype`` has libsndfile's names: "PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE".
    ``channel_mask`` says which speakers the channels are for, see `channel_mask`; 0 if unknown.
    """

    sample_rate: int
    n_channels: int
    subtype: str
    channel_mask: int = 0

    @property
    def sample_bytes(self) -> int:
        """Bytes of one sample of one channel."""
        return _CODES[self.subtype][1] // 8

    @property
    def frame_bytes(self) -> int:
        """Bytes of one sample of all channels."""
        return self.sample_bytes * self.n_channels


def parse_format(body: bytes, name: object) -> WavFormat:
    """Parse the body of a ``fmt`` chunk; `name` is that of the file, for the errors.

    Samples that fill their bytes only in part, as 20 bits in 3 bytes do, have the upper bits.

    Raises
    ------
    AudioError
        It is corrupt, or the samples are neither PCM nor float.
    """
    if len(body) < 16:
        raise AudioError(
            f"{name}: the wav header is corrupt ('fmt ' chunk of {len(body)} bytes, 16 expected)"
        )
    code, n_channels, sample_rate, _, frame_bytes, bits = struct.unpack("<HHIIHH", body[:16])
    code = format_code(body)
    if not n_channels or not sample_rate or frame_bytes != n_channels * -(-bits // 8):
        raise AudioError(
            f"{name}: the wav header is corrupt ({n_channels} channels, {sample_rate} Hz, "
            f"{frame_bytes} bytes a frame)"
        )
    subtype = _SUBTYPES.get((code, -(-bits // 8) * 8))
    if subtype is None:
        raise AudioError(
            f"{name}: wav samples of format {code} with {bits} bits cannot be read from a pipe: "
            "send PCM of 8, 16, 24 or 32 bits, or float, or save the file first"
        )
    is_extensible = len(body) >= 24 and body[:2] == _EXTENSIBLE.to_bytes(2, "little")
    mask = int.from_bytes(body[20:24], "little") if is_extensible else 0
    return WavFormat(sample_rate, n_channels, subtype, mask if mask.bit_count() == n_channels else 0)


def format_code(body: bytes) -> int:
    """Return the code of the sample format in a ``fmt`` chunk, also of the extensible form; -1 if foreign."""
    code = int.from_bytes(body[:2], "little")
    if code != _EXTENSIBLE:
        return code
    return int.from_bytes(body[24:26], "little") if body[26:40] == _GUID_TAIL else -1


def is_linear(body: bytes) -> bool:
    """Tell whether a ``fmt`` chunk is of PCM or float samples that `decode_samples` knows."""
    n_channels, frame_bytes, bits = (int.from_bytes(body[at : at + 2], "little") for at in (2, 12, 14))
    n_bytes = -(-bits // 8)
    return frame_bytes == n_channels * n_bytes and (format_code(body), n_bytes * 8) in _SUBTYPES


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
    # more than two channels, or other speakers than the usual ones, need the extensible form
    if n_channels <= 2 and wav_format.channel_mask in (0, USUAL_MASKS[n_channels]):
        size = 16 if code == _PCM else 18
        chunk = struct.pack("<4sIHHIIHH", b"fmt ", size, code, n_channels, rate, byte_rate, frame, bits)
        return chunk + b"\0\0" * (code != _PCM)
    # mask 0 names no speakers, as the source may not have
    chunk = struct.pack("<4sIHHIIHH", b"fmt ", 40, _EXTENSIBLE, n_channels, rate, byte_rate, frame, bits)
    return chunk + struct.pack("<HHIH", 22, bits, wav_format.channel_mask, code) + _GUID_TAIL


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
