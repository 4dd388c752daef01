"""Remote storage: songs from and stems to a real S3 interface, equal to local ones to the bit."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

fsspec = pytest.importorskip("fsspec")
pytest.importorskip("s3fs")
pytest.importorskip("moto")

from stemsplit import OutputError, SettingsError  # noqa: E402
from stemsplit.jobs.capacity import REQUESTS_PER_DONE, REQUESTS_PER_SONG  # noqa: E402
from stemsplit.jobs.inputs import SongInput  # noqa: E402
from stemsplit.jobs.journal import Journal  # noqa: E402
from stemsplit.jobs.output_settings import OutputSettings  # noqa: E402
from stemsplit.jobs.plan import Job, plan_stream  # noqa: E402
from stemsplit.jobs.provenance import Provenance  # noqa: E402
from stemsplit.jobs.remote import RemoteFolder, is_url, open_storage  # noqa: E402
from stemsplit.jobs.result import FileResult  # noqa: E402
from stemsplit.jobs.worker import SongWorker  # noqa: E402
from tests.support.cli import STEMS, call, call_process, expect, list_files, make_song  # noqa: E402
from tests.support.object_storage import make_bucket, serve_s3  # noqa: E402


@pytest.fixture(scope="module")
def storage_server() -> Iterator[None]:
    """A server of object storage, where the environment looks for it."""
    with pytest.MonkeyPatch.context() as patch, serve_s3(patch):
        yield


@pytest.fixture
def bucket(storage_server: None) -> str:
    """Give the address of an empty bucket."""
    return make_bucket()


def upload(bucket: str, *songs: Path) -> None:
    storage, root = open_storage(bucket)
    for song in songs:
        storage.put_file(str(song), f"{root}/{song.as_posix()}")


def list_objects(bucket: str) -> list[str]:
    """Return the names of all objects but the journal."""
    storage, root = open_storage(bucket)
    storage.invalidate_cache()
    names = (name.removeprefix(root + "/") for name in storage.find(root))
    return sorted(name for name in names if "/.stemsplit/" not in name)


def read_objects(bucket: str, folder: str) -> dict[str, bytes]:
    storage, root = open_storage(bucket)
    return {
        name: storage.cat_file(f"{root}/{name}") for name in list_objects(bucket) if name.startswith(folder)
    }


def test_songs_and_stems_in_object_storage_equal_local_ones(model: Path, bucket: str) -> None:
    songs = [make_song(Path("in", name), seconds=0.3, seed=n) for n, name in enumerate(("a b.wav", "é.flac"))]
    upload(bucket, *songs)
    local = call("in", "-m", model, "--json")
    remote = call(f"{bucket}/in/", "-o", f"{bucket}/out", "-m", model, "--json")
    assert (remote.code, remote.stderr.count("failed")) == (0, 0)
    assert [record["input"] for record in remote.records] == [f"{bucket}/in/a b.wav", f"{bucket}/in/é.flac"]
    expected = {f"{track}/{stem}.wav" for track in ("a b", "é") for stem in STEMS}
    stems = read_objects(bucket, "out/")
    assert {name.removeprefix("out/") for name in stems} == expected
    for name, content in stems.items():
        assert content == Path("separated", name.removeprefix("out/")).read_bytes()
    for record in remote.records:
        assert record["outputs"]["bass"] == f"{bucket}/out/{Path(record['input']).stem}/bass.wav"
    assert [record["levels_db"] for record in remote.records] == [r["levels_db"] for r in local.records]


@pytest.mark.slow
def test_a_run_to_object_storage_is_resumed(model: Path, bucket: str) -> None:
    songs = [make_song(Path(f"{n}.wav"), seconds=0.2, seed=n) for n in range(3)]
    upload(bucket, *songs)
    Path("list.txt").write_text("".join(f"{bucket}/{song}\n" for song in songs))
    command = ("@list.txt", "-o", f"{bucket}/out", "-m", model, "--json", "--resume")
    assert [record["status"] for record in call(*command).records] == ["done"] * 3
    assert [record["status"] for record in call(*command).records] == ["skipped"] * 3
    storage, root = open_storage(bucket)
    storage.rm(f"{root}/out/1/bass.wav")
    upload(bucket, make_song(Path("2.wav"), seconds=0.2, seed=9))
    assert [record["status"] for record in call(*command).records] == ["skipped", "done", "done"]
    storage.pipe_file(f"{root}/out/0/vocals.wav", b"mine")
    first, *_ = call(*command).records
    assert first["status"] == "failed"
    assert f"{bucket}/out/0/vocals.wav is not, or no longer, as stemsplit wrote it" in first["error"]
    assert storage.cat_file(f"{root}/out/0/vocals.wav") == b"mine"


@pytest.fixture
def requests(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Give the requests to S3, to which new ones are added."""
    import s3fs

    names: list[str] = []
    call_s3 = s3fs.S3FileSystem._call_s3

    def count(storage: Any, method: str, *args: Any, **kwargs: Any) -> Any:
        names.append(method)
        return call_s3(storage, method, *args, **kwargs)

    monkeypatch.setattr(s3fs.S3FileSystem, "_call_s3", count)
    return names


@pytest.mark.slow
def test_requests_of_a_song_are_as_few_as_the_calculator_says(
    model: Path, bucket: str, requests: list[str]
) -> None:
    songs = [make_song(Path(f"{n}.wav"), seconds=0.2, seed=n) for n in range(6)]
    upload(bucket, *songs)
    needed = []
    for part in (songs[:2], songs[2:], songs[:2], songs):
        requests.clear()
        Path("list.txt").write_text("".join(f"{bucket}/{song}\n" for song in part))
        assert call("@list.txt", "-o", f"{bucket}/out", "-m", model, "--resume").code == 0
        needed.append(len(requests))
    new, done = (needed[1] - needed[0]) / 2, (needed[3] - needed[2]) / 4
    assert REQUESTS_PER_SONG / 2 < new <= REQUESTS_PER_SONG
    assert done <= REQUESTS_PER_DONE


def test_to_resume_the_stems_of_a_song_are_listed_together_and_its_record_is_read_once(
    bucket: str, requests: list[str], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """Songs on a disk take no request themselves."""
    folder = RemoteFolder(f"{bucket}/out")
    request.addfinalizer(folder.close)
    output, made = OutputSettings(folder, resume=True), Provenance(STEMS, "cpu", (), {})
    songs = [make_song(tmp_path / f"{n}.wav", seconds=0.1, seed=n) for n in range(8)]
    sources = [SongInput(str(song), song) for song in songs]
    journal = Journal(folder)
    for job in plan_stream(sources[:4], made, output, None):
        for path in job.outputs.values():
            folder.write(path.relative_to(folder.path).as_posix(), b"stem")
        journal.finish(job.name, made.key(job.source.identify(), job.outputs), job.outputs)
    for part, per_song in ((sources[:4], 2), (sources[4:], 1)):
        requests.clear()
        jobs = list(plan_stream(part, made, output, journal, n_ahead=2))
        assert [job.result is not None for job in jobs] == [part == sources[:4]] * 4
        assert len(requests) <= per_song * 4, requests
    folder._is_s3 = False  # as other storages are listed
    assert len(folder.find_marks(job.outputs.values())) == len(STEMS)
    assert not folder.find_marks(jobs[-1].outputs.values())
    assert not folder._storage.dircache  # no memory per song


@pytest.mark.parametrize("scheme", ["s3", "memory"])
def test_a_file_that_another_run_has_written_meanwhile_is_not_replaced(
    bucket: str, scheme: str, request: pytest.FixtureRequest
) -> None:
    folder = RemoteFolder(f"{bucket}/out" if scheme == "s3" else f"memory://{bucket[5:]}/out")
    request.addfinalizer(folder.close)
    path = folder.path / "vocals.wav"

    def publish(content: bytes, *replaceable: Path) -> None:
        path.write_bytes(content)
        folder.publish([path], replaceable)

    publish(b"one")
    publish(b"one")  # the same song by another run
    for content in (b"two", b"longer"):
        with pytest.raises(OutputError, match=r"vocals.wav: another run has written it meanwhile"):
            publish(content)
    assert folder.read("vocals.wav") == b"one"
    publish(b"two", path)
    assert folder.read("vocals.wav") == b"two"


def test_s3_itself_checks_that_there_is_no_stem_of_the_name(
    bucket: str, requests: list[str], request: pytest.FixtureRequest
) -> None:
    """Between a check and an upload there would be time for another run."""
    folder = RemoteFolder(f"{bucket}/out")
    request.addfinalizer(folder.close)
    path = folder.path / "vocals.wav"
    path.write_bytes(b"one")
    requests.clear()
    folder.publish([path], ())
    assert requests == ["put_object"]


@pytest.mark.slow
@pytest.mark.parametrize("status", ["failed", "done"])
def test_the_other_of_two_runs_that_make_the_same_names_ends_last(
    model: Path, bucket: str, status: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without --resume it leaves the stems of the first one; with it, it replaces what stemsplit wrote."""
    options, left = ((), 1) if status == "failed" else (("--resume",), 0)
    songs = [make_song(Path(f"{n}/a.wav"), seconds=0.2, seed=n) for n in range(2)]
    write_files = SongWorker._write_files

    def write_late(worker: SongWorker, job: Job) -> FileResult:
        first = call_process(songs[1], "-o", f"{bucket}/out", "-m", model, "--threads", "1")
        assert first.code == 0, first.stderr
        return write_files(worker, job)

    with monkeypatch.context() as patch:
        patch.setattr(SongWorker, "_write_files", write_late)
        (record,) = call(
            songs[0], "-o", f"{bucket}/out", "-m", model, "--json", "--threads", "1", *options
        ).records
    assert record["status"] == status
    assert status == "done" or f"{bucket}/out/a/vocals.wav exists" in record["error"]
    assert call(songs[left], "-m", model, "-o", "plain", "--threads", "1").code == 0
    stems = read_objects(bucket, "out/a/")
    assert len(stems) == len(STEMS)
    for name, content in stems.items():
        assert content == Path("plain/a", Path(name).name).read_bytes()


@pytest.mark.slow
def test_an_existing_object_is_not_replaced(model: Path, bucket: str) -> None:
    make_song(Path("a.wav"), seconds=0.2)
    assert call("a.wav", "-o", f"{bucket}/out", "-m", model).code == 0
    before = read_objects(bucket, "out/")
    (record,) = call("a.wav", "-o", f"{bucket}/out", "-m", model, "--json").records
    assert f"{bucket}/out/a/vocals.wav exists" in record["error"]
    assert read_objects(bucket, "out/") == before


@pytest.mark.slow
def test_stems_of_a_failed_song_never_appear(model: Path, bucket: str) -> None:
    Path("broken.wav").write_bytes(make_song(Path("a.wav"), seconds=0.5).read_bytes()[:40_000])
    upload(bucket, Path("broken.wav"))
    done = call(f"{bucket}/broken.wav", f"{bucket}/gone.wav", "-o", f"{bucket}/out", "-m", model, "--json")
    assert done.code == 1
    broken, gone = done.records
    assert "truncated" in broken["error"]
    assert f"{bucket}/gone.wav: cannot be read: no such file" in gone["error"]
    assert list_objects(f"{bucket}") == ["broken.wav"]


@pytest.mark.slow
def test_a_failed_upload_leaves_no_stem_under_its_name(
    model: Path, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_song(Path("a.wav"), seconds=0.2)
    upload_file = RemoteFolder._upload

    def break_off(folder: RemoteFolder, path: Path, target: str, *, overwrite: bool) -> None:
        if target.endswith("drums.wav"):
            raise ConnectionError("reset by peer: AKIATESTING")
        upload_file(folder, path, target, overwrite=overwrite)

    with monkeypatch.context() as patch:
        patch.setattr(RemoteFolder, "_upload", break_off)
        (record,) = call("a.wav", "-o", f"{bucket}/out", "-m", model, "--json").records
    assert record["status"] == "failed"
    assert "drums.wav: cannot be written: ConnectionError" in record["error"]
    assert list_objects(bucket) == ["out/a/vocals.wav"]
    (again,) = call("a.wav", "-o", f"{bucket}/out", "-m", model, "--json", "--resume").records
    assert again["status"] == "done"
    assert len(list_objects(bucket)) == len(STEMS)


@pytest.mark.slow
def test_credentials_are_neither_printed_nor_recorded(model: Path, bucket: str) -> None:
    make_song(Path("a.wav"), seconds=0.2)
    upload(bucket, Path("a.wav"))
    run = call(f"{bucket}/a.wav", f"{bucket}/gone.wav", "-o", f"{bucket}/out", "-m", model, "--json")
    storage, root = open_storage(bucket)
    journal = [storage.cat_file(name) for name in storage.find(f"{root}/out/.stemsplit")]
    assert journal
    for text in (run.text, run.stderr, *map(bytes.decode, journal)):
        assert "secret" not in text and "AKIA" not in text
    failed = call("https://me:secret@localhost:1/a.wav?signature=secret", "-m", model, "--json")
    assert "https://localhost:1/a.wav" in failed.text
    assert "secret" not in failed.text + failed.stderr


@pytest.mark.parametrize("scheme", ["memory", "file"])
def test_other_storages_get_a_stem_by_renaming(model: Path, tmp_path: Path, scheme: str) -> None:
    make_song(Path("a.wav"), seconds=0.2)
    address = f"{scheme}://{tmp_path}/remote/out"
    assert call("a.wav", "-m", model).code == 0
    (record,) = call("a.wav", "-o", address, "-m", model, "--json").records
    assert record["status"] == "done"
    storage, root = open_storage(address)
    found = sorted(name.removeprefix(root + "/") for name in storage.find(root))
    assert [name for name in found if not name.startswith(".")] == sorted(f"a/{stem}.wav" for stem in STEMS)
    for stem in STEMS:
        assert storage.cat_file(f"{root}/a/{stem}.wav") == Path("separated/a", f"{stem}.wav").read_bytes()
    storage.rm(root, recursive=True)


def test_all_characters_of_a_name_distinguish_songs_of_a_storage(model: Path, tmp_path: Path) -> None:
    tracks = ["S#1", "S#2"] + (["S?3"] if os.name != "nt" else [])
    for track in tracks:
        make_song(Path("many/cd #1", f"{track}.wav"), seconds=0.1)
    address = tmp_path.as_uri()
    done = call(f"{address}/many/", "-r", "-o", f"{address}/out", "-m", model, "--json")
    assert (done.code, [each["status"] for each in done.records]) == (0, ["done"] * len(tracks)), done.stderr
    assert [each["input"] for each in done.records] == [f"{address}/many/cd #1/{each}.wav" for each in tracks]
    written = [f"cd #1/{track.replace('?', '_')}" for track in tracks]
    assert list_files(tmp_path / "out") == expect(*written)
    assert [each["outputs"]["bass"] for each in done.records] == [
        f"{address}/out/{each}/bass.wav" for each in written
    ]


def test_scratch_files_are_removed(
    model: Path, bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    make_song(Path("a.wav"), seconds=0.2)
    upload(bucket, Path("a.wav"))
    assert call(f"{bucket}/a.wav", "-o", f"{bucket}/out", "-m", model).code == 0
    assert not [path for path in scratch.rglob("*") if path.is_file()]


def test_an_unknown_storage_is_an_error(model: Path) -> None:
    failed = call("a.wav", "-o", "nonsense://bucket/out", "-m", model)
    assert failed.code == 2
    assert "nonsense://bucket/out: this storage cannot be used" in failed.stderr
    with pytest.raises(SettingsError, match=r"pip install .*\[remote\]"):
        open_storage("nonsense://bucket")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("s3://b/a", True),
        ("gs://b", True),
        ("a.wav", False),
        ("C:\\a", False),
        ("://x", False),
        ("s3://", False),
    ],
)
def test_addresses_are_recognised(text: str, expected: bool) -> None:
    assert is_url(text) is expected


def test_the_journal_of_a_storage_that_fails_is_an_error(
    bucket: str, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    folder = RemoteFolder(f"{bucket}/out")
    request.addfinalizer(folder.close)
    folder.write("x/a.json", json.dumps({"a": 1}).encode())
    assert folder.read("x/a.json") == b'{"a": 1}'
    assert folder.read("x/b.json") is None
    folder.write("x/large", b"x" * 1_500_000)
    assert folder.read("x/large") == b"x" * 1_500_000
    assert list(folder.list_files("x")) == ["x/a.json", "x/large"]

    def fail(*_: Any, **__: Any) -> None:
        raise PermissionError("denied")

    monkeypatch.setattr(folder._storage, "cat_file", fail)
    with pytest.raises(OutputError, match="the journal cannot be read: PermissionError"):
        folder.read("x/a.json")
