"""Descriptions of external models: what they must say, and what contradicts the graph."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stemsplit import Separator
from stemsplit.errors import ModelError, SettingsError
from stemsplit.models.description import Description
from stemsplit.models.device import Device
from stemsplit.models.external import open_external
from stemsplit.registry.installed import read_model, resolve
from tests.conftest import make_noise
from tests.support.external_models import (
    GAINS,
    write_complex,
    write_description,
    write_graph,
    write_ratio,
    write_waveform,
)

CPU = Device("cpu")


def test_a_segment_of_days_is_refused(tmp_path: Path) -> None:
    write_graph(tmp_path / "mdx.onnx", ["n", 4, 1, 2**26], [1.0])
    text = ('family = "mdx"', 'graph = "mdx.onnx"', 'targets = ["vocals"]', "n_fft = 2048", "zeroed_bins = 0")
    with pytest.raises(ModelError, match="takes 67108864 frames at a call, 1024 samples apart; at most"):
        open_external(write_description(tmp_path, *text), device=CPU)


def test_frames_that_cover_nothing_are_refused(tmp_path: Path) -> None:
    write_graph(tmp_path / "mdx.onnx", ["n", 4, 400, 1], [0.5])
    text = ('family = "mdx"', 'graph = "mdx.onnx"', 'targets = ["vocals"]', "n_fft = 2048")
    with pytest.raises(ModelError, match="n_frames is 1; so few frames of framing 'centred' cover not one"):
        open_external(write_description(tmp_path, *text), device=CPU)


@pytest.mark.parametrize("write", [write_waveform, write_complex])
def test_settings_that_a_waveform_model_cannot_obey_are_refused(write: Any, tmp_path: Path) -> None:
    path = write(tmp_path)
    with pytest.raises(SettingsError, match="--wiener"):
        Separator(models=[path], device="cpu", wiener=1)
    with pytest.raises(SettingsError, match="--chunk"):
        Separator(models=[path], device="cpu", chunk_s=3)
    with pytest.raises(SettingsError, match="shorter overlap"):
        Separator(models=[path], device="cpu", overlap_s=3)


def test_a_network_of_a_fixed_length_has_its_own_chunks(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"has a fixed input length of 0\.7 s"):
        Separator(models=[write_ratio(tmp_path)], device="cpu", chunk_s=3)


def test_a_single_frame_cannot_overlap(tmp_path: Path) -> None:
    path = write_ratio(tmp_path)
    for target, gain in GAINS.items():
        write_graph(tmp_path / f"{target}.onnx", [2, "splits", 1, 1024], [gain])
    mixture = make_noise(2, 20_000)
    stems = Separator(models=[path], device="cpu", threads=1)(mixture, 44100)
    np.testing.assert_allclose(sum(stems.values()), mixture, atol=1e-6)
    with pytest.raises(
        SettingsError, match="fixed input length of 1 frames, which cannot overlap by 1; use a short"
    ):
        Separator(models=[path], device="cpu", overlap_s=0.02)


@pytest.mark.parametrize(
    ("write", "lines", "expected"),
    [
        (write_complex, ["n_bins = 300"], "has 400 bins; described are 300"),
        (write_complex, ["n_frames = 64"], "has 16 frames; described are 64"),
        (
            write_complex,
            ["n_channels = 1"],
            "described are 1 channels x 2 parts",
        ),
        (
            write_waveform,
            ["n_samples = 343980"],
            "has 4096 samples; described are 343980",
        ),
    ],
)
def test_graph_and_description_must_agree(
    write: Any, lines: list[str], expected: str, tmp_path: Path
) -> None:
    with pytest.raises(ModelError, match=expected):
        open_external(write(tmp_path, *lines), device=CPU)


def test_a_contradiction_says_what_was_read_from_where(tmp_path: Path) -> None:
    path = write_complex(tmp_path, "n_bins = 300")
    shape = r"\(read from its shape \[None, 4, 400, 16\] as batch \(channels parts\) bins frames\)"
    with pytest.raises(ModelError, match=f"'input', which has 400 bins; described are 300 {shape}"):
        open_external(path, device=CPU)
    path = write_ratio(tmp_path)
    write_graph(tmp_path / "drums.onnx", [2, "splits", 64, 1024], [0.3])
    with pytest.raises(ModelError, match=r"drums.onnx: .* n_bins 1024, n_frames 32 is from vocals.onnx"):
        open_external(path, device=CPU)


def test_targets_are_counted(tmp_path: Path) -> None:
    path = write_waveform(tmp_path)
    path.write_text(path.read_text().replace('["vocals", "drums"]', '["vocals", "drums", "bass"]'))
    with pytest.raises(ModelError, match="gives 'output', which has 2 targets; described are 3"):
        open_external(path, device=CPU)


def test_what_the_graph_leaves_open_must_be_described(tmp_path: Path) -> None:
    path = write_waveform(tmp_path)
    write_graph(tmp_path / "demucs.onnx", [1, 2, "samples"], [0.5, 0.3], axis=1)
    with pytest.raises(ModelError, match="n_samples is missing"):
        open_external(path, device=CPU)
    write_graph(tmp_path / "mdx.onnx", ["n", 4, 400, "frames"], [0.5])
    text = ('family = "mdx"', 'graph = "mdx.onnx"', 'targets = ["vocals"]', "n_fft = 2048")
    with pytest.raises(ModelError, match="n_frames is missing"):
        open_external(write_description(tmp_path, *text), device=CPU)
    path = write_waveform(tmp_path, "n_samples = 1000")
    write_graph(tmp_path / "demucs.onnx", [1, 2, "samples"], [0.5, 0.3], axis=1)
    assert open_external(path, device=CPU).segment_samples == 1000  # type: ignore[union-attr]


def test_the_graph_completes_the_description(tmp_path: Path) -> None:
    spec = read_model(write_complex(tmp_path)).spec
    assert isinstance(spec, Description)
    assert (spec.n_bins, spec.n_frames, spec.zeroed_bins) == (400, 16, 3)


def test_frames_that_are_all_context_are_refused(tmp_path: Path) -> None:
    path = write_ratio(tmp_path, "context_s = 0.4")  # 32 frames are 0.74 s
    with pytest.raises(ModelError, match="fixed input length of 32 frames, which leaves none between 18"):
        Separator(models=[path], device="cpu")


def test_only_models_can_be_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="no model 'umxhz'"):
        resolve("umxhz")
    with pytest.raises(ModelError, match="no model; name an"):
        resolve(tmp_path / "umxhq.pth")
    assert resolve(tmp_path / "a.toml") == tmp_path / "a.toml"
