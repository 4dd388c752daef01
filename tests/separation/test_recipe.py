"""The algebra of stems: every complete set of outputs sums to the mixture, by construction."""

import itertools
from collections.abc import Sequence

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
    """True if the mixture is left once and every signal cancels."""
    totals = dict.fromkeys(recipe.signals, 0)
    for stem in recipe.stems:
        for signal, sign in stem.signals.items():
            totals[signal] += sign
    return sum(stem.mixture for stem in recipe.stems) == 1 and not any(totals.values())


@pytest.mark.parametrize("models", [[FOUR], [VOICE], [VOICE, FOUR], [FOUR, VOICE]])
def test_everything_sums_to_the_mixture(models: Sequence[ModelSpec]) -> None:
    assert sums_to_mixture(make_recipe(models))


def test_complete_model_needs_no_residual() -> None:
    assert names(make_recipe([FOUR])) == list(TARGETS)


def test_incomplete_models_get_one() -> None:
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
def test_a_target_of_the_name_of_what_is_left_over_is_never_lost(
    stems: list[str] | None, residual: bool, karaoke: str | None, name: str | None
) -> None:
    model = make_spec(targets=("vocals", "residual"), complete=False, remainder="")
    if name is None:
        assert names(make_recipe([model], karaoke=karaoke)) == ["residual", "no_residual"]
        return
    with pytest.raises(SettingsError, match=r"has a stem 'residual' of its own.* leave 'residual' out"):
        make_recipe([model], stems, residual=residual)


def test_subset_alone_is_what_it_is_in_the_whole() -> None:
    whole = {stem.name: stem for stem in make_recipe([FOUR]).stems}
    (drums,) = make_recipe([FOUR], ["drums"]).stems
    assert drums == whole["drums"]


def test_stems_come_in_the_order_asked_for() -> None:
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
def test_contradictions_are_refused(settings: dict[str, object]) -> None:
    with pytest.raises(SettingsError):
        make_recipe([FOUR], **settings)  # type: ignore[arg-type]
