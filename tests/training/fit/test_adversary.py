"""Adversarial training: what the discriminator learns from, its figures, collapse, resumption."""

import math
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("torch")

import torch

from stemsplit.errors import StemsplitError
from stemsplit.training.data.songs import load_songs
from stemsplit.training.examples.accompaniment import make_remixer
from stemsplit.training.examples.settings import RemixSettings
from stemsplit.training.fit import adversary as module
from stemsplit.training.fit.adversary import Adversary, describe_collapse
from stemsplit.training.fit.checkpoint import load_state
from stemsplit.training.fit.curves import draw_curves, read_curves
from stemsplit.training.fit.settings import FitSettings
from stemsplit.training.fit.trainer import Trainer
from stemsplit.training.networks.catalog import SeparationNetwork, build
from stemsplit.training.networks.unet import UNetMasks
from tests.support.tiny_trainings import small_bandsplit

SETTINGS = FitSettings(budget_s=1000.0, batch_size=2, warm_up_s=0.0, learning_rate=2e-3, adversary=0.02)


def small_unet() -> UNetMasks:
    torch.manual_seed(0)
    network = build("unet", n_features=2)
    assert isinstance(network, UNetMasks)
    return network


def make_trainer(songs_folder: Path, run: Path, **options: object) -> Trainer:
    network = small_unet()
    settings = replace(SETTINGS, **options.pop("settings", {}))  # type: ignore[arg-type]
    remixer = make_remixer(
        load_songs(songs_folder), RemixSettings(n_samples=3072 * 5), seed=1, targets=network.targets
    )
    return Trainer(network, remixer, settings, run, **options)  # type: ignore[arg-type]


def inputs(known: list[float], drums: list[float]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return noise as stems: whether the drums of each example are known, and their amplitude."""
    generator = torch.Generator().manual_seed(2)
    stems = 0.1 * torch.randn(len(known), 2, 2, 12_000, generator=generator)
    stems[:, 0] *= torch.tensor(drums)[:, None, None]
    return stems, torch.tensor(known)[:, None].expand(-1, 2), torch.ones(len(known), 2, 1025)


def seen(monkeypatch: pytest.MonkeyPatch, known: list[float], drums: list[float]) -> list[int]:
    """Return how many true and generated stems the discriminator learns from; nothing if from none."""
    counts: list[int] = []
    learn = Adversary._learn

    def count(self: Adversary, true: torch.Tensor, generated: torch.Tensor) -> object:
        counts.extend((len(true), len(generated)))
        return learn(self, true, generated)

    monkeypatch.setattr(Adversary, "_learn", count)
    network = small_unet()
    loss = Adversary(network, SETTINGS).loss(network, inputs(known, drums))
    assert torch.isfinite(loss)
    return counts


@pytest.mark.slow
@pytest.mark.parametrize(
    ("known", "drums", "counts"),
    [
        ([1, 1, 1], [1, 1, 1], [3, 3]),
        ([1, 0, 0], [1, 0, 0], [1, 3]),  # mixtures of unknown stems are separated as well
        ([1, 1, 0], [1, 0, 0], [1, 2]),  # a known silence is neither
        ([0, 0, 0], [0, 0, 0], []),
        ([1, 1, 1], [0, 0, 0], []),
    ],
)
def test_unknown_stems_are_generated_and_known_silence_is_no_stem(
    monkeypatch: pytest.MonkeyPatch, known: list[float], drums: list[float], counts: list[int]
) -> None:
    assert seen(monkeypatch, known, drums) == counts


@pytest.mark.slow
def test_the_network_learns_from_mixtures_whose_stems_are_unknown() -> None:
    network, (stems, known, gains) = small_unet(), inputs([1, 0], [1, 0])
    assert network.loss(stems, torch.zeros_like(known), gains) == 0
    gradients = []
    for weight in (0.02, 2.0):
        network.zero_grad()
        torch.manual_seed(1)
        Adversary(network, replace(SETTINGS, adversary=weight)).loss(
            network, (stems, known, gains)
        ).backward()
        gradients.append(network.mask_of.weight.grad.clone())
    assert not torch.allclose(*gradients, rtol=0.1)


@pytest.mark.slow
def test_the_discriminator_learns_to_tell_stems_apart() -> None:
    network = small_unet()
    adversary = Adversary(network, SETTINGS)
    for group in adversary.optimisers[0].param_groups:
        group["lr"] = 2e-3
    for _ in range(25):
        adversary.loss(network, inputs([1, 1], [0.3, 0.3]))
        figures = adversary.pop_figures()
    assert figures["margin"] > 0.5 and figures["discriminator"] < 0.2
    assert all(weight.requires_grad for weight in adversary.discriminator.parameters())


@pytest.mark.slow
def test_figures_are_those_of_the_steps_that_were_made() -> None:
    adversary, batch = Adversary(small_unet(), SETTINGS), inputs([1, 1], [0.3, 0.3])
    broken = small_unet()
    for parameter in broken.parameters():
        parameter.data.fill_(math.nan)
    adversary.loss(small_unet(), batch)
    alone = adversary.pop_figures()
    for network in (small_unet(), broken):
        adversary.loss(network, batch)
    assert adversary.pop_figures() == alone and all(map(math.isfinite, alone.values()))


@pytest.mark.parametrize(
    ("margin", "energy_db", "words"),
    [(0.5, -3.0, ""), (0.95, -3.0, "hardly errs"), (0.2, -14.0, "lost their energy"), (0.95, -14.0, "lost")],
)
def test_a_collapse_is_described(margin: float, energy_db: float, words: str) -> None:
    assert words in describe_collapse(margin, energy_db)
    assert bool(words) == bool(describe_collapse(margin, energy_db))


@pytest.mark.slow
def test_a_collapse_is_reported_and_in_the_curves(
    songs_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    messages: list[str] = []
    monkeypatch.setattr(module, "LOST_ENERGY_DB", 20.0)
    trainer = make_trainer(songs_folder, tmp_path, warn=messages.append, settings={"budget_s": 0.2})
    assert trainer.fit()
    (row,) = read_curves(tmp_path / "curve.csv")
    assert row["collapsed"] == 1 and {"error", "adversarial", "discriminator", "margin"} <= set(row)
    assert len(messages) == 1 and "lost their energy" in messages[0] and "step" in messages[0]
    draw_curves(tmp_path / "curve.csv", tmp_path / "curve.png")
    assert (tmp_path / "curve.png").stat().st_size > 1000


@pytest.mark.slow
def test_a_resumed_run_goes_on_exactly_its_discriminator_too(songs_folder: Path, tmp_path: Path) -> None:
    straight = make_trainer(songs_folder, tmp_path / "straight")
    for _ in range(4):
        straight.step()
    straight.save()
    halted = make_trainer(songs_folder, tmp_path / "halted")
    for _ in range(2):
        halted.step()
    halted.save()
    resumed = make_trainer(songs_folder, tmp_path / "halted")
    for _ in range(2):
        resumed.step()
    resumed.save()
    one, other = (load_state(run.checkpoint) for run in (straight, resumed))
    for kind in ("network", "average"):
        assert all(torch.equal(value, other[kind][name]) for name, value in one[kind].items())
    discriminators = [state["objective"]["discriminator"] for state in (one, other)]
    assert all(torch.equal(value, discriminators[1][name]) for name, value in discriminators[0].items())


@pytest.mark.slow
def test_a_run_keeps_its_adversary(songs_folder: Path, tmp_path: Path) -> None:
    make_trainer(songs_folder, tmp_path).save()
    with pytest.raises(StemsplitError, match=r"started with adversary 0\.02, not 0"):
        make_trainer(songs_folder, tmp_path, settings={"adversary": 0.0})


@pytest.mark.parametrize("network", [small_bandsplit()])
def test_networks_without_magnitudes_have_no_adversary(network: SeparationNetwork) -> None:
    with pytest.raises(StemsplitError, match="magnitudes, which bandsplit does not estimate"):
        Adversary(network, SETTINGS)
