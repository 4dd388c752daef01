"""Claims: the first song has a path, as a file or as a folder; a claim that fails claims nothing."""

from collections.abc import Collection
from pathlib import Path
from typing import Any

import pytest

from stemsplit.jobs import claims as module
from stemsplit.jobs.claims import Claims


def claim(claims: Claims, song: str, *paths: str) -> str | None:
    return claims.claim(song, {f"stem {number}": Path(path) for number, path in enumerate(paths)})


@pytest.mark.parametrize("size", [0, 4096])
def test_songs_share_folders_and_no_files(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    monkeypatch.setattr(module, "_MAX_FOLDERS", size)
    claims = Claims()
    assert claim(claims, "one", "out/bass/one.wav", "out/drums/one.wav") is None
    assert claim(claims, "two", "out/bass/two.wav", "out/drums/two.wav") is None
    assert claim(claims, "three", "out/new/three.wav", "out/bass/three.wav") is None
    problem = claim(claims, "four", "out/bass/four.wav", "out/Bass/TWO.wav")
    assert problem == "the stem 1 of four and the stem 0 of two would both be written to out/Bass/TWO.wav"


@pytest.mark.parametrize(
    ("first", "second", "reason"),
    [
        ("o/a", "o/A", "the stem 0 of two and the stem 0 of one would both be written to o/A"),
        ("o/a", "o/a", "both"),
        ("o/a", "O/a", "both"),
        ("caf\u00e9", "cafe\u0301", "both"),
        ("caf\u00e9/a", "CAFE\u0301/a", "both"),
        ("o/A.wav", "o/a.wav/b", "of two needs a folder where the stem 0 of one would be written: o/a.wav"),
        ("o/a.wav/b", "o/A.wav", "of one needs a folder where the stem 0 of two would be written: o/A.wav"),
    ],
)
def test_colliding_paths_are_rejected(first: str, second: str, reason: str) -> None:
    claims = Claims()
    assert claim(claims, "one", first) is None
    assert reason in (claim(claims, "two", second) or "")
    assert claim(Claims(), "one", first, second) is not None


def test_a_file_and_a_folder_of_one_song_do_not_share_a_path() -> None:
    problem = claim(Claims(), "one", "out/c", "out/c/x.wav")
    assert problem == "the stem 1 of one needs a folder where the stem 0 of one would be written: out/c"
    problem = claim(Claims(), "one", "out/c/x.wav", "out/c")
    assert problem == "the stem 0 of one needs a folder where the stem 1 of one would be written: out/c"


def test_a_claim_that_fails_claims_nothing() -> None:
    claims = Claims()
    assert claim(claims, "one", "out/one.wav") is None
    assert claim(claims, "two", "new/two.wav", "out/ONE.wav") is not None
    assert claim(claims, "three", "new/two.wav") is None
    assert claim(claims, "four", "new", "out/four.wav") is not None
    assert claim(claims, "five", "out/four.wav") is None
    problem = claim(claims, "six", "out/one.wav")
    assert problem == "the stem 0 of six and the stem 0 of one would both be written to out/one.wav"


def test_few_songs_are_looked_at_closely_however_many_folders_there_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "_MAX_FOLDERS", 10)
    find, calls = Claims._find, []

    def count(claims: Claims, keys: Collection[bytes]) -> Any:
        calls.append(keys)
        return find(claims, keys)

    monkeypatch.setattr(Claims, "_find", count)
    claims = Claims()
    for number in range(100):
        assert claim(claims, f"{number}", f"out/{number}/bass.wav", f"out/{number}/drums.wav") is None
    assert len(calls) <= 100 // 10
