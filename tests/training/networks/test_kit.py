"""The network of the parts of drums, and the songs that it is trained on."""

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("mido")
pytest.importorskip("pedalboard")

import soundfile
import torch

from stemsplit.training import SAMPLE_RATE
from stemsplit.training.networks.kit import KIT_TARGETS, KitMasks
from stemsplit.training.synthesis.kit_songs import PARTS, write_kit_songs
from tests.support.synthesis import write_library


def make_kit() -> KitMasks:
    torch.manual_seed(0)
    return KitMasks(n_features=8).eval()


def noise(*shape: int) -> torch.Tensor:
    return 0.1 * torch.randn(*shape, generator=torch.Generator().manual_seed(1))


def test_estimates_sum_to_the_drums() -> None:
    drums = noise(2, 30_000)
    estimates = make_kit().estimates(drums)
    assert estimates.shape == (3, 2, 30_000)
    assert (estimates.sum(0) - drums).abs().max() < 1e-5


def test_no_frame_beyond_the_context_changes_a_mask() -> None:
    network, magnitude = make_kit(), noise(1, 1, 1025, 120).abs()
    changed = magnitude.clone()
    changed[..., -1] *= 10
    with torch.no_grad():
        difference = (network.masks(magnitude) - network.masks(changed)).abs().amax((0, 1, 2, 3))
    reach = int(torch.nonzero(difference)[0])
    frames = network.context_s * SAMPLE_RATE / network.spec.hop_length
    assert 0 < 119 - reach <= frames


@pytest.mark.slow
def test_kits_are_rendered_apart_and_once(tmp_path: Path) -> None:
    rows = [
        f"d.wav,{index},1,1,drums,hit,acoustic kit {piece},{piece},,drums,train,n{index},me,CC0-1.0,me"
        for index, piece in enumerate(("kick", "snare", "hihat_closed", "crash"))
    ]
    decay = np.exp(-np.arange(SAMPLE_RATE) / 4000)
    sound = np.random.default_rng(0).normal(size=(1, 4 * SAMPLE_RATE)) * 0.2 * np.tile(decay, 4)
    (tmp_path / "library").mkdir()
    library = write_library(tmp_path / "library", "d.wav", rows, sound)
    folder = tmp_path / "songs"
    for _ in range(2):
        songs = list(write_kit_songs(library, folder, n_songs=2, length_s=4, split="train", seed=1))
        assert [song.name for song in songs] == ["train-0000", "train-0001"]
    assert PARTS == KIT_TARGETS
    for song in songs:
        parts = [soundfile.read(song / f"{part}.flac")[0] for part in PARTS]
        assert {part.shape for part in parts} == {(4 * SAMPLE_RATE, 2)}
        assert 0.1 < np.abs(np.sum(parts, axis=0)).max() <= 0.81
        assert sum(np.abs(part).max() > 0.01 for part in parts) >= 2
