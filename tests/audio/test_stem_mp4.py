"""Stem files: five tracks that other programs read, and that sum to the mixture."""

import errno
import io
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import mutagen
import numpy as np
import pytest

from stemsplit.audio import av_encoder
from stemsplit.audio.choice import open_decoder
from stemsplit.audio.condition import Condition
from stemsplit.audio.cover_art import CoverArt
from stemsplit.audio.encoding import Encoding, choose_encoding
from stemsplit.audio.info import AudioInfo
from stemsplit.audio.read_settings import ReadSettings
from stemsplit.audio.reader import open_audio
from stemsplit.audio.stem_box import append_stem_box, has_stem_box, make_stem_box, read_stem_names
from stemsplit.audio.stem_mp4 import ALL_STEMS, StemMp4
from stemsplit.audio.tags import Tags, read_tags
from stemsplit.audio.write_report import WriteReport
from stemsplit.errors import AudioError, OutputError
from tests.support.audio_files import FloatArray, tones
from tests.support.av_files import encode_tracks
from tests.support.stem_sets import files_under

RATE = 44_100
N_SAMPLES = 30_011
AAC = Encoding("stem.mp4", "AAC")
ALAC16 = Encoding("stem.mp4", "PCM_16")
ALAC24 = Encoding("stem.mp4", "PCM_24")
NAMES = ("vocals", "drums", "bass", "other")
TRACKS = ("mixture", "drums", "bass", "other", "vocals")
needs_ffmpeg = pytest.mark.skipif(shutil.which("ffprobe") is None, reason="needs the programs of FFmpeg")


def make_stems(level: float = 0.25, n_channels: int = 2) -> dict[str, FloatArray]:
    return {
        name: np.float32(level) * tones(N_SAMPLES, n_channels, sample_rate=RATE, seed=seed)
        for seed, name in enumerate(NAMES)
    }


def save(
    path: Path,
    stems: dict[str, FloatArray],
    encoding: Encoding,
    *,
    tags: Tags | None = None,
    sample_rate: int = RATE,
) -> WriteReport:
    n_channels, n_samples = next(iter(stems.values())).shape
    with StemMp4(
        path, sample_rate=sample_rate, n_channels=n_channels, encoding=encoding, tags=tags
    ) as stem_file:
        for start in range(0, n_samples, 7777):
            stem_file.write({name: stem[:, start : start + 7777] for name, stem in stems.items()})
        report = stem_file.complete()
        stem_file.place()
        return report


def read_track(path: Path, track: int | None = None) -> FloatArray:
    with open_audio(path, settings=ReadSettings(track=track)) as reader:
        return np.concatenate(list(reader.blocks()), axis=1)


def read_tracks(path: Path) -> dict[str, FloatArray]:
    return {name: read_track(path, track) for track, name in enumerate(TRACKS, 1)}


@pytest.mark.parametrize(("encoding", "bits"), [(ALAC16, 16), (ALAC24, 24)])
def test_lossless_tracks_sum_to_the_mixture_to_the_last_bit(
    tmp_path: Path, encoding: Encoding, bits: int
) -> None:
    mixture = (np.rint(0.5 * tones(N_SAMPLES) * 2**15) / 2**15).astype(np.float32)
    stems = {name: mixture * np.float32(share) for name, share in zip(NAMES, (0.1, 0.23, 0.3), strict=False)}
    stems["other"] = mixture - stems["vocals"] - stems["drums"] - stems["bass"]
    report = save(tmp_path / "song.stem.mp4", stems, encoding)
    assert report.gain == 1 and report.n_samples == N_SAMPLES
    whole, *parts = (
        np.rint(track * 2.0 ** (bits - 1)) for track in read_tracks(tmp_path / "song.stem.mp4").values()
    )
    assert np.array_equal(sum(parts), whole)
    assert np.array_equal(whole, np.rint(mixture * 2.0 ** (bits - 1)))
    for name, part in zip(TRACKS[1:], parts, strict=True):
        assert np.abs(part - stems[name] * 2.0 ** (bits - 1)).max() <= (2.5 if name == "other" else 0.5)


def test_what_rounding_leaves_over_never_wraps_around(tmp_path: Path) -> None:
    # three stems are rounded down by almost half a step, which the fourth, at full scale, has to make up for
    step = 2.0**-15
    ramp = np.full((2, 5000), -0.51 * step, np.float32)
    stems = {"vocals": ramp, "drums": ramp, "bass": ramp, "other": np.full((2, 5000), 1 - step, np.float32)}
    report = save(tmp_path / "song.stem.mp4", stems, ALAC16)
    tracks = read_tracks(tmp_path / "song.stem.mp4")
    assert 0.9999 < report.gain < 1
    assert tracks["other"].min() > 0.999
    assert np.array_equal(sum(tracks[name] for name in NAMES), tracks["mixture"])


def test_aac_tracks_sum_to_the_mixture_within_the_error_of_the_codec(tmp_path: Path) -> None:
    stems = make_stems()
    save(tmp_path / "song.stem.mp4", stems, AAC)
    tracks = read_tracks(tmp_path / "song.stem.mp4")
    assert {track.shape for track in tracks.values()} == {(2, N_SAMPLES)}
    mixture = np.sum(list(stems.values()), axis=0)
    for name, expected in {**stems, "mixture": mixture}.items():
        assert float(((tracks[name] - expected) ** 2).mean()) < 0.02 * float((expected**2).mean()), name
    error = sum(tracks[name] for name in NAMES) - tracks["mixture"]
    assert float((error**2).mean()) < 0.02 * float((mixture**2).mean())


def test_stems_that_would_clip_together_share_one_gain(tmp_path: Path) -> None:
    stems = make_stems(level=0.9)
    report = save(tmp_path / "song.stem.mp4", stems, ALAC16)
    peak = float(np.abs(np.sum(list(stems.values()), axis=0)).max())
    assert report.peak == pytest.approx(peak) and report.gain == pytest.approx(1 / peak, rel=1e-3)
    assert np.abs(read_track(tmp_path / "song.stem.mp4")).max() <= 1


def test_the_box_has_names_colours_and_a_mastering_that_is_off(tmp_path: Path) -> None:
    path = tmp_path / "song.stem.mp4"
    save(
        path, make_stems(), AAC, tags=Tags(title="Söng", artist="Bänd", cover=CoverArt(b"\xff\xd8\xff cover"))
    )
    data = path.read_bytes()
    at = data.index(b"stem{") - 4
    box = json.loads(data[at + 8 : at + int.from_bytes(data[at : at + 4], "big")])
    assert [stem["name"] for stem in box["stems"]] == ["Drums", "Bass", "Other", "Vocals"]
    assert len({stem["color"] for stem in box["stems"]}) == 4
    assert box["version"] == 1
    assert not any(part["enabled"] for part in box["mastering_dsp"].values())
    assert read_stem_names(path) == ("Drums", "Bass", "Other", "Vocals")
    tags = read_tags(path)
    assert (tags.title, tags.artist, tags.cover) == ("Söng", "Bänd", CoverArt(b"\xff\xd8\xff cover"))
    # tagged again by another program, all is still there
    song: Any = mutagen.File(path)
    song.tags["\xa9nam"] = ["A longer title " * 200]
    song.save()
    assert read_stem_names(path) == ("Drums", "Bass", "Other", "Vocals")
    assert read_track(path, 5).shape == (2, N_SAMPLES)


@needs_ffmpeg
def test_ffprobe_finds_five_tracks_of_which_the_mixture_is_enabled(tmp_path: Path) -> None:
    path = tmp_path / "song.stem.mp4"
    save(path, make_stems(n_channels=1), AAC)
    command = ["ffprobe", "-v", "error", "-of", "json", "-show_streams", str(path)]
    streams = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)["streams"]
    assert [stream["disposition"]["default"] for stream in streams] == [1, 0, 0, 0, 0]
    titles = [stream["tags"]["handler_name"] for stream in streams]
    assert titles == ["Mixture", "Drums", "Bass", "Other", "Vocals"]
    assert {(stream["codec_name"], stream["channels"]) for stream in streams} == {("aac", 1)}


@needs_ffmpeg
@pytest.mark.slow
@pytest.mark.parametrize("encoding", [AAC, ALAC16], ids=str)
def test_stempeg_reads_it(tmp_path: Path, encoding: Encoding) -> None:
    stempeg = pytest.importorskip("stempeg")
    path = tmp_path / "song.stem.mp4"
    stems = make_stems()
    save(path, stems, encoding)
    read, rate = stempeg.read_stems(str(path), dtype=np.float32)
    assert rate == RATE and read.shape[0] == 5 and read.shape[2] == 2
    assert stempeg.Info(str(path)).title_streams == ["Mixture", "Drums", "Bass", "Other", "Vocals"]
    for place, name in enumerate(TRACKS[1:], 1):
        error = read[place, :N_SAMPLES].T - stems[name]
        assert float((error**2).mean()) < 0.02 * float((stems[name] ** 2).mean())


def test_a_rate_that_aac_lacks_is_converted(tmp_path: Path) -> None:
    report = save(tmp_path / "song.stem.mp4", make_stems(), AAC, sample_rate=45_000)
    assert report.notes == ("stem.mp4 has no 45000 Hz: resampled to 48000 Hz",)
    tracks = read_tracks(tmp_path / "song.stem.mp4")
    assert {track.shape[1] for track in tracks.values()} == {round(N_SAMPLES * 48 / 45)}


@pytest.mark.parametrize("bits", [16, 24])
@pytest.mark.parametrize("sample_rate", [45_000, 192_000])
def test_lossless_tracks_keep_the_rate_and_never_wrap_around(
    tmp_path: Path, sample_rate: int, bits: int
) -> None:
    # resampled, the edges of a square wave overshoot
    square = np.float32(0.999) * np.sign(np.sin(np.arange(6000) / 30 + 0.1)).astype(np.float32)
    other = np.stack([square, -square])
    stems = {name: np.zeros_like(other) for name in NAMES} | {"drums": -other / 2, "other": other}
    encoding = Encoding("stem.mp4", f"PCM_{bits}")
    report = save(tmp_path / "song.stem.mp4", stems, encoding, sample_rate=sample_rate)
    assert (report.notes, report.gain) == ((), 1)
    tracks = read_tracks(tmp_path / "song.stem.mp4")
    assert np.abs(tracks["other"] - other).max() <= 3 / 2 ** (bits - 1)
    assert np.array_equal(sum(tracks[name] for name in NAMES), tracks["mixture"])


def test_a_bit_rate_that_aac_lacks_is_noted(tmp_path: Path) -> None:
    report = save(tmp_path / "song.stem.mp4", make_stems(n_channels=1), Encoding("stem.mp4", "AAC", 512))
    assert report.notes == ("stem.mp4 of 44100 Hz and 1 channel(s) has no 512 kbit/s: encoded with 264",)


def test_other_stems_follow_the_usual_ones(tmp_path: Path) -> None:
    stems = dict(zip(("residual", "lead_vocals", "bass", "drums"), make_stems().values(), strict=True))
    save(tmp_path / "song.stem.mp4", stems, ALAC16)
    assert read_stem_names(tmp_path / "song.stem.mp4") == ("Drums", "Bass", "Residual", "Lead vocals")
    assert np.allclose(read_track(tmp_path / "song.stem.mp4", 5), stems["lead_vocals"], atol=1e-3)


# --- all or nothing ---------------------------------------------------------------------------------------


def test_a_full_disk_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(av_encoder.AvTrack, "flush", fail)
    with pytest.raises(OutputError, match=r"song\.stem\.mp4.*full"):
        save(tmp_path / "new" / "song.stem.mp4", make_stems(), AAC)
    assert files_under(tmp_path) == []


def test_a_disk_that_takes_a_few_bytes_at_a_time_gets_the_whole_box(tmp_path: Path) -> None:
    class SlowFile(io.FileIO):
        def write(self, data: Any) -> int:
            return super().write(data[:3])

    path = encode_tracks(tmp_path / "song.mp4", list(make_stems().values()), sample_rate=RATE)
    with SlowFile(path, "r+") as file:
        append_stem_box(file, make_stem_box(NAMES))
    assert read_stem_names(path) == NAMES


def test_an_existing_file_is_kept_or_replaced(tmp_path: Path) -> None:
    path = tmp_path / "song.stem.mp4"
    path.write_text("precious")
    with pytest.raises(OutputError, match="already"):
        save(path, make_stems(), AAC)
    assert path.read_text() == "precious" and files_under(tmp_path) == ["song.stem.mp4"]
    with StemMp4(path, sample_rate=RATE, n_channels=2, encoding=AAC, overwrite=True) as stem_file:
        stem_file.write(make_stems())
        assert path.read_text() == "precious"
        assert stem_file.parts[ALL_STEMS].parent == tmp_path
        stem_file.complete()
        stem_file.place()
    assert has_stem_box(path) and files_under(tmp_path) == ["song.stem.mp4"]


def test_a_tag_that_cannot_be_written_is_a_note(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def spoil(path: Path, *_: object, **__: object) -> None:
        path.write_bytes(b"spoilt")
        raise OutputError("no") from OSError("reason")

    monkeypatch.setattr("stemsplit.audio.stem_mp4.write_tags", spoil)
    report = save(tmp_path / "song.stem.mp4", make_stems(), ALAC16, tags=Tags(title="x"))
    assert "without tags (reason)" in report.notes[0]
    assert read_track(tmp_path / "song.stem.mp4", 2).shape == (2, N_SAMPLES)


@pytest.mark.parametrize(
    ("bits", "bitrate", "subtype"),
    [(None, None, "AAC"), (None, 320, "AAC"), ("16", None, "PCM_16"), ("24", None, "PCM_24")],
)
def test_bits_choose_alac(bits: str | None, bitrate: int | None, subtype: str) -> None:
    song = AudioInfo(RATE, 2, None, "WAV", "FLOAT")
    assert choose_encoding("stem.mp4", bits, song, bitrate) == Encoding("stem.mp4", subtype, bitrate)


@pytest.mark.parametrize(
    ("bits", "bitrate", "n_channels", "reason"),
    [
        ("32f", None, 2, "choose one of 16, 24"),
        ("16", 256, 2, "lossless"),
        (None, 900, 2, "32 to 512 kbit/s"),
        (None, None, 6, "at most 2"),
    ],
)
def test_what_it_cannot_hold(bits: str | None, bitrate: int | None, n_channels: int, reason: str) -> None:
    with pytest.raises(OutputError, match=reason):
        choose_encoding("stem.mp4", bits, AudioInfo(RATE, n_channels, None, "WAV", "PCM_16"), bitrate)


# --- reading ----------------------------------------------------------------------------------------------


def test_the_mixture_is_read_even_where_a_player_would_choose_another_track(tmp_path: Path) -> None:
    stems = make_stems()
    silence = np.zeros_like(stems["drums"])
    path = encode_tracks(tmp_path / "song.mp4", [silence, *stems.values()], sample_rate=RATE)
    assert np.abs(read_track(path)).max() > 0.1  # as FFmpeg chooses
    assert not read_track(path.rename(tmp_path / "Song.STEM.mp4")).any()
    (tmp_path / "Song.STEM.mp4").rename(path)
    with path.open("r+b") as file:
        append_stem_box(file, make_stem_box(NAMES))
    assert not read_track(path).any()
    assert np.abs(read_track(path, 2)).max() > 0.1
    with pytest.raises(AudioError, match="no audio track 6; it has 5"):
        open_decoder(path, Condition(path), track=6)


@pytest.mark.parametrize("damage", [b'{"stems": 5}', b"[]", b"not json", b'{"stems": [{"colour": 1}]}'])
def test_a_damaged_box_is_an_error_where_the_names_are_needed(tmp_path: Path, damage: bytes) -> None:
    path = encode_tracks(tmp_path / "song.mp4", list(make_stems().values()), sample_rate=RATE)
    with path.open("r+b") as file:
        append_stem_box(file, damage)
    assert has_stem_box(path)
    with pytest.raises(AudioError, match=r"song\.mp4: the box that names its stems is damaged"):
        read_stem_names(path)


@pytest.mark.parametrize("content", [b"", b"\0\0\0\1moov", b"\0\0\0\x09moov\0", b"\xff" * 400, b"\0" * 400])
def test_what_is_no_mp4_has_no_box(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x").write_bytes(content)
    assert not has_stem_box(tmp_path / "x") and read_stem_names(tmp_path / "x") == ()
