"""Inputs: files, folders, globs and standard input become songs, in a fixed order, each once."""

from pathlib import Path

import pytest

from stemsplit.inputs import Source, expand_inputs


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of songs, with what is no song between them."""
    monkeypatch.chdir(tmp_path)
    for name in ("b.mp3", "a.wav", "cover.jpg", ".hidden.wav", "cd 1/é.flac", "cd 1/x/z.ogg", ".git/q.wav"):
        path = tmp_path / "songs" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return Path("songs")


def paths(sources: list[Source]) -> list[str]:
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
