"""Writing: exact samples, one gain, all files or none, and a clear word when the disk says no."""

import errno
import io
import os
import resource
import signal
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stemsplit import encoders, pending, wav
from stemsplit.audio import AudioInfo, open_audio
from stemsplit.encoding import (
    FORMATS,
    LOSSY,
    Encoding,
    check_encoding,
    choose_encoding,
    gain_to_fit,
    quantise,
)
from stemsplit.errors import OutputError
from stemsplit.output import StemSet
from stemsplit.pending import PendingFile
from stemsplit.report import WriteReport
from stemsplit.tags import Tags
from stemsplit.wav_stream import WavStream
from tests.audio_files import FloatArray, read_whole, tones

RATE = 48_000
PCM16 = Encoding("wav", "PCM_16")
FLOAT = Encoding("wav", "FLOAT")
ENCODINGS = [
    PCM16,
    Encoding("wav", "PCM_24"),
    Encoding("wav", "PCM_32"),
    FLOAT,
    Encoding("flac", "PCM_16"),
    Encoding("flac", "PCM_24"),
    *(Encoding(name, subtype) for name, subtype in LOSSY.items()),
]
TAGS = Tags(title="Ünder", artist="Bänd", bpm="120")


def save(
    folder: Path,
    stems: dict[str, FloatArray],
    encoding: Encoding,
    *,
    block_samples: int = 7777,
    sample_rate: int = RATE,
    tags: Tags | None = TAGS,
    overwrite: bool = False,
) -> tuple[WriteReport, dict[str, Path]]:
    paths = {name: folder / f"{name}.{encoding.extension}" for name in stems}
    n_channels, n_samples = next(iter(stems.values())).shape
    with StemSet(
        paths,
        sample_rate=sample_rate,
        n_channels=n_channels,
        encoding=encoding,
        tags=tags,
        replaceable=paths.values() if overwrite else (),
    ) as stem_set:
        for start in range(0, n_samples, block_samples):
            stem_set.write({name: stem[:, start : start + block_samples] for name, stem in stems.items()})
        report = stem_set.complete()
        stem_set.place()
        return report, paths


def files_under(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


# --- encodings --------------------------------------------------------------------------------------------


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
        ("mp4", None, 44_100, 2, "wav, flac"),
        ("mp3", None, 96_000, 2, "48000"),
        ("mp3", None, 44_100, 3, "at most 2"),
        ("opus", None, 44_100, 2, "24000, 48000"),
        ("ogg", None, 384_000, 2, "192000"),
        ("flac", None, 200_001, 2, "655350"),
        ("flac", None, 48_000, 9, "at most 8"),
    ],
)
def test_what_a_format_cannot_hold_is_refused(
    format: str, bits: str | None, rate: int, n_channels: int, words: str
) -> None:
    with pytest.raises(OutputError, match=words):
        choose_encoding(format, bits, AudioInfo(rate, n_channels, None, "WAV", "PCM_16"))


@pytest.mark.parametrize("encoding", ENCODINGS, ids=str)
def test_what_passes_the_check_can_be_written(tmp_path: Path, encoding: Encoding) -> None:
    for sample_rate in (8_000, 11_025, 16_000, 22_050, 44_100, 48_000, 65_535, 96_000, 192_000, 655_350):
        for n_channels in (1, 2, 6, 8):
            try:
                check_encoding(encoding, sample_rate=sample_rate, n_channels=n_channels)
            except OutputError:
                continue
            stems = {"a": tones(50, n_channels)}
            _, paths = save(tmp_path, stems, encoding, sample_rate=sample_rate, overwrite=True)
            info = soundfile.info(paths["a"])
            written = (info.samplerate, info.channels, info.frames)
            assert written == (48_000 if encoding.format == "opus" else sample_rate, n_channels, 50) or (
                encoding.format == "opus" and written[1] == n_channels
            )


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


# --- samples ----------------------------------------------------------------------------------------------


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


@pytest.mark.parametrize("n_samples", [1, 999, 70_001])
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


# --- all or nothing ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ENCODINGS, ids=str)
def test_leaving_without_commit_leaves_nothing(tmp_path: Path, encoding: Encoding) -> None:
    (tmp_path / "mine").mkdir()
    paths = {name: tmp_path / "mine" / "new" / "deep" / f"{name}.x" for name in ("a", "b")}
    with (
        pytest.raises(KeyboardInterrupt),
        StemSet(paths, sample_rate=RATE, n_channels=2, encoding=encoding) as stems,
    ):
        stems.write({"a": tones(9000), "b": tones(9000)})
        assert not any(path.exists() for path in paths.values())
        raise KeyboardInterrupt
    assert files_under(tmp_path) == ["mine"]


def test_an_existing_file_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "b.wav").write_text("precious")
    paths = {name: tmp_path / f"{name}.wav" for name in "ab"}
    with pytest.raises(OutputError, match=r"b\.wav.*already"):  # before any work
        StemSet(paths, sample_rate=RATE, n_channels=2, encoding=PCM16).__enter__()
    assert files_under(tmp_path) == ["b.wav"]
    save(tmp_path, {"a": tones(10), "b": tones(10)}, PCM16, overwrite=True)
    assert read_whole(tmp_path / "b.wav").shape == (2, 10)


@pytest.mark.parametrize("hard_links", [True, False])
def test_a_file_that_appears_meanwhile_is_kept_and_the_others_withdrawn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hard_links: bool
) -> None:
    def no_link(*_: object) -> None:
        raise OSError(errno.ENOTSUP, "no hard links here")

    if not hard_links:
        monkeypatch.setattr(os, "link", no_link)
    paths = {name: tmp_path / "out" / f"{name}.wav" for name in ("a", "b", "c")}
    with StemSet(paths, sample_rate=RATE, n_channels=2, encoding=PCM16) as stems:
        stems.write(dict.fromkeys(paths, tones(100)))
        stems.complete()
        paths["b"].write_text("precious")
        with pytest.raises(OutputError, match=r"b\.wav"):
            stems.place()
    assert files_under(tmp_path) == ["out", "out/b.wav"]
    assert paths["b"].read_text() == "precious"
    paths["b"].unlink()
    save(tmp_path / "out", dict.fromkeys(paths, tones(100)), PCM16)
    assert files_under(tmp_path / "out") == ["a.wav", "b.wav", "c.wav"]


def test_when_overwriting_fails_the_old_files_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "b.wav").write_text("old")
    place = PendingFile.place

    def fail_on_b(self: PendingFile) -> None:
        if self.path.name == "b.wav":
            raise OutputError("injected")
        place(self)

    monkeypatch.setattr(PendingFile, "place", fail_on_b)
    with pytest.raises(OutputError, match="injected"):
        save(tmp_path, {"a": tones(10), "b": tones(10)}, PCM16, overwrite=True)
    assert files_under(tmp_path) == ["b.wav"]
    assert (tmp_path / "b.wav").read_text() == "old"


@pytest.mark.parametrize("subtype", ["PCM_16", "FLOAT"])
@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
def test_a_killed_run_leaves_no_file_under_its_name_and_the_next_one_cleans_up(
    tmp_path: Path, subtype: str
) -> None:
    script = f"""
        import pathlib, sys, time
        import numpy as np
        from stemsplit.encoding import Encoding
        from stemsplit.output import StemSet
        paths = {{"a": pathlib.Path({str(tmp_path)!r}) / "a.wav"}}
        encoding = Encoding("wav", {subtype!r})
        with StemSet(paths, sample_rate=48000, n_channels=2, encoding=encoding) as stems:
            stems.write({{"a": np.zeros((2, 50_000), np.float32)}})
            print("written", flush=True)
            time.sleep(60)
    """
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None and process.stdout.readline() == "written\n"
        process.send_signal(signal.SIGKILL)
    left = files_under(tmp_path)
    assert len(left) == (1 if subtype == "FLOAT" else 0)
    assert all(name.startswith(".a.wav.") and name.endswith(".part") for name in left)
    save(tmp_path, {"a": tones(10)}, Encoding("wav", subtype))
    assert files_under(tmp_path) == ["a.wav"]


@pytest.fixture
def _ctrl_c() -> Iterator[None]:
    """Ctrl-C as in a terminal: what a shell started in the background ignores it."""
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, handler)


@pytest.mark.usefixtures("_ctrl_c")
def test_ctrl_c_during_the_commit_stops_the_encoders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started = threading.Event()
    n_written: list[int] = []
    write = encoders.SndfileEncoder.write

    def write_slowly(self: encoders.SndfileEncoder, samples: FloatArray) -> None:
        started.set()
        time.sleep(0.2)
        write(self, samples)
        n_written.append(len(samples))

    def interrupt() -> None:
        started.wait(10)
        signal.raise_signal(signal.SIGINT) if os.name == "nt" else os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(encoders.SndfileEncoder, "write", write_slowly)
    paths = {name: tmp_path / f"{name}.ogg" for name in "abcd"}
    block = tones(60_000)
    with (
        pytest.raises(KeyboardInterrupt),
        StemSet(paths, sample_rate=RATE, n_channels=2, encoding=Encoding("ogg", "VORBIS")) as stems,
    ):
        for _ in range(30):
            stems.write(dict.fromkeys(paths, block))
        thread = threading.Thread(target=interrupt)
        thread.start()
        try:
            stems.complete()
        finally:
            thread.join()
    assert files_under(tmp_path) == []
    assert sum(n_written) < 30 * 60_000  # not stopped, every stem that was begun would have as much


# --- names and folders ------------------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", [PCM16, FLOAT, Encoding("mp3", "MPEG_LAYER_III")], ids=str)
def test_long_and_unusual_names(tmp_path: Path, encoding: Encoding) -> None:
    for name in ("x" * 251, "日本語 — ünïcödé 🎵", "a b'c\"d", ".hidden", "%(title)s[1]*?"):
        _, paths = save(tmp_path, {name: tones(10)}, encoding)
        assert paths[name].exists()
    assert not list(tmp_path.glob(".*.part"))


def test_names_and_folders_that_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "folder.wav").mkdir()
    (tmp_path / "file").touch()
    before = files_under(tmp_path)
    for path, words in (
        (tmp_path / ("x" * 300 + ".wav"), "too long"),
        (tmp_path / "new" / ("x" * 300) / "a.wav", "too long"),
        (tmp_path / "folder.wav", "there is a folder"),
        (tmp_path / "file" / "a.wav", "not a folder"),
    ):
        with (
            pytest.raises(OutputError, match=words),
            StemSet({"a": path}, sample_rate=RATE, n_channels=2, encoding=PCM16, replaceable=[path]),
        ):
            pass
        assert files_under(tmp_path) == before


@pytest.mark.skipif(os.name == "nt", reason="POSIX permissions")
def test_a_folder_that_may_not_be_written(tmp_path: Path) -> None:
    (tmp_path / "locked").mkdir(mode=0o555)
    is_root = os.geteuid() == 0
    for encoding in (PCM16, FLOAT):
        for name in ("a.wav", "new/a.wav"):
            if is_root:
                os.seteuid(65534)
            try:
                with (
                    pytest.raises(OutputError, match=r"a\.wav.*permission") as caught,
                    StemSet(
                        {"a": tmp_path / "locked" / name}, sample_rate=RATE, n_channels=2, encoding=encoding
                    ),
                ):
                    pass
            finally:
                if is_root:
                    os.seteuid(0)
            assert isinstance(caught.value.__cause__, OSError)


# --- full disks -------------------------------------------------------------------------------------------


class FullDisk(io.RawIOBase):
    """A file on a disk that takes some bytes, the last of them as a short write, and then no more."""

    room = 0

    def __init__(self, file: Any) -> None:
        self._file = file

    def write(self, data: Any) -> int:
        size = min(memoryview(data).nbytes, FullDisk.room)
        if not size:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        FullDisk.room -= size
        return int(self._file.write(memoryview(data)[:size]))

    def readinto(self, buffer: Any) -> int:
        return int(self._file.readinto(buffer))

    def seek(self, offset: int, whence: int = 0) -> int:
        return int(self._file.seek(offset, whence))

    def tell(self) -> int:
        return int(self._file.tell())

    def close(self) -> None:
        self._file.close()
        super().close()


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9, 0.999])
@pytest.mark.parametrize("encoding", ENCODINGS, ids=str)
def test_a_full_disk_at_any_moment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, encoding: Encoding, share: float
) -> None:
    stems = {"a": tones(40_000, seed=1), "b": tones(40_000, seed=2)}
    open_part, open_spill = PendingFile.open, tempfile.TemporaryFile
    monkeypatch.setattr(PendingFile, "open", lambda self: FullDisk(open_part(self)))
    monkeypatch.setattr(tempfile, "TemporaryFile", lambda **options: FullDisk(open_spill(**options)))
    FullDisk.room = enough = 10**9
    save(tmp_path / "first", stems, encoding, tags=None)
    needed = enough - FullDisk.room
    FullDisk.room = int(needed * share)
    with pytest.raises(OutputError, match=r"second/[ab]\..*disk is full"):
        save(tmp_path / "second", stems, encoding, tags=None)
    assert not (tmp_path / "second").exists()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A real file system of one mebibyte."""
    disk = tmp_path / "disk"
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)]
    try:
        subprocess.run(command, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no right to mount a small disk")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


@pytest.mark.parametrize("encoding", ENCODINGS, ids=str)
def test_a_real_full_disk(small_disk: Path, encoding: Encoding) -> None:
    stems = dict.fromkeys("abcd", tones(40_000))
    with pytest.raises(OutputError, match="disk is full"):
        save(small_disk / "out", stems, encoding)
    assert files_under(small_disk) == []


def test_a_disk_that_is_read_only(small_disk: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    for name in ("a.wav", "new/a.wav"):
        with pytest.raises(OutputError, match="read-only"):
            save((small_disk / name).parent, {"a": tones(10)}, PCM16)


@pytest.mark.skipif(os.name == "nt", reason="POSIX limits")
@pytest.mark.parametrize("encoding", ENCODINGS, ids=str)
def test_a_limit_on_the_file_size(tmp_path: Path, encoding: Encoding) -> None:
    stems = {"a": tones(40_000)}
    _, paths = save(tmp_path, stems, encoding, tags=None)
    limit = paths["a"].stat().st_size - 200
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        with pytest.raises(OutputError, match="larger than"):
            save(tmp_path / "out", stems, encoding, tags=None)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not (tmp_path / "out").exists()


def test_samples_that_are_no_numbers_are_refused(tmp_path: Path) -> None:
    broken = tones(100)
    broken[0, 5] = np.nan
    with pytest.raises(OutputError, match="not numbers"):
        save(tmp_path / "out", {"a": broken}, FLOAT)
    assert files_under(tmp_path) == []


# --- tags never cost audio --------------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ENCODINGS, ids=str)
def test_a_tag_that_fails_half_way_costs_only_the_tags(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, encoding: Encoding
) -> None:
    def spoil(path: Path, *_: object, **__: object) -> None:
        with path.open("rb+") as file:
            file.write(b"????????")
            file.seek(0, os.SEEK_END)
            file.write(b"half a tag")
        raise OutputError("injected") from ValueError("injected")

    stems = {"a": tones(20_000)}
    save(tmp_path / "plain", stems, encoding, tags=None)
    monkeypatch.setattr("stemsplit.stem_file.write_tags", spoil)
    report, paths = save(tmp_path / "tagged", stems, encoding)
    assert "a." in report.notes[0] and "injected" in report.notes[0]
    plain = read_whole(tmp_path / "plain" / paths["a"].name)
    np.testing.assert_array_equal(read_whole(paths["a"]), plain)
    if encoding.format == "wav":
        assert paths["a"].read_bytes() == (tmp_path / "plain" / "a.wav").read_bytes()


# --- stdout -----------------------------------------------------------------------------------------------


def stream_out(
    file: Any, waveform: FloatArray, encoding: Encoding | None = None, n_samples: int | None = None
) -> WriteReport:
    with WavStream(
        file, sample_rate=RATE, n_channels=waveform.shape[0], encoding=encoding, n_samples=n_samples
    ) as pipe:
        for start in range(0, waveform.shape[1], 777):
            pipe.write(waveform[:, start : start + 777])
        return pipe.commit()


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("encoding", ENCODINGS[:4], ids=str)
def test_a_stem_on_stdout_is_a_wav(tmp_path: Path, encoding: Encoding, known: bool) -> None:
    waveform = tones(5001, 3)
    with (tmp_path / "out.wav").open("wb", buffering=0) as file:
        report = stream_out(file, waveform, encoding, 5001 if known else None)
    assert report == WriteReport(1.0, 0, float(np.abs(waveform).max()), 5001)
    assert np.abs(read_whole(tmp_path / "out.wav") - waveform).max() < 2e-5
    with open_audio(io.BytesIO((tmp_path / "out.wav").read_bytes())) as reader:
        assert reader.info.n_samples == (5001 if known else None)
        assert sum(block.shape[1] for block in reader.blocks()) == 5001


def test_stdout_counts_what_clips_and_announced_lengths_hold() -> None:
    buffer = io.BytesIO()
    report = stream_out(buffer, np.float32([[0.5, 1.0, -1.0, 2.0, -3.0]]), PCM16)
    assert (report.clipped_samples, report.peak, report.gain) == (3, 3.0, 1.0)
    with pytest.raises(OutputError, match="announced"):
        stream_out(io.BytesIO(), tones(10), n_samples=11)
    with pytest.raises(OutputError, match="stdout carries wav"):
        stream_out(io.BytesIO(), tones(10), Encoding("flac", "PCM_16"))


@pytest.mark.skipif(os.name == "nt", reason="POSIX pipes")
def test_a_closed_pipe_and_a_full_device() -> None:
    read_end, write_end = os.pipe()
    os.close(read_end)
    with os.fdopen(write_end, "wb", buffering=0) as pipe, pytest.raises(OutputError, match="closed the pipe"):
        stream_out(pipe, tones(10))
    if Path("/dev/full").exists():
        with (
            Path("/dev/full").open("wb", buffering=0) as full,
            pytest.raises(OutputError, match=r"stdout: .*space"),
        ):
            stream_out(full, tones(10))


def test_every_format_is_tested() -> None:
    assert {encoding.format for encoding in ENCODINGS} == set(FORMATS)
    assert pending.explain(OSError(errno.ENOSPC, ""), Path("a")).args[0].startswith("a: ")


def test_a_whole_file_replaces_what_was_there_only_when_it_is_done(tmp_path: Path) -> None:
    path = tmp_path / "a folder" / "notes.json"
    for text in (b"first", b"second"):
        with pending.whole_file(path) as file:
            file.write(text)
            assert not path.exists() or path.read_bytes() == b"first"
        assert path.read_bytes() == text
    with pytest.raises(ZeroDivisionError), pending.whole_file(path) as file:
        file.write(b"third")
        raise ZeroDivisionError
    assert list(path.parent.iterdir()) == [path] and path.read_bytes() == b"second"
