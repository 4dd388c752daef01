"""The models of the package, and what is read from a model file."""

from pathlib import Path

import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stemsplit.errors import ModelError
from stemsplit.models.onnx_metadata import read_metadata
from stemsplit.registry.installed import bundled_models, read_model, read_spec
from tests.support.tiny_models import make_spec, write_model

MAX_FILE_BYTES = 12_000_000


def test_bundled_models_offer_the_four_stems() -> None:
    models = [read_model(path) for path in bundled_models()]
    assert {target for model in models for target in model.spec.targets} >= {
        "vocals",
        "drums",
        "bass",
        "other",
    }
    assert all(model.spec.licence and model.spec.training_data_licence for model in models)


@pytest.mark.parametrize("path", bundled_models(), ids=lambda path: path.name)
def test_a_bundled_model_stays_small(path: Path) -> None:
    assert path.stat().st_size <= MAX_FILE_BYTES


def test_metadata_are_read_as_onnx_reads_them(tiny_model: Path) -> None:
    expected = {entry.key: entry.value for entry in onnx.load(str(tiny_model)).metadata_props}
    assert read_metadata(tiny_model) == expected
    assert read_spec(tiny_model) == read_model(tiny_model).spec


def test_metadata_may_hold_any_text(tmp_path: Path) -> None:
    spec = make_spec(attribution="Zoë 🎺 " * 3000, description="")
    assert read_spec(write_model(tmp_path / "m.onnx", spec)) == spec


@pytest.mark.parametrize("length", [1, 10, 300])
def test_a_cut_file_is_no_model(tiny_model: Path, tmp_path: Path, length: int) -> None:
    path = tmp_path / "cut.onnx"
    path.write_bytes(tiny_model.read_bytes()[:length])
    with pytest.raises(ModelError, match=r"cut\.onnx: "):
        read_spec(path)


@given(content=st.binary(max_size=60))
def test_no_content_whatever_is_more_than_a_model_error(
    content: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.onnx"
    path.write_bytes(content)
    with pytest.raises(ModelError):
        read_spec(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"none\.onnx: the model cannot be read"):
        read_spec(tmp_path / "none.onnx")
