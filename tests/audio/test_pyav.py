"""What PyAV adds: exact lengths where the container tells, and the same errors as everywhere."""

import os
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import soundfile as sf

from stemsplit.audio.info import AudioInfo
from stemsplit.audio.reader import open_audio
from stemsplit.errors import AudioError
from tests.support.audio_files import FloatArray, tones

# name: (codec, sample rate, exact): exact where the container tells the length to the sample
FILES = {
    "aac.m4a": ("aac", 44_100, True),
    "alac.m4a": ("alac", 44_100, True),
    "video.mp4": ("aac", 48_000, True),
    "pcm.mov": ("pcm_s24le", 96_000, True),
    "opus.webm": ("libopus", 48_000, True),
    "flac.mkv": ("flac", 44_100, True),
    "pcm.mka": ("pcm_s16le", 22_050, True),
    "pcm.avi": ("pcm_s16le", 44_100, True),
    "pack.wv": ("wavpack", 44_100, True),
    "aac.mkv": ("aac", 44_100, False),
    "raw.aac": ("aac", 44_100, False),
    "dolby.ac3": ("ac3", 48_000, False),
}
LOSSLESS = ["alac.m4a", "pcm.mov", "flac.mkv", "pcm.mka", "pcm.avi", "pack.wv"]
N_SAMPLES = 50_001


def encode(
    path: Path,
    waveform: FloatArray,
    codec: str,
    sample_rate: int,
    *,
    options: Any = None,
    packed_as: str = "s16p",
) -> None:
    layout = {1: "mono", 2: "stereo", 6: "5.1", 8: "7.1"}[waveform.shape[0]]
    with av.open(str(path), "w", options=options or {}) as container:
        if path.suffix == ".mp4":
            video = container.add_stream("mpeg4", rate=25)
            video.width = video.height = 16
        stream = container.add_stream(codec, rate=sample_rate, layout=layout)
        if codec == "wavpack":
            stream.format = packed_as
        resampler = av.AudioResampler(
            stream.format.name, layout, sample_rate, frame_size=stream.frame_size or 1024
        )
        # packed: PyAV takes eight planes for endless ones
        frame = av.AudioFrame.from_ndarray(waveform.T.reshape(1, -1).copy(), format="flt", layout=layout)
        frame.sample_rate, frame.pts = sample_rate, 0
        for piece in [*resampler.resample(frame), *resampler.resample(None)]:
            container.mux(stream.encode(piece))
        container.mux(stream.encode(None))
        if path.suffix == ".mp4":
            picture = av.VideoFrame(16, 16, "yuv420p")
            container.mux([*video.encode(picture), *video.encode(None)])


def read(path: Path, block_samples: int = 65_536) -> tuple[AudioInfo, FloatArray]:
    with open_audio(path, block_samples=block_samples) as reader:
        return reader.info, np.concatenate(list(reader.blocks()), axis=1)


@pytest.mark.parametrize("name", FILES)
def test_rate_channels_length_and_alignment(tmp_path: Path, name: str) -> None:
    codec, sample_rate, exact = FILES[name]
    waveform = tones(N_SAMPLES, sample_rate=sample_rate)
    waveform[:, 20_000] += 0.2  # so that a shift by one sample would show
    encode(tmp_path / name, waveform, codec, sample_rate)
    info, decoded = read(tmp_path / name)
    assert (info.sample_rate, info.n_channels) == (sample_rate, 2)
    assert info.n_samples in (None, decoded.shape[1])
    if not exact:
        assert N_SAMPLES <= decoded.shape[1] < N_SAMPLES + 3000
        return
    assert decoded.shape == waveform.shape
    # Everything stays in its place: no other lag fits better.
    middle = slice(5000, 40_000)
    lags = range(-40, 41)
    products = [float((decoded[:, middle] * np.roll(waveform, lag, axis=1)[:, middle]).sum()) for lag in lags]
    assert lags[int(np.argmax(products))] == 0


@pytest.mark.parametrize("name", LOSSLESS)
def test_lossless_codecs_give_back_the_samples(tmp_path: Path, name: str) -> None:
    codec, sample_rate, _ = FILES[name]
    waveform = (np.round(tones(N_SAMPLES) * 32_768) / 32_768).astype(np.float32)
    encode(tmp_path / name, waveform, codec, sample_rate)
    for block_samples in (1000, 65_536):
        np.testing.assert_array_equal(read(tmp_path / name, block_samples)[1], waveform)


@pytest.mark.parametrize("n_channels", [1, 6, 8])
def test_other_channel_counts(tmp_path: Path, n_channels: int) -> None:
    waveform = (np.round(tones(9001, n_channels) * 32_768) / 32_768).astype(np.float32)
    for name, codec in (("a.mkv", "flac"), ("a.mka", "pcm_s16le"), ("b.mka", "pcm_f32le")):
        encode(tmp_path / name, waveform, codec, 44_100)
        np.testing.assert_array_equal(read(tmp_path / name)[1], waveform)


@pytest.mark.parametrize(
    ("name", "subtype"),
    [
        ("alac.m4a", "ALAC_24"),
        ("pcm.mov", "PCM_24"),
        ("pcm.mka", "PCM_16"),
        ("aac.m4a", "AAC"),
        ("opus.webm", "OPUS"),
    ],
)
def test_sample_types_have_the_names_that_encodings_know(tmp_path: Path, name: str, subtype: str) -> None:
    codec, sample_rate, _ = FILES[name]
    encode(tmp_path / name, tones(5000), codec, sample_rate)
    assert read(tmp_path / name)[0].subtype == subtype


@pytest.mark.parametrize(
    ("codec", "subtype"),
    [("wavpack", "FLOAT"), ("pcm_f32le", "FLOAT"), ("pcm_f64le", "DOUBLE"), ("pcm_s32le", "PCM_32")],
)
def test_the_depth_of_what_is_not_lossy_is_known(tmp_path: Path, codec: str, subtype: str) -> None:
    path = tmp_path / ("a.wv" if codec == "wavpack" else "a.mka")
    encode(path, tones(5000), codec, 44_100, packed_as="fltp")
    assert read(path)[0].subtype == subtype


@pytest.mark.parametrize("n_samples", [100, 1000, 1024, 44_100, 123_457])
def test_aac_has_neither_priming_nor_padding(tmp_path: Path, n_samples: int) -> None:
    encode(tmp_path / "a.m4a", tones(n_samples), "aac", 44_100)
    info, decoded = read(tmp_path / "a.m4a", 4096)
    assert info.n_samples == decoded.shape[1] == n_samples


def test_itunes_note_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from stemsplit.audio import pyav

    note = " 00000000 00000840 000001CA 00000000003F31F6 00000000 00000000"
    assert pyav._itunes_length(note) == 0x3F31F6
    assert pyav._itunes_length("") is None
    assert pyav._itunes_length("a b c xyz") is None


@pytest.mark.parametrize("name", ["aac.m4a", "pcm.mov", "flac.mkv", "pcm.mka", "opus.webm", "pack.wv"])
@pytest.mark.parametrize("kept", [0.7, 0.2, 0.01])
def test_truncated(tmp_path: Path, name: str, kept: float) -> None:
    codec, sample_rate, _ = FILES[name]
    encode(tmp_path / name, tones(150_000), codec, sample_rate)
    data = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(data[: int(len(data) * kept)])
    with pytest.raises(AudioError, match=name):
        read(tmp_path / name)


def test_truncated_m4a_with_its_index_in_front(tmp_path: Path) -> None:
    path = tmp_path / "a.m4a"
    encode(path, tones(150_000), "aac", 44_100, options={"movflags": "faststart"})
    data = path.read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")
    path.write_bytes(data[: len(data) * 7 // 10])
    with pytest.raises(AudioError, match="truncated"):
        read(path)


def test_a_wrong_name_does_not_matter(tmp_path: Path) -> None:
    encode(tmp_path / "a.m4a", tones(5000), "aac", 44_100)
    for name in ("a.mp3", "a.wav", "a"):
        (tmp_path / name).write_bytes((tmp_path / "a.m4a").read_bytes())
        assert read(tmp_path / name)[1].shape == (2, 5000)


@pytest.mark.skipif(os.name == "nt", reason="no colons in names")
@pytest.mark.parametrize("name", ["Live: 1.m4a", "12:30.m4a", "http:song.m4a", "pipe:0.m4a", "file:a.m4a"])
def test_a_name_with_a_colon_is_no_address(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    encode(tmp_path / name, tones(5000), "aac", 44_100)
    assert read(Path(name))[1].shape == (2, 5000)


def test_no_audio_inside(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "silent.mp4"), "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.width = stream.height = 16
        container.mux([*stream.encode(av.VideoFrame(16, 16, "yuv420p")), *stream.encode(None)])
    with pytest.raises(AudioError, match="no audio stream"):
        read(tmp_path / "silent.mp4")
    (tmp_path / "text.m4a").write_text("not audio at all " * 100)
    with pytest.raises(AudioError, match=r"text\.m4a"):
        read(tmp_path / "text.m4a")


def test_nan_in_a_float_stream(tmp_path: Path) -> None:
    waveform = tones(44_100)
    waveform[0, 22_050] = np.nan
    encode(tmp_path / "a.mka", waveform, "pcm_f32le", 44_100)
    with pytest.raises(AudioError, match=r"0\.500 s"):
        read(tmp_path / "a.mka")


def test_opus_is_decoded_as_its_makers_decode_it(tmp_path: Path) -> None:
    time_s = np.arange(48_000) / 48_000
    decay = np.exp(-6 * (time_s % 0.25))
    bass = 0.4 * np.sin(2 * np.pi * 55 * time_s) * decay + 0.05 * np.sin(2 * np.pi * 220 * time_s) * decay
    path = tmp_path / "bass.opus"
    # at the lowest rate FFmpeg's own decoder is far off
    waveform = np.stack([bass, bass], 1).astype(np.float32)
    sf.write(path, waveform, 48_000, format="OGG", subtype="OPUS", compression_level=1.0)
    expected, _ = sf.read(path, dtype="float32", always_2d=True)
    with open_audio(path) as reader:
        found = np.concatenate(list(reader.blocks()), axis=-1)
    assert found.shape == expected.T.shape
    assert np.abs(found - expected.T).max() < 1e-5
