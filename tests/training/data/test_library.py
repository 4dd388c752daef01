"""The library and its recordings: which items may be used for training, and what is stored of them."""

import csv
import json
import shutil
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields
from pathlib import Path
from threading import Event

import numpy as np
import pytest
import soundfile

pytest.importorskip("torch")

from stemsplit.errors import StemsplitError
from stemsplit.training import SAMPLE_RATE, TARGETS
from stemsplit.training.curation.prepare import WorkFolder, prepare
from stemsplit.training.data.library import HELD_OUT_SOURCES, Item, Library, is_held_out
from stemsplit.training.data.recordings import collect_recordings, list_recordings
from stemsplit.training.data.rendered_stem import RenderedStem
from stemsplit.training.data.songs import amend_song, load_songs, save_song
from stemsplit.training.synthesis import band

SECONDS = 7.0


def make_row(name: str, category: str, kind: str, **changes: str) -> dict[str, str]:
    row = {field.name: "" for field in fields(Item)}
    row |= {"file": f"{name}.wav", "start_s": "0", "duration_s": str(SECONDS), "channels": "2"}
    row |= {"category": category, "kind": kind, "name": name, "source": "somebody/something"}
    row |= {"licence": "CC0-1.0", "attribution": "somebody", "contains": category, "split": "train"}
    return row | changes


def make_rows() -> list[dict[str, str]]:
    rows = []
    for song, split in (("one", "train"), ("two", "valid")):
        rows += [
            make_row(f"{song}-{stem}", stem, "multitrack", split=split, instrument=song) for stem in TARGETS
        ]
    rows.append(make_row("tune", "backing", "song", contains="drums;bass;other"))
    rows.append(make_row("pad", "backing", "song", contains="drums?;other", attribution="someone else"))
    rows.append(make_row("solo", "backing", "song", contains="other"))
    rows.append(make_row("Hustle", "backing", "song", contains="drums;bass;other"))
    rows.append(make_row("voice", "vocals", "singing", licence="CC-BY-SA-4.0"))
    rows.append(make_row("piano", "other", "performance"))
    rows.append(make_row("kept", "drums", "hit", source=min(HELD_OUT_SOURCES)))
    return rows


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of a library, of which each test has a copy."""
    folder, rows = tmp_path_factory.mktemp("template"), make_rows()
    write_index(folder, rows)
    rng = np.random.default_rng(0)
    for row in rows:
        waveform = rng.normal(0, 0.1, (round(SECONDS * 48000), 2))
        soundfile.write(folder / row["file"], waveform, 48000)
    return folder


@pytest.fixture
def library(template: Path, tmp_path: Path) -> Library:
    shutil.copytree(template, tmp_path / "library")
    return Library(tmp_path / "library", tmp_path / "cache")


def write_index(folder: Path, rows: Sequence[dict[str, str]]) -> None:
    with (folder / "index.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def changed(library: Library, changes: dict[str, dict[str, str]]) -> Library:
    """Return the library after changes of its index: columns by the name of the item."""
    write_index(library.folder, [row | changes.get(row["name"], {}) for row in make_rows()])
    return Library(library.folder, library.cache)


def collect(library: Library, folder: Path) -> int:
    return collect_recordings(library, folder, lambda _: None)


def test_no_validation_item_may_be_trained_on(library: Library) -> None:
    train, valid = library.select(split="train"), library.select(split="valid")
    assert len(train) + len(valid) == len(library.items)
    assert {item.name for item in valid} >= {"two-vocals", "Hustle", "voice", "kept"}
    for item in train:
        assert item.split == "train" and "SA" not in item.licence and item.source not in HELD_OUT_SOURCES
        assert not is_held_out(item)


def test_no_validation_audio_reaches_a_training_song(library: Library, tmp_path: Path) -> None:
    assert collect(library, tmp_path / "songs") == 8
    assert_splits_are_apart(library, tmp_path / "songs")


def assert_splits_are_apart(library: Library, folder: Path) -> None:
    held_out = [library.audio(item)[:, :4000] for item in library.select(split="valid")]
    for song in load_songs(folder):
        starts = [song.read(stem, 0, 4000) for stem in song.stems]
        similar = [abs(np.corrcoef(a.ravel(), b.ravel())[0, 1]) > 0.9 for a in starts for b in held_out]
        assert any(similar) == (song.split == "valid"), song.path


def test_training_items_share_no_audio_with_held_out_ones(library: Library) -> None:
    """No training item of the index shares audio with a held-out item."""
    train, valid = library.select(split="train"), library.select(split="valid")
    for name, recording in list_recordings(library).items():
        assert {is_held_out(item) for _, item in recording.parts} == {recording.split == "valid"}, name
    assert not [(a.name, b.name) for a in train for b in valid if shares_audio(a, b)]


def test_the_training_band_uses_no_held_out_items(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[Item] = []

    def collect_items(_: Library, items: Sequence[Item], *rooms: object) -> None:
        given.extend(items)

    monkeypatch.setattr(band, "check_soundfont", lambda _: None)
    monkeypatch.setattr(band, "pattern_names", lambda *_, **__: [])
    for name in ("DrumRenderer", "BassRenderer", "OtherRenderer", "VocalRenderer"):
        monkeypatch.setattr(band, name, collect_items)
    band.Band(library, split="train", seed=0)
    assert {item.name for item in given} == {"piano", *(f"one-{target}" for target in TARGETS)}


def shares_audio(a: Item, b: Item) -> bool:
    apart = a.start_s >= b.start_s + b.duration_s or b.start_s >= a.start_s + a.duration_s
    return a.file == b.file and not apart


def test_recordings_are_collected_once(library: Library, tmp_path: Path) -> None:
    collect(library, tmp_path / "songs")
    assert collect(library, tmp_path / "songs") == 0


def test_newly_held_out_items_are_removed_from_training_songs(library: Library, tmp_path: Path) -> None:
    """Recordings have running numbers: without the first one, each name belongs to another recording."""
    folder, said = tmp_path / "songs", list[str]()
    collect(library, folder)
    later = changed(library, {"tune": {"split": "valid"}, "one-bass": {"licence": "CC-BY-SA-4.0"}})
    # the tune; pad, solo and Hustle under other numbers; a song that is partly held out
    assert collect_recordings(later, folder, said.append) == 5
    assert_splits_are_apart(later, folder)
    assert {song.path.stem: song.origin for song in load_songs(folder)} == {
        name: recording.origin for name, recording in list_recordings(later).items()
    }
    assert any(line.startswith("removed backing-train-002, ") for line in said)
    assert collect(later, folder) == 0


@pytest.mark.parametrize("kind", ["passage", "separated"])
def test_excerpts_are_removed_with_their_recording(library: Library, tmp_path: Path, kind: str) -> None:
    folder = tmp_path / "songs"
    collect(library, folder)
    silence = {"other": RenderedStem(np.zeros((2, 4000), np.float32))}
    for number in (0, 2):
        name = f"{kind}-backing-train-{number:03}-000-008-other"
        save_song(folder, name, silence, split="train", kind=kind)
    collect(library, folder)
    assert len(list(folder.glob(f"{kind}-*"))) == 4
    collect(changed(library, {"solo": {"start_s": "0.5"}}), folder)
    assert [path.name for path in sorted(folder.glob(f"{kind}-*"))] == [
        f"{kind}-backing-train-000-000-008-other.json",
        f"{kind}-backing-train-000-000-008-other.npy",
    ]


def test_screened_songs_stay_screened(library: Library, tmp_path: Path) -> None:
    collect(library, tmp_path / "songs")
    amend_song(load_songs(tmp_path / "songs")[0], kind="screened")
    assert collect(library, tmp_path / "songs") == 0
    assert load_songs(tmp_path / "songs")[0].kind == "screened"


def test_matching_songs_of_an_earlier_version_are_kept(library: Library, tmp_path: Path) -> None:
    folder = tmp_path / "songs"
    collect(library, folder)
    for path in folder.glob("*.json"):
        facts = json.loads(path.read_text(encoding="utf-8"))
        del facts["origin"]
        path.write_text(json.dumps(facts), encoding="utf-8")
    arrays = {path.name: path.stat().st_mtime_ns for path in folder.glob("*.npy")}
    later = changed(library, {"solo": {"duration_s": "6.5"}})
    assert collect(later, folder) == 1 and collect(later, folder) == 0
    stored = {path.name for path in folder.glob("*.npy") if path.stat().st_mtime_ns != arrays[path.name]}
    assert stored == {"backing-train-002.npy"}
    assert {song.path.stem: song.origin for song in load_songs(folder)} == {
        name: recording.origin for name, recording in list_recordings(later).items()
    }


def test_audio_that_changed_is_decoded_again(library: Library) -> None:
    item = library.items[0]
    before = library.audio(item)
    soundfile.write(library.folder / item.file, np.zeros((300_000, 2)), SAMPLE_RATE)
    assert np.abs(before).max() > 0.1 and library.audio(item).max() == 0
    (library.folder / item.file).unlink()
    assert library.audio(item).shape == (2, 300_000)


def test_excerpts_of_one_name_are_songs_of_their_own(tmp_path: Path) -> None:
    sung = [
        make_row(name, "vocals", "singing", split="valid", start_s=start, file="all.wav")
        for name, start in (
            ("a/one", "0"),
            ("a/two", "7"),
            ("a/one", "14"),
            ("a/three", "21"),
            ("a/one", "28"),
        )
    ]
    write_index(tmp_path, sung)
    found = list_recordings(Library(tmp_path, tmp_path / "cache"))
    assert {name: recording.origin[0][2] for name, recording in found.items()} == {
        "singing-one": 0,
        "singing-two": 7,
        "singing-one_2": 14,
        "singing-three": 21,
        "singing-one_3": 28,
    }


def test_the_stem_of_backing_names_its_possible_content(library: Library, tmp_path: Path) -> None:
    collect(library, tmp_path / "songs")
    songs = [song for song in load_songs(tmp_path / "songs") if song.kind == "backing"]
    found = {(song.split, song.stems, song.maker) for song in songs}
    assert found == {
        ("train", ("drums+bass+other",), "somebody"),
        ("train", ("drums+other",), "someone else"),
        ("train", ("other",), "somebody"),
        ("valid", ("drums+bass+other",), "somebody"),
    }


def test_decoded_audio_has_the_length_and_rate_of_the_index(library: Library) -> None:
    audio = library.audio(library.items[0])
    assert audio.shape == (2, round(SECONDS * SAMPLE_RATE)) and audio.dtype == np.float32


def test_a_failed_render_cancels_the_pending_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_index(tmp_path, [make_row("piano", "other", "note")])
    soundfile.write(tmp_path / "piano.wav", np.zeros((400_000, 2)), SAMPLE_RATE)
    cancelled, rendered = Event(), list[int]()

    class Pool(ThreadPoolExecutor):
        def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
            super().shutdown(wait=False, cancel_futures=cancel_futures)
            cancelled.set()
            super().shutdown(wait=wait)

    def render(folders: WorkFolder, split: str, number: int, seed: int) -> str:
        if not number:
            raise StemsplitError("no soundfont")
        assert cancelled.wait(60)  # until the failure is noticed
        rendered.append(number)
        return str(number)

    monkeypatch.setattr("stemsplit.training.curation.prepare.ProcessPoolExecutor", Pool)
    monkeypatch.setattr("stemsplit.training.curation.prepare._render", render)
    folders = WorkFolder(tmp_path, tmp_path / "work")
    with pytest.raises(StemsplitError, match="soundfont"):
        prepare(folders, n_songs=20, seed=0, n_jobs=1, progress=lambda _: None)
    assert len(rendered) <= 1


def test_missing_library_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(StemsplitError, match="nowhere"):
        Library(tmp_path / "nowhere", tmp_path)


@pytest.mark.parametrize("content", ["", "file,start_s\n", "file,start_s\na.wav,0\n"])
def test_wrong_index_is_an_error(tmp_path: Path, content: str) -> None:
    (tmp_path / "index.csv").write_text(content)
    with pytest.raises(StemsplitError, match="index"):
        Library(tmp_path, tmp_path / "cache")


def test_a_row_that_is_too_short_is_reported(tmp_path: Path) -> None:
    write_index(tmp_path, [make_row("tune", "bass", "loop"), make_row("air", "bass", "loop")])
    whole = (tmp_path / "index.csv").read_text().splitlines()
    for n_values in (1, 3, 14):
        cut = ",".join(whole[2].split(",")[:n_values])
        (tmp_path / "index.csv").write_text("\n".join((*whole[:2], cut)))
        with pytest.raises(StemsplitError, match=r"line 3: not a row of the index .*fewer values"):
            Library(tmp_path, tmp_path / "cache")


@pytest.mark.parametrize("stretch", [{"start_s": "7.5"}, {"duration_s": "0"}, {"start_s": "-1"}])
def test_an_item_outside_its_file_is_reported(
    library: Library, tmp_path: Path, stretch: dict[str, str]
) -> None:
    with pytest.raises(StemsplitError, match=r"one-bass .*one-bass\.wav, 7\.00 s long"):
        collect(changed(library, {"one-bass": stretch}), tmp_path / "songs")


def test_an_item_of_many_channels_is_reported(library: Library, tmp_path: Path) -> None:
    soundfile.write(library.folder / "solo.wav", np.zeros((320_000, 4)), SAMPLE_RATE)
    with pytest.raises(StemsplitError, match=r"solo .*solo\.wav has 4 channels"):
        collect(library, tmp_path / "songs")


@pytest.mark.parametrize("split", ["Valid", "test", "", "train "])
def test_an_unknown_split_is_an_error(tmp_path: Path, split: str) -> None:
    write_index(tmp_path, [make_row("tune", "bass", "loop"), make_row("air", "bass", "loop", split=split)])
    with pytest.raises(StemsplitError, match=rf"index\.csv, line 3: the split of 'air' is '{split}'"):
        Library(tmp_path, tmp_path / "cache")


@pytest.mark.parametrize(
    "licence",
    [
        *("CC-BY-SA-4.0", "CC BY-SA 4.0", "CC-BY-SA", "cc-by-nc-sa", "CC-BY-NC-SA 3.0", "CC BY SA", "BY_SA"),
        *("CCBYSA", "CC-BYSA-4.0", "Attribution-ShareAlike 4.0", "Creative Commons share alike", "CC-SA4.0"),
    ],
)
def test_share_alike_is_held_out_however_it_is_spelled(licence: str) -> None:
    assert is_held_out(Item.from_row(make_row("tune", "bass", "loop", licence=licence)))


@pytest.mark.parametrize(
    "licence", ["CC0-1.0", "CC-BY-4.0", "Public Domain (declared)", "USA-PD", "Sam's own"]
)
def test_other_licences_are_not_share_alike(licence: str) -> None:
    assert not is_held_out(Item.from_row(make_row("tune", "bass", "loop", licence=licence)))
