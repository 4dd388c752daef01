"""Models of mid and side: the pairs of a song are turned before the networks, and turned back behind them."""

from pathlib import Path

import numpy as np
import pytest
from onnx import helper

from stemsplit import Separator
from stemsplit.dsp.channels import turn_pairs
from stemsplit.errors import ModelError
from stemsplit.models.spec import ModelSpec
from tests.conftest import make_noise
from tests.support.audio_files import tones
from tests.support.tiny_models import make_spec, save_graph, write_model

TARGETS = ("vocals", "other")


def write_middle(path: Path) -> Path:
    """Write a model that takes the mid for vocals, and the side for the rest."""
    spec = make_spec(targets=TARGETS, mid_side=True)
    masks = np.array([[1, 0], [0, 1]], np.float32).reshape(1, 2, 2, 1, 1)
    constants = {"masks": masks, "zero": np.float32(0), "rows": np.array([1]), "targets": np.array([1])}
    nodes = [
        helper.make_node("ReduceSum", ["mixture", "rows"], ["summed"], keepdims=1),
        helper.make_node("Mul", ["summed", "zero"], ["zeros"]),
        helper.make_node("Unsqueeze", ["zeros", "targets"], ["shaped"]),
        helper.make_node("Add", ["shaped", "masks"], ["mask"]),
    ]
    return save_graph(path, nodes, constants, rows=4, spec=spec)


@pytest.fixture(scope="module")
def middle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_middle(tmp_path_factory.mktemp("models") / "middle.onnx")


@pytest.mark.parametrize("wiener", [0, 1])
@pytest.mark.parametrize("sample_rate", [44100, 22050])
def test_the_masks_are_for_mid_and_side(middle: Path, sample_rate: int, wiener: int) -> None:
    song = tones(40_000, sample_rate=sample_rate)
    with Separator(models=[middle], device="cpu", wiener=wiener) as separator:
        stems = separator(song, sample_rate)
    mid, side = song.mean(0), (song[0] - song[1]) / 2
    inner = np.s_[:, 1000:-1000]
    # the noise of the song has frequencies that the resampler attenuates, and the remainder gets
    atol = 1e-5 if sample_rate == 44100 else 0.05
    np.testing.assert_allclose(stems["vocals"][inner], np.stack([mid, mid])[inner], atol=atol)
    np.testing.assert_allclose(stems["other"][inner], np.stack([side, -side])[inner], atol=atol)
    np.testing.assert_allclose(stems["vocals"] + stems["other"], song, atol=1e-6)


def test_lone_channels_are_mid(middle: Path) -> None:
    with Separator(models=[middle], device="cpu") as separator:
        mono = make_noise(1, 30_000)
        stems = separator(mono, 44100)
        np.testing.assert_allclose(stems["vocals"], mono, atol=1e-5)
        surround = make_noise(6, 30_000)
        stems = separator(surround, 44100)
    np.testing.assert_allclose(stems["vocals"][2:4], surround[2:4], atol=1e-5)
    np.testing.assert_allclose(stems["vocals"][4], surround[4:].mean(0), atol=1e-5)
    np.testing.assert_allclose(sum(stems.values()), surround, atol=1e-6)


def test_a_lone_channel_has_the_masks_of_the_pair_that_it_would_be(tmp_path: Path) -> None:
    model = write_model(tmp_path / "a.onnx", make_spec(mid_side=True))
    mono = make_noise(1, 30_000)
    with Separator(models=[model], device="cpu") as separator:
        alone, twice = separator(mono, 44100), separator(np.repeat(mono, 2, 0), 44100)
    for stem, waveform in alone.items():
        np.testing.assert_allclose(waveform[0], twice[stem][1], atol=1e-5)


def test_models_of_both_kinds_work_together(middle: Path, tmp_path: Path) -> None:
    ordinary = write_model(
        tmp_path / "b.onnx", make_spec(targets=("drums", "bass"), remainder="bass"), complete=True
    )
    song = make_noise(2, 30_000)
    with Separator(["vocals", "drums"], models=[middle, ordinary], device="cpu") as separator:
        together = separator(song, 44100)
    for model, stem in ((middle, "vocals"), (ordinary, "drums")):
        with Separator([stem], models=[model], device="cpu") as separator:
            np.testing.assert_allclose(together[stem], separator(song, 44100)[stem], atol=1e-6)


def test_a_turn_keeps_energies_and_undoes_itself() -> None:
    for n_channels in (1, 2, 3, 5, 6):
        song = make_noise(n_channels, 1000)
        turned = turn_pairs(song)
        np.testing.assert_allclose(turn_pairs(turned), song, atol=1e-6)
        assert np.square(turned).sum() == pytest.approx(np.square(song).sum(), rel=1e-5)
    np.testing.assert_allclose(turn_pairs(np.ones((2, 3), np.float32)), [[2**0.5] * 3, [0] * 3], atol=1e-6)
    np.testing.assert_array_equal(turn_pairs(make_noise(6, 9))[2:4], make_noise(6, 9)[2:4])


def test_such_a_file_is_of_the_second_version() -> None:
    """Programs of the first version refuse it, where they would take it for one of left and right."""
    ordinary, turned = make_spec().to_metadata(), make_spec(mid_side=True).to_metadata()
    assert ordinary["stemsplit.format_version"] == "1" and "stemsplit.mid_side" not in ordinary
    assert turned["stemsplit.format_version"] == "2"
    assert ModelSpec.from_metadata(turned).mid_side and not ModelSpec.from_metadata(ordinary).mid_side


def test_mid_and_side_are_two_channels() -> None:
    with pytest.raises(ModelError, match="mid_side"):
        make_spec(mid_side=True, n_channels=1)
