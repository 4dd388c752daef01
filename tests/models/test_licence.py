"""Licences: what is not known to be allowed is said, kept with the stems, and refused where it matters."""

import json
from pathlib import Path

import pytest

from stemsplit.jobs.journal import FOLDER
from stemsplit.models.licence import allows_commercial
from tests.support.cli import call, make_song
from tests.support.external_graphs import write_wave_model
from tests.support.tiny_models import make_spec, write_model


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("a.wav", "b.wav"):
        make_song(Path(name), seconds=0.2)


@pytest.mark.parametrize(
    ("licence", "allowed"),
    [
        ("MIT", True),
        ("apache-2.0", True),
        ("CC-BY-4.0", True),
        ("CC-BY-NC-4.0", False),
        ("CC-BY-NC-SA-4.0", False),
        ("unknown", "unknown"),
        ("", "unknown"),
        ("free for all", "unknown"),
        ("MIT but not really", "unknown"),
    ],
)
def test_only_a_licence_that_is_known_allows(licence: str, allowed: object) -> None:
    assert allows_commercial(licence) == allowed


def test_a_note_comes_once_a_run_and_not_with_quiet(tmp_path: Path) -> None:
    model = write_wave_model(tmp_path / "m")
    done = call("a.wav", "b.wav", "-m", model)
    assert done.stderr.count("licence: halves (CC-BY-NC-4.0, no commercial use)\n") == 1
    assert "licence" not in call("a.wav", "-m", model, "-q", "--overwrite").stderr


def test_a_free_model_needs_no_note(tiny_model: Path) -> None:
    done = call("a.wav", "-m", tiny_model, "--commercial-only")
    assert done.code == 0
    assert "licence" not in done.stderr


@pytest.mark.parametrize(("licence", "said"), [("CC-BY-NC-4.0", "no commercial use"), (None, "unknown")])
def test_commercial_only_refuses_by_name(tmp_path: Path, licence: str | None, said: str) -> None:
    model = write_wave_model(tmp_path / "m", licence=licence)
    refused = call("a.wav", "-m", model, "--commercial-only", "--quiet")
    assert refused.code == 1
    assert "halves" in refused.stderr
    assert said in refused.stderr
    assert not Path("separated").exists()


def test_a_model_of_unknown_licence_that_describes_itself_is_refused(tmp_path: Path) -> None:
    model = write_model(tmp_path / "x.onnx", make_spec(name="x", licence="see the website"))
    refused = call("a.wav", "-m", model, "--commercial-only")
    assert refused.code == 1
    assert "x (see the website, commercial use unknown)" in refused.stderr


def test_results_and_the_journal_carry_it(tmp_path: Path) -> None:
    model = write_wave_model(tmp_path / "m")
    (record,) = call("a.wav", "-m", model, "--json").records
    (used,) = record["models"]
    assert (used["name"], used["licence"], used["commercial"]) == ("halves", "CC-BY-NC-4.0", False)
    (path,) = Path("separated", FOLDER).rglob("*.json")
    assert json.loads(path.read_text(encoding="utf-8"))["models"] == [used]
