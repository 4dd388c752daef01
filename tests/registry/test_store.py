"""The registry: a model is there whole or not at all, and is what it was when it was added."""

import errno
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from stemsplit.errors import ModelError, OutputError, SettingsError
from stemsplit.models.description import Description
from stemsplit.models.description_file import format_description, parse_description, read_description
from stemsplit.registry import store as registry_module
from stemsplit.registry.install import add_model, find_candidate
from stemsplit.registry.installed import read_model, resolve
from stemsplit.registry.record import FILE_NAME
from stemsplit.registry.store import Registry
from tests.support.cli import call, make_environment, make_song
from tests.support.external_graphs import SAMPLES, write_wave_model
from tests.support.external_models import write_graph


@pytest.fixture
def registry(own_folders: Path) -> Registry:
    """The user's registry, empty."""
    return Registry()


@pytest.fixture
def external(tmp_path: Path) -> Path:
    """An external model of two targets, described."""
    return write_wave_model(tmp_path / "external")


def listed(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def test_a_external_model_is_added_listed_used_and_removed(external: Path, registry: Registry) -> None:
    added = call("models", "add", external, "--name", "halves")
    assert added.lines == [str(registry.folder / "halves" / FILE_NAME)]
    assert "licence: halves (CC-BY-NC-4.0, no commercial use)" in added.stderr
    (record,) = [each for each in call("models", "--json").records if each["name"] == "halves"]
    assert record["targets"] == ["half", "third"]
    assert (record["licence"], record["commercial"], record["n_samples"]) == ("CC-BY-NC-4.0", False, 4096)
    assert record == call("models", "info", "halves", "--json").records[0]
    song = make_song(external.parent / "song.wav", seconds=0.3)
    done = call(song, "-m", "halves", "-o", external.parent / "out", "--json")
    assert done.records[0]["models"][0]["sha256"] == record["sha256"]
    assert call("models", "remove", "halves").code == 0
    assert listed(registry.folder) == []
    assert call("models", "remove", "halves").code == 2


def test_a_model_that_describes_itself_is_added_and_used(tiny_model: Path, registry: Registry) -> None:
    assert call("models", "add", tiny_model, "--json").records[0]["commercial"] is True
    path = resolve("tiny", registry)
    assert read_model(path).name == "tiny"
    assert read_model(path).sha256 == read_model(tiny_model).sha256


def test_what_is_stored_is_read_back_the_same(external: Path) -> None:
    described = read_description(external)
    path = external.parent / "again.toml"
    path.write_text(format_description(described, {"halves.onnx": "ab"}), encoding="utf-8")
    again = read_description(path)
    assert again.sha256 == {"halves.onnx": "ab"}
    fields = set(Description.__dataclass_fields__) - {"sha256"}
    assert all(getattr(again, name) == getattr(described, name) for name in fields)


def test_a_file_of_two_targets_beside_another_keeps_both(external: Path, registry: Registry) -> None:
    write_graph(external.parent / "more.onnx", ["n", 2, SAMPLES], [0.1])
    graphs = '{ half = "halves.onnx", third = "halves.onnx", tenth = "more.onnx" }'
    lines = external.read_text(encoding="utf-8").splitlines()
    kept = [line for line in lines if not line.startswith(("graph", "targets"))]
    external.write_text("\n".join([*kept, f"graphs = {graphs}"]), encoding="utf-8")
    add_model(registry, find_candidate(external))
    assert read_model(resolve("halves")).spec.targets == ("half", "third", "tenth")


@pytest.mark.parametrize(
    "text", ['a "quoted" name', "tab\tline\nbell\x07 del\x7f", "Müller \U0001f3b5", "\\"]
)
def test_any_text_survives(text: str, tmp_path: Path) -> None:
    values = {"name": text, "graphs": {"vocals": "a.onnx"}, "family": "open-unmix", "attribution": text}
    described = parse_description(values)
    path = tmp_path / "model.toml"
    path.write_text(format_description(described, {}), encoding="utf-8", newline="")
    assert read_description(path).attribution == text


@pytest.mark.parametrize(
    "name",
    ["../x", "a/b", "a\\b", "", ".", "..", ".hidden", "con", "a.onnx", "x\0y", "a:b", "end ", "y" * 300],
)
def test_names_that_lead_elsewhere_are_refused(name: str, tiny_model: Path, registry: Registry) -> None:
    with pytest.raises(SettingsError, match="cannot be the name"):
        add_model(registry, find_candidate(tiny_model), name=name)
    assert listed(registry.folder) == []
    with pytest.raises(SettingsError):
        registry.path(name)


@pytest.mark.parametrize("name", ["модель", "音", "a b", "Ünïcode-1.5"])
def test_names_of_any_script_are_fine(name: str, tiny_model: Path, registry: Registry) -> None:
    add_model(registry, find_candidate(tiny_model), name=name)
    assert registry.names() == [name]
    assert read_model(resolve(name)).name == "tiny"


def test_a_taken_name_is_kept_without_overwrite(
    tiny_model: Path, vocals_model: Path, registry: Registry
) -> None:
    assert call("models", "add", tiny_model, "--name", "x").code == 0
    again = call("models", "add", vocals_model, "--name", "x")
    assert again.code == 2
    assert "--overwrite" in again.stderr
    assert read_model(resolve("x")).name == "tiny"
    assert call("models", "add", vocals_model, "--name", "x", "--overwrite").code == 0
    assert read_model(resolve("x")).name == "voice"
    assert listed(registry.folder) == ["x"]


def test_the_name_of_a_bundled_model_is_refused(tiny_model: Path) -> None:
    refused = call("models", "add", tiny_model, "--name", "band")
    assert refused.code == 2
    assert "model of the package" in refused.stderr


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_model_that_gives_no_numbers_is_refused(value: float, tmp_path: Path, registry: Registry) -> None:
    path = write_wave_model(tmp_path / "bad", factor=value)
    refused = call("models", "add", path)
    assert refused.code == 1
    assert "NaN or infinity" in refused.stderr
    assert str(path.parent) in refused.stderr
    assert listed(registry.folder) == []


def test_a_failure_while_a_model_is_replaced_leaves_the_old_one(
    tiny_model: Path, registry: Registry, tmp_path: Path
) -> None:
    add_model(registry, find_candidate(tiny_model), name="x")
    with pytest.raises(ModelError):
        add_model(
            registry, find_candidate(write_wave_model(tmp_path, factor=np.nan)), name="x", overwrite=True
        )
    assert read_model(resolve("x")).name == "tiny"
    assert listed(registry.folder) == ["x"]


def test_a_model_that_cannot_be_put_in_place_leaves_the_old_one(
    tiny_model: Path, external: Path, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_model(registry, find_candidate(tiny_model), name="x")
    rename = Path.rename

    def fail(path: Path, target: Path) -> Path:
        if path.name.endswith(".part"):
            raise OSError(errno.EIO, "broken")
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", fail)
    with pytest.raises(OutputError, match="reports an error"):
        add_model(registry, find_candidate(external), name="x", overwrite=True)
    assert read_model(resolve("x")).name == "tiny"
    assert listed(registry.folder) == ["x"]


def test_what_a_killed_run_of_the_same_number_left_is_in_nobodys_way(
    tiny_model: Path, registry: Registry
) -> None:
    """In a container every run may have the number 1."""
    number = next(registry_module._counter)
    for ahead in range(1, 4):
        (registry.folder / f".{os.getpid()}-{number + ahead}.part").mkdir(parents=True)
    add_model(registry, find_candidate(tiny_model), name="x")
    assert listed(registry.folder) == ["x"]


def test_a_full_disk_leaves_nothing(
    tiny_model: Path, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("stemsplit.registry.install._sync", fail)
    with pytest.raises(OutputError, match="disk is full"):
        add_model(registry, find_candidate(tiny_model), name="x")
    assert listed(registry.folder) == []


def test_a_killed_run_leaves_no_half_model_and_the_next_cleans_up(
    tiny_model: Path, registry: Registry
) -> None:
    code = (
        "import os, sys; from pathlib import Path; from stemsplit.registry import install, store\n"
        "store.Registry._place = lambda *_: os._exit(9)\n"
        "found = install.find_candidate(Path(sys.argv[1]))\n"
        "install.add_model(store.Registry(sys.argv[2]), found, name='x')\n"
    )
    command = [sys.executable, "-c", code, str(tiny_model), str(registry.folder)]
    killed = subprocess.run(command, env=make_environment(), check=False, capture_output=True)
    assert killed.returncode == 9, killed.stderr
    assert registry.names() == []
    assert len(listed(registry.folder)) >= 1
    with pytest.raises(SettingsError, match="no model 'x'"):
        resolve("x")
    add_model(registry, find_candidate(tiny_model), name="y")
    assert listed(registry.folder) == ["y"]


@pytest.mark.parametrize("kind", ["external", "own"])
def test_a_changed_file_is_found_by_verify_and_by_use(
    kind: str, external: Path, tiny_model: Path, registry: Registry
) -> None:
    assert call("models", "add", external if kind == "external" else tiny_model, "--name", "x").code == 0
    assert call("models", "verify").lines == ["ok      x"]
    (graph,) = (registry.folder / "x").glob("*.onnx")
    model = onnx.load(str(graph))
    model.doc_string = "another one"
    onnx.save(model, str(graph))
    broken = call("models", "verify", "x", "--json")
    assert (broken.code, broken.records[0]["ok"]) == (1, False)
    assert "SHA-256" in broken.records[0]["error"]
    song = make_song(external.parent / "song.wav", seconds=0.3)
    used = call(song, "-m", "x", "-o", external.parent / "out")
    assert used.code == 1
    assert "SHA-256" in used.stderr
    assert not (external.parent / "out").exists()


def test_a_broken_record_does_not_hide_the_others(tiny_model: Path, registry: Registry) -> None:
    assert call("models", "add", tiny_model, "--name", "good").code == 0
    (registry.folder / "bad").mkdir()
    (registry.folder / "bad" / FILE_NAME).write_text("name = ", encoding="utf-8")
    shown = call("models", "list")
    assert shown.code == 1
    assert any(line.startswith("good ") for line in shown.lines)
    assert "bad: " in shown.stderr
    assert call("models", "remove", "bad").code == 0
    assert call("models", "list").code == 0


def test_a_name_is_a_name_and_a_path_is_a_path(tiny_model: Path, registry: Registry, tmp_path: Path) -> None:
    add_model(registry, find_candidate(tiny_model), name="x")
    assert resolve("x") == registry.folder / "x" / FILE_NAME
    assert resolve("x.onnx") == Path("x.onnx")
    assert resolve("band").name == "band.onnx"
    with pytest.raises(ModelError, match="no model"):
        resolve("./x")
    with pytest.raises(SettingsError, match="did you mean 'band'"):
        resolve("bnad")


def test_the_folder_is_the_users_choice(tiny_model: Path, tmp_path: Path, registry: Registry) -> None:
    assert call("models", "add", tiny_model, "--models-dir", tmp_path / "mine").code == 0
    assert listed(tmp_path / "mine") == ["tiny"]
    assert listed(registry.folder) == []
    song = make_song(tmp_path / "song.wav", seconds=0.2)
    used = call(song, "-m", "tiny", "--models-dir", tmp_path / "mine", "-o", tmp_path / "out", "-q")
    assert used.code == 0


def test_licence_says_unknown_where_nobody_knows(tmp_path: Path, external: Path) -> None:
    silent = write_wave_model(tmp_path / "silent", licence=None)
    assert call("models", "add", silent, "--name", "silent").code == 0
    shown = call("models", "licence", "silent").text
    assert "licence         unknown" in shown
    assert "commercial use  unknown" in shown
    (record,) = call("models", "licence", external, "--json").records
    assert (record["licence"], record["commercial"]) == ("CC-BY-NC-4.0", False)


def test_a_draft_is_valid_once_its_blanks_are_filled(
    external: Path, tmp_path: Path, registry: Registry
) -> None:
    draft = tmp_path / "draft.toml"
    assert call("models", "new-description", external.parent / "halves.onnx", "-o", draft).code == 0
    with pytest.raises(ModelError, match="targets"):
        read_description(draft)
    text = draft.read_text(encoding="utf-8")
    draft.write_text(text.replace('["", ""]', '["half", "third"]'), encoding="utf-8")
    added = call("models", "add", external.parent / "halves.onnx", "--describe", draft, "--name", "x")
    assert added.code == 0, added.stderr
    assert call("models", "new-description", external.parent / "halves.onnx", "-o", draft).code == 1


def _write_identity(path: Path, shape: list[Any]) -> Path:
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in ("input", "output")]
    node = helper.make_node("Identity", ["input"], ["output"])
    graph = helper.make_graph([node], "identity", ends[:1], ends[1:])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), str(path))
    return path


@pytest.mark.parametrize("shape", [[7], [1, 7], [1, 2, 3, 4, 5]], ids=str)
def test_a_graph_that_no_description_fits_gets_no_draft(tmp_path: Path, shape: list[Any]) -> None:
    refused = call("models", "new-description", _write_identity(tmp_path / "x.onnx", shape))
    assert refused.code == 1
    assert "x.onnx: takes (" in refused.stderr and "(batch, channels, samples)" in refused.stderr


def test_a_file_that_describes_itself_gets_no_draft(tiny_model: Path) -> None:
    refused = call("models", "new-description", tiny_model)
    assert (refused.code, refused.stdout) == (2, b"")
    assert "needs no other description" in refused.stderr


def test_a_draft_goes_where_it_is_asked_for(
    external: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    graph = external.parent / "halves.onnx"
    monkeypatch.chdir(tmp_path)
    text = call("models", "new-description", graph).stdout
    assert call("models", "new-description", graph, "-o", "-").stdout == text
    assert listed(tmp_path) == ["external"]
    refused = call("models", "new-description", graph, "-o", "gone/x.toml")
    assert refused.code == 1 and "there is no folder gone; make it" in refused.stderr
    (tmp_path / "x.toml").touch()
    refused = call("models", "new-description", graph, "-o", "x.toml")
    assert refused.code == 1 and "x.toml exists; choose another name" in refused.stderr


def test_a_draft_of_a_complex_network_asks_for_the_transform(tmp_path: Path) -> None:
    path = _write_identity(tmp_path / "mdx.onnx", ["batch", 4, 2048, 256])
    text = call("models", "new-description", path).text
    described = tmp_path / "mdx.toml"
    described.write_text(text.replace('[""]', '["vocals"]'), encoding="utf-8")
    with pytest.raises(ModelError, match="n_fft is missing"):
        read_description(described)
    filled = text.replace('[""]', '["vocals"]').replace("n_fft = 0", "n_fft = 6144")
    described.write_text(filled.replace("hop_length = 0", "hop_length = 1024"), encoding="utf-8")
    assert read_description(described).output_kind == "complex"
    assert call("models", "add", described).code == 0


def test_a_registry_that_cannot_be_written_says_so(tiny_model: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    refused = call("models", "add", tiny_model, "--models-dir", tmp_path / "file" / "models")
    assert refused.code == 1
    assert "choose another folder" in refused.stderr
    assert listed(tmp_path) == ["file"]
