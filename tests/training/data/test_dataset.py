"""Data sets of one's own: which files become which stems, and models of other targets."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

pytest.importorskip("torch")

from typer.testing import CliRunner

from stemsplit import separate
from stemsplit.errors import SettingsError, StemsplitError
from stemsplit.registry.installed import read_spec
from stemsplit.training import OPEN_DATA, TARGETS
from stemsplit.training.__main__ import app, main
from stemsplit.training.data import dataset
from stemsplit.training.data.dataset import Dataset, add_songs
from stemsplit.training.data.rendered_stem import RenderedStem
from stemsplit.training.data.songs import LIBRARY_SOURCE, find_songs, load_songs, save_song
from stemsplit.training.evaluation.scores import load_scores
from stemsplit.training.fit.checkpoint import training_sources_of
from stemsplit.training.release.export import ModelFacts
from stemsplit.training.release.model_card import write_card
from tests.support.audio_files import FloatArray, tones
from tests.support.stem_files import write_stem_file
from tests.support.tiny_models import make_spec, write_model

TRIO = ("violin", "viola", "cello")
PATTERNS = {"violin": ("*_vn_*",), "viola": ("*_va_*",), "cello": ("*_vc_*",)}
CODES = dict(zip(TRIO, ("vn", "va", "vc"), strict=True))


def write(path: Path, waveform: FloatArray, sample_rate: int = 44_100) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, waveform.T, sample_rate, subtype="FLOAT")


def stored(folder: Path, name: str) -> dict[str, FloatArray]:
    (song,) = [song for song in find_songs(folder) if song.path.stem == name]
    return {stem: song.read(stem, 0, song.n_samples) for stem in song.stems}


def add(made: Dataset, folder: Path) -> list[str]:
    """Add songs and return the reports of failures."""
    said: list[str] = []
    n_failed = add_songs(made, folder, said.append)
    failures = [line.removeprefix("failed: ") for line in said if line.startswith("failed: ")]
    assert len(failures) == n_failed
    return failures


def test_a_folder_with_a_file_for_each_stem_is_a_song(tmp_path: Path) -> None:
    stems = {target: 0.5 * tones(30_000, seed=number) for number, target in enumerate(TARGETS)}
    song = tmp_path / "musdb" / "train" / "Ánna B - Söng (live)"
    for target, waveform in stems.items():
        write(song / f"{target.upper()}.wav", waveform)
    write(song / "mixture.wav", tones())
    (song / "vocals.txt").write_text("words")
    (song / "._vocals.wav").write_bytes(b"what another system keeps beside a file")
    assert add(Dataset(tmp_path / "musdb", "musdb", licence="CC BY-NC-SA 4.0"), tmp_path / "songs") == []
    (found,) = find_songs(tmp_path / "songs")
    assert (found.split, found.kind, found.dataset) == ("train", "added", "musdb")
    assert (found.maker, found.licence) == ("Ánna B", "CC BY-NC-SA 4.0")
    assert found.stems == TARGETS
    for target, waveform in stored(tmp_path / "songs", found.path.stem).items():
        assert np.abs(waveform - stems[target]).max() < 2 / 32768


def test_files_of_one_stem_are_summed_and_converted_to_one_rate_and_two_channels(tmp_path: Path) -> None:
    first, second = 0.3 * tones(44_100, 1), 0.3 * tones(20_000, seed=1)
    write(tmp_path / "piece" / "AuSep_1_vn_01.wav", first)
    write(tmp_path / "piece" / "AuSep_2_vn_01.wav", second)
    write(tmp_path / "piece" / "AuSep_3_vc_01.wav", 0.3 * tones(24_000, 1, sample_rate=24_000), 24_000)
    add(Dataset(tmp_path / "piece", "urmp", patterns=PATTERNS), tmp_path / "songs")
    found = stored(tmp_path / "songs", "added-urmp-train-piece")
    assert list(found) == ["violin", "cello"]
    expected = np.repeat(first, 2, 0)
    expected[:, :20_000] += second
    assert np.abs(found["violin"] - expected).max() < 2 / 32768
    assert found["cello"].shape == (2, 44_100) and np.array_equal(*found["cello"])
    spectrum = np.abs(np.fft.rfft(found["cello"][0]))
    assert spectrum.argmax() == 220  # as many hertz as before


def test_files_of_a_folder_with_one_stem_are_songs(tmp_path: Path) -> None:
    house = tmp_path / "loops" / "house"
    for number in range(3):
        write(house / f"loop {number}.wav", 0.1 * tones(10_000 + number))
    add(Dataset(tmp_path / "loops", "loops", patterns={"drums": ("*.wav",)}), tmp_path / "songs")
    songs = find_songs(tmp_path / "songs")
    assert [song.path.stem for song in songs] == [f"added-loops-train-house-loop {n}" for n in range(3)]
    assert [song.n_samples for song in songs] == [10_000, 10_001, 10_002]
    shutil.copy(house / "loop 1.wav", house / "LOOP 1.aiff")
    with pytest.raises(StemsplitError, match="would be summed; keep only one"):
        Dataset(tmp_path / "loops", "loops", patterns={"drums": ("loop*",)}).songs()


def test_unseparated_music_is_a_stem_too(tmp_path: Path) -> None:
    write(tmp_path / "set" / "a" / "voice.wav", 0.1 * tones())
    write(tmp_path / "set" / "a" / "band.wav", 0.1 * tones(seed=1))
    patterns = {"vocals": ("voice.*",), "drums+bass+other": ("band.*",)}
    add(Dataset(tmp_path / "set", "duos", patterns=patterns), tmp_path / "songs")
    assert find_songs(tmp_path / "songs")[0].stems == ("vocals", "drums+bass+other")


def test_dsd100_is_added_as_it_is(tmp_path: Path) -> None:
    for part, name in (("Dev", "051 - Band - One"), ("Test", "001 - Duo - Two - Live")):
        for stem in ("vocals", "drums", "bass", "other"):
            write(tmp_path / "DSD100" / "Sources" / part / name / f"{stem}.wav", 0.1 * tones(20_000))
        write(tmp_path / "DSD100" / "Mixtures" / part / name / "mixture.wav", 0.4 * tones(20_000))
    for split in ("train", "valid"):
        assert not add(Dataset(tmp_path / "DSD100", "dsd100", split=split), tmp_path / "songs")
    found = {song.path.stem: song.maker for song in load_songs(tmp_path / "songs")}
    assert found == {
        "added-dsd100-train-051 - Band - One": "Band",
        "added-dsd100-valid-001 - Duo - Two - Live": "Duo",
    }


def test_stem_files_are_songs(tmp_path: Path) -> None:
    parts = [0.2 * tones(20_000, seed=number) for number in range(4)]
    write_stem_file(tmp_path / "A - B.stem.mp4", [sum(parts), *parts])
    add(Dataset(tmp_path, "shop"), tmp_path / "songs")
    found = stored(tmp_path / "songs", "added-shop-train-A - B")
    assert list(found) == ["drums", "bass", "other", "vocals"]
    for waveform, part in zip(found.values(), parts, strict=True):
        assert np.abs(waveform[:, : part.shape[1]] - part).max() < 4 / 32768
    for named in (("a", "b", "c"), ("a", "b", "c", "d", "e")):
        (failure,) = add(Dataset(tmp_path, "other5", parts=named), tmp_path / "songs")
        assert f"has 5 audio streams, not {len(named) + 1}: --parts names" in failure


def test_a_song_that_cannot_be_read_does_not_stop_the_others(tmp_path: Path) -> None:
    for title in ("a", "b", "c"):
        write(tmp_path / "set" / title / "drums.wav", 0.1 * tones())
    whole = (tmp_path / "set" / "b" / "drums.wav").read_bytes()
    (tmp_path / "set" / "b" / "drums.wav").write_bytes(whole[: len(whole) // 2])
    songs = tmp_path / "songs"
    (failure,) = add(Dataset(tmp_path / "set", "mine"), songs)
    assert str(Path("b") / "drums.wav") in failure and len(find_songs(songs)) == 2
    (tmp_path / "set" / "b" / "drums.wav").write_bytes(whole)
    before = {path: path.stat().st_mtime_ns for path in songs.iterdir()}
    assert add(Dataset(tmp_path / "set", "mine"), songs) == []
    assert len(find_songs(songs)) == 3  # and those that were there are left alone
    assert all(path.stat().st_mtime_ns == time_ns for path, time_ns in before.items())


@pytest.mark.parametrize(("n_channels", "length_s", "message"), [(3, 1, "3 channels"), (1, 12, "minutes")])
def test_unusable_stems_are_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, n_channels: int, length_s: int, message: str
) -> None:
    monkeypatch.setattr(dataset, "LONGEST_S", 11)
    write(tmp_path / "drums.wav", 0.1 * tones(length_s * 44_100, n_channels))
    (failure,) = add(Dataset(tmp_path, "mine"), tmp_path / "songs")
    assert message in failure and not find_songs(tmp_path / "songs")


def test_training_songs_cannot_validate(tmp_path: Path) -> None:
    for stem in ("drums", "bass"):
        write(tmp_path / "set" / "test" / "a" / f"{stem}.wav", 0.1 * tones())
    add(Dataset(tmp_path / "set", "mine"), tmp_path / "songs")
    for name in ("mine", "yours"):  # under another title, and under another name
        with pytest.raises(StemsplitError, match="train split of mine: songs cannot be used for both"):
            add(Dataset(tmp_path / "set" / "test", name, split="valid"), tmp_path / "songs")
    with pytest.raises(StemsplitError, match=r"'not stated', not 'CC0-1\.0'"):
        add(Dataset(tmp_path / "set", "mine", licence="CC0-1.0"), tmp_path / "songs")
    other = Dataset(tmp_path / "set", "mine", patterns={"drums": ("d*",), "low": ("b*",)})
    with pytest.raises(StemsplitError, match="was added from other files; delete"):
        add(other, tmp_path / "songs")


def test_songs_that_cannot_validate_are_reported(tmp_path: Path) -> None:
    write(tmp_path / "set" / "drums.wav", 0.1 * tones())
    (failure,) = add(Dataset(tmp_path / "set", "mine", split="valid"), tmp_path / "songs")
    assert "has only one stem and cannot be used for validation" in failure and not find_songs(
        tmp_path / "songs"
    )


def test_every_folder_is_searched_once(tmp_path: Path) -> None:
    write(tmp_path / "elsewhere" / "deep" / "drums.wav", 0.1 * tones())
    (tmp_path / "set" / ".Trash").mkdir(parents=True)
    shutil.copy(tmp_path / "elsewhere" / "deep" / "drums.wav", tmp_path / "set" / ".Trash")
    (tmp_path / "set" / "odd.stem.mp4").mkdir()
    (tmp_path / "set" / "link").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    (tmp_path / "set" / "again").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    (tmp_path / "elsewhere" / "up").symlink_to(tmp_path / "set", target_is_directory=True)
    assert [song.title for song in Dataset(tmp_path / "set", "mine").songs()] == ["again-deep-drums"]


def test_long_names_are_shortened_and_kept_apart(tmp_path: Path) -> None:
    for number in range(2):
        write(tmp_path / ("長" * 70) / f"{'x' * 120}{number}" / "drums.wav", 0.1 * tones(1000))
    assert add(Dataset(tmp_path, "mine"), tmp_path / "songs") == []
    assert len(find_songs(tmp_path / "songs")) == 2


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": "Album"}, "cannot be called"),
        ({"name": "my-set"}, "cannot be called"),
        ({"split": "test"}, "train or valid"),
        ({"patterns": {"Drums": ("*",)}}, "is not a stem"),
        ({"parts": ("drums", "drums")}, "occurs twice"),
    ],
)
def test_invalid_names_are_errors(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(StemsplitError, match=message):
        Dataset(**{"folder": tmp_path, "name": "mine"} | changes)


def test_folders_without_songs_are_errors(tmp_path: Path) -> None:
    with pytest.raises(StemsplitError, match="is not a folder"):
        Dataset(tmp_path / "gone", "mine").songs()
    with pytest.raises(StemsplitError, match=r"contains no songs.*--stem TARGET=PATTERN"):
        Dataset(tmp_path, "mine").songs()
    write(tmp_path / "a" / "b" / "drums.wav", tones())
    write(tmp_path / "A-b" / "drums.wav", tones())
    with pytest.raises(StemsplitError, match=r"two songs of .* would be called"):
        Dataset(tmp_path, "mine").songs()
    shutil.rmtree(tmp_path / "A-b")
    twice = {"drums": ("drums*",), "bass": ("*.wav",)}
    with pytest.raises(StemsplitError, match="belongs to drums and to bass"):
        Dataset(tmp_path, "mine", patterns=twice).songs()


def test_preparing_the_library_again_leaves_added_songs(tmp_path: Path) -> None:
    from stemsplit.training.data.library import Library
    from stemsplit.training.data.recordings import collect_recordings
    from tests.training.release.test_model_card import ROW

    write(tmp_path / "set" / "a" / "drums.wav", 0.1 * tones())
    add(Dataset(tmp_path / "set", "mine"), tmp_path / "songs")
    (tmp_path / "index.csv").write_text(f"{','.join(ROW)}\n{','.join(ROW.values())}\n")
    collect_recordings(Library(tmp_path, tmp_path / "decoded"), tmp_path / "songs", lambda _: None)
    assert [song.dataset for song in load_songs(tmp_path / "songs")] == ["mine"]


def test_weights_name_their_training_sources() -> None:
    opened = ModelFacts.of("m", TARGETS, training_sources=[LIBRARY_SOURCE])
    assert (opened.licence, opened.training_data_licence) == ("MIT", OPEN_DATA)
    training_sources = [("musdb", "CC BY-NC-SA 4.0"), LIBRARY_SOURCE, ("library", "all rights reserved")]
    with pytest.raises(SettingsError, match=r"musdb: CC BY-NC-SA 4\.0.*give their licence with --licence"):
        ModelFacts.of("m", TARGETS, training_sources=training_sources)
    closed = ModelFacts.of("m", TARGETS, training_sources=training_sources, licence="CC-BY-NC-SA-4.0")
    assert closed.licence == "CC-BY-NC-SA-4.0"
    expected = f"{OPEN_DATA}; library: all rights reserved; musdb: CC BY-NC-SA 4.0"
    assert closed.training_data_licence == expected


def test_songs_separated_by_a_closed_model_keep_its_licence(tmp_path: Path) -> None:
    spec = make_spec(training_data_licence=OPEN_DATA)
    assert training_sources_of(write_model(tmp_path / "open.onnx", spec)) == {LIBRARY_SOURCE}
    spec = replace(spec, licence="CC-BY-NC-4.0")
    closed = training_sources_of(write_model(tmp_path / "closed.onnx", spec))
    assert closed == {("model tiny", f"CC-BY-NC-4.0; trained on {OPEN_DATA}")}
    stem = RenderedStem(np.full((2, 4000), 0.5, np.float32))
    for name, licence in (("a", ""), ("b", "CC-BY-NC-4.0")):
        save_song(tmp_path, name, {"bass": stem}, split="train", kind="separated", licence=licence)
    first, second = find_songs(tmp_path)
    assert first.source == LIBRARY_SOURCE and second.source == ("separated by another model", "CC-BY-NC-4.0")


@pytest.fixture(scope="module")
def trio(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A work folder with a data set of three instruments at separate pitches, and a song of the band."""
    work = tmp_path_factory.mktemp("trio")
    time_s = np.arange(5 * 44_100) / 44_100
    for piece in range(3):
        for number, code in enumerate(CODES.values(), start=1):
            tone = 0.2 * np.sin(2 * np.pi * (150 + 20 * piece) * 3**number * time_s)
            split = "valid" if piece == 2 else "train"
            write(work / "urmp" / split / f"{piece}" / f"{number}_{code}_{piece}.wav", np.float32(tone[None]))
    stems = {
        target: RenderedStem(np.float32(0.1 * np.stack([np.sin(100 * time_s)] * 2))) for target in TARGETS
    }
    save_song(work / "songs", "render-train-0000", stems, split="train", kind="render")
    save_song(work / "songs", "render-valid-0000", stems, split="valid", kind="render")
    for split in ("train", "valid"):
        command = ["add", str(work / "urmp" / split), "--work", str(work), "--name", "urmp", "--split", split]
        stem = [f"--stem={target}=*_{code}_*" for target, code in CODES.items()]
        result = CliRunner().invoke(app, [*command, *stem, "--licence", "CC BY 4.0"])
        assert result.exit_code == 0, result.output
    return work


def run(*words: str | Path) -> str:
    result = CliRunner().invoke(app, [str(word) for word in words])
    assert result.exit_code == 0, (result.output, result.exception)
    return result.output


@pytest.mark.slow
def test_a_model_of_other_instruments_from_files_to_stems(trio: Path, tmp_path: Path) -> None:
    where, model = ("--work", trio), tmp_path / "trio.onnx"
    small = ("--option", "n_features=8", "--option", "n_layers=1", "--threads", "1")
    chances = ("--remix", "silence=0.3", "--remix", "coherent=0.5")
    run("fit", tmp_path / "run", *where, "--targets", ",".join(TRIO), *small, *chances, "--minutes", "0.05")
    table = run("evaluate", tmp_path / "run", *where, "--threads", "1", "--excerpt-s", "4", "--excerpts", "1")
    assert [line.split(" | ")[1] for line in table.splitlines() if line.startswith("| urmp")] == list(TRIO)
    scores = load_scores(tmp_path / "run" / "scores.json")
    assert {score.case.partition(" ")[0] for score in scores["model"]} == {"added-urmp-valid-2"}
    for floor in scores["baseline"]:  # a third of three equally loud tones: errors of 2/3, 1/3 and 1/3
        assert floor.sdr_db == pytest.approx(10 * np.log10(9 / 6), abs=0.05)
    failed = CliRunner().invoke(app, ["export", str(tmp_path / "run"), str(model)])
    assert isinstance(failed.exception, SettingsError) and not model.exists()
    run("export", tmp_path / "run", model, "--licence", "CC-BY-4.0")
    spec = read_spec(model)
    assert (spec.targets, spec.licence, spec.commercial) == (TRIO, "CC-BY-4.0", True)
    assert spec.training_data_licence == "urmp: CC BY 4.0" and spec.remainder == "cello"
    assert training_sources_of(model) == {("model trio", "CC-BY-4.0; trained on urmp: CC BY 4.0")}
    mixture = 0.2 * tones(100_000)
    stems = separate(mixture, 44_100, models=[model], stems=["viola", "cello"], residual=True, device="cpu")
    assert list(stems) == ["viola", "cello", "residual"]
    assert list(separate(mixture, 44_100, models=[model], device="cpu")) == list(TRIO)  # nothing is left
    assert np.abs(sum(stems.values()) - mixture).max() < 1e-5
    run("evaluate", model, *where, "--threads", "1", "--excerpt-s", "4", "--excerpts", "1")
    assert (trio / "scores-trio.json").exists()
    run("draw", model, tmp_path / "pictures", *where, "--excerpt-s", "2", "--threads", "1")
    assert len(list((tmp_path / "pictures").glob("urmp-*.png"))) == 1
    write_card(
        tmp_path / "run",
        None,
        trio / "songs",
        model,
        scores=tmp_path / "run" / "scores.json",
        hardware="an abacus",
    )
    card = model.with_suffix(".md").read_text(encoding="utf-8")
    assert "Licence of the weights: CC-BY-4.0. Trained on urmp (CC BY 4.0).\n" in card
    assert "| urmp | CC BY 4.0 | 2 | 2 | 0.2 |" in card and "SCOTTPOID" not in card
    assert "--remix coherent=0.5 --remix silence=0.3" in card
    assert "add SONGS --work WORK --name urmp --licence 'CC BY 4.0' --stem 'violin=PATTERN'" in card
    assert "export RUN models/trio.onnx --licence 'CC-BY-4.0'\n" in card and "LIBRARY_SOURCE" not in card
    assert "30%" not in card.partition("Two songs are layered")[0] and "vocals" not in card
    assert "an equal share of the mixture for each target" in " ".join(card.split())
    assert "dense rock" not in card


@pytest.mark.slow
def test_training_sources_survive_initialisation_and_resumption(trio: Path, tmp_path: Path) -> None:
    small = ("--option", "n_features=8", "--option", "n_layers=1", "--threads", "1")
    run("fit", tmp_path / "first", "--work", trio, *small, "--minutes", "0.01")
    assert training_sources_of(tmp_path / "first" / "checkpoint.pt") == {LIBRARY_SOURCE}
    initial = ("--init", tmp_path / "first" / "checkpoint.pt", "--targets", ",".join(TRIO))
    run("fit", tmp_path / "second", "--work", trio, *small, *initial, "--minutes", "0.01")
    training_sources = training_sources_of(tmp_path / "second" / "checkpoint.pt")
    assert training_sources == {LIBRARY_SOURCE, ("urmp", "CC BY 4.0")}
    other = tmp_path / "other"
    shutil.copytree(trio / "songs", other / "songs")
    for path in (other / "songs").glob("added-*.json"):
        facts = json.loads(path.read_text(encoding="utf-8"))
        path.write_text(json.dumps(facts | {"licence": "CC BY-NC 4.0"}), encoding="utf-8")
    run("fit", tmp_path / "second", "--work", other, *small, *initial, "--minutes", "0.02")
    assert training_sources_of(tmp_path / "second" / "checkpoint.pt") == training_sources | {
        ("urmp", "CC BY-NC 4.0")
    }


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--targets", "viola"), "at least two"),
        (("--targets", "viola,viola"), "twice"),
        (("--targets", "viola,tuba"), "no validation songs of viola, tuba"),
        (("--targets", "viola,residual"), "a target cannot be called 'residual'"),
        (("--option", 'targets=["viola", 5]'), "a target cannot be called 5"),
        (("--option", 'targets={"viola": 1, "cello": 2}'), "a list of at least two"),
        (("--remix", "silence=2"), "from 0 to 1"),
        (("--remix", "silence=true"), "from 0 to 1"),
        (("--remix", "volume=0.5"), "examples have no 'volume'"),
        (("--remix", "without=[]"), "examples have no 'without'"),
    ],
)
def test_mistakes_are_one_line(
    trio: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, str], message: str
) -> None:
    defaults = ("--targets", ",".join(TRIO)) if words[0] == "--remix" else ()
    command = ["fit", str(tmp_path / "run"), "--work", str(trio), "--minutes", "0.01", *defaults, *words]
    with pytest.MonkeyPatch.context() as patch, pytest.raises(SystemExit) as error:
        patch.setattr("sys.argv", ["training", *command])
        main()
    message_line = capsys.readouterr().err
    assert error.value.code == 1 and message in message_line and message_line.count("\n") == 1
