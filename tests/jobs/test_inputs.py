"""Inputs: files, folders, globs and standard input become songs, in a fixed order, each once."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from stemsplit.jobs.inputs import SongInput, expand_inputs
from stemsplit.jobs.journal import Journal
from tests.support.cli import call, make_song


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of songs, with what is no song between them."""
    monkeypatch.chdir(tmp_path)
    for name in ("b.mp3", "a.wav", "cover.jpg", ".hidden.wav", "cd 1/é.flac", "cd 1/x/z.ogg", ".git/q.wav"):
        path = tmp_path / "songs" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return Path("songs")


@pytest.fixture
def close(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Return what closes a folder; by hand, since nothing is closed to root."""
    closed: set[str] = set()
    scan, look = os.scandir, os.lstat

    def guard(path: str | os.PathLike[str]) -> None:
        if closed.intersection(map(str, (Path(path), *Path(path).parents))):
            raise PermissionError(13, "Permission denied", path)

    def scandir(path: str) -> object:
        guard(path)
        return scan(path)

    def lstat(path: str, **options: int) -> os.stat_result:
        guard(path)
        return look(path, **options)

    monkeypatch.setattr(os, "scandir", scandir)
    monkeypatch.setattr(os, "lstat", lstat)
    return closed.add


def separate(song: str, output_dir: str = "separated") -> None:
    """Leave what a run over `song` leaves."""
    stem = Path(output_dir, Path(song).stem, "vocals.wav")
    stem.parent.mkdir(parents=True, exist_ok=True)
    stem.touch()
    Journal(Path(output_dir)).finish(f"{Path(song).stem}/_.wav", "key", {"vocals": stem})


def paths(sources: list[SongInput]) -> list[str]:
    """Return the songs, or the problems in angle brackets."""
    return [f"<{source.problem}>" if source.problem else str(source.path) for source in sources]


def test_a_folder_is_sorted_and_without_what_is_no_song(folder: Path) -> None:
    assert paths(expand_inputs([str(folder)])) == ["songs/a.wav", "songs/b.mp3"]


def test_recursive_mirrors_the_folders(folder: Path) -> None:
    sources = expand_inputs([str(folder)], recursive=True)
    assert [(str(source.path), str(source.mirror)) for source in sources] == [
        ("songs/a.wav", "."),
        ("songs/b.mp3", "."),
        ("songs/cd 1/é.flac", "cd 1"),
        ("songs/cd 1/x/z.ogg", "cd 1/x"),
    ]


def test_the_output_folder_is_passed_over(folder: Path) -> None:
    sources = expand_inputs([str(folder)], recursive=True, output_dir=Path("songs/../songs/cd 1"))
    assert paths(sources) == ["songs/a.wav", "songs/b.mp3"]


def test_globs_are_expanded_where_the_shell_did_not(folder: Path) -> None:
    assert paths(expand_inputs(["songs/*"])) == [
        "songs/a.wav",
        "songs/b.mp3",
        "songs/cd 1/é.flac",
    ]
    assert paths(expand_inputs(["songs/**/*.ogg"])) == ["songs/cd 1/x/z.ogg"]


def test_a_file_whose_name_looks_like_a_glob_is_itself(folder: Path) -> None:
    Path("songs/[a].wav").touch()
    assert paths(expand_inputs(["songs/[a].wav"])) == ["songs/[a].wav"]


def test_every_song_comes_once(folder: Path) -> None:
    Path("link.wav").symlink_to("songs/a.wav")
    named = ["songs/a.wav", str(folder), "./songs/a.wav", "link.wav", "-", "-"]
    assert paths(expand_inputs(named)) == ["songs/a.wav", "songs/b.mp3", "None"]


def test_songs_at_addresses_that_differ_in_the_query_are_several() -> None:
    first, second = expand_inputs(["https://host/get?id=1", "https://host/get?id=2", "https://host/get?id=1"])
    assert (first.url, second.url) == ("https://host/get?id=1", "https://host/get?id=2")
    assert {first.label, second.label} == {"https://host/get"}


@pytest.mark.parametrize(
    ("address", "names"),
    [
        ("https://host/a/get.wav?id=1#t=5", ("get", "get.wav", "a")),
        ("s3://bucket/a/Why?/No. #1.wav", ("No. #1", "No. #1.wav", "Why?")),
        ("s3://bucket/a/b.wav?versionId=x.y/z", ("b", "b.wav", "a")),
        ("file:///a/What?.wav", ("What?", "What?.wav", "a")),
    ],
)
def test_a_remote_song_is_named_by_its_path(address: str, names: tuple[str, str, str]) -> None:
    (song,) = expand_inputs([address])
    assert (song.track, song.file_name, song.folder_name) == names


def test_standard_input_is_a_song(folder: Path) -> None:
    (source,) = expand_inputs(["-"])
    assert source.is_stdin
    assert source.track == "stdin"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("gone.mp3", "gone.mp3: no such file or folder"),
        ("*.mp3", "no audio file matches"),
        ("", "no such file"),
        ("songs/cd 1/x/..", "read with --recursive"),
        ("empty", "no audio file in the folder"),
    ],
)
def test_what_is_not_there_is_a_problem_of_its_own(folder: Path, text: str, problem: str) -> None:
    Path("empty").mkdir()
    Path("songs/cd 1/é.flac").unlink()
    (source, _) = expand_inputs([text, "songs/a.wav"])
    assert source.problem
    assert problem in source.problem
    assert not source.is_stdin


def test_a_broken_link_is_left_to_the_reader(folder: Path) -> None:
    Path("broken.wav").symlink_to("nowhere.wav")
    assert paths(expand_inputs(["broken.wav"])) == ["broken.wav"]


@pytest.mark.parametrize(
    ("pattern", "mirrors"),
    [
        ("**/*.og?", ["songs/cd 1/x"]),
        ("songs/**/*.flac", ["cd 1"]),
        ("songs/c*", ["cd 1", "cd 1/x"]),
        ("songs/cd 1/**", [".", "x"]),
        ("songs/*/", ["cd 1", "cd 1/x"]),
        ("{here}/songs/*/*.flac", ["cd 1"]),
        ("songs/../songs/c*/x/z.ogg", ["cd 1/x"]),
        ("songs/.[a-z]*/*.wav", [".git"]),
    ],
)
def test_what_a_glob_matches_is_mirrored_below_its_fixed_beginning(
    folder: Path, pattern: str, mirrors: list[str]
) -> None:
    sources = expand_inputs([pattern.format(here=folder.absolute().parent)], recursive=True)
    assert [str(source.mirror) for source in sources] == mirrors


def test_a_closed_folder_is_a_problem_among_the_songs(folder: Path, close: Callable[[str], None]) -> None:
    close("songs/cd 1")
    closed = "<songs/cd 1: the folder cannot be read: Permission denied; check its name and permissions>"
    everything = ["songs/a.wav", "songs/b.mp3", closed]
    assert paths(expand_inputs(["songs"], recursive=True)) == everything
    for pattern in ("songs/**", "songs/**/*", "songs/*"):
        assert paths(expand_inputs([pattern])) == everything
    for named in ("songs/cd 1", "songs/cd 1/*", "songs/c*/*.flac", "songs/cd 1/**/*.flac"):
        assert paths(expand_inputs([named])) == [closed]
    assert paths(expand_inputs(["songs"])) == everything[:2]


def test_what_lies_below_a_closed_folder_is_not_said_to_be_missing(
    folder: Path, close: Callable[[str], None]
) -> None:
    close("songs/cd 1")
    (source,) = expand_inputs(["songs/cd 1/gone.flac"])
    assert source.problem
    assert "cannot be reached: Permission denied" in source.problem


def test_folders_that_the_system_keeps_closed_are_passed_over(
    folder: Path, close: Callable[[str], None]
) -> None:
    Path("songs/lost+found").mkdir()
    close("songs/lost+found")
    assert len(expand_inputs(["songs"], recursive=True)) == 4


def test_a_journal_that_cannot_be_read_stops_its_own_folder_only(folder: Path) -> None:
    Path("songs/cd 1/.stemsplit-journal.jsonl").mkdir()  # of an earlier version
    *songs, source = expand_inputs(["songs"], recursive=True)
    assert paths(songs) == ["songs/a.wav", "songs/b.mp3"]
    assert source.problem
    assert "the journal cannot be read or written" in source.problem


@pytest.mark.parametrize(
    "inputs", [["**/*.wav"], ["**"], ["*"], ["one.wav", "separated"], ["separated", "one.wav", "separated"]]
)
@pytest.mark.parametrize("recursive", [False, True])
def test_a_second_run_reads_what_the_first_has_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, inputs: list[str], recursive: bool
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("one.wav").touch()
    separate("one.wav")
    found = expand_inputs(inputs, recursive=recursive, output_dir=Path("separated"))
    assert paths(found) == ["one.wav"]


def test_globs_pass_over_the_stems_of_other_runs(folder: Path) -> None:
    separate("songs/a.wav", "songs/cd 1/x")
    assert paths(expand_inputs(["songs/**/*.wav"], output_dir=Path("new"))) == ["songs/a.wav"]
    separate("songs/a.wav", "songs")
    Path("songs/cd 1").rename("cd")
    assert paths(expand_inputs(["songs/*"])) == ["songs/a.wav", "songs/b.mp3"]
    (source,) = expand_inputs(["songs/a/*.wav", "songs/*/*.wav"])[1:]
    assert source.problem == "songs/*/*.wav: no audio file matches; stems of earlier runs are left out"


def test_songs_in_the_output_folder_are_read_when_it_is_named(folder: Path) -> None:
    separate("songs/a.wav", "songs")
    Path("c.wav").touch()
    for inputs in (["songs", "c.wav"], ["songs/*", "c.wav"]):
        sources = expand_inputs(inputs, output_dir=Path("songs"))
        assert paths(sources)[:2] == ["songs/a.wav", "songs/b.mp3"]
        assert paths(sources)[-1] == "c.wav"


def test_an_output_folder_named_alone_is_a_problem(folder: Path) -> None:
    separate("songs/a.wav")
    (source,) = expand_inputs(["separated"], output_dir=Path("separated"))
    assert source.problem
    assert "there is no audio file in the folder" in source.problem


@pytest.mark.parametrize("flags", [(), ("--dry-run",)])
def test_standard_input_does_not_stand_in_for_a_missing_song(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny_model: Path, flags: tuple[str, ...]
) -> None:
    monkeypatch.chdir(tmp_path)
    piped = make_song(Path("piped.wav"), seconds=0.2).read_bytes()
    done = call("gone.wav", "-o", "-", "-s", "bass", "-m", tiny_model, *flags, stdin=piped)
    assert (done.code, done.stdout) == (1, b"")
    assert "gone.wav: no such file" in done.stderr
