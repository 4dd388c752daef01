"""The first run of a model, before it is registered."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from stemsplit.models.device import Device
from stemsplit.models.external import open_external
from stemsplit.models.spectral_model import SpectralModel
from stemsplit.registry.smoke_test import try_model
from tests.support.cli import call
from tests.support.external_models import write_magnitude


def test_a_model_is_tried_with_the_chunk_and_context_it_will_have(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_magnitude(tmp_path, "chunk_s = 3.0", "context_s = 1.0", "overlap = 0.1")
    shapes: list[tuple[int, ...]] = []
    run = SpectralModel.__call__

    def spy(model: SpectralModel, spectrograms: Any, *rest: Any) -> Any:
        shapes.append(spectrograms.shape)
        return run(model, spectrograms, *rest)

    monkeypatch.setattr(SpectralModel, "__call__", spy)
    try_model(open_external(path, device=Device("cpu")))
    n_frames = round(3 * 44100 / 1024) + 2 * 44  # 1 s of context is 43.1 frames
    assert shapes == [(1, 2, 2049, n_frames)] * 2


def test_a_length_that_is_baked_into_a_graph_is_named_when_it_is_added(tmp_path: Path) -> None:
    path = write_magnitude(tmp_path)
    for target in ("vocals", "drums"):
        _bake_frames(tmp_path / f"{target}.onnx", 100)
    refused = call("models", "add", path)
    assert refused.code == 1
    assert "it was run on 1077 frames, by chunk_s 20 and context_s 2.5" in refused.stderr
    assert "say it as n_frames" in refused.stderr
    path.write_text(path.read_text() + "n_frames = 100\ncontext_s = 0.2\n", encoding="utf-8")
    added = call("models", "add", path)
    assert added.code == 0, added.stderr


def _bake_frames(path: Path, n_frames: int) -> None:
    """Let a graph take one number of frames only, though its shapes leave it open (as of umxl)."""
    model = onnx.load(str(path))
    output = model.graph.node[-1].output[0]
    model.graph.node[-1].output[0] = "free"
    # computed, so that onnxruntime does not infer it
    model.graph.node.extend(
        [
            helper.make_node("ReduceMin", ["input"], ["least"], keepdims=0),
            helper.make_node("Mul", ["least", "zero"], ["nothing"]),
            helper.make_node("Cast", ["nothing"], ["none"], to=TensorProto.INT64),
            helper.make_node("Add", ["baked", "none"], ["shape"]),
            helper.make_node("Reshape", ["free", "shape"], [output]),
        ]
    )
    constants = {"zero": np.float32(0), "baked": np.array([1, 2, 2049, n_frames])}
    model.graph.initializer.extend([numpy_helper.from_array(np.asarray(v), k) for k, v in constants.items()])
    onnx.save(model, str(path))
