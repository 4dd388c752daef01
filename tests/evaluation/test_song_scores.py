"""Scores of a song: which reference an estimate is compared with, and what has no figure."""

import json
import math

import numpy as np
import pytest

from stemsplit.errors import SettingsError
from stemsplit.evaluation.reference_song import SongAudio
from stemsplit.evaluation.report import EvaluationReport, SongScores
from stemsplit.evaluation.song_scores import StemScore, pair_stems, score_stems
from stemsplit.types import FloatArray


def make_song(*names: str, sample_rate: int = 8000, length_s: float = 2.0) -> SongAudio:
    rng = np.random.default_rng(0)
    stems = {
        name: rng.normal(0, 0.1, (1, round(length_s * sample_rate))).astype(np.float32) for name in names
    }
    return SongAudio(np.sum(list(stems.values()), axis=0), stems, sample_rate)


def same(one: FloatArray, other: FloatArray) -> bool:
    return bool(np.allclose(one, other, atol=1e-6))


def test_what_a_model_lacks_is_one_stem_estimated_by_the_rest_of_the_mixture() -> None:
    song = make_song("bass", "drums", "vocals")
    estimate = 0.9 * song.stems["vocals"]
    pairs = pair_stems(song, {"vocals": estimate})
    assert list(pairs) == ["vocals", "rest"]
    reference, rest = pairs["rest"]
    assert same(reference, song.stems["bass"] + song.stems["drums"]) and same(rest, song.mixture - estimate)
    assert list(pair_stems(song, {"vocals": estimate, "accompaniment": rest})) == ["vocals", "accompaniment"]
    assert list(pair_stems(song, {"vocals": estimate, "bass": estimate})) == ["bass", "vocals", "drums"]


def test_what_a_model_has_beyond_the_song_belongs_to_its_other() -> None:
    song = make_song("vocals", "other")
    given = {
        "vocals": song.stems["vocals"],
        "other": 0.5 * song.stems["other"],
        "piano": 0.5 * song.stems["other"],
    }
    pairs = pair_stems(song, given)
    assert list(pairs) == ["vocals", "other"] and same(*pairs["other"])


def test_stems_that_have_nothing_in_common_are_an_error() -> None:
    song = make_song("vocals", "other")
    with pytest.raises(SettingsError, match="violin"):
        pair_stems(song, {"violin": song.mixture})


def test_a_silent_stem_has_no_figure_and_costs_no_other_its_own() -> None:
    pytest.importorskip("museval")
    song = make_song("drums", "vocals")
    song.stems["silence"] = np.zeros_like(song.mixture)
    scores = {
        score.stem: score for score in score_stems(song, {**song.stems, "drums": 0.9 * song.stems["drums"]})
    }
    assert scores["silence"].sdr_db is None and scores["silence"].usdr_db is None
    assert scores["drums"].sdr_db == pytest.approx(20, abs=0.5)
    assert scores["drums"].usdr_db == pytest.approx(20, abs=0.1)
    assert (scores["drums"].n_frames, scores["drums"].n_silent) == (2, 0)


def test_references_without_high_frequencies_have_finite_filters() -> None:
    """Unrounded references would give an SIR and SAR of -52 and 0 dB here: filters of any size fit them."""
    pytest.importorskip("museval")
    song = make_song("drums", "vocals", sample_rate=16000)
    spectra = {name: np.fft.rfft(stem) for name, stem in song.stems.items()}
    for spectrum in spectra.values():
        spectrum[:, spectrum.shape[1] // 3 :] *= 1e-7
    stems = {name: np.fft.irfft(spectrum).astype(np.float32) for name, spectrum in spectra.items()}
    noise = np.random.default_rng(1).normal(0, 0.01, song.mixture.shape).astype(np.float32)
    estimates = {name: stem + noise + 0.1 * sum(stems.values()) for name, stem in stems.items()}
    scores = score_stems(SongAudio(sum(stems.values()), stems, 16000), estimates)
    assert all(score.sir_db is not None and score.sir_db > -5 for score in scores)
    assert all(score.sar_db is not None and score.sar_db > 1 for score in scores)


def make_report() -> EvaluationReport:
    def song(name: str, sdr_db: float | None) -> SongScores:
        return SongScores(name, "test", (StemScore("vocals", sdr_db, 1.0, 2.0, 3.0, 4.0, 6, 1),))

    scored = [song("a", 1.0), song("b", 9.0), song("c", 2.0), song("d", None)]
    return EvaluationReport([{"name": "m"}], {"wiener": 0}, scored, {"e": "broken"})


def test_medians_are_of_the_songs_that_have_a_figure() -> None:
    report = make_report()
    assert report.median("vocals", "sdr_db") == 2.0
    assert report.to_table().splitlines()[1].split() == [
        "vocals",
        "2.00",
        "1.00",
        "2.00",
        "3.00",
        "4.00",
        "4",
    ]
    found = json.loads(json.dumps(report.to_dict()))
    assert found["medians"]["vocals"]["sar_db"] == 3.0 and found["failed"] == {"e": "broken"}
    lines = report.to_csv().splitlines()
    assert lines[0].startswith("song,split,stem,sdr_db") and lines[4].startswith("d,test,vocals,,1.0")
    assert report.median("drums", "sdr_db") is None
    assert not math.isnan(report.median("vocals", "usdr_db") or math.nan)


def test_songs_of_one_name_in_two_splits_are_two() -> None:
    scores = tuple(StemScore("vocals", sdr_db, 1.0, 2.0, 3.0, 4.0, 6, 1) for sdr_db in (1.0,))
    songs = [SongScores("a", "train", scores), SongScores("a", "test", scores)]
    assert len(EvaluationReport([], {}, songs).values("vocals", "sdr_db")) == 2
