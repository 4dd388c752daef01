"""Exports of the works' networks: the files run in the product as the networks do in torch."""

from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

pytest.importorskip("torch")

import torch

from stemsplit import Separator
from stemsplit.errors import ModelError, StemsplitError
from stemsplit.models.onnx_metadata import read_metadata
from stemsplit.music import drum_presence
from stemsplit.training import OPEN_DATA
from stemsplit.training.networks.catalog import SeparationNetwork, build
from stemsplit.training.networks.presence import PresenceNetwork
from stemsplit.training.networks.windows import HOP_SAMPLES, WINDOW_SAMPLES
from stemsplit.training.release.export import ModelFacts
from stemsplit.training.release.export_any import export_any
from stemsplit.training.release.graph_parity import GraphParity
from tests.conftest import make_noise

SOURCES = [("library", OPEN_DATA)]


def export_here(path: Path, network: SeparationNetwork) -> None:
    facts = ModelFacts.of(path.stem, network.targets, training_sources=SOURCES)
    export_any(network, path, facts, weights="fp16")


def make(name: str, **options: object) -> SeparationNetwork:
    torch.manual_seed(0)
    network = build(name, **options).eval()
    for parameter in network.parameters():
        parameter.data += 0.02 * torch.randn(parameter.shape)
    return network


def export(path: Path, name: str, **options: object) -> torch.nn.Module:
    network = make(name, **options)
    # in a process of its own, like the command: torch takes the length of the second LSTM of one for fixed
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        pool.submit(export_here, path, network).result()
    return network


@pytest.mark.slow
def test_the_recurrent_network_runs_as_a_model(tmp_path: Path) -> None:
    targets = ("vocals", "accompaniment")
    network = export(tmp_path / "lstm.onnx", "lstm", hidden_size=16, n_layers=1, targets=targets)
    mixture = 0.1 * make_noise(2, 70_000)
    separator = Separator(models=[tmp_path / "lstm.onnx"], device="cpu", threads=1)
    assert separator.stems == targets and "recurrent network" in separator.models[0].spec.description
    stems = separator(mixture, 44_100)
    expected = network.estimates(torch.from_numpy(mixture)).numpy()
    for estimate, target in zip(expected, targets, strict=True):
        assert np.abs(stems[target] - estimate).max() < 2e-3
    assert np.abs(sum(stems.values()) - mixture).max() < 1e-5
    mono = separator(mixture[:1], 44_100)
    assert np.abs(mono[targets[0]] - stems[targets[0]][:1]).max() < 1e-5


@pytest.mark.slow
def test_the_generator_runs_as_a_model(tmp_path: Path) -> None:
    network = export(tmp_path / "gan.onnx", "unet", n_features=4)
    mixture = 0.1 * make_noise(2, 70_000)
    separator = Separator(models=[tmp_path / "gan.onnx"], device="cpu", threads=1)
    assert separator.stems == ("drums", "accompaniment") and "U-Net" in separator.models[0].spec.description
    # features of 4, 8, 12 and 16 on rows of 304 / 2, / 4, / 8 and / 16; the way up reads twice as many
    down = 152 * 4 * 1 + 76 * 8 * 4 + 38 * 12 * 8 + 19 * 16 * 12
    up = 19 * 16 * 12 + 38 * 24 * 8 + 76 * 16 * 4 + 152 * 8 * 1
    cost = separator.models[0].spec.cost_macs_per_s
    assert cost == pytest.approx(25 * (down + up) * 44_100 / 1024, rel=1e-6)
    stems = separator(mixture, 44_100)
    expected = network.estimates(torch.from_numpy(mixture)).numpy()
    for estimate, target in zip(expected, separator.stems, strict=True):
        assert np.abs(stems[target] - estimate).max() < 2e-3
    assert np.abs(sum(stems.values()) - mixture).max() < 1e-5


@pytest.mark.slow
def test_the_complex_network_runs_as_a_model_and_gives_the_band_above_to_the_rest(tmp_path: Path) -> None:
    export(tmp_path / "dann.onnx", "dann", n_features=4)
    separator = Separator(models=[tmp_path / "dann.toml"], device="cpu", threads=1)
    assert separator.stems == ("vocals", "drums", "bass", "other")
    time = np.arange(3 * 44_100) / 44_100
    low, high = (0.2 * np.sin(2 * np.pi * hz * time).astype(np.float32) for hz in (500, 9000))
    stems = separator(np.stack([low + high] * 2), 44_100)
    assert np.abs(sum(stems.values()) - (low + high)).max() < 1e-5
    middle = slice(44_100, 88_200)
    level = {name: np.abs(np.fft.rfft(stem[0, middle]) * 2 / 44_100) for name, stem in stems.items()}
    assert level["other"][9000] == pytest.approx(0.2, rel=1e-3)
    assert max(level[name][9000] for name in ("vocals", "drums", "bass")) < 1e-4
    assert min(level[name][500] for name in stems) > 0.01


@pytest.mark.slow
def test_networks_of_single_instruments_run_as_a_model_with_timelines(tmp_path: Path) -> None:
    targets = ("violin", "tuba")
    network = export(tmp_path / "iyer.onnx", "iyer", targets=targets)
    mixture = 0.1 * make_noise(2, 250_000)
    separator = Separator(models=[tmp_path / "iyer.toml"], device="cpu", threads=1)
    assert separator.stems == (*targets, "residual")
    stems = separator(mixture, 44_100)
    expected = network.estimates(torch.from_numpy(mixture)).numpy()
    for estimate, target in zip(expected, targets, strict=True):
        assert np.abs(stems[target] - estimate).max() < 5e-3
    assert np.abs(sum(stems.values()) - mixture).max() < 1e-5
    (activity,) = separator.activity_models
    run = activity.begin(sample_rate=44_100)
    run.process(mixture)
    timelines = run.finish()
    assert set(timelines) == set(targets) and timelines["tuba"].step_s == pytest.approx(0.1567, abs=1e-4)


@pytest.mark.slow
def test_the_auto_encoder_runs_as_a_model_of_waveforms_that_overlap(tmp_path: Path) -> None:
    network = make("conv-autoencoder", n_filters=8, task="denoise")
    export_here(tmp_path / "drums.onnx", network)
    separator = Separator(models=[tmp_path / "drums.toml"], device="cpu", threads=1)
    assert separator.stems == ("drums", "accompaniment")
    mixture = 0.1 * make_noise(2, 40_000)
    stems = separator(mixture, 44_100)
    assert np.abs(sum(stems.values()) - mixture).max() < 1e-5
    expected = network.estimates(torch.from_numpy(mixture)).numpy()[0]
    inner = slice(HOP_SAMPLES, 40_000 - WINDOW_SAMPLES)  # at the ends windows are padded differently
    assert np.abs(expected[:, inner]).max() > 1e-3
    assert np.abs(stems["drums"] - expected)[:, inner].max() < 2e-3 * np.abs(expected).max()
    mono = separator(mixture[:1], 44_100)
    assert np.abs(mono["drums"] - stems["drums"][:1]).max() < 1e-6


@pytest.mark.slow
def test_the_classifier_is_exported_behind_its_transform(tmp_path: Path) -> None:
    network = make("presence", n_filters=4)
    assert isinstance(network, PresenceNetwork)
    network.decide[2].weight.data *= 100  # an untrained network decides nothing
    export_here(tmp_path / "presence.onnx", network)
    stated = read_metadata(tmp_path / "presence.onnx")
    assert (stated["stemsplit.licence"], stated["stemsplit.training_data_licence"]) == ("MIT", OPEN_DATA)
    windows = 0.1 * make_noise(20, WINDOW_SAMPLES)
    windows[::2, 200:] = 0  # clicks
    windows[3] *= 1e-6
    values = drum_presence.compute_values(windows)
    found = onnxruntime.InferenceSession(tmp_path / "presence.onnx").run(None, {"mixture": values})[0]
    with torch.inference_mode():
        given = torch.from_numpy(windows)
        assert np.abs(values - network.values(given).numpy()).max() < 1e-4
        assert np.abs(found - network(given).numpy()).max() < 1e-3
    assert found.std() > 0.01


def test_a_graph_that_differs_is_not_written(tmp_path: Path) -> None:
    assert not list(tmp_path.iterdir())
    parity = GraphParity("mask", [(np.ones(2, np.float32), np.ones(2, np.float32))])
    for error in (1.0, float("nan")):
        object.__setattr__(parity, "error", lambda _, error=error: error)
        with pytest.raises(ModelError, match="differs"):
            parity.check(None)  # type: ignore[arg-type]


@pytest.mark.slow
def test_networks_without_an_export_say_so(tmp_path: Path) -> None:
    with pytest.raises(StemsplitError, match="openunmix cannot be exported"):
        export(tmp_path / "x.onnx", "openunmix", hidden_size=4, n_layers=1, max_bin=10)
