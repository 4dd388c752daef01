"""Reading a wav from a pipe, which cannot seek and may not know its length."""

import io
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stemsplit.audio.wav import WavFormat, build_header
from stemsplit.audio.wav_header import read_header
from tests.support.audio_files import KINDS, song_bytes, tones, write_song
from tests.support.reading import Pipe, read_blocks, refused

RATE = 48_000


@pytest.mark.parametrize("name", [name for name in KINDS if name.endswith(".wav")])
def test_wav_from_a_pipe_is_the_file(tmp_path: Path, name: str) -> None:
    whole = write_song(tmp_path / name, tones(5000, 3))
    info, waveform = read_blocks(Pipe((tmp_path / name).read_bytes()), 999)
    assert (info.n_samples, info.n_channels, info.subtype) == (5000, 3, KINDS[name][1])
    np.testing.assert_array_equal(waveform, whole)


@pytest.mark.parametrize(
    ("riff_size", "size"), [(36, 0), (0, 0), (0xFFFFFFFF, 0xFFFFFFFF), (0x7FFFF024, 0x7FFFF000)]
)
def test_pipe_of_unknown_length(riff_size: int, size: int) -> None:
    data = bytearray(song_bytes("pcm16.wav", tones(5000)))
    data[4:8] = struct.pack("<I", riff_size)
    data[40:44] = struct.pack("<I", size)
    info, waveform = read_blocks(Pipe(bytes(data)))
    assert info.n_samples is None
    assert waveform.shape == (2, 5000)


def test_chunks_around_the_audio_of_a_pipe_are_no_audio() -> None:
    data = song_bytes("pcm16.wav", tones(5000))
    at = data.index(b"data")
    odd = b"LIST" + struct.pack("<I", 5) + b"abcde\0"
    _, waveform = read_blocks(Pipe(data[:at] + odd + data[at:] + odd))
    assert waveform.shape == (2, 5000)


def test_bad_pipes() -> None:
    wav = song_bytes("pcm16.wav", tones(5000))
    refused(Pipe(b""), "no audio arrived")
    refused(Pipe(song_bytes("song.mp3", tones(5000))), "not a wav stream", "ffmpeg")
    refused(Pipe(wav[:30]), "header")
    refused(Pipe(wav[:-400]), "truncated")
    refused(Pipe(wav[:-401]), "truncated")
    refused(Pipe(song_bytes("pcm16.wav", tones(0))), "no samples")
    refused(Pipe(wav[:20] + b"\x02\x00" + wav[22:]), "format 2")


@settings(max_examples=200)
@given(
    rate=st.integers(1, 2**32 - 1),
    n_channels=st.integers(1, 64),
    subtype=st.sampled_from(["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE"]),
    n_samples=st.one_of(st.none(), st.integers(1, 2**40)),
    reserve=st.booleans(),
)
def test_wav_headers_say_what_they_were_told(
    rate: int, n_channels: int, subtype: str, n_samples: int | None, reserve: bool
) -> None:
    wav_format = WavFormat(rate, n_channels, subtype)
    header = build_header(wav_format, n_samples, reserve=reserve)
    data_bytes = None if n_samples is None else n_samples * wav_format.frame_bytes
    if data_bytes is not None and any(m - 128 <= data_bytes <= m for m in (0x7FFFF000, 0x80000000)):
        return  # cannot be told from a placeholder
    assert read_header(io.BytesIO(header)) == (wav_format, data_bytes)
    assert len(header) % 2 == 0
