"""Two-source experiments: examples and validation cases of a target and its accompaniment."""

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")

from stemsplit.training import TARGETS
from stemsplit.training.data.rendered_stem import RenderedStem
from stemsplit.training.data.songs import load_songs, save_song
from stemsplit.training.evaluation import cases as cases_module
from stemsplit.training.evaluation.cases import cases_of_targets
from stemsplit.training.evaluation.validation import ValidationCase
from stemsplit.training.examples.accompaniment import is_two_source, make_remixer, sum_accompaniment
from stemsplit.training.examples.settings import RemixSettings
from tests.support.tiny_trainings import make_remixer as make_plain_remixer
from tests.support.tiny_trainings import write_songs


def test_the_accompaniment_is_all_the_rest() -> None:
    stems = np.arange(8, dtype=np.float32).reshape(4, 2)
    np.testing.assert_array_equal(sum_accompaniment(stems, "drums"), [[2, 3], [10, 13]])
    assert is_two_source(("drums", "accompaniment")) and not is_two_source(TARGETS)


def test_cases_are_those_in_which_the_target_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    stems = np.random.default_rng(0).normal(size=(4, 2, 10)).astype(np.float32)
    found = [ValidationCase("a", "s", "a", stems, TARGETS), ValidationCase("b", "s", "b", stems, ("vocals",))]
    monkeypatch.setattr(cases_module, "collect_cases", lambda *_, **__: found)
    assert [case.name for case in cases_of_targets([], targets=("vocals", "accompaniment"))] == ["a", "b"]
    (case,) = cases_of_targets([], targets=("drums", "accompaniment"))
    assert case.known == case.targets == ("drums", "accompaniment")
    np.testing.assert_allclose(case.mixture, stems.sum(0), atol=1e-6)
    assert cases_of_targets([], targets=TARGETS) == found


def test_examples_are_those_of_all_stems_summed(tmp_path: Path) -> None:
    songs = load_songs(write_songs(tmp_path))
    settings = RemixSettings(n_samples=3072 * 9)
    found = make_remixer(songs, settings, seed=1, targets=("bass", "accompaniment")).example(3)
    plain = make_plain_remixer(tmp_path).example(3)
    np.testing.assert_allclose(found.stems[0], plain.stems[2])
    np.testing.assert_allclose(found.stems.sum(0), plain.stems.sum(0), atol=1e-6)
    assert found.known.tolist() == [plain.known[2]] * 2
    assert make_remixer(songs, settings, seed=1, targets=TARGETS).example(3).stems.shape[0] == 4


@pytest.mark.parametrize("unknown", [0.0, 0.6])
def test_whole_songs_whose_stems_are_unknown_are_drawn_where_asked_for(
    tmp_path: Path, unknown: float
) -> None:
    folder = write_songs(tmp_path)
    noise = np.random.default_rng(0).normal(0, 0.1, (2, 20_000)).astype(np.float32)
    whole = {"vocals+drums+bass+other": RenderedStem(noise)}
    save_song(folder, "record", whole, split="train", kind="added", dataset="records", licence="CC0-1.0")
    settings = RemixSettings(n_samples=8000, unknown=unknown)
    remixer = make_remixer(load_songs(folder), settings, seed=1, targets=("drums", "accompaniment"))
    examples = [remixer.example(number) for number in range(40)]
    assert ("unknown" in remixer.example_kinds) == bool(unknown)
    mixtures = [example.stems.sum(0) for example in examples if not example.known.any()]
    assert len(mixtures) == pytest.approx(40 * unknown, abs=8)
    assert all(np.abs(mixture).max() > 0 for mixture in mixtures)
