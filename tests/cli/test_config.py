"""Settings files: defaults of the user and of folders, their sources, and the ``config`` commands."""

import json
import re
from pathlib import Path

import pytest
import typer

from stemsplit.cli.config import STYLES
from stemsplit.cli.options.separation import SeparationOptions
from stemsplit.cli.settings_files import read_routes
from stemsplit.music.style import StyleClassifier, style_model
from tests.support.cli import Call, call, make_song
from tests.support.tiny_models import make_spec, write_model


@pytest.fixture
def own_file(own_folders: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's settings file, not there yet; the working folder is empty."""
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    (own_folders / "config").mkdir()
    return own_folders / "config" / "config.toml"


def shown(*args: object) -> dict[str, dict[str, object]]:
    """Return the options and their sources."""
    done = call("--show-config", "--json", *args)
    assert done.code == 0, done.stderr
    found: dict[str, dict[str, object]] = json.loads(done.text)
    return found


def test_the_command_line_overrides_the_folder_which_overrides_the_user(own_file: Path) -> None:
    own_file.write_text('format = "flac"\njobs = 2\nquiet = true\nstems = "drums"\n')
    folder_file = Path(".stemsplit.toml").absolute()
    folder_file.write_text("jobs = 3\nstems = ['vocals', 'bass']\n")
    found = shown("--quiet", "song.mp3")
    assert found["format"] == {"value": "flac", "source": str(own_file)}
    assert found["jobs"] == {"value": 3, "source": str(folder_file)}
    assert found["stems"] == {"value": ["vocals", "bass"], "source": str(folder_file)}
    assert found["quiet"] == {"value": True, "source": "command line"}
    assert found["overlap"] == {"value": None, "source": "default"}
    assert set(found) == {name.replace("_", "-") for name in SeparationOptions.__dataclass_fields__} - {
        "inputs",
        "json",
        "show-config",
    }


def test_a_folder_counts_for_those_below_it(own_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Path(".stemsplit.toml").write_text('output = "stems"\nmodel = ["own.onnx", "band"]\n')
    folder = Path.cwd()
    Path("deep/er").mkdir(parents=True)
    monkeypatch.chdir("deep/er")
    found = shown()
    assert found["output"]["value"] == str(folder / "stems")
    assert found["model"]["value"] == [str(folder / "own.onnx"), "band"]
    own_file.write_text('output = "~/stems"\n')
    (folder / ".stemsplit.toml").unlink()
    assert shown()["output"]["value"] == str(Path.home() / "stems")
    own_file.write_text('output = "stems"\n')
    assert shown()["output"]["value"] == "stems"


def test_an_address_is_taken_as_it_is(own_file: Path) -> None:
    own_file.write_text('output = "s3://bucket/stems"\n')
    assert shown()["output"]["value"] == "s3://bucket/stems"
    Path(".stemsplit.toml").write_text('output = "memory://folder/of"\n')
    assert shown()["output"]["value"] == "memory://folder/of"


def test_all_files_are_beside_the_settings_that_name_them(
    own_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = {"kit": "replace", "cert": "serve", "key": "serve", "index": "models", "describe": "models"}
    tables = [f'[{table}]\n{key} = "own/{key}"\n' for key, table in settings.items()]
    Path(".stemsplit.toml").write_text('route = "own.onnx, band"\n[routes]\nproduced = "own.toml"\n')
    folder = Path.cwd()
    Path("deeper").mkdir()
    monkeypatch.chdir("deeper")
    assert shown()["route"]["value"] == f"{folder / 'own.onnx'},band"
    assert read_routes()["produced"].value == str(folder / "own.toml")
    for key, text in zip(settings, tables, strict=True):
        (folder / ".stemsplit.toml").write_text(text)
        assert f'{key} = "{folder / "own" / key}"  # .stemsplit.toml' in call("config").lines


def test_settings_do_what_the_options_do(own_file: Path) -> None:
    write_model(own_file.with_name("one.onnx"), make_spec(name="one"))
    own_file.write_text(
        'model = "one.onnx"\nstems = ["bass"]\nformat = "flac"\ndevice = "cpu"\nwiener = 1\nresidual = true\n'
    )
    make_song(Path("a.wav"), seconds=0.2)
    done = call("a.wav", "--json")
    (record,) = done.records
    assert record["outputs"] == {"bass": "separated/a/bass.flac", "residual": "separated/a/residual.flac"}
    assert record["settings"]["wiener"] == 1
    assert call("a.wav", "--wiener", 0, "--overwrite", "--json").records[0]["settings"]["wiener"] == 0


def test_a_preset_ranks_where_it_is_named(own_file: Path) -> None:
    own_file.write_text("shifts = 1\nwiener = 1\n")
    assert shown("--preset", "best")["transpositions"] == {"value": 4, "source": "preset 'best'"}
    typed = shown("--preset", "best", "--transpositions", 2)
    assert typed["transpositions"] == {"value": 2, "source": "command line"}
    own_file.write_text('preset = "best"\ntranspositions = 1\n')
    assert shown()["transpositions"] == {"value": 1, "source": str(own_file)}
    own_file.write_text('preset = "best"\n')
    assert shown()["transpositions"]["value"] == 4
    Path(".stemsplit.toml").write_text("transpositions = 5\n")
    assert shown()["transpositions"]["value"] == 5


def test_other_commands_have_tables(own_file: Path) -> None:
    own_file.write_text('format = "flac"\n[serve]\nport = 70000\n')
    assert shown()["format"]["value"] == "flac"
    refused = call("serve")
    assert refused.code == 2
    assert f"{own_file}: port: 70000 is not in the range 0<=x<=65535" in refused.stderr


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("stms = 'vocals'", "unknown setting 'stms'; did you mean 'stems'?"),
        ("wiener = 11", "wiener: 11 is not in the range 0<=x<=10"),
        ("jobs = 'many'", "jobs: 'many' is not a valid int range"),
        ("quiet = 1", "quiet is 1; it must be true or false"),
        ("model = 3", "model is 3; it must be a list of strings"),
        ("jobs = [1]", "jobs is [1]; it must be a single value"),
        ("show_config = true", "unknown setting 'show_config'"),
        ("serve = 1", "serve is a command"),
        ("jobs =", "not a TOML file"),
    ],
)
def test_a_wrong_file_is_named(own_file: Path, text: str, reason: str) -> None:
    own_file.write_text(text + "\n")
    command = ["serve"] if text.startswith("serve") else ["song.mp3"]
    done = call(*command)
    assert done.code in {1, 2}
    assert str(own_file) in done.stderr
    assert reason in done.stderr


def test_the_table_shows_what_is_set_first(own_file: Path) -> None:
    own_file.write_text('format = "flac"\n')
    lines = call("--show-config", "-j", 2).lines
    assert [line.split() for line in lines[:2]] == [
        ["format", '"flac"', str(own_file)],
        ["jobs", "2", "command", "line"],
    ]
    assert lines[2].endswith("  default")


def test_config_shows_where_it_is_and_what_it_sets(own_file: Path) -> None:
    assert call("config", "path").lines == [str(own_file)]
    assert call("config").lines == [f"# {own_file} (not there; `stemsplit config edit` creates it)"]
    own_file.write_text('stems = "drums"\n[serve]\nport = 9000\n')
    expected = [
        f"# {own_file}",
        'stems = ["drums"]  # config.toml',
        "",
        "[serve]",
        "port = 9000  # config.toml",
    ]
    assert call("config").lines == call("config", "show").lines == expected


def test_config_shows_and_explains_the_models_for_kinds_of_music(own_file: Path) -> None:
    own_file.write_text('[routes]\nacoustic = "lstm"\nproduced = "best"\n')
    Path(".stemsplit.toml").write_text('[routes]\nproduced = "fast"\n')
    assert call("config").lines[-4:] == [
        "",
        "[routes]",
        'acoustic = "lstm"  # config.toml',
        'produced = "fast"  # .stemsplit.toml',
    ]
    explained = call("config", "explain").text.partition("\n#[routes]\n")[2]
    assert re.findall(r'^#(\w+) = ""$', explained, re.MULTILINE) == list(STYLES)
    assert tuple(StyleClassifier(style_model()).styles) == STYLES


def test_config_edit_opens_an_explained_file(own_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VISUAL", raising=False)
    monkeypatch.setenv("EDITOR", "sed -i 's/^#retries = 2/retries = 3/'")

    def edit() -> Call:
        return call("config", "edit")

    assert edit().code == 0
    text = own_file.read_text()
    assert "\nretries = 3\n" in text
    assert shown()["retries"]["value"] == 3
    own_file.write_text("jobs = 3\n")
    assert edit().code == 0 and own_file.read_text() == "jobs = 3\n"
    monkeypatch.setenv("EDITOR", "no-such-editor")
    assert "the editor 'no-such-editor' cannot be started" in edit().stderr
    monkeypatch.setenv("EDITOR", "")
    launched: list[str] = []
    monkeypatch.setattr(typer, "launch", launched.append)
    assert edit().code == 0 and launched == [str(own_file)]


def test_what_config_explains_is_a_valid_file(own_file: Path) -> None:
    text = call("config", "explain").text
    values = [line[1:] for line in text.splitlines() if line.startswith("#") and not line.startswith("# ")]
    settings = [line for line in values if not line.endswith((' = ""', " = []"))]
    settings.remove("analyse = false")  # a file has this or the table of the command
    own_file.write_text("\n".join(settings) + "\n")
    assert shown()["format"]["value"] == "wav"
    for name in set(SeparationOptions.__dataclass_fields__) - {"inputs", "show_config"}:
        assert f"\n#{name.replace('_', '-')} = " in text


@pytest.mark.parametrize(
    ("content", "is_analysed"), [("analyse = true\n", True), ("[analyse]\nquiet = true\n", False)]
)
def test_a_file_has_the_option_analyse_or_the_table_of_the_command(
    own_file: Path, content: str, is_analysed: bool
) -> None:
    own_file.write_text(content)
    assert shown()["analyse"]["value"] is is_analysed
    missing = call("analyse", "missing.wav")
    assert "no such file" in missing.stderr, "the settings of the command are read"


def test_the_commands_of_models_share_a_table(own_file: Path, tmp_path: Path, tiny_model: Path) -> None:
    own_file.write_text(f'[models]\nmodels-dir = "{tmp_path}"\ntimeout = 3\njson = true\n')
    assert call("models", "add", tiny_model, "--name", "mine").code == 0
    assert (tmp_path / "mine").exists()
    for args in (["models"], ["models", "list"]):
        assert '"mine"' in call(*args).text
    assert f'models-dir = "{tmp_path}"  # config.toml' in call("config").lines
    own_file.write_text("[models]\ntimout = 3\n")
    assert "did you mean 'timeout'" in call("models", "list").stderr


def test_the_folder_of_models_holds_for_every_command(
    own_file: Path, tmp_path: Path, tiny_model: Path
) -> None:
    own_file.write_text(f'models-dir = "{tmp_path}"\n')
    assert call("models", "add", tiny_model, "--name", "mine").code == 0
    assert "mine" in call("models").text
    assert shown("--model", "mine")["models-dir"]["value"] == str(tmp_path)
