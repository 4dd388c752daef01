"""Tags go from the song to its stems, and never touch the audio."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
from mutagen.id3 import APIC, ID3, TIT2
from mutagen.mp4 import MP4, MP4FreeForm

from stemsplit.audio.tags import Tags, read_tags, write_tags
from stemsplit.errors import OutputError
from tests.support.audio_files import read_whole, tones, write_song

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
    assert read_tags(path) == Tags(title="One; Two")


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
