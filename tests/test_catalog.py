"""Which models are opened for which stems."""

from pathlib import Path

import pytest

from stemsplit.catalog import bundled_models, open_models, read_model
from stemsplit.device import Device
from stemsplit.errors import SettingsError

CPU = Device("cpu")


def test_bundled_models_offer_the_four_stems() -> None:
    models = [read_model(path) for path in bundled_models()]
    assert {target for model in models for target in model.spec.targets} >= {
        "vocals",
        "drums",
        "bass",
        "other",
    }
    assert all(model.spec.licence and model.spec.training_data_licence for model in models)


def test_first_model_provides_a_target(tiny_model: Path, vocals_model: Path) -> None:
    opened = open_models([vocals_model, tiny_model], ["vocals"], device=CPU)
    assert [model.info.name for model in opened] == ["voice"]


def test_only_models_that_are_needed_are_kept(tiny_model: Path, vocals_model: Path) -> None:
    opened = open_models([vocals_model, tiny_model], ["drums"], device=CPU)
    assert [model.info.name for model in opened] == ["tiny"]


def test_unknown_stem_gets_a_proposal(tiny_model: Path) -> None:
    with pytest.raises(SettingsError, match="did you mean 'vocals'"):
        open_models([tiny_model], ["vocal"], device=CPU)
    with pytest.raises(SettingsError, match="There are: bass, drums, other, vocals"):
        open_models([tiny_model], ["zzz"], device=CPU)


def test_a_model_with_nothing_new_is_left_closed(tiny_model: Path, vocals_model: Path) -> None:
    opened = open_models([vocals_model, vocals_model, tiny_model], ["vocals", "drums"], device=CPU)
    assert [model.info.name for model in opened] == ["voice", "tiny"]
