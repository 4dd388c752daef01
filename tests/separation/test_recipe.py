"""The recipe: every complete set of stems sums to the mixture, by construction."""

import itertools
from collections.abc import Sequence
from fractions import Fraction

import pytest

from stemsplit.errors import SettingsError
from stemsplit.models.spec import ModelSpec
from stemsplit.separation.recipe import Recipe, make_recipe
from tests.support.tiny_models import TARGETS, make_spec

FOUR = make_spec()
VOICE = make_spec(name="voice", targets=("vocals",), complete=False, remainder="")


def names(recipe: Recipe) -> list[str]:
    return [stem.name for stem in recipe.stems]


def sums_to_mixture(recipe: Recipe) -> bool:
    """Return whether the gains of the mixture sum to one and those of every signal to zero."""
    totals = dict.fromkeys(recipe.signals, Fraction(0))
    for stem in recipe.stems:
        for signal, gain in stem.signal_gains.items():
            totals[signal] += gain
    return sum(stem.mixture_gain for stem in recipe.stems) == 1 and not any(totals.values())


@pytest.mark.parametrize("models", [[FOUR], [VOICE], [VOICE, FOUR], [FOUR, VOICE]])
def test_all_stems_sum_to_the_mixture(models: Sequence[ModelSpec]) -> None:
    assert sums_to_mixture(make_recipe(models))


def test_complete_model_needs_no_residual() -> None:
    assert names(make_recipe([FOUR])) == list(TARGETS)


def test_incomplete_model_gets_a_residual() -> None:
    assert names(make_recipe([VOICE])) == ["vocals", "residual"]


@pytest.mark.parametrize(
    "stems", [list(c) for n in (1, 2, 3) for c in itertools.permutations(TARGETS, n)], ids=",".join
)
def test_residual_completes_any_subset(stems: list[str]) -> None:
    recipe = make_recipe([FOUR], stems, residual=True)
    assert names(recipe) == [*stems, "residual"]
    assert sums_to_mixture(recipe)


@pytest.mark.parametrize("stem", TARGETS)
def test_karaoke_is_a_stem_and_the_rest(stem: str) -> None:
    recipe = make_recipe([FOUR], karaoke=stem)
    assert names(recipe) == [stem, f"no_{stem}"]
    assert sums_to_mixture(recipe)


@pytest.mark.parametrize(
    ("stems", "residual", "karaoke", "name"),
    [
        (None, False, None, "residual"),
        (["vocals", "residual"], True, None, "residual"),
        (None, False, "residual", None),
    ],
)
def test_a_target_with_the_name_of_the_residual_is_not_lost(
    stems: list[str] | None, residual: bool, karaoke: str | None, name: str | None
) -> None:
    model = make_spec(targets=("vocals", "residual"), complete=False, remainder="")
    if name is None:
        assert names(make_recipe([model], karaoke=karaoke)) == ["residual", "no_residual"]
        return
    with pytest.raises(SettingsError, match=r"has a stem 'residual' of its own.* leave 'residual' out"):
        make_recipe([model], stems, residual=residual)


def test_a_stem_has_the_same_recipe_in_any_subset() -> None:
    whole = {stem.name: stem for stem in make_recipe([FOUR]).stems}
    (drums,) = make_recipe([FOUR], ["drums"]).stems
    assert drums == whole["drums"]


def test_stems_are_in_the_requested_order() -> None:
    assert names(make_recipe([FOUR], ["other", "vocals"])) == ["other", "vocals"]


@pytest.mark.parametrize(
    "settings",
    [
        {"stems": ["drums"], "karaoke": "drums"},
        {"karaoke": "drums", "residual": True},
        {"stems": []},
        {"stems": ["drums", "drums"]},
        {"residual": True},
        {"stems": list(TARGETS), "residual": True},
    ],
)
def test_contradictory_settings_are_rejected(settings: dict[str, object]) -> None:
    with pytest.raises(SettingsError):
        make_recipe([FOUR], **settings)  # type: ignore[arg-type]
