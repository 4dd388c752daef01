"""Reading whole files: every format, any block size, exact lengths, rates and channels."""

import math
import os
import struct
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from stemsplit.audio.extensions import is_audio
from stemsplit.audio.read_settings import ReadSettings, parse_time
from stemsplit.audio.reader import open_audio
from stemsplit.errors import AudioError, SettingsError
from tests.support.audio_files import KINDS, song_bytes, tones, write_song
from tests.support.reading import read_blocks

RATE = 48_000


@pytest.mark.parametrize("name", KINDS)
def test_blocks_are_the_file_for_every_format_and_block_size(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    whole = write_song(path, tones())
    assert whole.shape == (2, 60_000)
    for block_samples in (977, 4096, 65_536):
        info, waveform = read_blocks(path, block_samples)
        assert info.n_samples == 60_000
        assert (info.sample_rate, info.n_channels) == (RATE, 2)
        assert info.subtype == KINDS[name][1]
        # FFmpeg and libsndfile round what is lossy in different places
        tolerance = 5e-6 if info.subtype in ("MPEG_LAYER_III", "VORBIS", "OPUS") else 0
        np.testing.assert_allclose(waveform, whole, rtol=0, atol=tolerance)


def test_pcm_is_scaled_by_its_full_scale(tmp_path: Path) -> None:
    values = np.array([-32768, -1, 0, 1, 32767], np.int16)
    soundfile.write(tmp_path / "a.wav", values, RATE, "PCM_16")
    _, waveform = read_blocks(tmp_path / "a.wav")
    np.testing.assert_array_equal(waveform[0] * 32768, values)


@pytest.mark.parametrize("sample_rate", [8_000, 11_025, 44_100, 96_000, 192_000])
@pytest.mark.parametrize("n_channels", [1, 3, 8])
def test_rates_and_channels_are_kept(tmp_path: Path, sample_rate: int, n_channels: int) -> None:
    for kind in ("pcm24.wav", "pcm16.flac"):
        whole = write_song(tmp_path / kind, tones(1234, n_channels), sample_rate=sample_rate)
        info, waveform = read_blocks(tmp_path / kind)
        assert (info.sample_rate, info.n_channels, info.n_samples) == (sample_rate, n_channels, 1234)
        np.testing.assert_array_equal(waveform, whole)


@pytest.mark.parametrize("name", KINDS)
def test_one_sample(tmp_path: Path, name: str) -> None:
    write_song(tmp_path / name, tones(1))
    assert read_blocks(tmp_path / name)[1].shape == (2, 1)


@pytest.mark.parametrize(("start_s", "end_s"), [(0.0, 0.00001), (0.5, 0.50001)])
def test_an_excerpt_that_holds_no_sample_is_refused(tmp_path: Path, start_s: float, end_s: float) -> None:
    write_song(tmp_path / "a.wav", tones(RATE), "pcm16.wav")
    with (
        open_audio(tmp_path / "a.wav", settings=ReadSettings(start_s, end_s)) as reader,
        pytest.raises(AudioError, match=rf"a\.wav: the excerpt at {start_s:.3f} s holds no sample"),
    ):
        list(reader.blocks())


@pytest.mark.parametrize("far", [math.inf, 1e307])
def test_an_excerpt_without_an_end_has_none_and_every_excerpt_begins_somewhere(
    tmp_path: Path, far: float
) -> None:
    write_song(tmp_path / "a.wav", tones(RATE), "pcm16.wav")
    for settings in (ReadSettings(0.5, far), ReadSettings.choose(start_s=0.5, duration_s=far)):
        assert settings == ReadSettings(0.5)
        with open_audio(tmp_path / "a.wav", settings=settings) as reader:
            assert sum(block.shape[1] for block in reader.blocks()) == RATE - RATE // 2
    with pytest.raises(SettingsError, match="behind the end of every song"):
        ReadSettings(far)
    assert not ReadSettings.choose(end_s=parse_time("1e999")).is_excerpt


@pytest.mark.parametrize("n_samples", [1000, 12_000])
@pytest.mark.parametrize("n_channels", [1, 2])
def test_a_vorbis_of_a_single_page_is_read_whole(tmp_path: Path, n_samples: int, n_channels: int) -> None:
    """A tone begins with a long window, whose first packet FFmpeg counts among the samples of such a file."""
    tone = 0.2 * np.sin(2 * np.pi * 300 * np.arange(n_samples) / RATE)
    path = tmp_path / "song.ogg"
    whole = write_song(path, np.tile(tone, (n_channels, 1)).astype(np.float32))
    assert path.read_bytes().count(b"OggS") == 3
    info, waveform = read_blocks(path)
    assert info.n_samples == n_samples
    np.testing.assert_allclose(waveform, whole, rtol=0, atol=5e-6)


@pytest.mark.skipif(sys.platform != "linux", reason="names are Unicode elsewhere")
def test_a_name_that_is_not_unicode(tmp_path: Path) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9 \xff.wav"))
    path.write_bytes(song_bytes("pcm16.wav", tones(100)))
    assert read_blocks(path)[1].shape == (2, 100)


@pytest.mark.parametrize("size", [0xFFFFFFFF, 0x7FFFF000, 0x80000000 - 36])
def test_a_wav_that_was_piped_into_a_file_is_read_to_its_end(tmp_path: Path, size: int) -> None:
    data = bytearray(song_bytes("pcm16.wav", tones(5000)))
    at = data.index(b"data")
    data[at + 4 : at + 8] = struct.pack("<I", size)
    (tmp_path / "piped.wav").write_bytes(data)
    assert read_blocks(tmp_path / "piped.wav")[1].shape == (2, 5000)


def test_a_w64_that_was_piped_into_a_file_is_read_to_its_end(tmp_path: Path) -> None:
    data = song_bytes("sony.w64", tones(5000))
    known = struct.pack("<Q", 24 + 5000 * 4)
    assert data.count(known) == 1
    (tmp_path / "piped.w64").write_bytes(data.replace(known, struct.pack("<Q", 2**63 - 1)))  # ffmpeg
    assert read_blocks(tmp_path / "piped.w64")[1].shape == (2, 5000)


def test_flac_of_unknown_length_and_flac_with_a_trailing_tag(tmp_path: Path) -> None:
    data = bytearray(song_bytes("pcm16.flac", tones(70_000)))
    (tmp_path / "tagged.flac").write_bytes(data + b"TAG" + b" " * 125)
    info, waveform = read_blocks(tmp_path / "tagged.flac")
    assert info.n_samples == waveform.shape[1] == 70_000
    data[21] &= 0xF0
    data[22:26] = b"\0\0\0\0"
    (tmp_path / "streamed.flac").write_bytes(data)
    info, waveform = read_blocks(tmp_path / "streamed.flac")
    assert info.n_samples is None
    assert waveform.shape == (2, 70_000)


def test_mp3_without_a_length_header_is_read_to_its_end(tmp_path: Path) -> None:
    data = song_bytes("song.mp3", tones())
    (tmp_path / "old.mp3").write_bytes(data.replace(b"Info", bytes(4)).replace(b"Xing", bytes(4)))
    info, waveform = read_blocks(tmp_path / "old.mp3")
    # the frames are counted; libsndfile's estimate is off by ten per cent here
    assert info.n_samples == waveform.shape[1] == 55 * 1152


def test_is_audio_goes_by_extension() -> None:
    assert all(is_audio(Path(name)) for name in ("a.wav", "b.MP3", "c.d.flac", "e.opus", "f.aif"))
    assert not any(is_audio(Path(name)) for name in ("a.txt", "wav", "b.jpg", "c.raw", ".mp3.part"))
