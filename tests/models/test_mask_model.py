"""Models: metadata read strictly, external and corrupt files refused, memory shortage survived."""

from pathlib import Path

import numpy as np
import onnx
import pytest

from stemsplit.errors import DeviceError, ModelError
from stemsplit.models.device import Device
from stemsplit.models.features import make_features
from stemsplit.models.mask_model import MaskModel
from stemsplit.models.session import _is_out_of_memory
from stemsplit.models.spec import PREFIX, ModelSpec
from tests.support.tiny_models import make_spec, write_model

CPU = Device("cpu")


def make_spectrograms(n_batch: int, n_bins: int = 257, n_frames: int = 9) -> np.ndarray:
    rng = np.random.default_rng(0)
    parts = rng.standard_normal((2, n_batch, 2, n_bins, n_frames))
    return (parts[0] + 1j * parts[1]).astype(np.complex64)


def test_metadata_round_trip() -> None:
    spec = make_spec(attribution="Ünïcode, Inc.", win_length=400)
    assert ModelSpec.from_metadata(spec.to_metadata()) == spec


@pytest.mark.parametrize("key", sorted(make_spec().to_metadata()))
def test_missing_key_is_named(key: str) -> None:
    metadata = make_spec().to_metadata()
    del metadata[key]
    with pytest.raises(ModelError, match=key.replace(".", r"\.")):
        ModelSpec.from_metadata(metadata)


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("sample_rate", "fast"),
        ("sample_rate", "-1"),
        ("targets", "[]"),
        ("targets", '["drums", "drums"]'),
        ("targets", "[1]"),
        ("targets", "drums"),
        ("complete", "yes"),
        ("features", "wavelet"),
        ("output_kind", "midi"),
        ("remainder", "guitar"),
        ("n_channels", "3"),
        ("mask_widths", "[256]"),
        ("mask_widths", "[257, 0]"),
        ("mask_widths", "[256.0, 1]"),
        ("chunk_s", "0"),
        ("context_s", "-1"),
        ("chunk_s", "inf"),
        ("context_s", "inf"),
        ("sample_rate", "1" + 40 * "0"),
        ("n_fft", str(2**40)),
        ("targets", 100_000 * "["),
        ("band_limit_hz", "30000"),
        ("format_version", "99"),
        ("name", ""),
        ("cost_macs_per_s", "-1"),
        ("cost_macs_per_s", "little"),
    ],
)
def test_wrong_value_is_named(key: str, text: str) -> None:
    metadata = make_spec().to_metadata() | {PREFIX + key: text}
    with pytest.raises(ModelError, match="99" if key == "format_version" else key):
        ModelSpec.from_metadata(metadata)


def test_a_cost_need_not_be_stated() -> None:
    metadata = make_spec(cost_macs_per_s=7).to_metadata()
    assert ModelSpec.from_metadata(metadata).cost_macs_per_s == 7
    del metadata[PREFIX + "cost_macs_per_s"]
    assert ModelSpec.from_metadata(metadata) == make_spec()


def test_windows_that_cannot_reconstruct_are_refused() -> None:
    metadata = make_spec().to_metadata() | {PREFIX + "hop_length": "512"}
    with pytest.raises(ModelError, match="cannot reconstruct"):
        ModelSpec.from_metadata(metadata)


@pytest.mark.parametrize("content", [b"", b"not a model", b"\x08\x08" * 50])
def test_corrupt_file_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "broken.onnx"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=r"broken\.onnx"):
        MaskModel(path, device=CPU)


def test_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"none\.onnx.*cannot be read"):
        MaskModel(tmp_path / "none.onnx", device=CPU)


def test_external_model_is_refused(tiny_model: Path, tmp_path: Path) -> None:
    external = onnx.load(str(tiny_model))
    del external.metadata_props[:]
    onnx.save(external, str(tmp_path / "external.onnx"))
    with pytest.raises(ModelError, match="not a stemsplit model"):
        MaskModel(tmp_path / "external.onnx", device=CPU)


def test_graph_that_contradicts_its_metadata_is_refused(tiny_model: Path, tmp_path: Path) -> None:
    liar = onnx.load(str(tiny_model))
    onnx.helper.set_model_props(liar, make_spec(n_fft=1024, hop_length=512).to_metadata())
    onnx.save(liar, str(tmp_path / "liar.onnx"))
    with pytest.raises(ModelError, match="'mixture' has shape"):
        MaskModel(tmp_path / "liar.onnx", device=CPU)


def test_masks_are_complete_and_in_range(tiny_model: Path) -> None:
    masks = MaskModel(tiny_model, device=CPU)(make_spectrograms(3))
    assert masks.shape == (3, 4, 2, 257, 9)
    assert masks.dtype == np.float32
    assert 0 <= masks.min() <= masks.max() <= 1
    np.testing.assert_allclose(masks.sum(axis=1), 1, atol=1e-6)


def test_magnitude_features(tmp_path: Path) -> None:
    spec = make_spec(features="magnitude")
    masks = MaskModel(write_model(tmp_path / "m.onnx", spec), device=CPU)(make_spectrograms(1))
    assert masks.shape == (1, 4, 2, 257, 9)


def test_features_are_real_and_imaginary_by_channel() -> None:
    spectrograms = make_spectrograms(1)
    features = make_features(spectrograms, "complex")
    np.testing.assert_array_equal(features[0, 0], spectrograms[0, 0].real)
    np.testing.assert_array_equal(features[0, 3], spectrograms[0, 1].imag)


class ShortOfMemory:
    """Stands for a session on a device with room for `room` items."""

    def __init__(self, session: object, room: int) -> None:
        self.session, self.room = session, room
        self.batches: list[int] = []

    def run(self, names: list[str], inputs: dict[str, np.ndarray]) -> list[np.ndarray]:
        self.batches.append(len(inputs["mixture"]))
        if self.batches[-1] > self.room:
            raise RuntimeError("CUDA failure 2: out of memory")
        return self.session.run(names, inputs)  # type: ignore[attr-defined, no-any-return]


def test_batch_is_halved_when_memory_runs_out(tiny_model: Path) -> None:
    model = MaskModel(tiny_model, device=CPU)
    spectrograms = make_spectrograms(5)
    expected = model(spectrograms)
    model._session._session = session = ShortOfMemory(model._session._session, room=2)
    np.testing.assert_allclose(model(spectrograms), expected, atol=1e-6)
    assert session.batches == [5, 3, 2, 1, 2]


def test_no_room_for_one_item_is_an_error(tiny_model: Path) -> None:
    model = MaskModel(tiny_model, device=CPU)
    model._session._session = ShortOfMemory(model._session._session, room=0)
    with pytest.raises(DeviceError, match="smaller --chunk"):
        model(make_spectrograms(4))


def test_only_memory_errors_count_as_such() -> None:
    assert _is_out_of_memory(RuntimeError("Failed to allocate memory for requested buffer of size 1"))
    assert not _is_out_of_memory(RuntimeError("invalid argument"))
    assert not _is_out_of_memory(RuntimeError("CUDA failure 209: no kernel image is available ; GPU=0"))
