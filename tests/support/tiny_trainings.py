"""Songs, small networks and trainings of them that take seconds."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from stemsplit.training import TARGETS
from stemsplit.training.data.rendered_stem import RenderedStem
from stemsplit.training.data.songs import load_songs, save_song
from stemsplit.training.examples.remix import Remixer
from stemsplit.training.examples.settings import RemixSettings
from stemsplit.training.fit.settings import FitSettings
from stemsplit.training.fit.trainer import Trainer
from stemsplit.training.networks.catalog import SeparationNetwork, build

torch.set_num_threads(1)  # such small networks only lose by more


def write_songs(folder: Path) -> Path:
    """Two songs of tones and beats, one rendered and one recorded."""
    rng = np.random.default_rng(0)
    time = np.arange(60000) / 44100
    tones = {
        "vocals": 0.2 * np.sin(2 * np.pi * 440 * time),
        "drums": 0.2 * rng.normal(size=time.size) * np.exp(-((time * 4) % 1) * 8),
        "bass": 0.2 * np.sin(2 * np.pi * 60 * time),
        "other": 0.2 * np.sin(2 * np.pi * 1500 * time),
    }
    stems = {target: RenderedStem(np.stack([tones[target]] * 2).astype(np.float32)) for target in TARGETS}
    save_song(folder, "a", stems, split="train", kind="render")
    save_song(folder, "b", stems, split="train", kind="multitrack")
    return folder


def make_remixer(songs_folder: Path) -> Remixer:
    return Remixer(load_songs(songs_folder), RemixSettings(n_samples=3072 * 9), seed=1)


def make_trainer(
    songs_folder: Path,
    run: Path,
    network: SeparationNetwork | None = None,
    initial: Path | None = None,
    warn: Callable[[str], None] = lambda _: None,
    **changes: Any,
) -> Trainer:
    network = network or small_bandsplit()
    settings = FitSettings(**({"budget_s": 1000.0, "batch_size": 2, "warm_up_s": 0.0} | changes))
    return Trainer(network, make_remixer(songs_folder), settings, run, initial=initial, warn=warn)


def small_bandsplit() -> SeparationNetwork:
    torch.manual_seed(0)
    return build("bandsplit", n_features=8, n_layers=1)


def small_openunmix() -> SeparationNetwork:
    torch.manual_seed(0)
    return build("openunmix", hidden_size=8, n_layers=2, max_bin=40)


def weights(trainer: Trainer) -> list[torch.Tensor]:
    return [parameter.detach().clone() for parameter in trainer.network.parameters()]
