"""Drafts of descriptions: the kind of a graph is recognised, and what a person has to say is marked."""

import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import onnx
import pytest
from onnx import TensorProto, helper

from stemsplit.errors import ModelError
from stemsplit.models.description_file import parse_description
from stemsplit.registry.scaffold import draft_description
from tests.models.test_public_layouts import write_hybrid
from tests.support.cli import call


def write_unary(path: Path, shape: Sequence[Any], operator: str) -> Path:
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in ("input", "output")]
    graph = helper.make_graph([helper.make_node(operator, ["input"], ["output"])], "g", ends[:1], ends[1:])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), str(path))
    return path


@pytest.mark.parametrize(
    ("shape", "operator", "expected"),
    [
        ([1, 2, 1025, "t"], "Identity", ("magnitude", "magnitude", "batch channels bins frames")),
        ([1, 2, 1025, "t"], "Sigmoid", ("mask", "magnitude", "batch channels bins frames")),
        ([1, 4, 1025, 64], "Identity", ("complex", "complex", "batch channels bins frames")),
        ([1, 4, 1025, 64], "Tanh", ("complex_mask", "complex", "batch channels bins frames")),
        ([1, 2050, 64, 2], "Tanh", ("complex_mask", "complex", "batch (bins channels) frames parts")),
        ([1, 2, 1025, 64, 2], "Identity", ("complex", "complex", "batch channels bins frames parts")),
        ([1, 2, 2, 1025, 64], "Identity", ("complex", "complex", "batch channels parts bins frames")),
        (["b", 1, 1025, "t"], "Identity", ("magnitude", "magnitude", "batch channels bins frames")),
    ],
    ids=str,
)
def test_complex_values_are_told_from_magnitudes_and_spectrograms_from_masks(
    shape: list[Any], operator: str, expected: tuple[str, str, str], tmp_path: Path
) -> None:
    path = write_unary(tmp_path / "net_vocals.onnx", shape, operator)
    found = parse_description(tomllib.loads(draft_description([path])))
    assert (found.output_kind, found.features, found.layout) == expected
    assert (found.n_fft, found.targets) == (2048, ("vocals",))
    assert found.n_channels == (1 if shape[1] == 1 else 2)


def test_a_draft_of_two_inputs_needs_nothing_filled_in(tmp_path: Path) -> None:
    write_hybrid(tmp_path / "core.onnx", waveform_first=False)
    found = parse_description(tomllib.loads(draft_description([tmp_path / "core.onnx"])))
    assert (found.family, found.targets) == ("htdemucs-core", ("drums", "bass", "other", "vocals"))


def test_several_graphs_make_one_draft(tmp_path: Path) -> None:
    shape = ["n", 2, 2049, "t"]
    paths = [write_unary(tmp_path / f"{name}.onnx", shape, "Identity") for name in ("umx_voc", "strings")]
    draft = tmp_path / "draft.toml"
    done = call("models", "new-description", *paths, "-o", draft)
    assert done.code == 0, done.stderr
    text = draft.read_text(encoding="utf-8")
    assert '"strings" = "strings.onnx"  # FILL IN: the name of what it gives' in text
    assert set(parse_description(tomllib.loads(text)).targets) == {"vocals", "strings"}
    added = call("models", "add", draft, "--name", "both")
    assert added.code == 0, added.stderr


def test_graphs_of_different_kinds_make_none(tmp_path: Path) -> None:
    one = write_unary(tmp_path / "one.onnx", ["n", 2, 2049, "t"], "Identity")
    other = write_unary(tmp_path / "other.onnx", [1, 2, 4096], "Identity")
    with pytest.raises(ModelError, match=r"other\.onnx: is of another kind than .*one\.onnx \(waveforms"):
        draft_description([one, other])
