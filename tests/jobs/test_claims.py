"""Claims: the first owner has a path, as a file or as a folder; a claim that fails claims nothing."""

from pathlib import Path

import pytest

from stemsplit.jobs import claims as module
from stemsplit.jobs.claims import Claims


def claim(claims: Claims, owner: str, *paths: str) -> str | None:
    return claims.claim([(Path(path), owner) for path in paths])


@pytest.mark.parametrize("size", [0, 4096])
def test_songs_share_folders_and_no_files(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    monkeypatch.setattr(module, "_MAX_FOLDERS", size)
    claims = Claims()
    assert claim(claims, "one", "out/bass/one.wav", "out/drums/one.wav") is None
    assert claim(claims, "two", "out/bass/two.wav", "out/drums/two.wav") is None
    assert claim(claims, "three", "out/new/three.wav", "out/bass/three.wav") is None
    problem = claim(claims, "four", "out/bass/four.wav", "out/Bass/TWO.wav")
    assert problem == "four and two would both be written to out/Bass/TWO.wav"


def test_a_file_and_a_folder_do_not_share_a_path() -> None:
    claims = Claims()
    assert claim(claims, "one", "out/a/bass.wav") is None
    assert "one needs a folder where two would be written" in (claim(claims, "two", "out/a") or "")
    assert claim(claims, "three", "out/b") is None
    assert "four needs a folder where three would be" in (claim(claims, "four", "out/b/bass.wav") or "")
    assert "five needs a folder where five would be" in (claim(claims, "five", "out/c", "out/c/x.wav") or "")


def test_a_claim_that_fails_claims_nothing() -> None:
    claims = Claims()
    assert claim(claims, "one", "out/one.wav") is None
    assert claim(claims, "two", "new/two.wav", "out/one.wav") is not None
    assert claim(claims, "three", "new/two.wav") is None
    assert claim(claims, "four", "out/one.wav") == "four and one would both be written to out/one.wav"


def test_a_stem_that_is_written_twice_is_a_problem() -> None:
    problem = Claims().claim([(Path("a.wav"), "the bass"), (Path("a.wav"), "the drums")])
    assert problem == "the drums and the bass would both be written to a.wav"
