"""The comparison at equal budget: rows, resumption, tables."""

import csv
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")

import torch
from typer.testing import CliRunner

from stemsplit.errors import StemsplitError
from stemsplit.training import SAMPLE_RATE, TARGETS
from stemsplit.training.__main__ import app
from stemsplit.training.data.rendered_stem import RenderedStem
from stemsplit.training.data.songs import TrainingSong, load_songs, save_song
from stemsplit.training.evaluation.ablation import (
    AblationResult,
    AblationTraining,
    Budget,
    Comparison,
    train_row,
)
from stemsplit.training.evaluation.ablation_rows import ROWS, AblationRow, find_rows
from stemsplit.training.evaluation.ablation_table import markdown, write_tables
from stemsplit.training.evaluation.candidates import open_candidate
from stemsplit.training.evaluation.scores import Score, load_scores
from stemsplit.training.evaluation.validation import (
    Separate,
    ValidationCase,
    collect_cases,
    network_estimates,
)
from stemsplit.training.fit.checkpoint import load_average, load_state
from stemsplit.training.fit.presets import find_preset
from stemsplit.training.fit.settings import OPTIMISERS, FitSettings

torch.set_num_threads(1)  # such small networks only lose by more

BUDGET = Budget(minutes=1e-4, excerpt_s=1.0, n_excerpts=1)
TINY = AblationRow("tiny", "cpu", {"n_features": 8, "n_layers": 1})


@pytest.fixture(scope="module")
def songs(tmp_path_factory: pytest.TempPathFactory) -> list[TrainingSong]:
    folder = tmp_path_factory.mktemp("songs")
    rng = np.random.default_rng(0)
    for split in ("train", "valid"):
        stems = {t: RenderedStem(rng.normal(0, 0.1, (2, SAMPLE_RATE)).astype(np.float32)) for t in TARGETS}
        save_song(folder, f"multitrack-{split}", stems, split=split, kind="multitrack")
        save_song(folder, f"render-{split}", stems, split=split, kind="render")
    return load_songs(folder)


class StubTrainer:
    """Trains nothing; remembers what it was asked, and breaks off when told to."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, bool]] = []
        self.is_interrupted = False

    def __call__(self, row: AblationRow, run: Path) -> tuple[AblationTraining, Separate]:
        run.mkdir(exist_ok=True, parents=True)
        checkpoint = run / "checkpoint.pt"
        self.asked.append((row.name, checkpoint.exists()))
        checkpoint.touch()
        if self.is_interrupted:
            raise KeyboardInterrupt
        return AblationTraining(1.0, 20, 1000, 0.5), lambda case: case.stems * 0.9


def test_a_finished_row_is_not_trained_again(songs: list[TrainingSong], tmp_path: Path) -> None:
    train = StubTrainer()
    rows = find_rows("bandsplit,without-backing")
    first = [Comparison(tmp_path, songs, BUDGET, train=train).run(row) for row in rows]
    again = [Comparison(tmp_path, songs, BUDGET, train=train).run(row) for row in rows]
    assert [name for name, _ in train.asked] == ["bandsplit", "without-backing"]
    assert [result.training for result in again] == [result.training for result in first]
    assert repr(again[0].scores) == repr(first[0].scores)  # NaN is like itself here
    assert first[0].scores[0].sdr_db == pytest.approx(20, abs=0.01)


def test_an_interrupted_row_goes_on_where_it_was(songs: list[TrainingSong], tmp_path: Path) -> None:
    train = StubTrainer()
    comparison = Comparison(tmp_path, songs, BUDGET, train=train)
    train.is_interrupted = True
    with pytest.raises(KeyboardInterrupt):
        comparison.run(ROWS[3])
    assert comparison.results() == []
    train.is_interrupted = False
    comparison.run(ROWS[3])
    assert train.asked == [(ROWS[3].name, False), (ROWS[3].name, True)]
    assert [result.row for result in comparison.results()] == [ROWS[3]]


def test_rows_of_another_budget_or_of_other_songs_are_refused(
    songs: list[TrainingSong], tmp_path: Path
) -> None:
    Comparison(tmp_path, songs, BUDGET)
    with pytest.raises(StemsplitError, match="minutes"):
        Comparison(tmp_path, songs, replace(BUDGET, minutes=2))
    with pytest.raises(StemsplitError, match="songs"):
        Comparison(tmp_path, songs[1:], BUDGET)


def test_rows_of_other_records_are_refused(songs: list[TrainingSong], tmp_path: Path) -> None:
    record = ValidationCase("a", "records", "a", np.zeros((4, 2, 100), np.float32), TARGETS)
    Comparison(tmp_path, songs, BUDGET, records=[record])
    Comparison(tmp_path, songs, BUDGET, records=[record])
    for others in ([], [replace(record, name="b")]):
        with pytest.raises(StemsplitError, match="a comparison with other records; name another folder"):
            Comparison(tmp_path, songs, BUDGET, records=others)


def test_a_row_of_other_settings_is_refused(songs: list[TrainingSong], tmp_path: Path) -> None:
    comparison = Comparison(tmp_path, songs, BUDGET, train=StubTrainer())
    comparison.run(TINY)
    with pytest.raises(StemsplitError, match="other settings"):
        comparison.run(replace(TINY, options={"n_features": 16, "n_layers": 1}))


@pytest.mark.slow
def test_only_rows_without_multitracks_are_judged_on_those_for_training(
    songs: list[TrainingSong], tmp_path: Path
) -> None:
    comparison = Comparison(tmp_path, songs, BUDGET, train=StubTrainer())
    rows = find_rows("baseline,bandsplit,without-backing,without-multitracks")
    unseen = {row.name: has_unseen(comparison.run(row).scores) for row in rows}
    assert unseen == {
        "baseline": True,
        "bandsplit": False,
        "without-backing": False,
        "without-multitracks": True,
    }


def has_unseen(scores: Sequence[Score]) -> bool:
    return any(score.source == "album-unseen" for score in scores)


@pytest.mark.slow
def test_a_row_is_really_trained(songs: list[TrainingSong], tmp_path: Path) -> None:
    training, separate = train_row(TINY, tmp_path / "run", songs, BUDGET)
    assert training.steps >= 1 and training.minutes >= BUDGET.minutes
    assert training.audio_h == pytest.approx(training.steps * 6 * 4.53 / 3600, rel=0.01)
    assert training.n_parameters > 1000
    result = Comparison(tmp_path, songs, BUDGET, train=lambda *_: (training, separate)).run(TINY)
    assert {score.target for score in result.scores} == set(TARGETS)


@pytest.mark.slow
@pytest.mark.parametrize("optimiser", OPTIMISERS)
def test_a_row_is_trained_by_its_optimiser(songs: list[TrainingSong], tmp_path: Path, optimiser: str) -> None:
    row = replace(TINY, fit={"optimiser": optimiser})
    train_row(row, tmp_path / "run", songs, BUDGET)
    state = load_state(tmp_path / "run" / "checkpoint.pt")
    assert state["settings"]["optimiser"] == optimiser
    assert len(state["optimisers"]) == {"adamw": 1, "muon": 2, "sgd": 1}[optimiser]
    assert f'"optimiser": "{optimiser}"' in markdown([AblationResult(row, AblationTraining(), [])], BUDGET)


@pytest.mark.slow
@pytest.mark.parametrize(("share", "folders"), [(0.5, ["joint", *TARGETS]), (1.0, TARGETS)])
def test_a_network_for_each_target_costs_the_same_minutes(
    songs: list[TrainingSong], tmp_path: Path, share: float, folders: Sequence[str]
) -> None:
    budget = replace(BUDGET, minutes=0.02)
    training, separate = train_row(replace(TINY, one_target=share), tmp_path, songs, budget)
    states = {name: load_state(tmp_path / name / "checkpoint.pt") for name in folders}
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(folders)
    assert sum(state["settings"]["budget_s"] for state in states.values()) == pytest.approx(1.2)
    assert training.steps == sum(state["step_number"] for state in states.values())
    assert training.n_parameters == 4 * sum(weight.numel() for weight in states["bass"]["average"].values())
    assert {states[name]["initial"] for name in TARGETS} == {"" if share == 1 else "checkpoint.pt"}
    for target in TARGETS:
        assert states[target]["network_options"]["target"] == target
    (case, *_) = collect_cases(songs, excerpt_s=1.0, n_excerpts=1)
    estimates = separate(case)
    for place, target in enumerate(TARGETS):
        own = network_estimates(load_average(tmp_path / target / "checkpoint.pt"))(case)
        np.testing.assert_array_equal(estimates[place], own[place])


@pytest.mark.slow
def test_what_was_heard_once_stays_heard(songs: list[TrainingSong], tmp_path: Path) -> None:
    """Or a run could be judged on songs that an earlier part of it was trained on."""
    left_out = replace(TINY, remix={"without": ("multitracks",)})
    train_row(left_out, tmp_path / "a", songs, BUDGET)
    assert open_candidate(tmp_path / "a", threads=1).without == ("multitracks",)
    train_row(TINY, tmp_path / "b", songs, BUDGET)
    with pytest.raises(StemsplitError, match="other ingredients"):
        train_row(left_out, tmp_path / "b", songs, BUDGET)
    assert open_candidate(tmp_path / "b", threads=1).without == ()


@pytest.mark.slow
def test_every_row_has_a_network_and_differs_from_the_others() -> None:
    assert len({row.name for row in ROWS}) == len(ROWS)
    settings = [
        (row.preset, row.one_target, dict(row.options), dict(row.remix), dict(row.fit))
        for row in ROWS
        if row.preset
    ]
    assert all(settings.count(each) == 1 for each in settings)
    for row in ROWS:
        if row.preset:
            preset = find_preset(row.preset)
            assert preset.build(**row.options).options.items() >= dict(row.options).items()
            replace(preset.remix(), **row.remix)
            FitSettings(budget_s=1, **row.fit)
    with pytest.raises(StemsplitError, match="nonsense"):
        find_rows("bandsplit,nonsense")


def make_result(name: str, sdr_db: float, *, sources: Sequence[str] = ("album", "render")) -> AblationResult:
    scores = [
        Score(source, f"{source} {number}", target, sdr_db + number, 3.0, 1.0, math.nan)
        for source in sources
        for target in ("vocals", "drums")
        for number in (0, 1)
    ]
    scores.append(Score("album", "album 0", "bass", math.nan, math.nan, math.nan, -20.0))
    (row,) = find_rows(name)
    return AblationResult(row, AblationTraining(10.0, 500, 1_750_000, 4.2), scores)


def test_the_tables_say_what_the_scores_say(tmp_path: Path) -> None:
    unseen = make_result("without-multitracks", 1.0, sources=("album", "album-unseen"))
    write_tables([make_result("bandsplit", 2.0), unseen], BUDGET, tmp_path)
    with (tmp_path / "comparison.csv").open(newline="", encoding="utf-8") as file:
        lines = list(csv.DictReader(file))
    assert [(line["source"], line["target"]) for line in lines if line["row"] == "bandsplit"] == [
        ("album", "vocals"),
        ("album", "drums"),
        ("album", "bass"),
        ("render", "vocals"),
        ("render", "drums"),
    ]
    assert lines[0]["sdr_db"] == "2.5" and lines[0]["improvement_db"] == "3.0" and lines[0]["steps"] == "500"
    assert (lines[2]["sdr_db"], lines[2]["leakage_db"], lines[2]["excerpts"]) == ("", "-20.0", "1")
    text = (tmp_path / "comparison.md").read_text(encoding="utf-8")
    assert text.count("| `bandsplit` | 2.50 (+3.00) | 2.50 (+3.00) | - | - | 2.50 (+3.00) |") == 2
    assert "one seed" in text
    section = text.split("`album-unseen`")[1].split("##")[0]
    assert "`without-multitracks`" in section and "`bandsplit`" not in section
    assert "| `bandsplit` | 10.0 | 500 | 1.75 | 4.20 |" in text


def test_a_mean_weighs_sources_alike_and_leaves_unseen_songs_out() -> None:
    result = make_result("without-multitracks", 0.0, sources=("album", "render", "album-unseen"))
    scores = [
        replace(s, sdr_db=s.sdr_db + {"album": 0, "render": 4, "album-unseen": 100}[s.source])
        for s in result.scores
    ]
    real, every = markdown([replace(result, scores=scores)], BUDGET).split("## All sources")
    assert "| 0.50 (+3.00) |" in real and "| 2.50 (+3.00) |" in every.split("## Songs")[0]


@pytest.fixture
def work(songs: list[TrainingSong], tmp_path: Path) -> Path:
    (tmp_path / "songs").symlink_to(songs[0].path.parent)
    return tmp_path


@pytest.mark.slow
def test_the_command_writes_and_publishes_the_tables(work: Path) -> None:
    out, docs = work / "first", work / "docs"
    command = ["compare", str(out), "--work", str(work), "--minutes", "1", "--publish", str(docs)]
    for row in ("oracle", "baseline"):  # a row a call
        result = CliRunner().invoke(app, [*command, "--rows", row])
        assert result.exit_code == 0, result.output
    text = (docs / "first.md").read_text(encoding="utf-8")
    assert text == (out / "comparison.md").read_text(encoding="utf-8")
    assert text.index("| `baseline` |") < text.index("| `oracle` |")
    assert (docs / "first.csv").read_text() == (out / "comparison.csv").read_text()


@pytest.mark.slow
def test_the_commands_judge_and_draw_a_model_file(work: Path, tiny_model: Path) -> None:
    common = [str(tiny_model), "--work", str(work), "--excerpt-s", "1", "--threads", "1"]
    result = CliRunner().invoke(
        app, ["evaluate", *common, "--excerpts", "1", "--wiener", "1", "--shifts", "2"]
    )
    assert result.exit_code == 0, result.output
    assert "| album | vocals | 1 |" in result.output
    scores = load_scores(work / "scores-tiny-wiener1-shifts2.json")
    assert {score.source for score in scores["model"]} == {"album", "render"}
    result = CliRunner().invoke(app, ["draw", common[0], str(work / "pictures"), *common[1:], "--cases", "1"])
    assert result.exit_code == 0, result.output
    drawn = sorted(path.name for path in (work / "pictures").iterdir())
    assert drawn == ["album-multitrack-valid-0-s.png", "render-render-valid-0-s.png"]
