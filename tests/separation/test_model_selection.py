"""Which models are opened for which stems."""

import itertools
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stemsplit import Separator
from stemsplit.errors import ModelError, SettingsError
from stemsplit.models.device import Device
from stemsplit.models.spec import ModelSpec
from stemsplit.separation.model_selection import choose_cheapest, open_cheapest, open_models
from tests.conftest import make_noise
from tests.support.external_models import write_complex, write_magnitude, write_waveform
from tests.support.tiny_models import TARGETS, make_spec, write_model

CPU = Device("cpu")


def offering(*targets: str, cost: int | None = None) -> ModelSpec:
    complete = len(targets) == len(TARGETS)
    remainder = "other" if complete else ""
    return make_spec(targets=targets, complete=complete, remainder=remainder, cost_macs_per_s=cost)


def test_first_model_provides_a_target(tiny_model: Path, vocals_model: Path) -> None:
    opened = open_models([vocals_model, tiny_model], ["vocals"], device=CPU)
    assert [model.info.name for model in opened] == ["voice"]


def test_only_models_that_are_needed_are_kept(tiny_model: Path, vocals_model: Path) -> None:
    opened = open_models([vocals_model, tiny_model], ["drums"], device=CPU)
    assert [model.info.name for model in opened] == ["tiny"]


@pytest.mark.parametrize("opener", [open_models, open_cheapest])
@pytest.mark.parametrize("more", [False, True])
def test_unknown_stem_gets_a_proposal(
    opener: Callable[..., object], more: bool, tiny_model: Path, vocals_model: Path
) -> None:
    paths = [tiny_model, vocals_model] if more else [tiny_model]
    with pytest.raises(SettingsError, match="did you mean 'vocals'"):
        opener(paths, ["vocal"], device=CPU)
    with pytest.raises(SettingsError, match="there are: bass, drums, other, vocals"):
        opener(paths, ["drums", "zzz"], device=CPU)


def test_a_model_with_nothing_new_is_left_closed(tiny_model: Path, vocals_model: Path) -> None:
    opened = open_models([vocals_model, vocals_model, tiny_model], ["vocals", "drums"], device=CPU)
    assert [model.info.name for model in opened] == ["voice", "tiny"]


@pytest.mark.parametrize("write", [write_magnitude, write_complex, write_waveform])
def test_a_model_whose_stems_others_provide_is_not_run(write: Callable[..., Path], tmp_path: Path) -> None:
    paths = []
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        paths.append(write(tmp_path / name))
    with Separator(models=paths, device="cpu") as separator:
        assert [model.path for model in separator.models] == paths[:1]
        assert separator(make_noise(2, 10_000), 44100).keys() == set(separator.stems)


def test_the_cheaper_models_are_taken() -> None:
    joint, vocals, drums = offering(*TARGETS, cost=10), offering("vocals", cost=4), offering("drums", cost=5)
    models = [joint, vocals, drums]
    assert choose_cheapest(models, ["vocals"]) == (1,)
    assert choose_cheapest(models, ["vocals", "drums"]) == (1, 2)
    assert choose_cheapest(models, ["bass"]) == (0,)
    assert choose_cheapest(models, ["drums", "bass"]) == (0,), "what the joint model gives anyway is free"
    assert choose_cheapest(models, None) == (0,)


def test_ties_go_to_fewer_models_and_then_to_the_one_named_first() -> None:
    joint, vocals, drums = offering(*TARGETS, cost=8), offering("vocals", cost=4), offering("drums", cost=4)
    assert choose_cheapest([vocals, drums, joint], ["vocals", "drums"]) == (2,)
    assert choose_cheapest([vocals, vocals], ["vocals"]) == (0,)


def test_a_model_that_does_not_say_its_cost_is_as_dear_as_the_dearest() -> None:
    silent, cheap, dear = offering("vocals"), offering("vocals", cost=3), offering("drums", cost=9)
    assert choose_cheapest([silent, cheap, dear], ["vocals"]) == (1,)
    assert choose_cheapest([silent, dear], ["vocals", "drums"]) == (0, 1)


@given(
    st.lists(
        st.tuples(st.sets(st.sampled_from(TARGETS), min_size=1), st.none() | st.integers(0, 9)),
        min_size=1,
        max_size=6,
    ),
    st.sets(st.sampled_from(TARGETS), min_size=1),
)
def test_no_other_set_of_models_is_better(offers: list[tuple[set[str], int | None]], stems: set[str]) -> None:
    models = [offering(*sorted(targets), cost=cost) for targets, cost in offers]
    dearest = max(cost or 0 for _, cost in offers)

    def rank(chosen: tuple[int, ...]) -> tuple[int, int, tuple[int, ...]]:
        costs = (offers[number][1] for number in chosen)
        return sum(dearest if cost is None else cost for cost in costs), len(chosen), chosen

    sets = [chosen for size in range(7) for chosen in itertools.combinations(range(len(models)), size)]
    covers = [chosen for chosen in sets if stems <= {t for n in chosen for t in models[n].targets}]
    if covers:
        assert choose_cheapest(models, sorted(stems)) == min(covers, key=rank)
    else:
        with pytest.raises(SettingsError, match="no model offers"):
            choose_cheapest(models, sorted(stems))


def test_models_that_are_not_used_are_not_opened(tmp_path: Path) -> None:
    cheap = write_model(tmp_path / "cheap.onnx", offering("vocals", cost=1), complete=False)
    dear = write_model(tmp_path / "dear.onnx", offering(*TARGETS, cost=2))
    broken = onnx.load(str(dear))
    broken.graph.node[0].op_type = "NoSuchOperator"
    onnx.save(broken, str(dear))
    opened = open_cheapest([dear, cheap], ["vocals"], device=CPU)
    assert [model.info.path for model in opened] == [cheap]
    with pytest.raises(ModelError, match="can run"):
        open_cheapest([dear, cheap], ["drums"], device=CPU)
