"""Records: read where they lie, first in every table, in no mean with other sources."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

pytest.importorskip("torch")

from stemsplit.errors import StemsplitError
from stemsplit.training import SAMPLE_RATE, TARGETS
from stemsplit.training.evaluation.baseline import baseline_estimates, oracle_estimates
from stemsplit.training.evaluation.records import add_record_scores, load_records
from stemsplit.training.evaluation.report import Evaluation
from stemsplit.training.evaluation.scores import (
    Score,
    all_sources_of,
    load_scores,
    mean_of_records,
    save_scores,
    summary,
)
from stemsplit.training.evaluation.validation import ValidationCase, collect_cases, score_cases


def write_records(folder: Path, names: tuple[str, ...] = ("00", "01"), rate: int = 48000) -> Path:
    """Songs of a second with stems of noise, the voice in mono and a little shorter."""
    rng = np.random.default_rng(0)
    for name in names:
        song = folder / "records" / name
        song.mkdir(parents=True)
        for target in TARGETS:
            n_samples, n_channels = (rate - 500, 1) if target == "vocals" else (rate, 2)
            noise = rng.normal(0, 0.1, (n_samples, n_channels))
            soundfile.write(song / f"{target}.flac", noise, rate)
    return folder


def test_records_are_read_whole_at_the_rate_of_the_training(tmp_path: Path) -> None:
    one, two = load_records(write_records(tmp_path))
    assert (one.name, one.source, one.known, one.targets) == ("00", "records", TARGETS, TARGETS)
    assert two.stems.shape == (4, 2, SAMPLE_RATE)
    np.testing.assert_array_equal(one.stems[0, 0], one.stems[0, 1])
    assert not one.stems[0, :, -100:].any() and one.stems[1, :, -100:].any()
    assert load_records(None) == []


def test_records_that_are_not_there_or_lack_a_stem_are_errors(tmp_path: Path) -> None:
    with pytest.raises(StemsplitError, match="holds no records"):
        load_records(tmp_path)
    folder = write_records(tmp_path)
    (folder / "records" / "01" / "bass.flac").unlink()
    with pytest.raises(StemsplitError, match=r"01 must hold one audio file called bass"):
        load_records(folder)
    (folder / "records" / "01" / "bass.flac").write_bytes(b"no audio")
    with pytest.raises(StemsplitError, match=r"bass\.flac"):
        load_records(folder)


def test_records_come_first_and_judge_without_other_songs(tmp_path: Path) -> None:
    records = load_records(write_records(tmp_path))
    assert collect_cases([], excerpt_s=1, n_excerpts=1, records=records) == records
    with pytest.raises(StemsplitError, match="violin"):
        collect_cases([], excerpt_s=1, n_excerpts=1, targets=("violin",), records=records)


@pytest.fixture
def judged(tmp_path: Path) -> dict[str, list[Score]]:
    """Scores of two records and of the same music as the funk song and the album."""
    records = load_records(write_records(tmp_path))
    others = [replace(records[0], source="album"), replace(records[1], source="mdn-funk")]
    cases: list[ValidationCase] = [*others, *records]
    oracle, baseline = score_cases(cases, oracle_estimates), score_cases(cases, baseline_estimates)
    softer = score_cases(
        cases, lambda case: 0.5 * oracle_estimates(case) if case.source == "records" else case.stems
    )
    return {"model": softer, "baseline": baseline, "oracle": oracle}


@pytest.mark.slow
def test_the_mean_of_records_is_theirs_alone(judged: dict[str, list[Score]]) -> None:
    figures = summary(judged["model"])
    assert next(iter(figures)) == "records mean"
    own = [score.sdr_db for score in judged["model"] if score.source == "records"]
    assert figures["records mean"] == pytest.approx(np.mean(own)) == mean_of_records(judged["model"])
    # the others' estimates are their references
    assert figures["average"] > 60 > figures["records mean"]
    others = [score for score in judged["model"] if score.source != "records"]
    assert math.isnan(mean_of_records(others)) and "records mean" not in summary(others)


def test_tables_begin_with_records_and_their_mean(judged: dict[str, list[Score]]) -> None:
    lines = Evaluation(judged).table().splitlines()
    assert all(line.startswith("| records |") for line in lines[2:6])
    assert lines[6].startswith("| **records** | **mean** |") and lines[7].startswith("| album |")
    mean = f"{mean_of_records(judged['model']):.2f}"
    assert f"| **{mean}** |" in lines[6]
    assert not any("mean of real sources" in line for line in lines)
    assert "mean of other real sources" in lines[-7]
    assert len({line.count("|") for line in lines}) == 1
    assert all_sources_of(judged["model"]) == ("records", "album", "mdn-funk")


@pytest.mark.slow
def test_scores_without_records_get_those_of_the_model_once(
    judged: dict[str, list[Score]], tiny_model: Path, tmp_path: Path
) -> None:
    path, kept = tmp_path / "scores.json", tmp_path / "kept.json"
    others = {way: [score for score in each if score.source != "records"] for way, each in judged.items()}
    save_scores(others, path)
    records = load_records(tmp_path)
    add_record_scores(path, tiny_model, records, kept=kept)
    found = load_scores(path)
    assert kept.exists()
    for way in ("model", "baseline", "oracle"):
        assert [score.source for score in found[way]][:8] == ["records"] * 8
        assert len(found[way]) == len(others[way]) + 8
    model_db, oracle_db = (mean_of_records(found[way]) for way in ("model", "oracle"))
    assert model_db < oracle_db  # its weights are random
    add_record_scores(path, tiny_model, records, kept=kept)
    assert len(load_scores(path)["model"]) == len(found["model"])
