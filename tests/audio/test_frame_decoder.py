"""mp3, mp2 and raw AAC: every frame is read, whatever headers and what stands between frames say."""

import io
from pathlib import Path

import numpy as np
import pytest
from mutagen.apev2 import APEv2

from stemsplit.audio.frame_headers import parse_mpeg
from stemsplit.audio.frame_walk import Frame, FrameWalk, Gap, GapKind
from stemsplit.audio.read_settings import ReadSettings
from stemsplit.audio.reader import AudioReader, open_audio
from stemsplit.errors import AudioError
from tests.support.audio_files import song_bytes, tones
from tests.support.av_files import count_packets, encode, noise
from tests.support.marks import slow_but

RATE = 44_100


def read(path: Path, *, salvage: bool = False) -> tuple[AudioReader, np.ndarray]:
    with open_audio(path, settings=ReadSettings(salvage=salvage)) as reader:
        return reader, np.concatenate(list(reader.blocks()), axis=1)


def make_mp3(tmp_path: Path, n_samples: int = 90_000, n_channels: int = 2, sample_rate: int = RATE) -> bytes:
    """Return an mp3 with an Info header, as libsndfile writes it."""
    return song_bytes("song.mp3", tones(n_samples, n_channels), sample_rate=sample_rate)


def without_note(data: bytes) -> bytes:
    """Return an mp3 without the frame of its header, as a pipe gets it."""
    sync = data[:2]
    return data[data.index(sync, 50) :]


def set_frames(data: bytes, n_frames: int) -> bytes:
    at = min(at for mark in (b"Xing", b"Info") if (at := data.find(mark)) >= 0)
    return data[: at + 8] + n_frames.to_bytes(4) + data[at + 12 :]


def without_last_frame(data: bytes) -> int:
    """Return where the last frame of an mp3 begins."""
    return max(frame.position for frame in walk(data) if isinstance(frame, Frame))


def walk(data: bytes) -> FrameWalk:
    return FrameWalk(io.BytesIO(data), 0, len(data), parse_mpeg)


@pytest.mark.parametrize("q", slow_but([0.5], [0.1, 0.5, 0.9]))
@pytest.mark.parametrize("sample_rate", [22_050, 44_100, 48_000])
def test_an_mp3_without_a_header_is_read_whole(tmp_path: Path, q: float, sample_rate: int) -> None:
    """Loud and silent parts, so that any estimate from the first frames is wrong."""
    waveform = tones(200_000)
    waveform[:, 30_000:] *= 1e-4
    data = without_note(song_bytes("song.mp3", waveform, sample_rate=sample_rate))
    (tmp_path / "a.mp3").write_bytes(data)
    n_packets, _ = count_packets(tmp_path / "a.mp3")
    reader, decoded = read(tmp_path / "a.mp3")
    n_frame = 576 if sample_rate < 32_000 else 1152
    assert decoded.shape[1] == reader.info.n_samples == n_packets * n_frame >= 200_000


@pytest.mark.parametrize("n_frames", [0, 1, 40])
def test_a_header_that_declares_too_few_frames(tmp_path: Path, n_frames: int) -> None:
    (tmp_path / "a.mp3").write_bytes(set_frames(make_mp3(tmp_path), n_frames))
    reader, decoded = read(tmp_path / "a.mp3")
    assert decoded.shape[1] >= 90_000
    assert bool(reader.notes) == bool(n_frames)


def test_a_header_without_a_number_of_frames_has_one_of_bytes(tmp_path: Path) -> None:
    """The note says what the encoder added, and its bytes that nothing is missing: the song is exact."""
    data = set_frames(make_mp3(tmp_path), 0)
    path = tmp_path / "a.mp3"
    path.write_bytes(data)
    n_packets, _ = count_packets(path)
    reader, decoded = read(path)
    assert decoded.shape[1] == reader.info.n_samples == 90_000 < n_packets * 1152
    path.write_bytes(data[: without_last_frame(data)])
    with pytest.raises(AudioError, match=r"truncated: its header declares \d+ bytes"):
        read(path)


@pytest.mark.parametrize("n_more", [2, 30, 100_000])
def test_a_header_that_declares_too_many_frames(tmp_path: Path, n_more: int) -> None:
    path = tmp_path / "a.mp3"
    path.write_bytes(make_mp3(tmp_path))
    n_packets, _ = count_packets(path)
    path.write_bytes(set_frames(path.read_bytes(), n_packets + n_more))
    with pytest.raises(AudioError, match=r"truncated.*--salvage"):
        read(path)
    reader, decoded = read(path, salvage=True)
    assert decoded.shape[1] >= 90_000
    assert f"declares {n_packets + n_more} frames" in reader.notes[0]


@pytest.mark.parametrize(
    ("first", "second"),
    [((RATE, 1), (RATE, 2)), ((RATE, 2), (RATE, 1)), ((RATE, 2), (48_000, 2)), ((22_050, 1), (RATE, 2))],
)
@pytest.mark.parametrize("with_note", slow_but([False], [True, False]))
def test_joined_mp3s_of_other_kinds(
    tmp_path: Path, first: tuple[int, int], second: tuple[int, int], with_note: bool
) -> None:
    songs = [make_mp3(tmp_path, 2 * rate, n_channels, rate) for rate, n_channels in (first, second)]
    path = tmp_path / "a.mp3"
    path.write_bytes(b"".join(songs if with_note else map(without_note, songs)))
    reader, decoded = read(path)
    assert reader.info.sample_rate == max(first[0], second[0])
    assert decoded.shape[0] == max(first[1], second[1])
    assert 4.0 - 0.01 < decoded.shape[1] / reader.info.sample_rate < 4.2
    assert reader.notes  # the change is told
    # both halves sound alike
    half = decoded.shape[1] // 2
    powers = [float((part**2).mean()) for part in (decoded[:, :half], decoded[:, half:])]
    assert 0.5 < powers[0] / powers[1] < 2


@pytest.mark.parametrize("n_bytes", slow_but([1, 70_000], [1, 100, 70_000, 300_000]))
def test_what_stands_in_front_of_the_first_frame(tmp_path: Path, n_bytes: int) -> None:
    for name, front in {
        "noise": noise(n_bytes),
        "zeros": bytes(n_bytes),
        "text": b"cover " * n_bytes,
    }.items():
        (tmp_path / f"{name}.mp3").write_bytes(front + make_mp3(tmp_path))
        assert read(tmp_path / f"{name}.mp3")[1].shape[1] == 90_000


@pytest.mark.parametrize("declared", [0, 5000, 2**27])
def test_a_tag_that_lies_about_its_length(tmp_path: Path, declared: int) -> None:
    size = bytes(declared >> shift & 0x7F for shift in (21, 14, 7, 0))
    (tmp_path / "a.mp3").write_bytes(b"ID3\4\0\0" + size + bytes(200) + make_mp3(tmp_path))
    assert read(tmp_path / "a.mp3")[1].shape[1] == 90_000


@pytest.mark.parametrize("declared", [0, 5000, 2**31 - 1])
def test_an_ape_tag_that_lies_about_its_length_swallows_no_sound(tmp_path: Path, declared: int) -> None:
    header = b"APETAGEX" + (2000).to_bytes(4, "little") + declared.to_bytes(4, "little")
    flags = 0xA0000000.to_bytes(4, "little")
    data = without_note(make_mp3(tmp_path))
    path = tmp_path / "a.mp3"
    path.write_bytes(data + data)
    n_samples = read(path)[1].shape[1]
    path.write_bytes(data + header + bytes(4) + flags + bytes(8) + data)
    reader, decoded = read(path)
    assert decoded.shape[1] == n_samples and reader.notes == ()


def test_an_ape_tag_between_songs_is_passed(tmp_path: Path) -> None:
    data = without_note(make_mp3(tmp_path))
    tag = APEv2()
    tag["Title"] = "Song" * 300
    tag.save(tmp_path / "tag")
    for behind in (b"TAG" + bytes(125), data):
        (tmp_path / "a.mp3").write_bytes(data + (tmp_path / "tag").read_bytes() + behind)
        gaps = [each.kind for each in walk((tmp_path / "a.mp3").read_bytes()) if isinstance(each, Gap)]
        assert set(gaps) == {GapKind.TAG}


def test_what_stands_between_frames_and_behind_them(tmp_path: Path) -> None:
    data = without_note(make_mp3(tmp_path))
    whole = len(data)
    path = tmp_path / "a.mp3"
    path.write_bytes(data)
    n_samples = read(path)[1].shape[1]
    for behind in (b"TAG" + bytes(125), bytes(100_000), b"LYRICSBEGIN" + b"la " * 40 + b"000120LYRICS200"):
        path.write_bytes(data + behind)
        assert read(path)[1].shape[1] == n_samples
        assert read(path)[0].notes == ()
    path.write_bytes(data + b"\x00\xffabc")
    assert read(path)[1].shape[1] == n_samples
    for damaged in (
        data[: whole // 2] + noise(5000) + data[whole // 2 + 5000 :],
        data[:-100],
        data + noise(9000),
    ):
        path.write_bytes(damaged)
        with pytest.raises(AudioError, match=r"damaged|truncated"):
            read(path)


@pytest.mark.parametrize("codec", ["mp2", "libmp3lame"])
def test_mpeg_audio_in_wav(tmp_path: Path, codec: str) -> None:
    path = encode(tmp_path / "a.wav", tones(90_000), codec, RATE, format="wav")
    reader, decoded = read(path)
    assert reader.info.container == "WAV"
    assert decoded.shape[1] == count_packets(path)[0] * 1152
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(AudioError, match="truncated"):
        read(path)


@pytest.mark.parametrize("codec", ["mp2", "aac"])
@pytest.mark.parametrize("order", [(1, 2), (2, 1), (2, 2, 1)])
def test_mp2_and_aac_that_change_their_channels(tmp_path: Path, codec: str, order: tuple[int, ...]) -> None:
    ending = {"mp2": "mp2", "aac": "aac"}[codec]
    parts = [
        encode(tmp_path / f"{at}.{ending}", tones(50_000, n_channels), codec, RATE)
        for at, n_channels in enumerate(order)
    ]
    path = tmp_path / f"joined.{ending}"
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    n_frame = 1152 if codec == "mp2" else 1024
    reader, decoded = read(path)
    assert decoded.shape == (2, sum(count_packets(part)[0] for part in parts) * n_frame)
    assert any("mono" in note for note in reader.notes)


@pytest.mark.parametrize("between", [b"", b"ID3\4\0\0\0\0\x10\0" + bytes(2048), b"TAG" + bytes(125)])
def test_tags_around_raw_aac(tmp_path: Path, between: bytes) -> None:
    path = encode(tmp_path / "a.aac", tones(50_000), "aac", RATE)
    data = path.read_bytes()
    n_samples = read(path)[1].shape[1]
    path.write_bytes(between + data + between + data)
    assert read(path)[1].shape[1] == 2 * n_samples


def test_free_format_is_refused_by_name(tmp_path: Path) -> None:
    """Frames of free format do not say how long they are; no part of such a file passes for the whole."""
    data = bytearray(without_note(make_mp3(tmp_path)))
    for frame in list(walk(bytes(data))):
        if isinstance(frame, Frame):
            data[frame.position + 2] &= 0x0F
    (tmp_path / "a.mp3").write_bytes(data)
    with pytest.raises(AudioError, match=r"a\.mp3"):
        read(tmp_path / "a.mp3")


def test_frames_without_sound_are_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "a.mp3").write_bytes(noise(50_000))
    with pytest.raises(AudioError, match=r"a\.mp3"):
        read(tmp_path / "a.mp3")
