"""Names of stems: the words of people find the stems of models, in any case."""

from pathlib import Path

import pytest

from stemsplit import Separator, SettingsError
from stemsplit.separation.stem_names import StemVocabulary
from tests.support.tiny_models import make_spec, write_model


@pytest.mark.parametrize(
    ("offered", "name", "meant"),
    [
        (["Vocals", "rest"], "vocals", "Vocals"),
        (["Vocals", "rest"], "VOCALS", "Vocals"),
        (["Vocals", "rest"], "voice", "Vocals"),
        (["voice", "vocals"], "Voice", "voice"),
        (["vocals", "Vocals"], "Vocals", "Vocals"),
        (["Vocals", "VOCALS"], "vocals", "Vocals"),
        (["vocals", "rest"], "Instrumental", "instrumental"),
        (["vocals", "rest"], "Accompaniment", "instrumental"),
        (["vocals", "Instrumental"], "accompaniment", "Instrumental"),
        (["vocals", "rest"], "Theremin", "Theremin"),
    ],
)
def test_a_name_is_offered_as_it_is_or_in_another_case_or_by_a_synonym(
    offered: list[str], name: str, meant: str
) -> None:
    assert StemVocabulary(lambda: offered).translate([name, meant]) == (meant,)


def test_capitals_of_a_model_need_not_be_typed(tmp_path: Path) -> None:
    spec = make_spec(targets=("Vocals", "Drums", "bass", "other"))
    path = write_model(tmp_path / "capitals.onnx", spec)
    assert Separator(["VOCALS", "drums"], models=[path], device="cpu").stems == ("Vocals", "Drums")
    assert Separator(karaoke="vocals", models=[path], device="cpu").stems == ("Vocals", "no_Vocals")


def test_weights_are_for_stems_by_the_same_names(tiny_model: Path) -> None:
    models = [tiny_model, tiny_model]
    weights = {"Voice": [0.3, 0.7], "bass": [1, 0]}
    separator = Separator(["voice", "BASS"], models=models, device="cpu", weights=weights)
    assert separator.settings.ensemble.weights == {"vocals": (0.3, 0.7), "bass": (1, 0)}
    with pytest.raises(SettingsError, match="'voice' is the stem 'vocals', which has weights already"):
        Separator(models=models, device="cpu", weights={"vocals": [1, 0], "voice": [0, 1]})
