"""Encodings: which one a stem gets, and that its samples are exact."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stemsplit.audio import wav
from stemsplit.audio.encoding import (
    FORMATS,
    Encoding,
    check_encoding,
    choose_encoding,
    written_rate,
)
from stemsplit.audio.info import AudioInfo
from stemsplit.audio.pcm import gain_to_fit, quantise
from stemsplit.audio.reader import open_audio
from stemsplit.audio.stem_set import StemSet
from stemsplit.errors import OutputError
from tests.support.audio_files import read_whole, tones
from tests.support.marks import mark_slow, slow_but
from tests.support.stem_sets import ENCODINGS, FLOAT, PCM16, RATE, files_under, save

MOST_UNLIKE = [PCM16, Encoding("flac", "PCM_24"), Encoding("ogg", "VORBIS"), Encoding("m4a", "AAC")]


@pytest.mark.parametrize(
    ("format", "bits", "source", "subtype"),
    [
        ("wav", None, "PCM_16", "PCM_16"),
        ("wav", None, "PCM_24", "PCM_24"),
        ("wav", None, "PCM_32", "PCM_32"),
        ("wav", None, "FLOAT", "FLOAT"),
        ("wav", None, "DOUBLE", "FLOAT"),
        ("wav", None, "PCM_U8", "PCM_16"),
        ("wav", None, "MPEG_LAYER_III", "PCM_16"),
        ("wav", None, "ALAC_24", "PCM_24"),
        ("wav", "24", "PCM_16", "PCM_24"),
        ("wav", "32f", "VORBIS", "FLOAT"),
        ("flac", None, "FLOAT", "PCM_24"),
        ("flac", None, "AAC", "PCM_16"),
        ("flac", "16", "PCM_24", "PCM_16"),
        ("mp3", None, "FLOAT", "MPEG_LAYER_III"),
        ("ogg", None, "PCM_16", "VORBIS"),
        ("opus", None, "PCM_16", "OPUS"),
        ("m4a", None, "PCM_24", "AAC"),
        ("alac", None, "FLOAT", "PCM_24"),
        ("aiff", None, "FLOAT", "FLOAT"),
        ("aiff", None, "PCM_32", "PCM_24"),
    ],
)
def test_the_depth_of_the_source_is_kept(format: str, bits: str | None, source: str, subtype: str) -> None:
    info = AudioInfo(48_000, 2, None, "", source)
    assert choose_encoding(format, bits, info) == Encoding(format, subtype)


@pytest.mark.parametrize(
    ("format", "bits", "rate", "n_channels", "words"),
    [
        ("mp3", "16", 44_100, 2, "lossy"),
        ("flac", "32f", 44_100, 2, "16, 24"),
        ("wav", "12", 44_100, 2, "16, 24, 32f"),
        ("mp5", None, 44_100, 2, "wav, flac"),
        ("mp3", None, 44_100, 3, "at most 2"),
        ("flac", None, 200_001, 2, "655350"),
        ("flac", None, 48_000, 9, "at most 8"),
        ("stem.mp4", "16", 400_000, 2, "384000"),
    ],
)
def test_what_a_format_cannot_hold_is_refused(
    format: str, bits: str | None, rate: int, n_channels: int, words: str
) -> None:
    with pytest.raises(OutputError, match=words):
        choose_encoding(format, bits, AudioInfo(rate, n_channels, None, "WAV", "PCM_16"))


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("sample_rate", slow_but([384_000], [11_025, 44_100, 48_000, 96_000, 384_000]))
@pytest.mark.parametrize("n_channels", slow_but([2], [1, 2, 6]))
def test_every_format_takes_every_rate(
    tmp_path: Path, format: str, sample_rate: int, n_channels: int
) -> None:
    if format == "mp3" and n_channels > 2:
        pytest.skip("mp3 has two channels")
    info = AudioInfo(sample_rate, n_channels, None, "WAV", "PCM_16")
    encoding = choose_encoding(format, None, info)
    waveform = tones(20_001, n_channels, sample_rate=sample_rate)
    report, paths = save(tmp_path, {"a": waveform}, encoding, sample_rate=sample_rate)
    with open_audio(paths["a"]) as reader:
        n_samples = sum(block.shape[1] for block in reader.blocks())
    written_hz = written_rate(encoding, sample_rate)
    read_hz = reader.info.sample_rate
    assert read_hz == (48_000 if format == "opus" else written_hz)
    assert abs(n_samples - 20_001 * read_hz / sample_rate) <= read_hz / written_hz
    assert bool(report.notes) == (written_hz != sample_rate)
    assert reader.notes == ()


KBITS = [("mp3", 128), ("mp3", 320), ("opus", 64), ("m4a", 96), ("ogg", 96)]


@pytest.mark.parametrize(("format", "kbits"), slow_but([("opus", 64)], KBITS))
def test_a_bit_rate_is_kept(tmp_path: Path, format: str, kbits: int) -> None:
    encoding = choose_encoding(format, None, AudioInfo(48_000, 2, None, "WAV", "PCM_16"), kbits)
    _, paths = save(tmp_path, {"a": tones(480_000)}, encoding, sample_rate=48_000)
    tolerance = 0.35 if format == "ogg" else 0.12
    assert paths["a"].stat().st_size * 8 / 10_000 == pytest.approx(kbits, rel=tolerance)
    with open_audio(paths["a"]) as reader:
        assert sum(block.shape[1] for block in reader.blocks()) == 480_000


@pytest.mark.parametrize(
    ("format", "kbits", "rate", "n_channels", "kept"),
    [
        ("ogg", 128, 48_000, 1, 128),
        ("ogg", 64, 48_000, 6, 120),
        ("mp3", 320, 22_050, 2, 160),
        ("opus", 512, 48_000, 1, 256),
        mark_slow(("ogg", 500, 44_100, 1, 240)),
        mark_slow(("ogg", 96, 22_050, 2, 96)),
        mark_slow(("ogg", 256, 48_000, 6, 256)),
        mark_slow(("mp3", 100, 8_000, 1, 64)),
        mark_slow(("opus", 300, 48_000, 5, 300)),
    ],
)
def test_a_bit_rate_is_that_of_all_channels_or_the_nearest_which_is_noted(
    tmp_path: Path, format: str, kbits: int, *, rate: int, n_channels: int, kept: int
) -> None:
    encoding = choose_encoding(format, None, AudioInfo(rate, n_channels, None, "WAV", "PCM_16"), kbits)
    spectrum = np.fft.rfft(np.random.default_rng(0).standard_normal((n_channels, 3 * rate)))
    song = np.fft.irfft(spectrum / np.sqrt(np.arange(spectrum.shape[1]) + 50))
    song = (0.15 * song / song.std()).astype(np.float32)
    report, paths = save(tmp_path, {"a": song}, encoding, sample_rate=rate, tags=None)
    assert paths["a"].stat().st_size * 8 / 3000 == pytest.approx(kept, rel=0.15)
    assert [f"{kbits} kbit/s: encoded with {kept}" in note for note in report.notes] == [True] * (
        kept != kbits
    )


def test_opus_of_a_bit_rate_has_at_most_eight_channels() -> None:
    info = AudioInfo(48_000, 9, None, "WAV", "PCM_16")
    assert choose_encoding("opus", None, info) == Encoding("opus", "OPUS")
    with pytest.raises(OutputError, match=r"at most 8.*--bitrate"):
        choose_encoding("opus", None, info, 256)


@pytest.mark.parametrize(
    ("format", "kbits", "words"),
    [("wav", 128, "lossless"), ("mp3", 5, "32 to"), ("opus", 600, "6 to")],
)
def test_bit_rates_that_a_format_lacks(format: str, kbits: int, words: str) -> None:
    with pytest.raises(OutputError, match=words):
        choose_encoding(format, None, AudioInfo(48_000, 2, None, "WAV", "PCM_16"), kbits)


@pytest.mark.parametrize(
    ("mask", "n_channels"),
    slow_but([(0x33, 4), (0, 3)], [(0x33, 4), (0x7, 3), (0xB, 3), (0x60F, 6), (0x3F, 6), (0, 3)]),
)
@pytest.mark.parametrize("format", ["wav", "flac"])
@pytest.mark.parametrize("bits", ["16", "24"])
def test_speaker_masks_are_kept(tmp_path: Path, mask: int, n_channels: int, format: str, bits: str) -> None:
    encoding = choose_encoding(format, bits, AudioInfo(48_000, n_channels, None, "WAV", "PCM_16"))
    _, paths = save(tmp_path, {"a": tones(500, n_channels)}, encoding, sample_rate=48_000, channel_mask=mask)
    with open_audio(paths["a"]) as reader:
        assert reader.info.channel_mask == mask or (not mask and format == "flac")


@pytest.mark.parametrize("encoding", slow_but(MOST_UNLIKE, ENCODINGS), ids=str)
def test_what_passes_the_check_can_be_written(tmp_path: Path, encoding: Encoding) -> None:
    for sample_rate in (8_000, 11_025, 16_000, 22_050, 44_100, 48_000, 65_535, 96_000, 192_000, 655_350):
        for n_channels in (1, 2, 6, 8):
            try:
                check_encoding(encoding, sample_rate=sample_rate, n_channels=n_channels)
            except OutputError:
                continue
            stems = {"a": tones(50, n_channels)}
            _, paths = save(tmp_path, stems, encoding, sample_rate=sample_rate, overwrite=True)
            with open_audio(paths["a"]) as reader:
                n_samples = sum(block.shape[1] for block in reader.blocks())
            assert reader.info.n_channels == n_channels
            if sample_rate == written_rate(encoding, sample_rate) and encoding.format != "opus":
                assert (reader.info.sample_rate, n_samples) == (sample_rate, 50)


@given(
    value=st.floats(-1.25, 1.25, width=32),
    bits=st.sampled_from([16, 24, 32]),
    gain=st.sampled_from([1.0, 0.5, 0.7071]),
)
def test_rounding_is_to_the_nearest_and_clipping_is_counted(value: float, bits: int, gain: float) -> None:
    scale = 2 ** (bits - 1)
    values, n_clipped = quantise(np.float32([value]), bits, gain=gain)
    wanted = value * gain * scale
    if n_clipped:
        assert wanted >= scale - 0.5 or wanted <= -scale - 0.5
        assert values[0] in (scale - 1, -scale)
    else:
        assert abs(int(values[0]) - wanted) <= 0.5
    mirrored, _ = quantise(np.float32([-value]), bits, gain=gain)
    assert mirrored[0] == -int(values[0]) or abs(int(values[0])) >= scale - 1


@given(
    peaks=st.tuples(st.floats(-3, 0, width=32), st.floats(0, 3, width=32)),
    bits=st.sampled_from([16, 24, 32]),
)
def test_the_gain_is_one_or_just_enough(peaks: tuple[float, float], bits: int) -> None:
    encoding = Encoding("wav", f"PCM_{bits}")
    gain = gain_to_fit(encoding, *peaks)
    samples = np.float32(peaks)
    _, clipped_before = quantise(samples, bits)
    _, clipped_after = quantise(samples, bits, gain=gain)
    assert clipped_after == 0
    assert (gain == 1.0) == (clipped_before == 0)


def test_full_scale_is_not_clipping() -> None:
    top = 1 - 2.0**-15
    assert gain_to_fit(PCM16, -1.0, top) == 1.0
    assert gain_to_fit(PCM16, -1.0, 1.0) == top
    assert gain_to_fit(PCM16, -2.0, 0.5) == 0.5
    assert gain_to_fit(FLOAT, -2.0, 5.0) == 1.0
    assert gain_to_fit(Encoding("mp3", "MPEG_LAYER_III"), -2.0, 1.0) == 0.5
    assert gain_to_fit(Encoding("mp3", "MPEG_LAYER_III"), -1.0, 1.0) == 1.0


@pytest.mark.parametrize("bits", [16, 24])
@pytest.mark.parametrize("format", ["wav", "flac"])
def test_pcm_that_is_read_and_written_again_is_identical(tmp_path: Path, format: str, bits: int) -> None:
    scale = 2 ** (bits - 1)
    values = np.random.default_rng(0).integers(-scale, scale, (20_000, 2), np.int32)
    values[:4] = [[-scale, scale - 1], [0, -1], [1, 2], [scale - 1, -scale]]
    source = tmp_path / f"source.{format}"
    soundfile.write(source, values << (32 - bits), RATE, f"PCM_{bits}")
    with open_audio(source) as reader:
        waveform = np.concatenate(list(reader.blocks()), axis=1)
        encoding = choose_encoding(format, None, reader.info)
    report, paths = save(tmp_path, {"stem": waveform}, encoding)
    written, _ = soundfile.read(paths["stem"], dtype="int32")
    np.testing.assert_array_equal(written >> (32 - bits), values)
    assert (report.gain, report.clipped_samples, report.n_samples) == (1.0, 0, 20_000)


@pytest.mark.parametrize("n_samples", slow_but([999], [1, 999, 70_001]))
@pytest.mark.parametrize("encoding", ENCODINGS, ids=str)
def test_every_encoding_keeps_length_and_content(tmp_path: Path, encoding: Encoding, n_samples: int) -> None:
    stems = {"vocals": tones(n_samples, seed=1), "drums": tones(n_samples, seed=2)}
    report, paths = save(tmp_path, stems, encoding)
    assert files_under(tmp_path) == sorted(path.name for path in paths.values())
    assert report.n_samples == n_samples and report.notes == ()
    assert report.peak == pytest.approx(max(np.abs(stem).max() for stem in stems.values()))
    for name, stem in stems.items():
        written = read_whole(paths[name])
        assert written.shape == stem.shape
        step = 0.0 if encoding.is_float else 0.5 / 2 ** ((encoding.bits or 3) - 1)
        if encoding.bits or encoding.is_float or n_samples > 1000:
            if encoding.format == "m4a":  # its first frames are coarse
                step = 0.4
            assert np.abs(written - stem).max() <= max(step, 1e-7)


@pytest.mark.parametrize("n_channels", [1, 2, 3, 5])
@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24", "PCM_32", "FLOAT"])
def test_wav_of_odd_shapes(tmp_path: Path, subtype: str, n_channels: int) -> None:
    stem = tones(33, n_channels)
    _, paths = save(tmp_path, {"a": stem}, Encoding("wav", subtype))
    data = paths["a"].read_bytes()
    assert int.from_bytes(data[4:8], "little") == len(data) - 8
    assert soundfile.info(paths["a"]).subtype == subtype
    assert np.abs(read_whole(paths["a"]) - stem).max() < 2e-5


@pytest.mark.parametrize(
    ("n_channels", "names"),
    [
        (3, "FL FC FR"),
        (4, "FL FR BL BR"),
        (5, "FL FC FR BL BR"),
        (6, "FL FC FR BL BR LFE"),
        (7, "FL FC FR SL SR BC LFE"),
        (8, "FL FC FR SL SR BL BR LFE"),
    ],
)
@pytest.mark.parametrize(
    "encoding",
    [Encoding("ogg", "VORBIS"), Encoding("opus", "OPUS"), Encoding("opus", "OPUS", 256)],
    ids=["ogg", "opus", "opus of FFmpeg"],
)
def test_vorbis_and_opus_have_their_channels_in_their_own_order(
    tmp_path: Path, encoding: Encoding, n_channels: int, names: str
) -> None:
    usual = sorted(names.split(), key=["FL", "FR", "FC", "LFE", "BL", "BR", "BC", "SL", "SR"].index)
    frequencies = 30 + 20 * np.arange(n_channels)  # low, as the low-frequency channel is filtered
    seconds = np.arange(RATE // 4) / RATE
    song = (0.2 * np.sin(2 * np.pi * frequencies[:, None] * seconds)).astype(np.float32)
    _, paths = save(tmp_path, {"stem": song}, encoding)
    stored = read_whole(paths["stem"])
    with open_audio(paths["stem"]) as reader:
        read = np.concatenate(list(reader.blocks()), axis=1)
    likeness = np.abs(stored @ song.T)
    assert [usual[place] for place in likeness.argmax(axis=1)] == names.split()
    assert list(np.abs(read @ song.T).argmax(axis=1)) == list(range(n_channels))


@pytest.mark.parametrize("encoding", [PCM16, Encoding("flac", "PCM_24"), Encoding("ogg", "VORBIS")], ids=str)
def test_one_gain_for_all_stems_and_nothing_clips(tmp_path: Path, encoding: Encoding) -> None:
    loud, soft = 2.5 * tones(30_000, seed=1), tones(30_000, seed=2)
    report, paths = save(tmp_path, {"loud": loud, "soft": soft}, encoding)
    assert report.peak > 1 and report.clipped_samples == 0
    assert report.gain == pytest.approx(1 / report.peak, rel=1e-4)
    for name, stem in (("loud", loud), ("soft", soft)):
        written = read_whole(paths[name])
        slope = float((written * stem).sum() / (stem * stem).sum())
        assert slope == pytest.approx(report.gain, rel=0.02 if encoding.bits is None else 1e-4)
        if encoding.bits:
            np.testing.assert_allclose(written, report.gain * stem, rtol=0, atol=2.0**-encoding.bits)


def test_float_wav_is_never_scaled(tmp_path: Path) -> None:
    loud = 4 * tones(1000)
    report, paths = save(tmp_path, {"loud": loud}, FLOAT)
    assert report.gain == 1.0
    np.testing.assert_array_equal(read_whole(paths["loud"]), loud)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(sizes=st.lists(st.integers(0, 9000), min_size=1, max_size=6), encoding=st.sampled_from(ENCODINGS[:6]))
def test_block_sizes_do_not_matter(tmp_path: Path, sizes: list[int], encoding: Encoding) -> None:
    whole = tones(sum(sizes) + 1)
    path = tmp_path / f"a.{encoding.extension}"
    with StemSet({"a": path}, sample_rate=RATE, n_channels=2, encoding=encoding, replaceable=[path]) as stems:
        for block in np.split(whole, np.cumsum(sizes), axis=1):
            stems.write({"a": block})
        stems.complete()
        stems.place()
    in_blocks = path.read_bytes()
    save(tmp_path, {"a": whole}, encoding, block_samples=10**9, tags=None, overwrite=True)
    assert path.read_bytes() == in_blocks


def test_rf64_beyond_four_gibibytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wav, "MAX_RIFF_BYTES", 10_000)
    stem = tones(5000)
    for encoding in (FLOAT, PCM16):
        report, paths = save(tmp_path, {"a": stem}, encoding, overwrite=True)
        assert paths["a"].read_bytes()[:4] == b"RF64"
        assert soundfile.info(paths["a"]).frames == 5000
        assert np.abs(read_whole(paths["a"]) - stem).max() < 2e-5
        assert "without tags" in report.notes[0]


def test_the_header_of_a_really_long_file(tmp_path: Path) -> None:
    n_samples = 600_000_000  # 4.8 GB of float stereo
    path = tmp_path / "long.wav"
    with path.open("wb") as file:
        header = wav.build_header(wav.WavFormat(RATE, 2, "FLOAT"), n_samples, reserve=True)
        assert len(header) == len(wav.build_header(wav.WavFormat(RATE, 2, "FLOAT"), 0, reserve=True))
        file.write(header)
        file.truncate(len(header) + n_samples * 8)  # sparse
    with open_audio(path) as reader:
        assert reader.info.n_samples == n_samples


def test_every_format_is_tested() -> None:
    assert {encoding.format for encoding in ENCODINGS} == set(FORMATS)
