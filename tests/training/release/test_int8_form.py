"""8-bit forms of models."""

from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

onnx = pytest.importorskip("onnx")
pytest.importorskip("torch")

from onnx import TensorProto, helper, numpy_helper  # noqa: E402

from stemsplit.errors import ModelError  # noqa: E402
from stemsplit.models.device import Device, open_session  # noqa: E402
from stemsplit.models.integrity import hash_file  # noqa: E402
from stemsplit.training.__main__ import app  # noqa: E402
from stemsplit.training.release.int8_form import write_int8_form  # noqa: E402
from tests.support.small_graphs import write_small_graph  # noqa: E402

WIDTH = 32


def write_graph(path: Path, *, heavy: bool = True) -> Path:
    """A product with weights in halves, and a recurrence; or nothing of the kind."""
    rng = np.random.default_rng(0)
    weights = {
        "half": rng.normal(0, 0.2, (WIDTH, WIDTH)).astype(np.float16),
        "W": rng.normal(0, 0.2, (1, 4 * WIDTH, WIDTH)).astype(np.float32),
        "R": rng.normal(0, 0.2, (1, 4 * WIDTH, WIDTH)).astype(np.float32),
        "axis": np.array([1]),
    }
    nodes = [
        helper.make_node("Cast", ["half"], ["w"], to=TensorProto.FLOAT),
        helper.make_node("MatMul", ["x", "w"], ["xw"]),
        helper.make_node("LSTM", ["xw", "W", "R"], ["sequence"], hidden_size=WIDTH),
        helper.make_node("Squeeze", ["sequence", "axis"], ["y"]),
    ]
    if not heavy:
        nodes, weights = [helper.make_node("Neg", ["x"], ["y"])], {}
    return write_small_graph(path, nodes, weights, (5, 2, WIDTH), {"stemsplit.name": "graph"})


def test_products_and_recurrences_are_of_integers(tmp_path: Path) -> None:
    source, form = write_graph(tmp_path / "graph.onnx"), tmp_path / "int8" / "graph.onnx"
    write_int8_form(source, form)
    made = onnx.load(form)
    assert {"DynamicQuantizeLSTM", "MatMulInteger"} <= {node.op_type for node in made.graph.node}
    stored = {np.asarray(numpy_helper.to_array(each)).dtype for each in made.graph.initializer if each.dims}
    assert np.dtype(np.int8) in stored and np.dtype(np.float16) not in stored
    assert {each.domain for each in made.opset_import} == {"", "com.microsoft"}
    properties = {each.key: each.value for each in made.metadata_props}
    assert properties == {"stemsplit.name": "graph", "stemsplit.int8_of": hash_file(source)}


def test_weights_have_seven_bits(tmp_path: Path) -> None:
    write_int8_form(write_graph(tmp_path / "graph.onnx"), tmp_path / "form.onnx")
    arrays = [numpy_helper.to_array(each) for each in onnx.load(tmp_path / "form.onnx").graph.initializer]
    largest = [
        int(np.abs(each.astype(int)).max()) for each in arrays if each.dtype == np.int8 and each.size > 1
    ]
    assert len(largest) == 3 and all(32 < each <= 64 for each in largest)


def test_the_result_is_near(tmp_path: Path) -> None:
    source, form = write_graph(tmp_path / "graph.onnx"), tmp_path / "form.onnx"
    write_int8_form(source, form)
    signal = np.random.default_rng(1).standard_normal((5, 2, WIDTH)).astype(np.float32)
    exact, rounded = (
        open_session(path, Device("cpu")).run(None, {"x": signal})[0] for path in (source, form)
    )
    assert 0 < np.abs(rounded - exact).max() < 0.05 * np.abs(exact).max()


def test_what_cannot_be_reduced_is_an_error(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    source, form = write_graph(tmp_path / "graph.onnx"), tmp_path / "form.onnx"
    write_int8_form(source, form)
    assert not any(capfd.readouterr())  # the libraries' advice is not the user's
    for model, words in (
        (write_graph(tmp_path / "light.onnx", heavy=False), r"light\.onnx: .*no LSTM or MatMul"),
        (form, r"form\.onnx: is an 8-bit form already"),
    ):
        with pytest.raises(ModelError, match=words):
            write_int8_form(model, tmp_path / "other.onnx")
    assert not (tmp_path / "other.onnx").exists()


def test_the_command_writes_it(tmp_path: Path) -> None:
    source = write_graph(tmp_path / "graph.onnx")
    result = CliRunner().invoke(app, ["quantise", str(source), str(tmp_path / "form.onnx")])
    assert result.exit_code == 0 and (tmp_path / "form.onnx").stat().st_size > 1000
