"""Validation cases, baseline, oracle and the card's table."""

import contextlib
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")

from stemsplit import separate
from stemsplit.errors import ModelError, StemsplitError
from stemsplit.training import SAMPLE_RATE, TARGETS
from stemsplit.training.data.rendered_stem import RenderedStem
from stemsplit.training.data.songs import TrainingSong, load_songs, save_song
from stemsplit.training.evaluation.baseline import baseline_estimates, oracle_estimates, reference_scores
from stemsplit.training.evaluation.candidates import open_candidate
from stemsplit.training.evaluation.report import Evaluation
from stemsplit.training.evaluation.scores import Score, load_scores, summary
from stemsplit.training.evaluation.validation import (
    ValidationCase,
    collect_cases,
    network_estimates,
    score_cases,
)
from stemsplit.training.examples.remix import Remixer
from stemsplit.training.examples.settings import RemixSettings
from stemsplit.training.fit.presets import find_preset
from stemsplit.training.networks.bandsplit import BandSplit
from tests.support.tiny_models import make_spec, write_model


def make_stems(rng: np.random.Generator, length_s: float = 2.0) -> dict[str, np.ndarray]:
    n_samples = round(length_s * SAMPLE_RATE)
    time = np.arange(n_samples) / SAMPLE_RATE
    clicks = rng.normal(0, 0.3, (2, n_samples)) * (time * 4 % 1 < 0.02)
    sounds = {
        "vocals": 0.1 * np.sin(2 * np.pi * 700 * time),
        "drums": clicks,
        "bass": 0.2 * np.sin(2 * np.pi * 80 * time),
        "other": 0.1 * np.sin(2 * np.pi * 9000 * time),
    }
    return {name: np.broadcast_to(sound, (2, n_samples)).astype(np.float32) for name, sound in sounds.items()}


@pytest.fixture
def cases(tmp_path: Path) -> list[ValidationCase]:
    rng = np.random.default_rng(0)
    stems = {target: RenderedStem(stem) for target, stem in make_stems(rng).items()}
    save_song(tmp_path, "multitrack-mdn-funk", stems, split="valid", kind="multitrack")
    save_song(tmp_path, "multitrack-x", stems, split="valid", kind="multitrack")
    save_song(tmp_path, "train", stems, split="train", kind="multitrack")
    save_song(tmp_path, "voice", {"vocals": stems["vocals"]}, split="valid", kind="singing")
    save_song(tmp_path, "music", {"drums+bass+other": stems["drums"]}, split="valid", kind="backing")
    return collect_cases(load_songs(tmp_path), excerpt_s=1.0, n_excerpts=2)


def test_cases_come_from_validation_songs_only(cases: list[ValidationCase]) -> None:
    assert [case.source for case in cases] == ["mdn-funk", "mdn-funk", "album", "album", "pjs"]
    assert not any(case.name.startswith("train") for case in cases)
    assert cases[-1].known == ("vocals",)
    assert all(case.stems.shape == (4, 2, SAMPLE_RATE) for case in cases)


def test_without_validation_songs_there_is_an_error() -> None:
    with pytest.raises(StemsplitError, match="prepare"):
        collect_cases([], excerpt_s=1, n_excerpts=1)


def test_the_baseline_separates_easy_sounds_and_adds_up(cases: list[ValidationCase]) -> None:
    estimates = baseline_estimates(cases[0])
    np.testing.assert_allclose(estimates.sum(0), cases[0].mixture, atol=1e-4)
    scores = summary(score_cases(cases[:1], baseline_estimates))
    assert scores["mdn-funk bass"] > 3 and scores["mdn-funk drums"] > 0


def test_the_oracle_is_better_than_the_baseline(cases: list[ValidationCase]) -> None:
    oracle, baseline = (summary(score_cases(cases, way)) for way in (oracle_estimates, baseline_estimates))
    assert oracle["average"] > baseline["average"] + 3


def test_a_networks_estimates_sum_to_the_mixture(cases: list[ValidationCase]) -> None:
    estimates = network_estimates(BandSplit(n_features=8, n_layers=1).eval())(cases[0])
    np.testing.assert_allclose(estimates.sum(0), cases[0].mixture, atol=1e-4)


def test_references_are_made_once(cases: list[ValidationCase], tmp_path: Path) -> None:
    path = tmp_path / "reference.json"
    first = reference_scores(cases[:2], path)
    changed = path.stat().st_mtime_ns
    again = reference_scores(cases[:2], path)
    assert path.stat().st_mtime_ns == changed
    assert [s.sdr_db for s in first["oracle"]] == [s.sdr_db for s in again["oracle"]]
    reference_scores(cases[:1], path)
    assert {score.case for score in load_scores(path)["oracle"]} == {cases[0].name}


def test_damaged_references_are_made_anew(cases: list[ValidationCase], tmp_path: Path) -> None:
    path = tmp_path / "reference.json"
    whole = reference_scores(cases[:1], path)
    for damage in ('{"baseline": [', "{}", "[]", '{"oracle": [{"mood": 1}]}'):
        path.write_text(damage, encoding="utf-8")
        with contextlib.suppress(StemsplitError):
            assert "model" not in load_scores(path)
        assert reference_scores(cases[:1], path) == whole


def test_estimates_that_are_no_numbers_are_no_scores(cases: list[ValidationCase]) -> None:
    spoilt = cases[0].stems.copy()
    spoilt[1, 0, 5] = np.nan
    with pytest.raises(StemsplitError, match="not finite"):
        score_cases(cases[:1], lambda _: spoilt)


def test_a_short_song_is_one_case_however_many_are_wanted(tmp_path: Path) -> None:
    stems = {target: RenderedStem(stem) for target, stem in make_stems(np.random.default_rng(0)).items()}
    save_song(tmp_path, "valid", stems, split="valid", kind="multitrack")
    assert len(collect_cases(load_songs(tmp_path), excerpt_s=1000, n_excerpts=3)) == 1
    assert len(collect_cases(load_songs(tmp_path), excerpt_s=0.5, n_excerpts=3)) == 3


def test_a_table_of_virtual_songs_alone_has_no_mean_of_real_ones(cases: list[ValidationCase]) -> None:
    case = replace(cases[0], source="render")
    scores = reference_scores_of(case)
    table = Evaluation(scores | {"model": scores["oracle"]}).table()
    assert "mean of all sources" in table and "real sources" not in table


def reference_scores_of(case: ValidationCase) -> dict[str, list[Score]]:
    return {
        "baseline": score_cases([case], baseline_estimates),
        "oracle": score_cases([case], oracle_estimates),
    }


def test_references_are_made_anew_for_other_songs_of_the_same_name(
    cases: list[ValidationCase], tmp_path: Path
) -> None:
    path = tmp_path / "reference.json"
    first = reference_scores(cases[:1], path)["oracle"]
    changed = replace(cases[0], stems=cases[0].stems * np.float32([1, 2, 1, 1])[:, None, None])
    again = reference_scores([changed], path)["oracle"]
    assert all(abs(a.sdr_db - b.sdr_db) > 0.1 for a, b in zip(first, again, strict=True))


def test_songs_that_training_may_have_heard_are_never_judged(tmp_path: Path) -> None:
    """Only what was trained without multitracks is judged on those for training."""
    stems = {target: RenderedStem(stem) for target, stem in make_stems(np.random.default_rng(0)).items()}
    for name, kind, maker in (
        ("a", "multitrack", "band"),
        ("b", "multitrack", "known"),
        ("c", "render", ""),
        ("d", "performance", "known"),
    ):
        save_song(tmp_path, name, stems, split="train", kind=kind, maker=maker)
    save_song(tmp_path, "valid", stems, split="valid", kind="multitrack", maker="band")
    songs = load_songs(tmp_path)

    def found(*without: str) -> list[tuple[str, str]]:
        cases = collect_cases(songs, excerpt_s=1, n_excerpts=1, without=without)
        return [(case.song, case.source) for case in cases]

    assert found() == found("backing", "mastering") == [("valid", "album")]
    # "b" is by someone whose other music the training still hears
    assert found("multitracks") == [("valid", "album"), ("a", "album-unseen")]
    assert not any("album-unseen" in key for key in summary(unseen_scores(songs)))


def unseen_scores(songs: list[TrainingSong]) -> list[Score]:
    cases = collect_cases(songs, excerpt_s=1, n_excerpts=1, without=("multitracks",))
    scores = score_cases(cases, oracle_estimates)
    assert any(score.source == "album-unseen" for score in scores)
    return scores


@pytest.mark.slow
def test_without_multitracks_none_is_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stems = {target: RenderedStem(stem) for target, stem in make_stems(np.random.default_rng(0)).items()}
    save_song(tmp_path, "album", stems, split="train", kind="multitrack")
    save_song(tmp_path, "render", stems, split="train", kind="render")
    heard = set()
    read = TrainingSong.read
    monkeypatch.setattr(TrainingSong, "read", lambda song, *rest: heard.add(song.kind) or read(song, *rest))
    for without, expected in (((), {"multitrack", "render"}), (("multitracks",), {"render"})):
        heard.clear()
        remixer = Remixer(load_songs(tmp_path), RemixSettings(n_samples=4096, without=without), seed=0)
        for number in range(20):
            remixer.example(number)
        assert heard == expected


def test_a_model_file_is_judged_by_the_packages_own_inference(
    tiny_model: Path, cases: list[ValidationCase]
) -> None:
    estimates = open_candidate(tiny_model, threads=1).separate(cases[0])
    expected = separate(cases[0].mixture, SAMPLE_RATE, models=[tiny_model], device="cpu", threads=1)
    # another number of threads adds up in another order
    np.testing.assert_array_equal(estimates, np.stack([expected[target] for target in TARGETS]))
    filtered = open_candidate(tiny_model, threads=1, wiener=1).separate(cases[0])
    assert np.abs(filtered - estimates).max() > 1e-4
    shifted = open_candidate(tiny_model, threads=1, shifts=2).separate(cases[0])
    assert np.abs(shifted - estimates).max() > 1e-4


def test_models_judged_together_are_an_ensemble(
    tiny_model: Path, tmp_path: Path, cases: list[ValidationCase]
) -> None:
    other = write_model(tmp_path / "other.onnx", make_spec(name="other"), seed=5)
    one, two = (open_candidate(path, threads=1).separate(cases[0]) for path in (tiny_model, other))
    both = open_candidate(tiny_model, threads=1, others=[other]).separate(cases[0])
    assert np.abs(one - two).max() > 1e-3
    np.testing.assert_allclose(both, (one + two) / 2, atol=1e-5)


def test_only_models_of_all_targets_and_unfiltered_runs_are_judged(
    vocals_model: Path, tmp_path: Path
) -> None:
    with pytest.raises(ModelError, match="separates vocals only"):
        open_candidate(vocals_model, threads=1)
    for setting in ({"wiener": 1}, {"shifts": 2}, {"transpositions": 2}, {"others": [vocals_model]}):
        with pytest.raises(
            StemsplitError,
            match=r"--wiener, --shifts, --transpositions and --with are for \.onnx models only",
        ):
            open_candidate(tmp_path, threads=1, **setting)


def test_a_silent_stem_is_said_as_leakage_and_in_no_mean(cases: list[ValidationCase]) -> None:
    stems = cases[0].stems.copy()
    stems[TARGETS.index("bass")] = 0
    case = ValidationCase("no bass", "album", "no bass", stems, TARGETS)
    scores = {score.target: score for score in score_cases([case], lambda _: stems * 0.5 + 1e-3)}
    assert math.isnan(scores["bass"].sdr_db) and scores["bass"].leakage_db < -20
    assert math.isnan(scores["drums"].leakage_db) and scores["drums"].sdr_db > 0
    assert "album bass" not in summary(list(scores.values()))


def test_the_table_has_a_line_for_every_source_and_target(cases: list[ValidationCase]) -> None:
    scores = {way: score_cases(cases, oracle_estimates) for way in ("model", "baseline", "oracle")}
    table = Evaluation(scores).table().splitlines()
    assert len({line.count("|") for line in table}) == 1
    assert sum(line.startswith("| album") for line in table) == 4
    assert sum(line.startswith("| pjs | vocals | 1 ") for line in table) == 1
    assert table[-1].startswith("| **mean of all sources** | **mean**")
    assert "drums of `album`" in Evaluation(scores).behind_baseline()  # the same estimates: not above
    assert Evaluation(scores).framewise_table() == ""


def test_the_framewise_table_counts_songs_and_frames(cases: list[ValidationCase]) -> None:
    slow = {"museval_sdr_db": 4.0, "museval_sir_db": 9.0, "museval_sar_db": 5.0, "n_frames": 7, "n_silent": 2}
    plain = score_cases(cases, oracle_estimates)
    judged = [replace(score, **slow) if score.target == "drums" else score for score in plain]
    table = Evaluation({"model": judged, "baseline": plain, "oracle": judged}).framewise_table().splitlines()
    assert table[2:] == [
        "| album | drums | 2 | 4.00 | 9.00 | 5.00 | - | 4.00 | 14 | 4 |",
        "| mdn-funk | drums | 2 | 4.00 | 9.00 | 5.00 | - | 4.00 | 14 | 4 |",
    ]
    assert len({line.count("|") for line in table}) == 1


def test_presets_make_networks() -> None:
    for name in ("cpu", "gpu"):
        preset = find_preset(name)
        assert preset.build().reach_frames <= 64  # four and a half seconds, as long as an example of cpu
        assert preset.remix().n_samples > preset.n_frames * 3072
    with pytest.raises(StemsplitError, match="nonsense"):
        find_preset("nonsense")
