"""Screening: passages and vocals in synthetic songs, found by a fake model."""

import csv
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import pytest
import soundfile
from typer.testing import CliRunner

pytest.importorskip("torch")

from stemsplit.errors import StemsplitError
from stemsplit.models.integrity import hash_file
from stemsplit.training import SAMPLE_RATE, TARGETS
from stemsplit.training.__main__ import app
from stemsplit.training.curation.activity import STEP_S, Activity, measure_activity
from stemsplit.training.curation.passages import Passage, VoiceActivity, active_share, find_passages
from stemsplit.training.curation.screening import Finding, Screening, minutes_of_music, write_report
from stemsplit.training.data.library import Item, Library
from stemsplit.training.data.recordings import collect_recordings
from stemsplit.training.data.songs import TrainingSong, load_songs
from stemsplit.types import FloatArray

LENGTH_S = 30
# Pauses in seconds: no drums from 4 to 12, neither drums nor bass from 14 to 22.
PAUSES = {"drums": ((4, 12), (14, 22)), "bass": ((14, 22),)}


def make_parts(*, voice: float = 0.0) -> dict[str, FloatArray]:
    """Return targets ``(2, samples)`` of a song: hi-hats, a low tone, a chord, a voice at some level."""
    time = np.arange(LENGTH_S * SAMPLE_RATE) / SAMPLE_RATE
    noise = np.random.default_rng(0).normal(0, 0.3, time.size)
    sounds = {
        "vocals": voice * np.sin(2 * np.pi * 900 * time),
        "drums": noise * np.exp(-60 * ((time + 0.1) % 0.25)),
        "bass": 0.2 * np.sin(2 * np.pi * 70 * time),
        "other": 0.1 * np.sin(2 * np.pi * 440 * time) + 0.05 * np.sin(2 * np.pi * 660 * time),
    }
    for target, pauses in PAUSES.items():
        for start, stop in pauses:
            sounds[target][start * SAMPLE_RATE : stop * SAMPLE_RATE] = 0
    return {target: np.stack([sound, sound]).astype(np.float32) for target, sound in sounds.items()}


def mixed(parts: Mapping[str, FloatArray]) -> FloatArray:
    return np.sum(list(parts.values()), axis=0, dtype=np.float32)


def similarity(one: FloatArray, other: FloatArray) -> float:
    return float(np.vdot(one, other) / np.sqrt(np.vdot(one, one) * np.vdot(other, other)))


class FakeModel:
    """Returns the known parts of some songs, with `bleed` of the mixture added."""

    def __init__(self, *parts: Mapping[str, FloatArray], bleed: float = 0.01) -> None:
        self.parts, self.bleed, self.n_calls = parts, bleed, 0

    def __call__(self, mixture: FloatArray) -> dict[str, FloatArray]:
        self.n_calls += 1
        nearest = max(self.parts, key=lambda parts: similarity(mixed(parts), mixture))
        return {target: nearest[target] + self.bleed * mixture for target in TARGETS}


def make_library(
    folder: Path, backings: Mapping[str, tuple[FloatArray, str, str]], **changes: str
) -> Library:
    """Write a library of backing: (waveform, what it contains, split) by name."""
    rows = []
    (folder / "library").mkdir()
    for name, (waveform, contains, split) in backings.items():
        row = {field.name: "" for field in fields(Item)}
        row |= {"file": f"{name}.wav", "start_s": "0", "duration_s": str(LENGTH_S), "channels": "2"}
        row |= {"category": "backing", "kind": "song", "name": name, "contains": contains, "split": split}
        rows.append(row | {"attribution": name} | changes)
        soundfile.write(folder / "library" / row["file"], waveform.T, SAMPLE_RATE)
    with (folder / "library" / "index.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    library = Library(folder / "library", folder / "cache")
    collect_recordings(library, folder / "songs", lambda _: None)
    return library


@pytest.fixture(scope="module")
def parts() -> dict[str, FloatArray]:
    return make_parts()


@pytest.fixture(scope="module")
def activity(parts: dict[str, FloatArray]) -> Activity:
    return activity_by(mixed(parts), FakeModel(parts))


def activity_by(mixture: FloatArray, model: FakeModel) -> Activity:
    return measure_activity(mixture, model(mixture))


def seconds(passages: list[Passage]) -> list[tuple[float, float, str]]:
    return [(p.start / SAMPLE_RATE, p.stop / SAMPLE_RATE, p.stem) for p in passages]


def test_passages_are_the_known_pauses(activity: Activity) -> None:
    found = seconds(find_passages(activity, ("drums", "bass", "other")))
    assert found == [(4, 12, "bass+other"), (14, 22, "other")]
    assert seconds(find_passages(activity, ("bass", "other"))) == [(14, 22, "other")]
    assert seconds(find_passages(activity, ("drums", "other"))) == [(4, 12, "other"), (14, 22, "other")]
    assert find_passages(activity, ("other",)) == []
    assert find_passages(activity, ("drums", "bass", "other"), shortest_s=9) == []


@pytest.mark.slow
def test_both_detectors_must_agree(parts: dict[str, FloatArray]) -> None:
    held = ("drums", "bass", "other")
    # a model that finds drums and bass everywhere, and one that finds them nowhere
    assert find_passages(activity_by(mixed(parts), FakeModel(parts, bleed=0.3)), held) == []
    without = {target: part if target == "other" else 0 * part for target, part in parts.items()}
    assert seconds(find_passages(activity_by(mixed(parts), FakeModel(without)), held)) == [
        (4, 12, "bass+other"),
        (14, 22, "other"),
    ]


def test_activity_of_an_earlier_version_is_none(tmp_path: Path) -> None:
    np.savez(tmp_path / "old.npz", mixture_db=np.zeros(3), estimates_db=np.zeros((4, 3)))
    assert Activity.load(tmp_path / "old.npz") is None


def test_a_pause_of_everything_is_not_a_passage(parts: dict[str, FloatArray]) -> None:
    silenced = {target: part.copy() for target, part in parts.items()}
    for part in silenced.values():
        part[:, 13 * SAMPLE_RATE : 23 * SAMPLE_RATE] = 0
    found = find_passages(activity_by(mixed(silenced), FakeModel(silenced)), ("drums", "bass", "other"))
    assert seconds(found) == [(4, 12, "bass+other")]


def test_levels_are_relative_to_full_scale(activity: Activity) -> None:
    assert len(activity.mixture_db) == LENGTH_S / STEP_S
    assert activity.low_db[20] == pytest.approx(10 * np.log10(0.2**2 / 2), abs=0.1)  # the low tone alone
    assert activity.estimates_db[2, 20] == pytest.approx(10 * np.log10(0.2**2 / 2), abs=0.2)
    assert activity.onset_db[2] > 10 and activity.onset_db[20] < 1


def test_activity_is_read_as_it_was_saved(activity: Activity, tmp_path: Path) -> None:
    activity.save(tmp_path / "new" / "activity.npz")
    loaded = Activity.load(tmp_path / "new" / "activity.npz")
    assert all(
        np.array_equal(getattr(activity, field.name), getattr(loaded, field.name))
        for field in fields(Activity)
    )


def test_voice_activity_excludes_pauses(activity: Activity) -> None:
    assert VoiceActivity.of(activity).share == 0 and VoiceActivity.of(activity).level_db < -30
    sung = make_parts(voice=0.3)
    report = VoiceActivity.of(activity_by(mixed(sung), FakeModel(sung)))
    assert report.share == 1 and -8 < report.level_db < 0


def test_drums_and_bass_are_active_where_both_detectors_agree(
    parts: dict[str, FloatArray], activity: Activity
) -> None:
    misjudged = dict.fromkeys(TARGETS, parts["other"])  # a model that takes a chord for every target
    chord = activity_by(parts["other"], FakeModel(misjudged, bleed=1))
    assert active_share(chord, "drums") == active_share(chord, "bass") == 0
    assert active_share(activity, "drums") == pytest.approx(1 - 16 / LENGTH_S, abs=0.05)
    assert active_share(activity, "bass") == pytest.approx(1 - 8 / LENGTH_S, abs=0.05)


@dataclass(frozen=True)
class Screened:
    """A finished screening with its findings, model and folder."""

    screening: Screening
    findings: list[Finding]
    model: FakeModel
    folder: Path

    @property
    def songs(self) -> list[TrainingSong]:
        return load_songs(self.folder / "songs")


@pytest.fixture(scope="module")
def screened(parts: dict[str, FloatArray], tmp_path_factory: pytest.TempPathFactory) -> Screened:
    folder, sung, full = tmp_path_factory.mktemp("screened"), make_parts(voice=0.3), "drums;bass;other"
    library = make_library(
        folder,
        {
            "tune": (mixed(parts), full, "train"),
            "song": (mixed(sung), full, "train"),
            "falsely bare": (mixed(parts), "other", "train"),
            "kept aside": (mixed(parts), full, "valid"),
            "sung aside": (mixed(sung), full, "valid"),
        },
    )
    model = FakeModel(parts, sung)
    screening = Screening(library, folder / "songs", folder / "traces", model, model="deaf", voice_share=0.2)
    return Screened(screening, screening.run(lambda _: None), model, folder)


@pytest.mark.slow
def test_verdicts_decide_what_stays_in_training(screened: Screened) -> None:
    assert {f.item: f.verdict for f in screened.findings} == {
        "tune": "kept",
        "song": "voice",
        "falsely bare": "doubtful",
        "kept aside": "kept",
        "sung aside": "voice",
    }
    passages = {("bass+other",), ("other",)}
    full = ("drums+bass+other",)
    assert {(song.maker, song.kind, song.split, song.stems) for song in screened.songs} == {
        ("tune", "backing", "train", full),
        ("song", "screened", "train", full),
        ("falsely bare", "screened", "train", ("other",)),
        ("kept aside", "backing", "valid", full),
        ("sung aside", "backing", "valid", full),
        *(("tune", "passage", "train", stem) for stem in passages),
        *(("falsely bare", "passage", "train", stem) for stem in passages),
        *(("kept aside", "passage", "valid", stem) for stem in passages),
        *(("tune", "separated", "train", (stem,)) for stem in ("drums", "bass", "other")),
        *(("falsely bare", "separated", "train", (stem,)) for stem in ("drums", "bass", "other")),
    }


def test_phrases_of_one_instrument_are_kept(parts: dict[str, FloatArray], tmp_path: Path) -> None:
    phrase = {"category": "other", "kind": "phrase"}
    library = make_library(tmp_path, {"cello": (mixed(parts), "other", "train")}, **phrase)
    model = FakeModel(parts)
    screening = Screening(
        library, tmp_path / "songs", tmp_path / "traces", model, model="deaf", voice_share=0.2
    )
    assert [finding.verdict for finding in screening.run(lambda _: None)] == ["kept"]


def test_a_passage_is_the_music_of_its_source(screened: Screened) -> None:
    songs = {song.stems[0]: song for song in screened.songs if song.maker == "tune"}
    expected = songs["drums+bass+other"].read("drums+bass+other", 4 * SAMPLE_RATE, 8 * SAMPLE_RATE)
    assert songs["bass+other"].n_samples == 8 * SAMPLE_RATE
    found = songs["bass+other"].read("bass+other", 0, 8 * SAMPLE_RATE)
    assert np.abs(found - expected).max() < 1e-3


def test_separated_stems_are_estimates_and_vocals_are_added_to_other(
    parts: dict[str, FloatArray], tmp_path: Path
) -> None:
    misjudged = dict(parts) | {"vocals": 0.5 * parts["other"], "other": 0.5 * parts["other"]}
    library = make_library(tmp_path, {"tune": (mixed(parts), "drums;bass;other", "train")})
    model = FakeModel(misjudged, bleed=0.0)
    screening = Screening(
        library, tmp_path / "songs", tmp_path / "traces", model, model="deaf", voice_share=1
    )
    screening.run(lambda _: None)
    songs = {song.stems[0]: song for song in load_songs(tmp_path / "songs") if song.kind == "separated"}
    assert set(songs) == {"drums", "bass", "other"} and {song.model for song in songs.values()} == {"deaf"}
    for stem, song in songs.items():
        start = int(song.path.stem.split("-")[-3]) * SAMPLE_RATE // 2
        expected = parts[stem][:, start : start + song.n_samples]
        assert similarity(song.read(stem, 0, song.n_samples), expected) > 0.99999


def test_report_and_summary_list_the_findings(screened: Screened, tmp_path: Path) -> None:
    write_report(screened.findings, tmp_path / "screen.csv")
    with (tmp_path / "screen.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["verdict"] for row in rows][:2] == ["voice", "voice"] and len(rows) == 5
    assert {row["item"]: float(row["passages_s"]) for row in rows}["tune"] == 16
    assert {row["item"]: float(row["separated_s"]) > 60 for row in rows} == {
        "tune": True,
        "falsely bare": True,
        "song": False,  # sung
        "kept aside": False,
        "sung aside": False,
    }
    minutes = minutes_of_music(screened.folder / "songs").splitlines()
    assert "train screened drums+bass+other: 0.5 min" in minutes


@pytest.mark.slow
def test_a_second_run_measures_nothing_and_another_model_replaces_the_results(screened: Screened) -> None:
    songs = screened.folder / "songs"
    assert screened.model.n_calls == 5  # once for each recording
    files = {path: path.stat().st_mtime_ns for path in songs.iterdir()}
    assert screened.screening.run(lambda _: None) == screened.findings and screened.model.n_calls == 5
    assert {path: path.stat().st_mtime_ns for path in songs.iterdir()} == files

    def blurred(mixture: FloatArray) -> dict[str, FloatArray]:
        return dict.fromkeys(TARGETS, 0.2 * mixture)

    copied = Path(shutil.copytree(screened.folder, screened.folder.with_name("copied")))
    library = Library(copied / "library", copied / "cache")
    other = Screening(library, copied / "songs", copied / "traces", blurred, model="dull", voice_share=0.2)
    assert {finding.verdict for finding in other.run(lambda _: None)} == {"kept"}
    found = load_songs(copied / "songs")
    assert len(found) == 5 and {song.kind for song in found} == {"backing"}


@pytest.mark.slow
def test_outdated_songs_are_not_screened(parts: dict[str, FloatArray], tmp_path: Path) -> None:
    """Songs have running numbers: after a change of the index a name may belong to another recording."""
    full, model = "drums;bass;other", FakeModel(parts)
    make_library(tmp_path, {"first": (mixed(parts), full, "train"), "second": (mixed(parts), full, "train")})
    index, songs = tmp_path / "library" / "index.csv", tmp_path / "songs"
    lines = index.read_text().splitlines()
    index.write_text("\n".join((lines[0], lines[2])))
    library = Library(tmp_path / "library", tmp_path / "cache")
    screening = Screening(library, songs, tmp_path / "traces", model, model="deaf", voice_share=0.2)
    with pytest.raises(StemsplitError, match=r"backing-train-000\.npy .*prepare"):
        screening.run(lambda _: None)
    collect_recordings(library, songs, lambda _: None)
    assert [finding.item for finding in screening.run(lambda _: None)] == ["second"]


@pytest.mark.slow
def test_a_song_that_was_stored_again_is_measured_again(parts: dict[str, FloatArray], tmp_path: Path) -> None:
    library = make_library(tmp_path, {"tune": (mixed(parts), "drums;bass;other", "train")})
    model, songs = FakeModel(parts), tmp_path / "songs"
    screening = Screening(library, songs, tmp_path / "traces", model, model="deaf", voice_share=0.2)
    screening.run(lambda _: None)
    (activity_file,) = (tmp_path / "traces" / "deaf").iterdir()
    n_calls = model.n_calls
    later = activity_file.stat().st_mtime + 10
    os.utime(songs / "backing-train-000.npy", (later, later))
    screening.run(lambda _: None)
    assert model.n_calls == n_calls + 1


@pytest.mark.slow
def test_the_command_screens_by_the_mean_of_several_keys(
    parts: dict[str, FloatArray], tiny_model: Path, tmp_path: Path
) -> None:
    make_library(tmp_path, {"tune": (mixed(parts), "drums;bass;other", "train")})
    (tmp_path / "work").mkdir()
    (tmp_path / "songs").rename(tmp_path / "work" / "songs")
    command = ["screen", str(tmp_path / "library"), "--work", str(tmp_path / "work")]
    for more in ([], ["--transpositions", "2"]):
        result = CliRunner().invoke(app, [*command, "--model", str(tiny_model), *more])
        assert result.exit_code == 0, result.output
    once, twice = sorted((tmp_path / "work" / "traces").iterdir(), key=lambda path: path.name[1] == "x")
    assert once.name == hash_file(tiny_model)[:12] and twice.name == f"2x{hash_file(tiny_model)}"[:12]
    products = [np.load(folder / "backing-train-000.npz")["products"] for folder in (once, twice)]
    assert np.abs(products[1] - products[0]).max() > 1e-3 * np.abs(products[0]).max()
