"""Power sets: an image of every subset of the parts of a piece, on disk."""

import os
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")

import torch

from stemsplit.errors import StemsplitError
from stemsplit.training import OPEN_DATA, SAMPLE_RATE
from stemsplit.training.data.rendered_stem import RenderedStem
from stemsplit.training.data.songs import TrainingSong, load_songs, save_song
from stemsplit.training.evaluation.identity import format_errors, measure_errors
from stemsplit.training.fit.example_sources import open_source
from stemsplit.training.fit.power_set import PieceImages, PowerSet, collect_images
from stemsplit.training.fit.presets import PRESETS
from stemsplit.training.fit.settings import FitSettings
from stemsplit.training.fit.trainer import Trainer
from stemsplit.training.networks.catalog import build
from stemsplit.training.networks.iyer import N_FRAMES, N_ROWS, Iyer

TARGETS = ("violin", "oboe", "tuba")
TONES_HZ = {"violin": 700, "oboe": 1500, "tuba": 90}
SETTINGS = PRESETS["iyer"].remix()


def write_ensembles(folder: Path) -> list[TrainingSong]:
    """A trio, a duo, and a song that is too short for an image."""
    for name, targets, length_s in (("trio", TARGETS, 10.2), ("duo", TARGETS[:2], 10.2), ("no", TARGETS, 3)):
        time = np.arange(round(length_s * SAMPLE_RATE)) / SAMPLE_RATE
        tones = {target: 0.2 * np.sin(2 * np.pi * TONES_HZ[target] * time) for target in targets}
        stems = {
            target: RenderedStem(np.stack([tone] * 2).astype(np.float32)) for target, tone in tones.items()
        }
        split = "valid" if name == "duo" else "train"
        save_song(folder, name, stems, split=split, kind="added", dataset="ensembles", licence=OPEN_DATA)
    return load_songs(folder)


@pytest.fixture(scope="module")
def songs(tmp_path_factory: pytest.TempPathFactory) -> list[TrainingSong]:
    return write_ensembles(tmp_path_factory.mktemp("songs"))


@pytest.fixture(scope="module")
def pieces(songs: list[TrainingSong], tmp_path_factory: pytest.TempPathFactory) -> list[PieceImages]:
    return collect_images(songs, TARGETS, tmp_path_factory.mktemp("power-set"))


def trio(pieces: list[PieceImages]) -> PieceImages:
    return next(piece for piece in pieces if len(piece.stems) == 3)


def test_every_subset_has_an_image_in_a_mapped_array(pieces: list[PieceImages]) -> None:
    assert sorted(len(piece.subsets) for piece in pieces) == [3, 7]
    images = trio(pieces).open()
    assert isinstance(images, np.memmap) and images.dtype == np.float16
    assert images.shape == (1, 7, N_ROWS, N_FRAMES)
    assert np.sqrt(np.square(images[0, 6].astype(np.float32)).mean()) == pytest.approx(1, abs=0.01)


def test_an_image_is_that_of_the_sum_of_the_parts(pieces: list[PieceImages]) -> None:
    piece = trio(pieces)
    images = piece.open()[0].astype(np.float32)
    violin, oboe, tuba = (images[(1 << place) - 1] for place in range(3))
    # tones far apart: their powers add up
    np.testing.assert_allclose(images[2] ** 2, violin**2 + oboe**2, atol=0.05 * images.max() ** 2)
    assert violin.mean(1).argmax() > tuba.mean(1).argmax() and oboe.mean(1).argmax() > violin.mean(1).argmax()
    assert piece.parts(5) == ["violin", "tuba"] and piece.having("oboe") == [2, 3, 6, 7]


@pytest.mark.slow
def test_images_are_kept_and_missing_ones_written(songs: list[TrainingSong], tmp_path: Path) -> None:
    written: list[str] = []
    pieces = collect_images(songs, TARGETS, tmp_path, written.append)
    assert len(written) == 2
    pieces[0].path.unlink()
    collect_images(songs, TARGETS, tmp_path, written.append)
    assert len(written) == 3 and pieces[0].path.exists()
    rendered_ns = pieces[1].path.stat().st_mtime_ns + 1_000_000_000
    song = next(song for song in songs if song.path.stem == pieces[1].path.stem)
    before_ns = song.path.stat().st_mtime_ns
    os.utime(song.path, ns=(rendered_ns, rendered_ns))  # as if rendered again
    collect_images(songs, TARGETS, tmp_path, written.append)
    os.utime(song.path, ns=(before_ns, before_ns))
    assert len(written) == 4 and pieces[1].path.name in written[3]
    with pytest.raises(StemsplitError, match="ensembles"):
        collect_images(songs, ("harp", "organ"), tmp_path)


def test_examples_are_references_and_their_mixture(
    songs: list[TrainingSong], pieces: list[PieceImages]
) -> None:
    source = PowerSet(songs, [trio(pieces)], SETTINGS, seed=0, targets=TARGETS)
    seen: Counter[tuple[bool, ...]] = Counter()
    for number in range(60):
        example = source.example(number)
        assert example.stems.shape == (4, N_ROWS, N_FRAMES)
        seen[tuple(example.known.tolist())] += 1
        levels = np.square(example.stems).mean((1, 2))
        assert all((levels[:3] > 1e-3) == example.known) and levels[3] > 0.9 * levels[:3].max()
    assert len(seen) == 7 and (False,) * 3 not in seen
    np.testing.assert_array_equal(source.example(5).stems, source.example(5).stems)
    assert source.training_sources == {("ensembles", OPEN_DATA)}
    with pytest.raises(StemsplitError, match="no song for training has tuba"):
        PowerSet(
            songs, [piece for piece in pieces if len(piece.stems) == 2], SETTINGS, seed=0, targets=TARGETS
        )


@pytest.mark.parametrize("changes", [{"silence": 0.5}, {"without": ("cross-song",)}, {"n_samples": 300_000}])
def test_settings_that_mean_nothing_to_power_sets_are_refused(
    songs: list[TrainingSong], tmp_path: Path, changes: dict[str, Any]
) -> None:
    network = build("iyer", targets=list(TARGETS))
    settings = replace(SETTINGS, **changes)
    with pytest.raises(StemsplitError, match="without --remix, --without and --frames"):
        open_source(network, songs, settings, seed=0, folder=tmp_path / "p", progress=lambda _: None)
    assert not (tmp_path / "p").exists()


@pytest.mark.slow
def test_a_run_trains_on_power_sets(songs: list[TrainingSong], tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = build("iyer", targets=list(TARGETS))
    train = [song for song in songs if song.split == "train"]
    source = open_source(network, train, SETTINGS, seed=0, folder=tmp_path / "p", progress=lambda _: None)
    assert source.example_kinds == ("power-set",)
    settings = FitSettings(budget_s=1000.0, batch_size=2, warm_up_s=0.0)
    trainer = Trainer(network, source, settings, tmp_path / "run")
    losses = [trainer.step() for _ in range(3)]
    assert np.isfinite(losses).all()
    trainer.save()
    again = Trainer(build("iyer", targets=list(TARGETS)), source, settings, tmp_path / "run")
    assert again.step_number == 3


def test_errors_stand_beside_those_of_doing_nothing(pieces: list[PieceImages]) -> None:
    network = build("iyer", targets=list(TARGETS))
    assert isinstance(network, Iyer) and network.regenerate.bias is not None
    for parameter in network.parameters():
        parameter.data.zero_()
    errors = measure_errors(network, [trio(pieces)])
    # nothing is estimated: the error is the power of the instrument, that of the identity the rest's
    assert {target: each.n_mixtures for target, each in errors.items()} == dict.fromkeys(TARGETS, 4)
    images = trio(pieces).open()[0].astype(np.float32)
    power = np.square(images).mean((1, 2))
    expected = np.mean([power[0] / power[subset - 1] for subset in (1, 3, 5, 7)])
    assert errors["violin"].network == errors["violin"].silence == pytest.approx(expected, rel=1e-3)
    alone = np.square(images[[2, 4, 6]] - images[0]).mean((1, 2)) / power[[2, 4, 6]]
    assert errors["violin"].identity == pytest.approx(alone.sum() / 4, rel=1e-3)
    table = format_errors(errors)
    assert "| violin | 0.3879 | 0.8873 |" in table and "| oboe |  |  |" in table
