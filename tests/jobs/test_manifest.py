"""Manifests and shards: lists of any length, read line by line and divided among runs."""

import io
import subprocess
import sys
import tracemalloc
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pytest

from stemsplit import SettingsError
from stemsplit.jobs import claims
from stemsplit.jobs.inputs import SongInput, expand_inputs
from stemsplit.jobs.journal import Journal
from stemsplit.jobs.manifest import check_manifests, is_manifest, read_manifest
from stemsplit.jobs.output_settings import OutputSettings
from stemsplit.jobs.plan import plan_stream
from stemsplit.jobs.provenance import Provenance
from stemsplit.jobs.shard import Shard
from tests.support import ROOT
from tests.support.cli import STEMS, call, expect, list_files, make_environment, make_song

PROVENANCE = Provenance(STEMS, "cpu", (), {})


def test_lines_are_paths_or_json(tmp_path: Path) -> None:
    manifest = tmp_path / "songs.txt"
    manifest.write_text(
        '# a comment\n\na b.wav\n{"input": "c.flac"}\n{"input": "d.mp3", "track": "other name"}\n'
    )
    songs = list(read_manifest(str(manifest)))
    assert [(song.label, song.path, song.track) for song in songs] == [
        ("a b.wav", Path("a b.wav"), "a b"),
        ("c.flac", Path("c.flac"), "c"),
        ("d.mp3", Path("d.mp3"), "other name"),
    ]


INVALID = ("{", "{}", '{"input": 3}', '{"input": "a", "trak": "b"}', '{"input": null}')


@pytest.mark.parametrize("line", INVALID)
def test_an_invalid_line_is_a_problem_of_its_own(tmp_path: Path, line: str) -> None:
    manifest = tmp_path / "songs.jsonl"
    manifest.write_text(f"a.wav\n{line}\nb.wav\n")
    first, invalid, last = read_manifest(str(manifest))
    assert (first.label, last.label) == ("a.wav", "b.wav")
    assert f"{manifest}, line 2" in (invalid.problem or "")


def test_a_missing_manifest_is_an_error(model: Path) -> None:
    with pytest.raises(SettingsError, match="no such manifest"):
        check_manifests(["a.wav", "@gone.txt"])
    failed = call("@gone.txt", "-m", model)
    assert failed.code == 2
    assert "gone.txt: no such manifest" in failed.stderr


def test_a_file_whose_name_begins_with_at_is_a_song(model: Path) -> None:
    make_song(Path("@song.wav"), seconds=0.2)
    assert not is_manifest("@song.wav")
    assert call("@song.wav", "-m", model).code == 0
    assert list_files(Path("separated")) == expect("@song")


def test_a_manifest_is_separated_like_a_list(model: Path) -> None:
    for name in ("a.wav", "b.wav", "c.wav"):
        make_song(Path(name), seconds=0.2)
    Path("songs.txt").write_text("b.wav\na.wav\ngone.wav\n")
    done = call("@songs.txt", "c.wav", "-m", model, "--json")
    assert [record["input"] for record in done.records] == ["b.wav", "a.wav", "gone.wav", "c.wav"]
    assert [record["status"] for record in done.records] == ["done", "done", "failed", "done"]
    assert done.code == 1
    assert done.stderr.splitlines()[-1] == "4 songs: 3 done, 1 failed"
    resumed = call("@-", "-m", model, "--json", "--resume", stdin=b"b.wav\na.wav\nc.wav\n")
    assert [record["status"] for record in resumed.records] == ["skipped"] * 3
    assert list_files(Path("separated")) == expect("a", "b", "c")


def test_songs_of_a_manifest_with_the_same_name_fail(model: Path) -> None:
    make_song(Path("one/a.wav"), seconds=0.2)
    make_song(Path("two/A.wav"), seconds=0.2)
    Path("songs.txt").write_text("one/a.wav\ntwo/A.wav\n")
    first, second = call("@songs.txt", "-m", model, "--json").records
    assert first["status"] == "done"
    assert "would both be written to separated/A/vocals.wav" in second["error"]
    wrong = call("@songs.txt", "-m", model, "--name", "{track}.{ext}")
    assert wrong.code == 2
    assert "both be written" in wrong.stderr


def test_a_song_of_a_manifest_does_not_overwrite_itself(model: Path) -> None:
    song = make_song(Path("separated/vocals.wav"), seconds=0.2)
    before = song.read_bytes()
    Path("songs.txt").write_text("separated/vocals.wav\n")
    (record,) = call("@songs.txt", "-m", model, "--json", "--overwrite", "--name", "{stem}.{ext}").records
    assert "over the input" in record["error"]
    assert song.read_bytes() == before


def measure_growth(folder: str) -> int:
    """Return the bytes that planning 5,000 more songs adds to the memory of this process."""

    def sources() -> Iterator[SongInput]:
        for number in range(1_000_000):
            label = f"folder/song number {number:09}.flac"
            yield SongInput(label, Path(label))

    claims._MAX_FOLDERS = 100  # type: ignore[misc]  # a process of its own; the folders known grow to that
    jobs = plan_stream(sources(), PROVENANCE, OutputSettings(Path(folder)), Journal(Path(folder)))
    tracemalloc.start()
    # until the caches are full
    assert sum(job.result is None for job in islice(jobs, 10_000)) == 10_000
    before, _ = tracemalloc.get_traced_memory()
    assert sum(1 for _ in islice(jobs, 5_000)) == 5_000
    return tracemalloc.get_traced_memory()[0] - before


@pytest.mark.slow
def test_planning_needs_no_memory_per_song(tmp_path: Path) -> None:
    """In a process of its own: threads that other tests left behind allocate as well."""
    code = "import sys; from tests.jobs.test_manifest import measure_growth as f; print(f(sys.argv[1]))"
    command = [sys.executable, "-c", code, str(tmp_path)]
    done = subprocess.run(
        command, capture_output=True, text=True, check=True, cwd=ROOT, env=make_environment()
    )
    assert int(done.stdout) < 100_000  # 20 bytes per song


@pytest.mark.parametrize("text", ["", "1", "0/4", "5/4", "1/0", "a/b", "-1/4", "1/4/2"])
def test_an_invalid_shard_is_rejected(text: str) -> None:
    with pytest.raises(SettingsError, match="must be written like 1/8"):
        Shard.parse(text)


def test_shards_divide_the_songs_evenly_and_by_name_alone(tmp_path: Path) -> None:
    shards = [Shard.parse(f"{index}/4") for index in range(1, 5)]
    songs = [SongInput(f"{n}.wav", Path(f"{n}.wav")) for n in range(1000)]
    owners = {song.track: [shard.index for shard in shards if shard.contains(song)] for song in songs}
    assert all(len(found) == 1 for found in owners.values())
    sizes = Counter(index for (index,) in owners.values())
    assert min(sizes.values()) > 200
    for folder in ("here", "there/far away"):
        (tmp_path / folder / "7.wav").parent.mkdir(parents=True)
        (tmp_path / folder / "7.wav").touch()
        (song,) = expand_inputs([str(tmp_path / folder)])
        assert [shard.index for shard in shards if shard.contains(song)] == owners["7"]


def test_shards_together_make_the_whole_run(model: Path) -> None:
    names = [f"{n}.wav" for n in range(5)]
    for name in names:
        make_song(Path("songs", name), seconds=0.1)
    found = []
    for index in (1, 2, 3):
        records = call("songs", "-m", model, "--json", "--shard", f"{index}/3").records
        found += [record["input"] for record in records]
    assert sorted(found) == [f"songs/{name}" for name in names]
    assert list_files(Path("separated")) == expect(*(name.removesuffix(".wav") for name in names))


def test_standard_input_is_read_as_it_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("a.wav\nb.wav\n"))
    songs = read_manifest("-")
    assert next(songs).label == "a.wav"
    assert [song.label for song in songs] == ["b.wav"]
