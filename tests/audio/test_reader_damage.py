"""Reading bad files: missing, foreign, cut or damaged, they give an `AudioError` or a note, nothing else."""

import contextlib
import io
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stemsplit.audio.reader import open_audio
from stemsplit.errors import AudioError
from tests.support.audio_files import KINDS, read_whole, song_bytes, tones, write_song
from tests.support.marks import slow_but
from tests.support.reading import Pipe, noted, read_blocks, refused

RATE = 48_000


FUZZED = {name: song_bytes(name, tones(3000, seed=3)) for name in KINDS}


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


@pytest.mark.parametrize("kept", slow_but([0.6], [0.97, 0.6, 0.1]))
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


@pytest.mark.parametrize("damage", slow_but(["hole"], ["noise", "zeros", "hole"]))
@pytest.mark.parametrize("name", ["pcm16.flac", "pcm24.flac", "song.mp3", "song.ogg", "song.opus"])
def test_damage_in_the_middle(tmp_path: Path, name: str, damage: str) -> None:
    data = song_bytes(name, tones(200_000))
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


@settings(max_examples=120, suppress_health_check=[HealthCheck.function_scoped_fixture])
@pytest.mark.parametrize("name", slow_but(["pcm16.wav", "song.mp3"], KINDS))
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
