"""The 8-bit form of the bundled model."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from stemsplit import Separator
from stemsplit.jobs.provenance import record_settings
from stemsplit.models import device as device_module
from stemsplit.models.device import Device, choose_device, open_session
from stemsplit.models.integrity import hash_file
from stemsplit.models.package import find_int8_form
from stemsplit.registry.installed import bundled_models
from stemsplit.separation.settings import SeparationSettings
from stemsplit.types import FloatArray

SONG = Path(__file__).parents[2] / "examples" / "caesium.mp3"


def metadata_of(path: Path) -> dict[str, str]:
    found: dict[str, str] = open_session(path, Device("cpu")).get_modelmeta().custom_metadata_map
    return found


def level_db(signal: FloatArray, reference: FloatArray) -> float:
    return float(10 * np.log10(np.sum(signal**2) / np.sum(reference**2)))


@pytest.mark.parametrize("path", bundled_models(), ids=lambda path: path.name)
def test_every_bundled_model_has_a_form_that_was_made_of_it(path: Path) -> None:
    form = find_int8_form(path)
    assert form is not None and form.stat().st_size < 0.6 * path.stat().st_size
    found = metadata_of(form)
    assert found.pop("stemsplit.int8_of") == hash_file(path)
    assert found == metadata_of(path)


def test_models_elsewhere_have_none(tiny_model: Path) -> None:
    (tiny_model.parent / "int8").mkdir(exist_ok=True)
    form = tiny_model.parent / "int8" / tiny_model.name
    form.write_bytes(b"of whom?")
    try:
        assert find_int8_form(tiny_model) is None
        stems = [
            Separator(models=[tiny_model], device="cpu", int8=each)(noise(), 44100) for each in (False, True)
        ]
    finally:
        form.unlink()
    assert all(np.array_equal(stems[0][name], stems[1][name]) for name in stems[0])


def noise() -> FloatArray:
    return np.random.default_rng(0).normal(0, 0.1, (2, 44100)).astype(np.float32)


@pytest.mark.slow
def test_it_is_really_used_and_hardly_changes_the_stems() -> None:
    mixture = soundfile.read(SONG, frames=10 * 44100, dtype="float32")[0].T
    exact, rounded = (Separator(device="cpu", int8=each)(mixture, 44100) for each in (False, True))
    for name, stem in exact.items():
        assert -60 < level_db(rounded[name] - stem, mixture) < -25
    assert np.abs(sum(rounded.values()) - mixture).max() < 1e-6
    short = Separator(device="cpu", int8=True, chunk_s=5)(mixture, 44100)
    for name, stem in rounded.items():  # inputs are rounded a chunk at a time
        assert level_db(short[name] - stem, mixture) < -38


def test_only_the_cpu_takes_it(monkeypatch: pytest.MonkeyPatch) -> None:
    assert choose_device("cpu", int8=True).int8 and not choose_device("cpu").int8
    monkeypatch.setattr(device_module, "find_problem", lambda _: None)
    for problem in (None, "no driver"):
        monkeypatch.setattr(device_module, "find_cuda_problem", lambda _, problem=problem: problem)
        assert choose_device("auto", int8=True).int8 == (problem is not None)
    assert not choose_device("cuda", int8=True).int8


def test_it_is_recorded_where_it_is_used() -> None:
    assert "int8" not in record_settings(SeparationSettings())
    assert record_settings(SeparationSettings(int8=True))["int8"] is True
