"""``--route`` and ``[routes]``: which model separated a song, and why, in its result."""

from pathlib import Path
from typing import Any

import pytest

from stemsplit.music.style import Style, StyleMeter
from tests.models.test_activity import write_activity_model
from tests.support.cli import call, make_song
from tests.support.tiny_models import make_spec, write_model


@pytest.mark.slow
def test_a_route_is_in_the_result(model: Path) -> None:
    make_song(Path("song.wav"))
    other = write_model(Path("other.onnx"), make_spec(name="other"), seed=7)
    args = ("song.wav", "-d", "cpu", "-o", "out", "--json", "--resume", "--route", f"{model},{other}")
    done = call(*args)
    assert done.code == 0, done.stderr
    (result,) = done.records
    route = result["route"]
    assert route["name"] in (str(model), str(other)) and "surest masks" in route["reason"]
    best = max(route["expected_sdr_db"], key=lambda name: route["expected_sdr_db"][name])
    assert route["name"] == best
    assert [each["name"] for each in result["models"]] == ["other" if best == str(other) else "tiny"]
    assert call(*args).records[0]["status"] == "skipped"
    # another candidate is another way to make the stems
    changed = write_model(Path("other.onnx"), make_spec(name="other"), seed=8)
    assert call(*args[:-1], f"{model},{changed}").records[0]["status"] == "done"


@pytest.mark.slow
def test_a_routed_song_is_analysed_with_the_detector_of_its_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    make_song(Path("song.wav"))
    paths = []
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        paths.append(write_activity_model(tmp_path / name))
    route = ",".join(map(str, paths))
    done = call("song.wav", "-d", "cpu", "-o", "out", "--json", "--analyse", "--route", route)
    assert done.code == 0, done.stderr
    assert done.records[0]["route"]["name"] == str(paths[0])
    assert done.records[0]["analysis"]["stems"]["oboe"]["activity"]["values"]


@pytest.mark.slow
def test_a_settings_file_routes_kinds_of_music(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_song(Path("song.wav"))
    Path(".stemsplit.toml").write_text(f'[routes]\nproduced = "{model}"\n')
    monkeypatch.setattr(StyleMeter, "finish", lambda _: Style("produced", {"produced": 0.83}))
    done = call("song.wav", "-d", "cpu", "-o", "out", "--json")
    assert done.code == 0, done.stderr
    route = done.records[0]["route"]
    assert (route["name"], route["style"]["name"]) == (str(model), "produced")
    assert [each["name"] for each in done.records[0]["models"]] == ["tiny"]
    # a model that is named goes before
    named = call("song.wav", "-d", "cpu", "-o", "named", "--json", "-m", model)
    assert named.code == 0 and named.records[0]["route"] is None


def find_route(*args: object) -> dict[str, Any]:
    done = call("song.wav", "-d", "cpu", "--json", "--dry-run", *args)
    assert done.code == 0, done.stderr
    route: dict[str, Any] = done.records[0]["settings"]["route"]
    return route


def test_presets_of_a_route_come_from_the_file_that_is_named(model: Path, own_folders: Path) -> None:
    make_song(Path("song.wav"))
    own = own_folders / "config" / "presets.toml"
    own.parent.mkdir()
    own.write_text(f"[mine]\nmodels = ['{model}']\nwiener = 1\n", encoding="utf-8")
    Path("mine.toml").write_text(f"[mine]\nmodels = ['{model}']\nwiener = 2\n", encoding="utf-8")
    both = ("--route", f"{model},mine")
    assert find_route(*both)["settings"] == {"mine": {"wiener": 1}}
    assert find_route(*both, "--presets", "mine.toml")["settings"] == {"mine": {"wiener": 2}}
    gone = call("song.wav", "-d", "cpu", *both, "--presets", "gone.toml")
    assert gone.code == 2 and "gone.toml does not exist" in gone.stderr
    # as --preset itself does, which may stand beside a route
    beside = ("--presets", "mine.toml", "--preset", "fast", *both)
    assert find_route(*beside)["settings"]["mine"]["wiener"] == 2


def test_presets_of_kinds_of_music_come_from_the_file_that_the_settings_name(model: Path) -> None:
    make_song(Path("song.wav"))
    Path("mine.toml").write_text("[mine]\nwiener = 2\n", encoding="utf-8")
    routes = "[routes]\nproduced = 'mine'\n"
    Path(".stemsplit.toml").write_text(f"presets = 'mine.toml'\n{routes}", encoding="utf-8")
    assert find_route()["settings"] == {"mine": {"wiener": 2}}
    Path(".stemsplit.toml").write_text(routes, encoding="utf-8")
    assert find_route("--presets", "mine.toml")["settings"] == {"mine": {"wiener": 2}}
    unused = call("song.wav", "-d", "cpu", "--dry-run", "--presets", "mine.toml", "-m", model)
    assert unused.code == 2 and "--presets names a file" in unused.stderr


@pytest.mark.parametrize(
    ("text", "args", "problem"),
    [
        ("[routes]\npolka = 'fast'\n", (), "no style 'polka'"),
        ("[routes]\nproduced = 3\n", (), "[routes]"),
        ("routes = 3\n", (), "[routes]"),
        ("", ("--route", "band"), "only band"),
        ("", ("--route", "band,nothing"), "nothing"),
        ("", ("--route", "band,lstm", "-m", "band"), "--model"),
    ],
)
def test_a_route_that_leads_nowhere_is_a_mistake(
    model: Path, text: str, args: tuple[str, ...], problem: str
) -> None:
    make_song(Path("song.wav"))
    Path(".stemsplit.toml").write_text(text)
    done = call("song.wav", "-d", "cpu", *args)
    assert done.code == 2 and problem in done.stderr, done.stderr
    assert not Path("separated").exists()
