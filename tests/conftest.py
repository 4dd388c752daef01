"""Fixtures shared by all tests."""

import gc
import subprocess
from collections.abc import Generator, Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings

from stemsplit.types import FloatArray
from tests.support.tiny_models import make_spec, write_model

settings.register_profile("stemsplit", deadline=None, derandomize=True, max_examples=50)
settings.load_profile("stemsplit")


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Collect tests without a search for garbage, which took a third of the time and found none."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()  # modules and tests stay until the end, no later search looks at them
        gc.enable()


@pytest.fixture(autouse=True)
def own_folders(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Folders for models and settings that are not those of whoever runs the tests."""
    folder = tmp_path_factory.mktemp("user")
    monkeypatch.setenv("STEMSPLIT_MODELS", str(folder / "models"))
    monkeypatch.setattr("stemsplit.files.user_dirs.config_folder", lambda: folder / "config")
    return folder


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A complete four-target model at 44.1 kHz, stereo, that sees three frames around each."""
    return write_model(tmp_path_factory.mktemp("models") / "tiny.onnx", make_spec())


@pytest.fixture
def model(tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A model, and an empty folder to work in."""
    monkeypatch.chdir(tmp_path)
    return tiny_model


@pytest.fixture(scope="session")
def vocals_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of one target whose mask leaves something over."""
    spec = make_spec(name="voice", targets=("vocals",), complete=False, remainder="", version="2")
    return write_model(tmp_path_factory.mktemp("models") / "voice.onnx", spec, complete=False, seed=1)


@pytest.fixture(scope="session")
def songs_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two songs to train on."""
    from tests.support.tiny_trainings import write_songs  # torch is there only where training is tested

    return write_songs(tmp_path_factory.mktemp("songs"))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A real file system of one mebibyte."""
    disk = tmp_path / "disk"
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)]
    try:
        subprocess.run(command, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no right to mount a small disk")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def make_noise(n_channels: int, n_samples: int, *, seed: int = 0) -> FloatArray:
    """White noise at -20 dBFS, ``(channels, samples)``."""
    rng = np.random.default_rng(seed)
    return (0.1 * rng.standard_normal((n_channels, n_samples))).astype(np.float32)
