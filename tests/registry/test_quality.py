"""The best of the installed models for each stem, and ensembles of foreign models and our own."""

import re
from pathlib import Path

import numpy as np
import pytest

from docs.generate.tables import read_figures
from stemsplit import Separator
from stemsplit.registry.index import list_remote
from stemsplit.registry.installed import bundled_models, read_spec
from stemsplit.registry.quality import BUNDLED_SDR_DB, find_finest
from stemsplit.registry.store import Registry
from tests.conftest import make_noise
from tests.registry.test_catalogue import install
from tests.support.cli import call, make_song


def test_figures_are_those_that_are_published() -> None:
    for remote in list_remote():
        for stem, sdr_db in remote.sdr_db.items():
            assert remote.description is not None and stem in remote.description.targets
            assert re.search(rf"{stem} {sdr_db:g}0?\b", remote.quality), (remote.name, stem)


def test_figures_of_the_package_are_those_of_its_card() -> None:
    assert set(BUNDLED_SDR_DB) == {read_spec(path).name for path in bundled_models()}
    card = {row["target"]: float(row["uSDR"]) for row in read_figures() if row["source"] == "records"}
    for stem, sdr_db in BUNDLED_SDR_DB["band"].items():
        assert abs(card[stem] - sdr_db) < 0.5, stem  # near enough for a choice


def test_without_others_the_model_of_the_package_is_the_best(tmp_path: Path) -> None:
    finest = find_finest(Registry(tmp_path))
    assert finest.models == ("band",)
    assert str(finest) == "band for vocals 6.5 dB, drums 4.8 dB, bass 5.5 dB, other 3.5 dB"


def test_a_model_without_a_figure_is_not_even_read(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "model.toml").write_text("damaged = [")
    registry = Registry(tmp_path)
    assert "mine" in registry.names()
    assert find_finest(registry).models == ("band",)


@pytest.fixture
def stocked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Registry:
    """A registry of stand-ins: one best at vocals, one at the rest, and one that is commercially free."""
    monkeypatch.setenv("STEMSPLIT_MODELS", str(tmp_path / "models"))
    for name in ("htdemucs", "Kim_Vocal_2", "umxhq-vocals-fp16"):
        install(name, tmp_path)
    return Registry()


@pytest.mark.slow
def test_each_stem_comes_from_the_best_that_is_installed(stocked: Registry, tmp_path: Path) -> None:
    finest = find_finest(stocked)
    assert {stem: model for stem, (model, _) in finest.by_stem.items()} == {
        "vocals": "Kim_Vocal_2",
        "drums": "htdemucs",
        "bass": "htdemucs",
        "other": "htdemucs",
        "instrumental": "Kim_Vocal_2",
    }
    free = find_finest(stocked, commercial_only=True)
    assert free.models == ("umxhq-vocals-fp16", "band")
    song = make_song(tmp_path / "song.wav", seconds=0.5)
    done = call(song, "--preset", "finest", "-o", tmp_path / "out", "-d", "cpu", "--json")
    assert done.code == 0, done.stderr
    assert (
        "finest: Kim_Vocal_2 for vocals 10.18 dB, instrumental 15.36 dB; htdemucs for drums 9.5 dB"
        in done.stderr
    )
    (record,) = done.records
    assert {model["name"] for model in record["models"]} == {"Kim_Vocal_2", "htdemucs"}
    written = {path.stem for path in (tmp_path / "out" / "song").iterdir()}
    assert written == {"vocals", "drums", "bass", "other", "residual"}
    sung = call(
        song, "--preset", "finest", "--stems", "vocals", "-o", tmp_path / "sung", "-d", "cpu", "--json"
    )
    assert [model["name"] for model in sung.records[0]["models"]] == ["Kim_Vocal_2"]
    allowed = call(
        song, "--preset", "finest", "--commercial-only", "-o", tmp_path / "free", "-d", "cpu", "--json"
    )
    assert allowed.code == 0, allowed.stderr
    assert {model["name"] for model in allowed.records[0]["models"]} == {"umxhq-vocals-fp16", "band"}
    with Separator.from_preset("finest", device="cpu") as separator:
        assert separator.stems == ("vocals", "drums", "bass", "other", "residual")


@pytest.mark.slow
def test_foreign_models_and_our_own_are_averaged_by_stem(stocked: Registry) -> None:
    mixture = make_noise(2, 30_000)
    names = ["htdemucs", "Kim_Vocal_2", "band"]
    paths = [stocked.path(name) for name in names[:2]] + bundled_models()
    weights = {"vocals": [1, 3, 0], "drums": [1, 0, 1], "bass": [0, 0, 1]}
    stems = ["vocals", "drums", "bass", "other"]
    alone = []
    for path in paths:
        with Separator(models=[path], device="cpu") as separator:
            alone.append(separator(mixture, 44100))
    with Separator(
        stems, residual=True, models=paths, ensemble=True, weights=weights, device="cpu"
    ) as separator:
        mixed = separator(mixture, 44100)
    demucs, kim, band = alone
    np.testing.assert_allclose(mixed["vocals"], 0.25 * demucs["vocals"] + 0.75 * kim["vocals"], atol=1e-5)
    np.testing.assert_allclose(mixed["drums"], 0.5 * (demucs["drums"] + band["drums"]), atol=1e-5)
    np.testing.assert_allclose(mixed["bass"], band["bass"], atol=1e-5)
    np.testing.assert_allclose(mixed["other"], 0.5 * (demucs["other"] + band["other"]), atol=1e-5)
    np.testing.assert_allclose(sum(mixed.values()), mixture, atol=1e-5)
