"""Reading: every format, any block size, exact lengths; and every kind of bad input an `AudioError`."""

import contextlib
import io
import os
import struct
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stemsplit.audio.extensions import is_audio
from stemsplit.audio.info import AudioInfo
from stemsplit.audio.reader import open_audio
from stemsplit.audio.wav import WavFormat, build_header
from stemsplit.audio.wav_header import read_header
from stemsplit.errors import AudioError
from tests.support.audio_files import KINDS, FloatArray, read_whole, song_bytes, tones, write_song
from tests.support.marks import slow_but

RATE = 48_000


def read_blocks(source: Path | io.RawIOBase, block_samples: int = 65536) -> tuple[AudioInfo, FloatArray]:
    with open_audio(source, block_samples=block_samples) as reader:  # type: ignore[arg-type]
        blocks = list(reader.blocks())
        assert all(block.dtype == np.float32 and block.flags.c_contiguous for block in blocks)
        assert all(0 < block.shape[1] <= block_samples for block in blocks)
        return reader.info, np.concatenate(blocks, axis=1)


def refused(source: Path | io.RawIOBase, *words: str) -> str:
    """Read a song that must fail; the message must hold the words, and the file's name."""
    with pytest.raises(AudioError) as caught:
        read_blocks(source)
    message = str(caught.value)
    assert (str(source) if isinstance(source, Path) else "stdin") in message
    for word in words:
        assert word in message
    return message


def noted(path: Path, n_samples: int) -> tuple[str, ...]:
    """Read a file that has `n_samples` samples, and return what was noted about it."""
    with open_audio(path) as reader:
        assert sum(block.shape[1] for block in reader.blocks()) == n_samples
        return reader.notes


class Pipe(io.RawIOBase):
    """A stream that cannot seek and hands out a few bytes at a time."""

    def __init__(self, data: bytes, most: int = 1000) -> None:
        self._data = data
        self._most = most

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray) -> int:  # type: ignore[override]
        piece = self._data[: min(self._most, len(buffer))]
        self._data = self._data[len(piece) :]
        buffer[: len(piece)] = piece
        return len(piece)


# --- whole files ------------------------------------------------------------------------------------------


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


# --- bad files --------------------------------------------------------------------------------------------


def test_missing_folder_empty_and_foreign_files(tmp_path: Path) -> None:
    refused(tmp_path / "missing.wav", "no such file")
    refused(tmp_path, "is a folder")
    (tmp_path / "empty.mp3").touch()
    refused(tmp_path / "empty.mp3", "empty", "0 bytes")
    for name in ("notes.txt", "song.mp3", "song.wav", "song.flac", "samples.raw"):
        (tmp_path / name).write_text("This is a text, and not a song. " * 500)
        assert "exist" not in refused(tmp_path / name)  # as libsndfile says of an mp3 without frames
    if os.name != "nt":
        refused(Path(os.devnull), "not a regular file")


@pytest.mark.skipif(os.name == "nt", reason="no named pipes")
@pytest.mark.parametrize(("name", "is_read"), [("pcm24.wav", True), ("song.mp3", False)])
def test_a_named_pipe_carries_wav(tmp_path: Path, name: str, is_read: bool) -> None:
    path = tmp_path / name
    os.mkfifo(path)
    data = song_bytes(name, tones(5000))

    def feed() -> None:
        with contextlib.suppress(BrokenPipeError):
            path.write_bytes(data)

    writer = threading.Thread(target=feed)
    writer.start()
    if is_read:
        assert read_blocks(path)[1].shape == (2, 5000)
    else:
        refused(path, "not a wav stream", "save it to a file")
    writer.join()


@pytest.fixture
def as_nobody(tmp_path: Path) -> Iterator[None]:
    """Root may read everything, so step down for one test."""
    if os.name == "nt":
        pytest.skip("POSIX permissions")
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    yield
    os.seteuid(0)


def test_unreadable(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    path = tmp_path / "pcm16.wav"
    write_song(path, tones(10))
    path.chmod(0)
    request.getfixturevalue("as_nobody")
    refused(path, "may not be read", "permissions")


@pytest.mark.parametrize("name", ["pcm16.wav", "pcm16.flac", "song.aiff", "song.au"])
def test_no_samples(tmp_path: Path, name: str) -> None:
    container, subtype = KINDS[name]
    soundfile.write(tmp_path / name, np.zeros((0, 2)), RATE, subtype, format=container)
    refused(tmp_path / name)


@pytest.mark.parametrize("kept", [0.97, 0.6, 0.1])
@pytest.mark.parametrize("name", KINDS)
def test_truncated(tmp_path: Path, name: str, kept: float) -> None:
    data = song_bytes(name, tones(200_000))
    (tmp_path / name).write_bytes(data[: int(len(data) * kept)])
    refused(tmp_path / name)


@pytest.mark.parametrize("name", ["pcm16.wav", "long.wav", "sony.w64", "song.aiff", "song.au"])
def test_a_single_missing_sample_is_noticed(tmp_path: Path, name: str) -> None:
    # 4 bytes a sample; libsndfile reads such a file without a word, one sample shorter
    (tmp_path / name).write_bytes(song_bytes(name, tones(1001))[:-4])
    assert read_whole(tmp_path / name).shape[1] == 1000
    (note,) = noted(tmp_path / name, 1000)
    assert "bytes of audio" in note


@pytest.mark.parametrize(
    ("container", "endian"), [("WAV", "BIG"), ("CAF", "BIG"), ("CAF", "LITTLE"), ("SVX", "BIG")]
)
def test_a_single_missing_sample_is_noticed_in_older_containers(
    tmp_path: Path, container: str, endian: str
) -> None:
    path = tmp_path / "a.bin"
    soundfile.write(path, tones(1001, 1).T, 44_100, "PCM_16", endian, container)
    assert read_blocks(path)[1].shape == (1, 1001)
    path.write_bytes(path.read_bytes()[:-4])
    (note,) = noted(path, 999)
    assert "bytes of audio" in note


@pytest.mark.parametrize("name", ["song.ogg", "song.opus"])
def test_an_ogg_that_ends_between_two_pages_is_noted(tmp_path: Path, name: str) -> None:
    data = song_bytes(name, tones(200_000))
    (tmp_path / name).write_bytes(data[: data.rindex(b"OggS")])
    with open_audio(tmp_path / name) as reader:
        n_samples = sum(block.shape[1] for block in reader.blocks())
    assert 100_000 < n_samples < 200_000
    assert "the page that ends the stream is missing" in reader.notes[0]


@pytest.mark.parametrize("name", ["song.ogg", "song.opus"])
@pytest.mark.parametrize("lengths", [(5000, 9000), (5000, 5000), (300, 70_000, 1)])
def test_all_songs_of_an_ogg_chain_are_read(tmp_path: Path, name: str, lengths: tuple[int, ...]) -> None:
    links = [song_bytes(name, tones(n_samples)) for n_samples in lengths]
    (tmp_path / name).write_bytes(b"".join(links))
    assert read_whole(tmp_path / name).shape[1] == lengths[0]
    assert noted(tmp_path / name, sum(lengths)) == ()


@pytest.mark.parametrize("between", [b"", b"TAG" + bytes(125) + b"ID3\4\0\0\0\0\x20\0" + bytes(4096)])
@pytest.mark.parametrize(("sample_rate", "n_channels"), [(48_000, 2), (44_100, 1), (22_050, 2), (8_000, 1)])
def test_all_songs_of_a_joined_mp3_are_read(
    tmp_path: Path, sample_rate: int, n_channels: int, between: bytes
) -> None:
    song = song_bytes("song.mp3", tones(90_000, n_channels), sample_rate=sample_rate)
    path = tmp_path / "joined.mp3"
    path.write_bytes(song + between + b"APETAGEX" + bytes(5000))
    assert read_blocks(path)[1].shape == (n_channels, 90_000)
    path.write_bytes(song + between + song)
    assert read_whole(path).shape[1] == 90_000
    assert read_blocks(path)[1].shape == (n_channels, 180_000)


def test_an_mp3_with_two_tags_that_is_cut_short(tmp_path: Path) -> None:
    tag = b"ID3\4\0\x10\0\0\x7f\x7f" + bytes(0x3FFF) + b"3DI\4\0\x10\0\0\x7f\x7f"
    data = tag + tag + song_bytes("song.mp3", tones(200_000))
    (tmp_path / "tagged.mp3").write_bytes(data)
    assert read_blocks(tmp_path / "tagged.mp3")[0].n_samples == 200_000
    (tmp_path / "tagged.mp3").write_bytes(data[: len(data) * 2 // 3])
    refused(tmp_path / "tagged.mp3")


@pytest.mark.parametrize("damage", ["noise", "zeros", "hole"])
@pytest.mark.parametrize("name", ["pcm16.flac", "pcm24.flac", "song.mp3", "song.ogg", "song.opus"])
def test_damage_in_the_middle(tmp_path: Path, name: str, damage: str) -> None:
    data = song_bytes(name, tones(400_000))
    middle, size = len(data) // 2, 8000
    noise = np.random.default_rng(1).bytes(size)
    filling = {"noise": noise, "zeros": bytes(size), "hole": b""}[damage]
    (tmp_path / name).write_bytes(data[:middle] + filling + data[middle + size :])
    refused(tmp_path / name)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e30])
def test_values_that_are_no_samples_are_located(tmp_path: Path, value: float) -> None:
    waveform = tones(96_000)
    waveform[1, 72_000] = value
    soundfile.write(tmp_path / "float.wav", waveform.T, RATE, "FLOAT")
    refused(tmp_path / "float.wav", "1.500 s", "channel 2")


def test_blocks_before_the_damage_are_handed_out(tmp_path: Path) -> None:
    waveform = tones(3000)
    waveform[0, 2500] = np.nan
    soundfile.write(tmp_path / "float.wav", waveform.T, RATE, "FLOAT")
    seen = 0
    with open_audio(tmp_path / "float.wav", block_samples=1000) as reader, pytest.raises(AudioError):
        for block in reader.blocks():
            seen += block.shape[1]
    assert seen == reader.n_read == 2000


def test_is_audio_goes_by_extension() -> None:
    assert all(is_audio(Path(name)) for name in ("a.wav", "b.MP3", "c.d.flac", "e.opus", "f.aif"))
    assert not any(is_audio(Path(name)) for name in ("a.txt", "wav", "b.jpg", "c.raw", ".mp3.part"))


# --- pipes ------------------------------------------------------------------------------------------------


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


# --- fuzz -------------------------------------------------------------------------------------------------

FUZZED = {name: song_bytes(name, tones(3000, seed=3)) for name in KINDS}


@settings(max_examples=120, suppress_health_check=[HealthCheck.function_scoped_fixture])
@pytest.mark.parametrize("name", slow_but(["pcm16.wav", "pcm16.flac", "song.mp3", "song.ogg"], KINDS))
@given(data=st.data())
def test_damaged_files_are_read_or_refused_and_nothing_else(
    tmp_path: Path, name: str, data: st.DataObject
) -> None:
    song = bytearray(FUZZED[name])
    positions = st.one_of(st.integers(0, min(120, len(song)) - 1), st.integers(0, len(song) - 1))
    for position in data.draw(st.lists(positions, max_size=6)):
        song[position] = data.draw(st.integers(0, 255))
    song = song[: data.draw(st.one_of(st.just(len(song)), st.integers(0, len(song))))]
    path = tmp_path / name
    path.write_bytes(song)
    sources: list[Path | io.RawIOBase] = [path]
    if name.endswith(".wav"):
        sources.append(Pipe(bytes(song), most=10_000))
    for source in sources:
        try:
            info, waveform = read_blocks(source)
        except AudioError as error:
            assert str(error).startswith(str(path) if source is path else "stdin")
        else:
            assert waveform.shape[0] == info.n_channels
            assert np.isfinite(waveform).all()
