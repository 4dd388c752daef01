"""Writing: all files or none, and a clear word when the disk says no."""

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

from stemsplit.audio.encoders import open_encoder
from stemsplit.audio.encoding import Encoding
from stemsplit.audio.sndfile_encoder import SndfileEncoder
from stemsplit.audio.stem_set import StemSet
from stemsplit.errors import OutputError
from stemsplit.files import atomic
from stemsplit.files.pending import PendingFile
from tests.support.audio_files import FloatArray, read_whole, tones
from tests.support.marks import slow_but
from tests.support.stem_sets import ENCODINGS, FLOAT, PCM16, RATE, files_under, save

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
        from stemsplit.audio.encoding import Encoding
        from stemsplit.audio.stem_set import StemSet
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
    write = SndfileEncoder.write

    def write_slowly(self: SndfileEncoder, samples: FloatArray) -> None:
        started.set()
        time.sleep(0.2)
        write(self, samples)
        n_written.append(len(samples))

    def interrupt() -> None:
        started.wait(10)
        signal.raise_signal(signal.SIGINT) if os.name == "nt" else os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(SndfileEncoder, "write", write_slowly)
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


@pytest.mark.parametrize("share", slow_but([0.3], [0.0, 0.3, 0.9, 0.999]))
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
    monkeypatch.setattr("stemsplit.audio.stem_file.write_tags", spoil)
    report, paths = save(tmp_path / "tagged", stems, encoding)
    assert "a." in report.notes[0] and "injected" in report.notes[0]
    plain = read_whole(tmp_path / "plain" / paths["a"].name)
    np.testing.assert_array_equal(read_whole(paths["a"]), plain)
    if encoding.format == "wav":
        assert paths["a"].read_bytes() == (tmp_path / "plain" / "a.wav").read_bytes()


@pytest.mark.parametrize(
    ("encoding", "n_channels", "words"),
    [
        (Encoding("mp3", "MPEG_LAYER_III"), 3, "Format not recog"),
        (Encoding("alac", "PCM_16"), 7, "Invalid arg"),
    ],
    ids=str,
)
def test_what_an_encoder_refuses_is_no_fault_of_the_disk(
    encoding: Encoding, n_channels: int, words: str
) -> None:
    with (
        pytest.raises(OutputError, match=rf"a\.x: .* the encoder failed \({words}") as caught,
        atomic.explaining(Path("a.x")),
    ):
        open_encoder(io.BytesIO(), encoding, sample_rate=RATE, n_channels=n_channels, n_samples=10)
    assert "disk" not in str(caught.value) and "object" not in str(caught.value)


def test_a_failure_names_the_file() -> None:
    assert atomic.explain(OSError(errno.ENOSPC, ""), Path("a")).args[0].startswith("a: ")


def test_a_whole_file_replaces_what_was_there_only_when_it_is_done(tmp_path: Path) -> None:
    path = tmp_path / "a folder" / "notes.json"
    for text in (b"first", b"second"):
        with atomic.whole_file(path) as file:
            file.write(text)
            assert not path.exists() or path.read_bytes() == b"first"
        assert path.read_bytes() == text
    with pytest.raises(ZeroDivisionError), atomic.whole_file(path) as file:
        file.write(b"third")
        raise ZeroDivisionError
    assert list(path.parent.iterdir()) == [path] and path.read_bytes() == b"second"


def test_a_folder_is_listed_once_and_each_file_removes_the_temporary_files_of_its_own_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dead = 2**22 + 1  # above the highest number of a process
    for name in ("a.json", "a.json.b", "b.json"):
        (tmp_path / f".{name}.{dead}-0.part").touch()
    (tmp_path / f".a.json.{os.getpid()}-0.part").touch()
    listed: list[Path] = []
    listdir = os.listdir
    monkeypatch.setattr(os, "listdir", lambda path: (listed.append(path), listdir(path))[1])
    for _ in range(3):
        with atomic.whole_file(tmp_path / "a.json") as file:
            file.write(b"text")
    assert listed == [tmp_path]
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {
        "a.json",
        f".a.json.{os.getpid()}-0.part",
        f".a.json.b.{dead}-0.part",
        f".b.json.{dead}-0.part",
    }
