"""Ensembles of models: weights that sum to one, stems that sum to the mixture."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stemsplit.errors import SettingsError
from stemsplit.separation.ensemble import EnsembleWeights
from stemsplit.separation.recipe import make_recipe
from stemsplit.separation.separator import Separator
from tests.conftest import make_noise
from tests.separation.test_recipe import sums_to_mixture
from tests.support.tiny_models import TARGETS, make_spec, write_model

FOUR = make_spec()
OTHER_FOUR = make_spec(name="second")
VOICE = make_spec(name="voice", targets=("vocals",), complete=False, remainder="")

weight = st.floats(0.001, 1000).map(lambda value: round(value, 6))


@given(st.dictionaries(st.sampled_from(TARGETS), st.tuples(weight, weight)), st.booleans(), st.booleans())
def test_any_ensemble_sums_to_the_mixture(
    weights: dict[str, tuple[float, float]], mean: bool, second: bool
) -> None:
    models = [FOUR, OTHER_FOUR] if second else [FOUR, VOICE]
    if not second:
        weights = {stem: (each[0], each[1] if stem == "vocals" else 0) for stem, each in weights.items()}
    recipe = make_recipe(models, ensemble=EnsembleWeights(mean, weights))
    assert sums_to_mixture(recipe)


def test_models_of_the_same_targets_averaged_leave_no_residual() -> None:
    recipe = make_recipe([FOUR, OTHER_FOUR], ensemble=EnsembleWeights(mean=True))
    assert [stem.name for stem in recipe.stems] == list(TARGETS)
    equal = dict.fromkeys(TARGETS, (0.1, 0.2))
    assert [
        stem.name for stem in make_recipe([FOUR, OTHER_FOUR], ensemble=EnsembleWeights(weights=equal)).stems
    ] == list(TARGETS)


def test_unlike_weights_leave_a_residual() -> None:
    recipe = make_recipe([FOUR, OTHER_FOUR], ensemble=EnsembleWeights(weights={"vocals": (0.3, 0.7)}))
    assert [stem.name for stem in recipe.stems] == [*TARGETS, "residual"]


@pytest.mark.parametrize(
    "weights", [(-1.0, 1.0), (0.0, 0.0), (float("nan"), 1.0), (float("inf"), 1.0), (1e7, 1.0), ()]
)
def test_invalid_weights_are_rejected(weights: tuple[float, ...]) -> None:
    with pytest.raises(
        SettingsError, match=r"weights of 'vocals' are .*; .* from 0 to 1,000,000, and not all 0"
    ):
        EnsembleWeights(weights={"vocals": weights})


def test_a_weight_for_a_model_that_has_no_such_stem_is_rejected() -> None:
    with pytest.raises(SettingsError, match="number 2 has a weight for 'drums'"):
        make_recipe([FOUR, VOICE], ensemble=EnsembleWeights(weights={"drums": (1, 1)}))


@pytest.fixture(scope="module")
def second_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("second") / "second.onnx", OTHER_FOUR, seed=7)


def test_an_ensemble_is_the_weighted_mean_of_its_models(tiny_model: Path, second_model: Path) -> None:
    mixture = make_noise(2, 44100)
    both = [tiny_model, second_model]
    with (
        Separator(models=both[:1], device="cpu") as first,
        Separator(models=both[1:], device="cpu") as second,
        Separator(models=both, device="cpu", ensemble=True, weights={"vocals": [1, 3]}) as ensemble,
    ):
        one, two, mixed = (each(mixture, 44100) for each in (first, second, ensemble))
    np.testing.assert_allclose(mixed["vocals"], 0.25 * one["vocals"] + 0.75 * two["vocals"], atol=1e-6)
    np.testing.assert_allclose(mixed["other"], (one["other"] + two["other"]) / 2, atol=1e-6)
    assert not np.allclose(one["vocals"], two["vocals"], atol=1e-3)
    assert abs(sum(mixed.values()) - mixture).max() < 1e-6


def test_a_model_without_weight_is_not_run(tiny_model: Path, second_model: Path) -> None:
    with Separator(
        ["vocals"], models=[tiny_model, second_model], device="cpu", weights={"vocals": [0, 1]}
    ) as separator:
        assert [info.name for info in separator.models] == ["second"]
        assert separator(make_noise(2, 4410), 44100)["vocals"].shape == (2, 4410)


def test_one_weight_for_each_model(tiny_model: Path, second_model: Path) -> None:
    with pytest.raises(SettingsError, match="1 weights"):
        Separator(models=[tiny_model, second_model], device="cpu", weights={"vocals": [1]})
    with pytest.raises(SettingsError, match="did you mean 'vocals'"):
        Separator(models=[tiny_model, second_model], device="cpu", weights={"vocalls": [1, 1]})
