"""Routes: each song gets the candidate with the surest masks, or the one for its kind of music."""

import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stemsplit import AudioError, ModelError, Separator, SettingsError
from stemsplit.dsp.meter import StemMeter
from stemsplit.errors import LicenceError
from stemsplit.jobs.output_settings import OutputSettings
from stemsplit.jobs.provenance import Provenance
from stemsplit.jobs.result import Status
from stemsplit.music.style import Style, StyleMeter
from stemsplit.registry.install import add_model, find_candidate
from stemsplit.registry.store import Registry
from stemsplit.separation.keywords import SeparatorKeywords
from stemsplit.separation.routing import RoutedSeparator, open_routed
from stemsplit.types import FloatArray
from tests.conftest import make_noise
from tests.support.cli import make_song
from tests.support.jobs import resume
from tests.support.tiny_models import make_spec, write_model

RATE = 8000


@pytest.fixture(scope="module")
def other_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("models") / "other.onnx", make_spec(name="other"), seed=7)


def open_both(tiny_model: Path, other_model: Path, **kwargs: object) -> RoutedSeparator:
    candidates = {"tiny": open_one(tiny_model), "other": open_one(other_model)}
    return RoutedSeparator(candidates, **kwargs)  # type: ignore[arg-type]


def open_one(path: Path) -> Separator:
    return Separator(models=[path], device="cpu")


def measure(separator: Separator, mixture: FloatArray) -> float:
    meter = StemMeter()
    list(separator.stream([mixture], sample_rate=RATE, n_channels=len(mixture), meter=meter))
    return float(np.mean([score for score in meter.expected_sdr_db().values() if score is not None]))


@pytest.mark.slow
def test_the_surest_masks_are_taken(tiny_model: Path, other_model: Path) -> None:
    mixture = make_noise(2, 3 * RATE)
    scores = {
        name: measure(open_one(path), mixture)
        for name, path in (("tiny", tiny_model), ("other", other_model))
    }
    routed = open_both(tiny_model, other_model, compared=["tiny", "other"])
    chosen = routed.route([mixture], sample_rate=RATE, n_channels=2)
    assert chosen.route is not None
    assert chosen.route.scores_db == pytest.approx(scores, abs=0.01)
    best = max(scores, key=lambda name: scores[name])
    assert chosen.route.name == best and f"{scores[best]:.2f} dB" in chosen.route.reason
    expected = open_one(tiny_model if best == "tiny" else other_model)(mixture, RATE)
    found = routed(mixture, RATE)
    for name, samples in expected.items():
        np.testing.assert_array_equal(found[name], samples)


@pytest.mark.slow
def test_the_blocks_of_a_long_song_are_all_there_and_not_kept(tiny_model: Path, other_model: Path) -> None:
    read = []

    def blocks() -> Iterator[FloatArray]:
        for number in range(100):
            read.append(number)
            yield np.full((1, RATE), 0.001 * (number + 1), np.float32)

    routed = open_both(tiny_model, other_model, compared=["tiny", "other"])
    chosen = routed.route(blocks(), sample_rate=RATE, n_channels=1)
    assert len(read) == 60
    firsts = [float(block[0, 0]) for block in chosen.blocks]
    assert firsts == pytest.approx([0.001 * (number + 1) for number in range(100)])


def name_as(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(StyleMeter, "finish", lambda _: Style(name, {name: 0.9}))


@pytest.mark.slow
def test_a_style_goes_before_a_comparison(
    tiny_model: Path, other_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mixture = make_noise(2, RATE)
    routed = open_both(tiny_model, other_model, styles={"produced": "other"})
    name_as(monkeypatch, "produced")
    route = routed.route([mixture], sample_rate=RATE, n_channels=2).route
    assert route is not None and route.name == "other" and "produced music" in route.reason
    assert route.to_dict()["style"]["name"] == "produced" and route.scores_db == {}
    name_as(monkeypatch, "acoustic")
    route = routed.route([mixture], sample_rate=RATE, n_channels=2).route
    assert route is not None and (route.name, route.reason) == ("tiny", "no route for acoustic music")


def test_silence_goes_to_the_first(tiny_model: Path, other_model: Path) -> None:
    routed = open_both(tiny_model, other_model, compared=["tiny", "other"])
    route = routed.route([np.zeros((1, RATE), np.float32)], sample_rate=RATE, n_channels=1).route
    assert route is not None and route.name == "tiny" and "silent" in route.reason


def test_a_song_that_is_not_audio_is_refused_as_without_a_route(tiny_model: Path, other_model: Path) -> None:
    plain = open_one(tiny_model)
    routed = open_both(tiny_model, other_model, compared=["tiny", "other"])
    damaged = make_noise(2, 5 * RATE)
    damaged[1, 3 * RATE] = np.nan
    songs: list[tuple[list[FloatArray], int, int]] = [
        ([make_noise(2, RATE)], 0, 2),
        ([make_noise(2, RATE)], RATE, 0),
        ([make_noise(2, RATE)], RATE, 1025),
        ([make_noise(1, RATE)], RATE, 2),
        ([damaged[:, :RATE], damaged[:, RATE:]], RATE, 2),
        ([], RATE, 2),
    ]
    for blocks, sample_rate, n_channels in songs:
        problems = []
        for separator in (plain, routed):
            with pytest.raises(AudioError) as problem:
                list(separator.stream(blocks, sample_rate=sample_rate, n_channels=n_channels))
            problems.append(str(problem.value))
        assert problems[0] == problems[1]


def test_stems_are_complete_if_those_of_all_candidates_are(tiny_model: Path, other_model: Path) -> None:
    whole = open_both(tiny_model, other_model)
    assert whole.is_complete
    OutputSettings(Path(), format="stem.mp4").check_stems(whole)
    keywords = SeparatorKeywords(device="cpu", stems=["vocals"])
    assert not open_routed(keywords, [str(tiny_model), str(other_model)]).is_complete
    assert repr(whole).startswith("<RoutedSeparator vocals, drums, bass, other with tiny, other on cpu")


def test_candidates_are_models_and_presets(tiny_model: Path, other_model: Path) -> None:
    keywords = SeparatorKeywords(device="cpu")
    routed = open_routed(keywords, [str(tiny_model), str(other_model)])
    assert {info.name for info in routed.models} == {"tiny", "other"}
    assert routed.stems == ("vocals", "drums", "bass", "other") and routed.routes is not None
    again = pickle.loads(pickle.dumps(routed))
    assert again.routes == routed.routes
    with open_routed(keywords, styles={"produced": "fast"}) as by_style:
        assert list(by_style.routes["candidates"]) == ["default", "fast"]  # type: ignore[index]


def test_a_preset_of_a_route_has_the_models_and_the_licences_that_it_asks_for(
    tiny_model: Path, tmp_path: Path, own_folders: Path
) -> None:
    registry = Registry(tmp_path / "elsewhere")
    for name, licence in (("mine", "MIT"), ("theirs", "CC-BY-NC-4.0")):
        path = write_model(tmp_path / f"{name}.onnx", make_spec(name=name, licence=licence))
        add_model(registry, find_candidate(path))
    write_presets(
        own_folders,
        '[named]\nmodels = ["mine"]\ncommercial_only = true\n'
        '[paid]\nmodels = ["theirs"]\ncommercial_only = true\n',
    )
    keywords = SeparatorKeywords(device="cpu")
    routed = open_routed(keywords, ["named", str(tiny_model)], registry=registry)
    assert [info.name for info in routed.models] == ["mine", "tiny"]
    with pytest.raises(LicenceError, match="theirs"):
        open_routed(keywords, ["paid", str(tiny_model)], registry=registry)


def write_presets(own_folders: Path, text: str) -> None:
    (own_folders / "config").mkdir(exist_ok=True)
    (own_folders / "config" / "presets.toml").write_text(text, encoding="utf-8")


def open_mine(tiny_model: Path, own_folders: Path, settings: str, **keywords: Any) -> RoutedSeparator:
    """Open a model and a preset of it with the settings."""
    write_presets(own_folders, f"[mine]\nmodels = ['{tiny_model.as_posix()}']\n{settings}\n")
    return open_routed(SeparatorKeywords(device="cpu", **keywords), [str(tiny_model), "mine"])


@pytest.mark.parametrize(
    "setting",
    ["wiener = 1", "shifts = 2", "transpositions = 2", "overlap = 0.25", "before = 'hpss'", "int8 = true"],
)
def test_the_key_of_a_song_has_the_settings_of_every_candidate(
    tiny_model: Path, own_folders: Path, setting: str
) -> None:
    def key(text: str) -> str:
        with open_mine(tiny_model, own_folders, text) as routed:
            return Provenance.of(routed, OutputSettings(Path())).key({}, routed.stems)

    assert key(setting) == key(setting) != key("")


def test_the_routes_of_models_are_recorded_as_in_earlier_versions(
    tiny_model: Path, own_folders: Path
) -> None:
    names = {"candidates", "compared", "styles"}
    with open_mine(tiny_model, own_folders, "", wiener=2) as alike:
        assert alike.routes.keys() == names
    with open_mine(tiny_model, own_folders, "stems = ['other', 'bass', 'drums', 'vocals']") as ordered:
        assert ordered.routes.keys() == names
    with open_mine(tiny_model, own_folders, "wiener = 1") as changed:
        assert changed.routes["settings"] == {"mine": {"wiener": 1}}


@pytest.mark.slow
def test_a_changed_preset_of_a_route_is_separated_again(
    tiny_model: Path, own_folders: Path, tmp_path: Path
) -> None:
    song = make_song(tmp_path / "song.wav", seconds=0.2)

    def run(setting: str) -> Status:
        with open_mine(tiny_model, own_folders, setting) as routed:
            return resume(routed, song, tmp_path / "out").status

    assert run("wiener = 1") is Status.DONE
    assert run("wiener = 1") is Status.SKIPPED
    assert run("wiener = 2") is Status.DONE
    assert run("") is Status.DONE
    assert run("") is Status.SKIPPED


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[mine]\nweiner = 1", "presets.toml: mine: unknown field 'weiner'; did you mean 'wiener'?"),
        ("[mine]\nwiener = true", "presets.toml: mine: wiener is True; it must be a whole number"),
        ("[mine]\nwiener = 99", "presets.toml: mine: wiener is 99"),
        ("[mine]\nbatch = 0", "presets.toml: mine: batch is 0"),
        ("[mine]\nweights = { vocals = [0, 0] }", "presets.toml: mine: the weights of 'vocals'"),
        ("[mine\n", "presets.toml: not a TOML file"),
    ],
)
def test_an_invalid_preset_of_a_route_is_named_with_its_file(
    tiny_model: Path, own_folders: Path, text: str, reason: str
) -> None:
    write_presets(own_folders, text)
    with pytest.raises((SettingsError, ModelError)) as problem:
        open_routed(SeparatorKeywords(device="cpu"), ["mine", str(tiny_model)])
    assert reason in str(problem.value)


def test_a_candidate_that_is_neither_model_nor_preset_has_the_nearest_of_both(
    tiny_model: Path, own_folders: Path
) -> None:
    write_presets(own_folders, "[broken]\nweiner = 1")
    with pytest.raises(SettingsError) as problem:
        open_routed(SeparatorKeywords(device="cpu"), ["fsat", str(tiny_model)])
    assert "there is no model 'fsat'" in str(problem.value)
    assert "; nor a preset; did you mean 'fast'? There are: broken, fast" in str(problem.value)


def test_candidates_that_do_not_fit_are_refused(tiny_model: Path, vocals_model: Path) -> None:
    keywords = SeparatorKeywords(device="cpu")
    with pytest.raises(SettingsError, match="only"):
        open_routed(keywords, [str(tiny_model)])
    with pytest.raises(SettingsError, match="needs models with the same"):
        open_routed(keywords, [str(tiny_model), str(vocals_model)])
    with pytest.raises(SettingsError, match="no model 'nothing'"):
        open_routed(keywords, [str(tiny_model), "nothing"])
    with pytest.raises(SettingsError, match="no style 'polka'"):
        open_routed(keywords, styles={"polka": "fast"})
