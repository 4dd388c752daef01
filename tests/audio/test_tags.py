"""Tags go from the song to its stems, and never touch the audio."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import soundfile
from mutagen.apev2 import APEv2, APEValue
from mutagen.id3 import APIC, ID3, TIT2
from mutagen.mp4 import MP4, MP4FreeForm

from stemsplit.audio.cover_art import CoverArt
from stemsplit.audio.encoding import FORMATS, choose_encoding
from stemsplit.audio.info import AudioInfo
from stemsplit.audio.tags import Tags, read_tags, write_tags
from stemsplit.errors import OutputError
from tests.support.audio_files import read_whole, tones, write_song
from tests.support.stem_sets import save

FULL = Tags(
    title="Ünder the 🌉",
    artist="Bänd; Guest",
    album="Album",
    album_artist="Various",
    composer="C. Omposer",
    date="2024-05-01",
    genre="Drum & Bass",
    track_number="3/12",
    disc_number="1/2",
    bpm="174",
    key="F#m",
    isrc="QZABC2400001",
    copyright="CC BY 4.0",
    comment="Live: 100 %",
    lyrics="La la\nla",
    musicbrainz_track_id="8d5c0a3c-0000-4000-8000-000000000001",
    musicbrainz_album_id="8d5c0a3c-0000-4000-8000-000000000002",
    musicbrainz_artist_id="8d5c0a3c-0000-4000-8000-000000000003",
    musicbrainz_album_artist_id="8d5c0a3c-0000-4000-8000-000000000004",
    musicbrainz_release_group_id="8d5c0a3c-0000-4000-8000-000000000005",
    musicbrainz_release_track_id="8d5c0a3c-0000-4000-8000-000000000006",
    cover=CoverArt(b"\xff\xd8\xff\xe0" + bytes(range(256)) * 20),
)
FILES = [
    "pcm16.wav",
    "pcm24.wav",
    "float.wav",
    "extensible.wav",
    "pcm16.flac",
    "song.mp3",
    "song.ogg",
    "song.opus",
]


@pytest.mark.parametrize("name", FILES)
def test_every_tag_comes_back_and_the_audio_stays(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    before = write_song(path, tones(30_001))
    write_tags(path, FULL, "vocals")
    assert read_tags(path) == FULL.for_stem("vocals")
    assert read_tags(path).title == "Ünder the 🌉 (vocals)"
    np.testing.assert_array_equal(read_whole(path), before)
    assert soundfile.info(path).frames == 30_001
    write_tags(path, Tags(title="Other"), "drums")
    assert read_tags(path).title == "Other (drums)"


def test_a_wav_with_tags_is_a_whole_riff(tmp_path: Path) -> None:
    path = tmp_path / "pcm24.wav"
    write_song(path, tones(1001, 1))  # an odd number of bytes
    write_tags(path, FULL, "bass")
    data = path.read_bytes()
    assert int.from_bytes(data[4:8], "little") == len(data) - 8
    position = 12
    while position < len(data):
        size = int.from_bytes(data[position + 4 : position + 8], "little")
        position += 8 + size + size % 2
    assert position == len(data)


def test_nothing_is_written_without_tags(tmp_path: Path) -> None:
    path = tmp_path / "pcm16.wav"
    write_song(path, tones(100))
    before = path.read_bytes()
    write_tags(path, Tags(), "vocals")
    assert path.read_bytes() == before
    assert not Tags()
    assert Tags(bpm="120")


def test_a_song_without_a_title_gets_none() -> None:
    assert Tags(artist="A").for_stem("vocals").title == ""


def test_info_strings_of_a_wav(tmp_path: Path) -> None:
    path = tmp_path / "info.wav"
    with soundfile.SoundFile(path, "w", 44_100, 1, "PCM_16") as file:
        file.title = "Song"
        file.artist = "Band"
        file.genre = "Rock"
        file.write(np.zeros(100))
    assert read_tags(path) == Tags(title="Song", artist="Band", genre="Rock")


def test_id3_in_aiff(tmp_path: Path) -> None:
    from mutagen.aiff import AIFF

    path = tmp_path / "song.aiff"
    write_song(path, tones(100))
    song = AIFF(path)
    song.add_tags()
    song.tags.add(TIT2(text=["Song"]))
    song.save()
    assert read_tags(path) == Tags(title="Song")


def test_m4a(tmp_path: Path) -> None:
    av = pytest.importorskip("av")
    path = tmp_path / "song.m4a"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=44_100, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 44_100
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            container.mux(packet)
    song = MP4(path)
    song["\xa9nam"] = ["Song"]
    song["trkn"] = [(3, 12)]
    song["tmpo"] = [174]
    song["----:com.apple.iTunes:initialkey"] = [MP4FreeForm(b"F#m")]
    song.save()
    assert read_tags(path) == Tags(title="Song", track_number="3/12", bpm="174", key="F#m")
    song["trkn"] = [(0, 12)]
    song["disk"] = [(2, 0)]
    song.save()
    assert read_tags(path) == Tags(title="Song", disc_number="2", bpm="174", key="F#m")


@pytest.mark.parametrize(
    ("date", "kept"), [("2024-05", "2024-05"), ("12/03/1999", "1999"), ("long ago", ""), ("19991", "")]
)
def test_a_date_in_another_order_keeps_its_year_in_id3(tmp_path: Path, date: str, kept: str) -> None:
    path = tmp_path / "song.mp3"
    write_song(path, tones(3001))
    write_tags(path, Tags(title="Song", date=date), "drums")
    assert read_tags(path) == Tags(title="Song (drums)", date=kept)


def test_several_values_and_cover_art(tmp_path: Path) -> None:
    path = tmp_path / "song.mp3"
    write_song(path, tones(5000))
    tags = ID3()
    tags.add(TIT2(encoding=3, text=["One", "Two"]))
    tags.add(APIC(encoding=3, mime="image/png", type=3, desc="", data=b"\x89PNG" * 1000))
    tags.save(path)
    assert read_tags(path) == Tags(title="One; Two", cover=CoverArt(b"\x89PNG" * 1000))


@pytest.mark.parametrize("format", FORMATS)
def test_tags_and_cover_go_into_every_format(tmp_path: Path, format: str) -> None:
    encoding = choose_encoding(format, None, AudioInfo(48_000, 2, None, "WAV", "PCM_16"))
    report, paths = save(tmp_path, {"vocals": tones(5000)}, encoding, tags=FULL)
    assert report.notes == ()
    assert read_tags(paths["vocals"]) == FULL.for_stem("vocals")


def test_an_ape_tag_is_read_alone_and_beside_id3(tmp_path: Path) -> None:
    path = tmp_path / "song.mp3"
    write_song(path, tones(5000))
    ape: Any = APEv2()
    ape.update({"Title": "Song", "Artist": "Band", "Year": "1999", "Track": "3/9", "Comment": "said"})
    ape["Cover Art (Front)"] = APEValue(b"a.png\0" + b"\x89PNG1234", 1)
    ape.save(path)
    wanted = Tags(
        title="Song",
        artist="Band",
        date="1999",
        track_number="3/9",
        comment="said",
        cover=CoverArt(b"\x89PNG1234"),
    )
    assert read_tags(path) == wanted
    tags = ID3()
    tags.add(TIT2(encoding=3, text=["Other"]))
    tags.save(path)
    assert read_tags(path) == replace(wanted, title="Other")


def test_tags_of_matroska_and_of_a_wav_list(tmp_path: Path) -> None:
    for name, codec in (("a.mka", "pcm_s16le"), ("a.webm", "libopus"), ("a.mkv", "flac")):
        with av.open(str(tmp_path / name), "w") as container:
            container.metadata.update({"title": "Song", "artist": "Band", "comment": "said"})
            stream: Any = container.add_stream(codec, rate=48_000, layout="stereo")
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 9600), np.int16), format="s16", layout="stereo")
            frame.sample_rate, frame.pts = 48_000, 0
            resampler = av.AudioResampler(stream.format.name, "stereo", 48_000, frame_size=960)
            for piece in [*resampler.resample(frame), *resampler.resample(None)]:
                container.mux(stream.encode(piece))
            container.mux(stream.encode(None))
        found = read_tags(tmp_path / name)
        assert (found.title, found.artist, found.comment) == ("Song", "Band", "said")


def test_the_cover_of_a_matroska_is_carried_over(tmp_path: Path) -> None:
    path, picture = tmp_path / "a.mka", b"\x89PNG\r\n\x1a\n" + bytes(40)
    with av.open(str(path), "w", format="matroska") as container:
        stream: Any = container.add_stream("flac", rate=48_000, layout="stereo")
        container.add_attachment("cover.png", "image/png", picture)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 8192), np.int16), format="s16", layout="stereo")
        frame.sample_rate, frame.pts = 48_000, 0
        container.mux([*stream.encode(frame), *stream.encode(None)])
    cover = read_tags(path).cover
    assert cover is not None
    assert (cover.data, cover.mime) == (picture, "image/png")


@pytest.mark.parametrize("data", [b"", b"ID3\x04\0\0\x7f\x7f\x7f\x7f", b"fLaC" + b"\xff" * 100, b"OggS" * 50])
def test_broken_tags_are_no_tags(tmp_path: Path, data: bytes) -> None:
    for name in ("a.mp3", "a.flac", "a.ogg", "a.wav", "a.m4a"):
        (tmp_path / name).write_bytes(data)
        assert read_tags(tmp_path / name) == Tags()
    assert read_tags(tmp_path / "missing.mp3") == Tags()


def test_tags_that_cannot_be_written_are_an_output_error(tmp_path: Path) -> None:
    for name in ("a.flac", "a.wav", "a.ogg", "a.xyz"):
        (tmp_path / name).write_bytes(b"not audio")
        with pytest.raises(OutputError, match="tags could not be written"):
            write_tags(tmp_path / name, FULL, "vocals")
