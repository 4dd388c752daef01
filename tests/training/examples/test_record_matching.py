"""Examples are moved toward the statistics of records: how far, and what stays."""

import csv
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")

from stemsplit.errors import StemsplitError
from stemsplit.training import SAMPLE_RATE, TARGETS
from stemsplit.training.data.rendered_stem import RenderedStem
from stemsplit.training.data.songs import load_songs, save_song
from stemsplit.training.data_commands import fit_records
from stemsplit.training.examples.record_matching import MatchSettings, match_levels, match_stem, measure
from stemsplit.training.examples.record_statistics import (
    FIGURES,
    PERCENTILES,
    RecordDistribution,
    StemStatistics,
    bundled_distribution,
)
from stemsplit.training.examples.remix import Remixer
from stemsplit.training.examples.settings import RemixSettings
from stemsplit.types import FloatArray

STAY = {"spectrum": (0.0, 0.0), "width": (0.0, 0.0), "dynamics": (0.0, 0.0)}


def noise(seed: int = 0, n_samples: int = 2 * SAMPLE_RATE) -> FloatArray:
    """A stem with sides, bands of every energy and an envelope."""
    rng = np.random.default_rng(seed)
    middle, side = rng.normal(0, (0.1, 0.03), (n_samples, 2)).T
    envelope = 1 + 0.8 * np.sin(np.arange(n_samples) * (2 * np.pi / SAMPLE_RATE))
    return np.asarray(np.stack([middle + side, middle - side]) * envelope, np.float32)


def record_like(stem: FloatArray, **changes: float) -> StemStatistics:
    """A record that differs from a stem in what is named: `side_db`, `frame_level_std_db` or one band."""
    found = measure(stem)
    bands_db = found.bands_db.copy()
    bands_db[6] += changes.get("band", 0.0)
    side_db = found.side_db + changes.get("side", 0.0)
    return StemStatistics(0.0, side_db, found.frame_level_std_db * changes.get("spread", 1.0), bands_db)


def energy(stem: FloatArray) -> float:
    return float(np.square(stem).sum())


@pytest.mark.parametrize(("share", "expected_db"), [(0.5, -4.0), (1.0, -8.0)])
def test_a_band_goes_the_drawn_part_of_the_way(share: float, expected_db: float) -> None:
    stem = noise()
    settings = MatchSettings(**{**STAY, "spectrum": (share, share)})
    moved = match_stem(np.random.default_rng(0), stem, record_like(stem, band=-8.0), settings)
    change = measure(moved).bands_db - measure(stem).bands_db
    # gains are interpolated between the middles of bands, so the neighbours go a little with it
    assert change[6] - change[0] == pytest.approx(expected_db, abs=0.4 * abs(expected_db))
    assert abs(change[2] - change[0]) < 0.3
    assert energy(moved) == pytest.approx(energy(stem), rel=1e-4)


@pytest.mark.parametrize("sign", [-1, 1])
def test_no_band_changes_by_more_than_is_allowed(sign: int) -> None:
    stem = noise()
    settings = MatchSettings(**{**STAY, "spectrum": (1.0, 1.0)}, spectrum_db=6.0, cut_db=6.0)
    record = record_like(stem, band=sign * 40.0)
    moved = match_stem(np.random.default_rng(0), stem, record, settings)
    change = measure(moved).bands_db - measure(stem).bands_db
    assert 3.0 < sign * (change[6] - change[0]) < 6.2


def test_a_steep_spectrum_reaches_that_of_the_record() -> None:
    spectrum = np.fft.rfft(noise())
    bins = np.arange(spectrum.shape[1]) / spectrum.shape[1] * SAMPLE_RATE / 2
    stem = np.asarray(np.fft.irfft(spectrum / np.maximum(bins / 100, 1) ** 2.5), np.float32)
    record = record_like(stem)
    tilt_db = np.array([0.0] * 4 + [-15.0] * 7)
    darker = StemStatistics(0.0, record.side_db, record.frame_level_std_db, record.bands_db + tilt_db)
    settings = MatchSettings(**{**STAY, "spectrum": (1.0, 1.0)})
    moved = measure(match_stem(np.random.default_rng(0), stem, darker, settings))
    # the gains of one pass leave 4.5 dB
    np.testing.assert_allclose(moved.bands_db - darker.bands_db, 0, atol=2.0)


def test_a_band_of_next_to_nothing_is_hardly_raised() -> None:
    spectrum = np.fft.rfft(noise())
    spectrum[:, round(16000 / SAMPLE_RATE * noise().shape[1]) :] *= 1e-4
    stem = np.asarray(np.fft.irfft(spectrum), np.float32)
    found = measure(stem)
    assert found.bands_db[-1] < -60
    wanted = StemStatistics(0.0, found.side_db, found.frame_level_std_db, found.bands_db + 30)
    settings = MatchSettings(**{**STAY, "spectrum": (1.0, 1.0)})
    record = StemStatistics(0.0, 0.0, 0.0, np.where(found.bands_db < -60, wanted.bands_db, found.bands_db))
    moved = match_stem(np.random.default_rng(0), stem, record, settings)
    assert measure(moved).bands_db[-1] - found.bands_db[-1] < 3.2


@pytest.mark.parametrize(("wanted_db", "reached_db"), [(-6.0, -6.0), (5.0, 5.0), (30.0, 8.0), (-30.0, -8.0)])
def test_the_side_goes_to_that_of_the_record_within_bounds(wanted_db: float, reached_db: float) -> None:
    stem = noise()
    settings = MatchSettings(**{**STAY, "width": (1.0, 1.0)})
    moved = match_stem(np.random.default_rng(0), stem, record_like(stem, side=wanted_db), settings)
    assert measure(moved).side_db - measure(stem).side_db == pytest.approx(reached_db, abs=0.1)
    assert energy(moved) == pytest.approx(energy(stem), rel=1e-4)


def test_a_stem_without_sides_gets_none() -> None:
    mono = np.repeat(noise()[:1], 2, 0)
    settings = MatchSettings(**{**STAY, "width": (1.0, 1.0)})
    moved = match_stem(np.random.default_rng(0), mono, record_like(noise()), settings)
    np.testing.assert_array_equal(moved[0], moved[1])


@pytest.mark.parametrize(
    ("target", "side_db", "is_wide"),
    [
        ("vocals", -3, True),
        ("vocals", -37, False),
        ("bass", -12, True),
        ("drums", -9, True),
        ("other", -3, False),
    ],
)
def test_a_narrow_stem_is_widened_where_the_record_is_wide(
    target: str, side_db: float, is_wide: bool
) -> None:
    mono = np.repeat(noise()[:1], 2, 0)
    settings = MatchSettings(**{**STAY, "width": (1.0, 1.0)}, widened=1.0)
    record = StemStatistics(0.0, side_db, 1.0, measure(mono).bands_db)
    narrow = np.stack([mono[0], 0.95 * mono[1]])  # 32 dB
    moved = match_stem(np.random.default_rng(0), narrow, record, settings, target=target)
    assert (measure(moved).side_db > -20) is is_wide
    assert energy(moved) == pytest.approx(energy(narrow), rel=1e-4)


@pytest.mark.parametrize("factor", [0.5, 1.4])
def test_the_levels_of_frames_are_spread_or_drawn_together(factor: float) -> None:
    stem = noise()
    settings = MatchSettings(**{**STAY, "dynamics": (1.0, 1.0)}, dynamics_db=30.0)
    moved = match_stem(np.random.default_rng(0), stem, record_like(stem, spread=factor), settings)
    reached = measure(moved).frame_level_std_db / measure(stem).frame_level_std_db
    assert reached == pytest.approx(factor, rel=0.1)
    assert energy(moved) == pytest.approx(energy(stem), rel=1e-4)


def test_silence_stays_silence_and_short_stems_are_moved_too() -> None:
    record = bundled_distribution().draw(np.random.default_rng(0))["vocals"]
    silence = np.zeros((2, 4000), np.float32)
    for stem in (silence, noise(n_samples=7), noise(n_samples=4000)):
        moved = match_stem(np.random.default_rng(0), stem, record, MatchSettings())
        assert moved.shape == stem.shape and np.isfinite(moved).all()
        assert energy(moved) == pytest.approx(energy(stem), rel=1e-3)


def test_levels_are_those_of_the_record_and_the_mixture_keeps_its_energy() -> None:
    stems = np.stack([noise(seed) for seed in range(4)])
    stems[2] = 0
    levels_db = np.array([-3.0, -6.0, -5.0, -9.0])
    exact = MatchSettings(level_spread_db=0)
    moved = match_levels(np.random.default_rng(0), stems, levels_db, exact)
    reached = [10 * np.log10(energy(moved[place]) / energy(moved[0])) for place in (1, 3)]
    assert reached == pytest.approx([-3.0, -6.0], abs=1e-3)
    assert not moved[2].any()
    assert energy(moved) == pytest.approx(energy(stems), rel=1e-4)
    spread = [
        match_levels(np.random.default_rng(seed), stems, levels_db, MatchSettings())[0] for seed in range(60)
    ]
    assert np.std([10 * np.log10(energy(stem)) for stem in spread]) > 0.5


def test_a_pause_is_not_raised_to_the_level_of_a_record() -> None:
    stems = np.stack([noise(seed) for seed in range(3)])
    stems[1] *= 1e-4
    moved = match_levels(np.random.default_rng(0), stems, np.zeros(3), MatchSettings(raise_db=6.0))
    assert 10 * np.log10(energy(moved[1]) / energy(stems[1])) == pytest.approx(6.0, abs=1e-3)
    assert energy(moved[0]) == pytest.approx(energy(moved[2]), rel=0.9)


@pytest.mark.parametrize(
    "wrong",
    [
        {"spectrum": (0.5, 2.2)},
        {"width": (0.6, 0.5)},
        {"dynamics": (-0.1, 0)},
        {"width_db": -1.0},
        {"raise_db": -1.0},
        {"widened": 2},
    ],
)
def test_settings_that_cannot_be_are_errors(wrong: dict[str, object]) -> None:
    with pytest.raises(StemsplitError, match=next(iter(wrong))):
        MatchSettings(**wrong)  # type: ignore[arg-type]


def write_statistics(path: Path, n_records: int = 200, *, without: str = "") -> FloatArray:
    """Records whose drums are the louder the softer their voice is; returns the drums' levels."""
    rng = np.random.default_rng(0)
    columns = [figure for figure in FIGURES if figure != without]
    levels_db = rng.normal(-7, 2, n_records)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["number", "target", *columns])
        for number, level_db in enumerate(levels_db):
            for target in TARGETS:
                figures = dict.fromkeys(FIGURES, -20.0) | {"frame_level_std_db": 4.0}
                figures = {name: value + rng.normal(0, 1) for name, value in figures.items()}
                figures["level_db"] = {"drums": level_db, "vocals": -14 - level_db}.get(target, -8.0)
                writer.writerow([number, target, *(figures[name] for name in columns)])
    return np.asarray(levels_db)


@pytest.mark.slow
def test_draws_have_the_percentiles_and_correlations_of_what_was_fitted(tmp_path: Path) -> None:
    levels_db = write_statistics(tmp_path / "statistics.csv")
    fitted = RecordDistribution.fit(tmp_path / "statistics.csv")
    fitted.save(tmp_path / "fitted.csv")
    rng = np.random.default_rng(1)
    draws = [RecordDistribution.load(tmp_path / "fitted.csv").draw(rng) for _ in range(1500)]
    drums_db, vocals_db = (np.array([each[target].level_db for each in draws]) for target in TARGETS[1::-1])
    expected_db = np.percentile(levels_db, PERCENTILES)
    assert np.percentile(drums_db, PERCENTILES[1:-1]) == pytest.approx(expected_db[1:-1], abs=0.3)
    assert drums_db.min() >= expected_db[0] - 0.06 and drums_db.max() <= expected_db[-1] + 0.06
    assert np.corrcoef(drums_db, vocals_db)[0, 1] < -0.8
    assert abs(np.corrcoef(drums_db, [each["bass"].side_db for each in draws])[0, 1]) < 0.25


def test_the_command_fits_a_table(tmp_path: Path) -> None:
    write_statistics(tmp_path / "statistics.csv")
    fit_records(tmp_path / "statistics.csv", tmp_path / "fitted.csv")
    fitted = RecordDistribution.fit(tmp_path / "statistics.csv")
    np.testing.assert_allclose(
        RecordDistribution.load(tmp_path / "fitted.csv").correlations, fitted.correlations, atol=6e-4
    )


def test_statistics_that_cannot_be_fitted_are_errors(tmp_path: Path) -> None:
    path = tmp_path / "statistics.csv"
    with pytest.raises(StemsplitError, match=r"statistics\.csv"):
        RecordDistribution.fit(path)
    write_statistics(path, without="side_db")
    with pytest.raises(StemsplitError, match="side_db"):
        RecordDistribution.fit(path)
    write_statistics(path, n_records=3)
    with pytest.raises(StemsplitError, match="3 records"):
        RecordDistribution.fit(path)


def test_the_bundled_distribution_is_of_music() -> None:
    rng = np.random.default_rng(0)
    draws = [bundled_distribution().draw(rng) for _ in range(200)]
    medians = {target: np.median([each[target].bands_db for each in draws], 0) for target in TARGETS}
    assert medians["bass"][:3].max() > -5 and medians["bass"][6:].max() < -35
    assert medians["vocals"].argmax() in {3, 4, 5}
    assert np.median([each["other"].side_db for each in draws]) > np.median(
        [each["bass"].side_db for each in draws]
    )


@pytest.mark.slow
@pytest.mark.parametrize("matched", [0.0, 1.0])
def test_known_stems_of_examples_go_toward_records(tmp_path: Path, matched: float) -> None:
    stems = {target: RenderedStem(noise(seed)) for seed, target in enumerate(TARGETS)}
    save_song(tmp_path, "a", stems, split="train", kind="render")
    save_song(tmp_path, "b", {"drums+bass+other": stems["drums"]}, split="train", kind="backing")
    settings = RemixSettings(n_samples=44100, matched=matched, partial=0.0, master=0.0)
    remixer = Remixer(load_songs(tmp_path), settings, seed=1)
    highs = {True: [], False: []}
    for number in range(40):
        example = remixer.example(number)
        # white noise as bass has far too much above 4 kHz, in the place of `other` nobody knows better
        place = TARGETS.index("bass") if example.known.all() else TARGETS.index("other")
        if example.stems[place].any():
            highs[bool(example.known.all())].append(measure(example.stems[place]).bands_db[8])
    assert np.median(highs[False]) > -10
    assert (np.median(highs[True]) < -13) == bool(matched)
