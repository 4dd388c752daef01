"""Presets: settings under a name; what is typed wins."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.cli import call, make_song
from tests.support.external_models import write_ratio, write_waveform
from tests.support.tiny_models import make_spec, write_model


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    make_song(Path("a.wav"), seconds=0.2)
    for seed, name in enumerate(("one", "two")):
        write_model(Path(f"{name}.onnx"), make_spec(name=name), seed=seed)
    write("""
        [mine]
        models = ["one.onnx", "two.onnx"]
        stems = ["vocals", "bass"]
        wiener = 2
        chunk = 1
        overlap = 0.25
        weights = { vocals = [0.5, 0.5] }
        format = "flac"
        bits = "24"
        [sung]
        models = ["one.onnx"]
        karaoke = "vocals"
    """)


def write(text: str) -> None:
    Path("mine.toml").write_text("\n".join(line.strip() for line in text.splitlines()), encoding="utf-8")


def settings(*args: object, preset: str = "mine") -> dict[str, object]:
    done = call(
        "a.wav", "--presets", "mine.toml", "--preset", preset, "--json", "--dry-run", "-d", "cpu", *args
    )
    assert done.code == 0, done.stderr
    (record,) = done.records
    return {**record["settings"], "models": [model["name"] for model in record["models"]]}


def test_a_preset_says_it_all() -> None:
    found = settings()
    assert found["models"] == ["one", "two"]
    assert (found["wiener"], found["chunk_s"], found["overlap_s"]) == (2, 1, 0.25)
    assert (found["format"], found["bits"], found["stems"]) == ("flac", "24", ["vocals", "bass"])
    assert found["ensemble"] == {"mean": False, "weights": {"vocals": [0.5, 0.5]}}


def test_what_is_typed_wins_even_if_it_is_the_default() -> None:
    assert settings("--wiener", 0)["wiener"] == 0
    assert settings("--chunk", 2)["chunk_s"] == 2
    typed = settings("--format", "wav")
    assert (typed["format"], typed["bits"]) == ("wav", None)


def test_other_models_come_without_the_weights() -> None:
    found = settings("-m", "two.onnx")
    assert found["models"] == ["two"]
    assert found["ensemble"] == {"mean": False, "weights": {}}


def test_stems_that_are_typed_take_the_place_of_karaoke() -> None:
    assert settings(preset="sung")["stems"] == ["vocals", "no_vocals"]
    assert settings("-s", "drums", preset="sung")["stems"] == ["drums"]


def test_the_users_list_is_found(own_folders: Path) -> None:
    (own_folders / "config").mkdir()
    (own_folders / "config" / "presets.toml").write_text("[b]\nwiener = 1\n", encoding="utf-8")
    done = call("a.wav", "-m", "one.onnx", "--preset", "b", "--json", "--dry-run")
    assert done.records[0]["settings"]["wiener"] == 1


def test_presets_are_there_without_a_list(own_folders: Path) -> None:
    def transpositions(*args: str) -> object:
        done = call("a.wav", "-m", "one.onnx", "--preset", "best", "--json", "--dry-run", *args)
        assert done.code == 0, done.stderr
        return done.records[0]["settings"]["transpositions"]

    assert transpositions() == 4 and transpositions("--transpositions", "2") == 2
    bundled = call("a.wav", "--preset", "best", "--json", "--dry-run").records[0]
    assert [model["name"] for model in bundled["models"]] == ["band"]
    assert transpositions("--presets", "mine.toml") == 4  # whose list has other names
    write("[best]\ntranspositions = 5")
    assert transpositions("--presets", "mine.toml") == 5
    done = call("a.wav", "-m", "one.onnx", "--preset", "fast", "--json", "--dry-run")
    assert done.records[0]["settings"]["int8"]
    unknown = call("a.wav", "--preset", "slow", "-m", "one.onnx")
    assert unknown.stderr == "stemsplit: there is no preset 'slow'; there are: fast, best, finest\n"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[mine]\nweiner = 1", "did you mean 'wiener'"),
        ("[mine]\nwiener = true", "wiener is True; it must be a whole number"),
        ("[mine]\nmodels = []", "models is []; it must be a list, and not empty"),
        ("[mine]\nweights = { vocals = ['a'] }", "each value in it must be a number"),
        ("[other]\n", "here are: other, fast, best"),
        ("wiener = 1", "outside the tables"),
        ("[mine\n", "not a TOML file"),
        ("[mine]\nwiener = 99", "wiener is 99"),
    ],
)
def test_a_wrong_list_is_named(text: str, reason: str) -> None:
    write(text)
    done = call("a.wav", "--presets", "mine.toml", "--preset", "mine", "-m", "one.onnx")
    assert done.code in {1, 2}
    assert reason in done.stderr
    assert not Path("separated").exists()


@pytest.mark.parametrize("write_external", [write_waveform, write_ratio])
def test_what_a_model_cannot_obey_names_the_preset(
    write_external: Callable[[Path], Path], tmp_path: Path
) -> None:
    model = write_external(tmp_path)
    write("[mine]\nchunk = 20\ntranspositions = 2")
    mine = ("--presets", "mine.toml", "--preset", "mine")
    refused = call("a.wav", "-m", model, *mine)
    assert refused.code == 2
    assert "leave --chunk out (the preset 'mine' sets --transpositions, --chunk)" in refused.stderr
    typed = call("a.wav", "-m", model, *mine, "--chunk", "3", "--transpositions", "1")
    assert "leave --chunk out\n" in typed.stderr


def test_a_list_without_a_name_is_a_mistake() -> None:
    assert call("a.wav", "--presets", "mine.toml").code == 2
    gone = call("a.wav", "--presets", "gone.toml", "--preset", "best")
    assert gone.code == 2
    assert "gone.toml does not exist" in gone.stderr


def test_a_settings_file_may_name_a_list_that_is_not_used_every_time() -> None:
    Path(".stemsplit.toml").write_text("presets = 'mine.toml'\n", encoding="utf-8")
    dry = ("a.wav", "-m", "one.onnx", "--json", "--dry-run", "-d", "cpu")
    assert call(*dry).records[0]["settings"]["wiener"] == 0
    assert call(*dry, "--preset", "mine").records[0]["settings"]["wiener"] == 2


def test_weights_can_be_typed() -> None:
    models = ("-m", "one.onnx", "-m", "two.onnx")
    done = call("a.wav", *models, "--weights", "vocals=1,3", "--ensemble", "--json", "--dry-run")
    assert done.records[0]["settings"]["ensemble"] == {"mean": True, "weights": {"vocals": [1.0, 3.0]}}
    assert call("a.wav", *models, "--weights", "vocals", "--dry-run").code == 2
    assert call("a.wav", *models, "--weights", "vocals=1", "--dry-run").code == 2
