"""Videos in, videos out: the sound is replaced, and the picture is not touched."""

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import mutagen
import numpy as np
import pytest

from stemsplit import SettingsError, separate
from stemsplit.audio.reader import open_audio
from tests.support.audio_files import FloatArray, tones
from tests.support.av_files import encode, encode_video, read_picture
from tests.support.cli import call, list_files, make_song
from tests.support.marks import slow_but

N_SAMPLES = 96_000
WEBM = {"video_codec": "libvpx-vp9", "audio_codec": "libopus"}


@pytest.fixture
def model(tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A tiny model, and a working folder of one's own."""
    monkeypatch.chdir(tmp_path)
    return tiny_model


def read(path: Path) -> FloatArray:
    with open_audio(path) as reader:
        return np.concatenate(list(reader.blocks()), axis=1)


def make_karaoke(song: Path, model: Path) -> list[Path]:
    done = call(song, "-m", model, "--karaoke", "vocals", "--format", "mp4", "-o", "out")
    assert done.code == 0, done.stderr
    paths = [Path("out", song.stem, f"{stem}.mp4") for stem in ("vocals", "no_vocals")]
    assert list_files(Path("out")) == sorted(f"{path.parent.name}/{path.name}" for path in paths)
    return paths


def decode_picture(path: Path) -> list[FloatArray]:
    with av.open(str(path)) as container:
        return [frame.to_ndarray() for frame in container.decode(video=0)]


@pytest.mark.parametrize(
    "name", slow_but(["video.mp4"], ["video.mp4", "video.mkv", "video.mov", "video.webm"])
)
def test_karaoke_of_a_video_is_a_video_with_the_same_picture(model: Path, name: str) -> None:
    options: dict[str, Any] = WEBM if name.endswith("webm") else {}
    song = encode_video(Path(name), tones(N_SAMPLES), **options)
    sound, picture = read(song), read_picture(song)
    assert len(picture) == 50
    stems = make_karaoke(song, model)
    for path in stems:
        assert read_picture(path) == picture
        assert read(path).shape == sound.shape
    error = np.sum([read(path) for path in stems], axis=0) - sound
    assert float((error**2).mean()) < 0.02 * float((sound**2).mean())


def test_a_transport_stream_keeps_its_picture_and_its_time(model: Path) -> None:
    """Its bytes are framed in another way there; what they decode to is compared."""
    song = encode_video(Path("video.ts"), tones(N_SAMPLES))
    path, _ = make_karaoke(song, model)
    pairs = zip(decode_picture(path), decode_picture(song), strict=True)
    assert all(np.array_equal(made, given) for made, given in pairs)
    with av.open(str(path)) as made, av.open(str(song)) as given:
        leads = [
            float(file.streams.video[0].start_time * file.streams.video[0].time_base)
            - float(file.streams.audio[0].start_time * file.streams.audio[0].time_base)
            for file in (made, given)
        ]
    assert leads[0] == pytest.approx(leads[1], abs=0.001)


def test_a_sound_that_begins_late_stays_with_its_picture(model: Path) -> None:
    song = encode_video(Path("late.mkv"), tones(N_SAMPLES), sound_start_s=0.5)
    for path in make_karaoke(song, model):
        sound = read(path)
        assert read_picture(path) == read_picture(song)
        assert sound.shape[1] == 24_000 + read(song).shape[1]
        assert abs(sound[:, :23_000]).max() < 1e-3 < abs(sound[:, 25_000:]).max()


@pytest.mark.parametrize("shift_s", slow_but([2.0], [0.0, 2.0]))
def test_a_video_keeps_its_chapters(model: Path, shift_s: float) -> None:
    plain = encode_video(Path("plain.mkv"), tones(N_SAMPLES))
    chapters: list[Any] = [
        {"id": n, "start": start, "end": end, "time_base": Fraction(1, 1000), "metadata": {"title": title}}
        for n, start, end, title in ((1, 0, 800, "Verse"), (2, 800, 2000, "Chorus"))
    ]
    song = remux_with_chapters(plain, Path("song.mkv"), chapters, shift_s)
    for path in make_karaoke(song, model):
        with av.open(str(path)) as made:
            found = [
                (float(each["start"] * each["time_base"]), each["metadata"]["title"])
                for each in made.chapters()
            ]
        assert found == [(pytest.approx(0.0, abs=0.002), "Verse"), (pytest.approx(0.8, abs=0.002), "Chorus")]


def remux_with_chapters(source: Path, path: Path, chapters: list[Any], shift_s: float) -> Path:
    """The same video with chapters, everything `shift_s` later."""
    with av.open(str(source)) as given, av.open(str(path), "w") as made:
        streams = {each.index: made.add_stream_from_template(each) for each in given.streams}
        n_ms = round(1000 * shift_s)
        made.set_chapters([c | {"start": c["start"] + n_ms, "end": c["end"] + n_ms} for c in chapters])
        for packet in given.demux():
            if packet.dts is None:
                continue
            n_ticks = round(shift_s / packet.time_base)
            packet.dts, packet.pts = packet.dts + n_ticks, packet.pts + n_ticks
            packet.stream = streams[packet.stream.index]
            made.mux(packet)
    return path


def test_the_title_says_which_stem_a_video_has(model: Path) -> None:
    song = encode_video(Path("video.mp4"), tones(N_SAMPLES))
    tagged: Any = mutagen.File(song)
    tagged["\xa9nam"] = "Song"
    tagged.save()
    path, _ = make_karaoke(song, model)
    found: Any = mutagen.File(path)
    assert found["\xa9nam"] == ["Song (vocals)"]
    assert read_picture(path) == read_picture(song)


def test_what_has_no_picture_is_no_video(model: Path) -> None:
    make_song(Path("song.wav"))
    covered = encode(Path("cover.m4a"), tones(44_100), "aac", 44_100)
    tagged: Any = mutagen.File(covered)
    cover = np.zeros((8, 8, 3), np.uint8)
    with av.open("cover.png", "w", format="image2") as image:
        stream = image.add_stream("png")
        stream.width = stream.height = 8
        stream.pix_fmt = "rgb24"
        image.mux([*stream.encode(av.VideoFrame.from_ndarray(cover, format="rgb24")), *stream.encode(None)])
    tagged["covr"] = [mutagen.mp4.MP4Cover(Path("cover.png").read_bytes(), 14)]
    tagged.save()
    for song in ("song.wav", "cover.m4a"):
        done = call(song, "-m", model, "--format", "mp4")
        assert done.code == 1
        assert "is for videos, and the song has no picture: choose m4a" in done.stderr
    assert not Path("separated").exists()


def test_a_picture_that_mp4_cannot_hold_is_refused_by_name(model: Path) -> None:
    encode_video(Path("old.webm"), tones(N_SAMPLES), video_codec="libvpx", audio_codec="libopus")
    for more in ([], ["--dry-run"]):
        done = call("old.webm", "-m", model, "--format", "mp4", *more)
        assert done.code == 1
        assert "old.webm: mp4 cannot hold its picture (vp8) untouched; choose m4a" in done.stderr
    assert not Path("separated").exists()


def test_an_excerpt_has_no_picture(model: Path) -> None:
    song = encode_video(Path("video.mp4"), tones(N_SAMPLES))
    done = call(song, "-m", model, "--format", "mp4", "--start", "0.5")
    assert done.code == 2
    assert "the picture of a video is kept whole" in done.stderr
    with pytest.raises(SettingsError, match="kept whole"):
        separate(song, output_dir="out", format="mp4", start_s=0.5, models=[model])


def test_a_track_of_a_video_is_chosen_by_its_number(model: Path) -> None:
    """Each track is half as loud as the one before it."""
    song = encode_video(Path("video.mkv"), tones(N_SAMPLES), tracks=3)
    peaks = []
    for track in (1, 2, 3):
        done = call(song, "-m", model, "--track", track, "-o", track, "-s", "instrumental,vocals", "--json")
        assert done.code == 0, done.stderr
        assert done.records[0]["settings"]["track"] == track
        stems = [read(Path(str(track), "video", f"{stem}.wav")) for stem in ("vocals", "instrumental")]
        peaks.append(float(abs(stems[0] + stems[1]).max()))
    assert peaks == pytest.approx([peaks[0], peaks[0] / 2, peaks[0] / 4], rel=0.05)
    done = call(song, "-m", model, "--track", 4)
    assert done.code == 1
    assert "video.mkv: has no audio track 4; it has 3, counted from 1" in done.stderr
    done = call(song, "-m", model, "--track", 2, "--format", "mp4", "-o", "mp4", "-s", "vocals")
    assert done.code == 0, done.stderr
    assert read_picture(Path("mp4/video/vocals.mp4")) == read_picture(song)
