"""Files of unknown origin: none outside the folder is opened, none brings code, damage is noticed."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from stemsplit.errors import ModelError
from stemsplit.models.description_file import read_description
from stemsplit.models.device import Device
from stemsplit.models.integrity import check_files, check_graph_file, hash_file, hold
from stemsplit.models.onnx_scan import GraphFile
from stemsplit.models.protobuf import MalformedError, read_fields
from stemsplit.registry.installed import open_model
from stemsplit.registry.scaffold import draft_description
from tests.support.external_models import write_description, write_graph, write_magnitude, write_waveform
from tests.support.tiny_models import make_spec, write_model

CPU = Device("cpu")


def keep_weights_elsewhere(path: Path, location: str, *, within: str = "initializer") -> None:
    """Move a weight of the graph at `path` into the file `location`, or so the graph says."""
    model = onnx.load(str(path))
    (weight, *_) = [each for each in model.graph.initializer if each.name == "gain0"]
    if within == "attribute":
        model.graph.initializer.remove(weight)
        node = helper.make_node("Constant", [], ["gain0"], value=weight)
        model.graph.node.insert(0, node)
        weight = model.graph.node[0].attribute[0].t
    data = bytes(weight.raw_data)
    weight.ClearField("raw_data")
    weight.data_location = TensorProto.EXTERNAL
    for key, value in (("location", location), ("offset", "0"), ("length", str(len(data)))):
        entry = weight.external_data.add()
        entry.key, entry.value = key, value
    path.write_bytes(model.SerializeToString())
    target = path.parent / location
    if target.parent.is_dir() and "\0" not in location:
        target.write_bytes(data)


@pytest.mark.parametrize(
    "name",
    ["", "../a.onnx", "/etc/passwd", "b/../../a.onnx", "C:\\a.onnx", "..\\a.onnx", "\\\\host\\a.onnx", "a\0"],
)
def test_names_that_leave_the_folder_are_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="leads out of the model's folder"):
        hold(tmp_path, name)


def test_links_out_of_the_folder_are_refused(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"x")
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "a.onnx").symlink_to(tmp_path / "secret")
    (tmp_path / "model" / "b").symlink_to(tmp_path)
    for name in ("a.onnx", "b/secret"):
        with pytest.raises(ModelError, match="link out of the model's folder"):
            hold(tmp_path / "model", name)
    (tmp_path / "model" / "real").write_bytes(b"x")
    (tmp_path / "model" / "c.onnx").symlink_to(tmp_path / "model" / "real")
    assert hold(tmp_path / "model", "c.onnx").read_bytes() == b"x"


def test_missing_files_and_folders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="missing"):
        hold(tmp_path, "a.onnx")
    (tmp_path / "b").mkdir()
    with pytest.raises(ModelError, match="is no file"):
        hold(tmp_path, "b")


@pytest.mark.parametrize("within", ["initializer", "attribute"])
@pytest.mark.parametrize("location", ["../weights", "/etc/passwd"])
def test_weights_outside_the_folder_are_never_opened(location: str, within: str, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    path = write_waveform(folder)
    keep_weights_elsewhere(folder / "demucs.onnx", location if location[0] == "." else "w", within=within)
    if location[0] != ".":
        content = (folder / "demucs.onnx").read_bytes()
        assert check_graph_file(folder / "demucs.onnx") == ["w"]
        model = onnx.load_from_string(content)
        for entry in _external(model):
            entry.value = location if entry.key == "location" else entry.value
        (folder / "demucs.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(ModelError, match="leads out of the model's folder"):
        open_model(path, device=CPU)


def _external(model: Any) -> list[Any]:
    tensors = [*model.graph.initializer, *(a.t for node in model.graph.node for a in node.attribute)]
    return [entry for tensor in tensors for entry in tensor.external_data]


def test_a_name_is_looked_at_to_its_end(tmp_path: Path) -> None:
    """Its first 4,096 bytes name a file of the folder, all of it one outside."""
    path = write_waveform(tmp_path)
    (tmp_path / "weights1.bin").write_bytes(np.float32(2).tobytes())
    keep_weights_elsewhere(tmp_path / "demucs.onnx", "w")
    model = onnx.load_from_string((tmp_path / "demucs.onnx").read_bytes())
    for entry in _external(model):
        if entry.key == "location":
            entry.value = 2042 * "./" + "weights1.bin" + "/../../secret"
    (tmp_path / "demucs.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(ModelError, match="a name of 4109 bytes"):
        check_files(read_description(path), tmp_path)


def test_weights_within_the_folder_are_used_and_hashed(tmp_path: Path) -> None:
    path = write_waveform(tmp_path)
    before = open_model(path, device=CPU).info.sha256
    keep_weights_elsewhere(tmp_path / "demucs.onnx", "weights.bin")
    hashes = check_files(read_description(path), tmp_path)
    assert hashes["weights.bin"] == hash_file(tmp_path / "weights.bin")
    model = open_model(path, device=CPU)
    after = model.info.sha256
    (tmp_path / "weights.bin").write_bytes(np.float32(2).tobytes())
    assert len({before, after, open_model(path, device=CPU).info.sha256}) == 3


def test_a_model_of_our_own_is_one_file(tmp_path: Path) -> None:
    path = write_model(tmp_path / "own.onnx", make_spec())
    model = onnx.load(str(path))
    entry = model.graph.initializer[0].external_data.add()
    entry.key, entry.value = "location", "w"
    path.write_bytes(model.SerializeToString())
    with pytest.raises(ModelError, match="must be one file"):
        open_model(path, device=CPU)


def test_operators_of_others_are_refused(tmp_path: Path) -> None:
    inner = helper.make_graph([helper.make_node("Evil", [], ["e"], domain="org.evil")], "inner", [], [])
    nodes = [helper.make_node("If", ["c"], ["f"], then_branch=inner, else_branch=inner)]
    write_graph(tmp_path / "demucs.onnx", [1, 2, 4096], [0.5, 0.3], axis=1, nodes=nodes)
    with pytest.raises(ModelError, match=r"operators of 'org\.evil'"):
        check_graph_file(tmp_path / "demucs.onnx")


def test_functions_of_the_file_itself_are_its_own(tmp_path: Path) -> None:
    twice = helper.make_function(
        "own",
        "Twice",
        ["a"],
        ["b"],
        [helper.make_node("Add", ["a", "a"], ["b"])],
        [helper.make_opsetid("", 17)],
    )
    path = write_graph(tmp_path / "a.onnx", [1, 2, 64], [0.5])
    model = onnx.load(str(path))
    model.functions.append(twice)
    model.graph.node.append(helper.make_node("Twice", ["input"], ["unused"], domain="own"))
    onnx.save(model, str(path))
    assert check_graph_file(path) == []


def test_absurd_sizes_are_refused(tmp_path: Path) -> None:
    path = write_waveform(tmp_path)
    write_graph(tmp_path / "demucs.onnx", [1, 2, 2**33], [0.5, 0.3], axis=1)
    with pytest.raises(ModelError, match=r"64\.0 GiB; at most 4 GiB"):
        open_model(path, device=CPU)


def test_wrong_types_and_counts_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_graph(tmp_path / "a.onnx", [1, 2, 64], [0.5])
    model = onnx.load(str(path))
    extra = numpy_helper.from_array(np.zeros(1, np.float32), "x")
    model.graph.initializer.append(extra)
    model.graph.node.append(helper.make_node("Identity", ["x"], ["second"]))
    model.graph.output.append(helper.make_tensor_value_info("second", TensorProto.FLOAT, [1]))
    onnx.save(model, str(path))
    with pytest.raises(ModelError, match=r"gives 2 arrays \(output, second\)"):
        draft_description([path])


def test_hashes_are_compared(tmp_path: Path) -> None:
    path = write_magnitude(tmp_path)
    good = hash_file(tmp_path / "vocals.onnx")
    text = path.read_text()
    path.write_text(f'{text}[sha256]\n"vocals.onnx" = "{good.upper()}"\n')
    open_model(path, device=CPU)
    path.write_text(f'{text}[sha256]\n"vocals.onnx" = "{good[::-1]}"\n')
    with pytest.raises(ModelError, match=f"its SHA-256 is {good}, not {good[::-1]}"):
        open_model(path, device=CPU)
    path.write_text(f'{text}[sha256]\n"other.onnx" = "{good}"\n')
    with pytest.raises(ModelError, match=r"names 'other\.onnx', which is no file of the model"):
        open_model(path, device=CPU)


def test_nesting_without_end_is_refused(tmp_path: Path) -> None:
    content = b""
    for _ in range(300):  # a graph in an attribute of a node, again and again
        for number in (6, 5, 1):
            content = bytes([number << 3 | 2]) + _varint(len(content)) + content
    path = tmp_path / "deep.onnx"
    path.write_bytes(b"\x3a" + _varint(len(content)) + content)
    with pytest.raises(ModelError, match="nested more than"):
        GraphFile.read(path)


def _varint(number: int) -> bytes:
    done = b""
    while number > 127:
        done += bytes([number & 127 | 128])
        number >>= 7
    return done + bytes([number])


@given(content=st.binary(min_size=1, max_size=200))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bytes_are_read_or_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "any.onnx"
    path.write_bytes(content)
    try:
        GraphFile.read(path)
    except ModelError as error:
        assert "any.onnx" in str(error)


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    path = write_waveform(tmp_path)
    graph = tmp_path / "demucs.onnx"
    content = graph.read_bytes()
    for end in (0, 5, len(content) // 2):
        graph.write_bytes(content[:end])
        with pytest.raises(ModelError, match=r"demucs\.onnx"):
            open_model(path, device=CPU)


def test_fields_are_read_by_their_wire_type() -> None:
    message = bytes([0x08, 0x96, 0x01, 0x12, 2, 104, 105, 0x1D, 1, 2, 3, 4, 0x21, *range(8)])
    found = [
        (number, value if isinstance(value, int) else bytes(value))
        for number, value in read_fields(memoryview(message))
    ]
    assert found == [(1, 150), (2, b"hi"), (3, bytes([1, 2, 3, 4])), (4, bytes(range(8)))]
    for broken in (b"\x08", b"\x12\x05a", b"\x0b", b"\x08" + b"\xff" * 11):
        with pytest.raises(MalformedError):
            list(read_fields(memoryview(broken)))


def test_a_description_without_its_files_is_refused(tmp_path: Path) -> None:
    path = write_description(tmp_path, 'family = "htdemucs"', 'graph = "a.onnx"', 'targets = ["vocals"]')
    with pytest.raises(ModelError, match=r"model\.toml.*a\.onnx.*missing"):
        open_model(path, device=CPU)
