"""Rendered ensembles: songs of single instruments, made once."""

from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
import soundfile

pytest.importorskip("torch")
pytest.importorskip("pedalboard")
pytest.importorskip("music21")

from stemsplit.errors import StemsplitError
from stemsplit.training import ORCHESTRA
from stemsplit.training.curation.ensembles import DATASET, UNSEEN_PLAYERS, prepare_ensembles
from stemsplit.training.curation.prepare import WorkFolder
from stemsplit.training.data.library import Item
from stemsplit.training.data.songs import load_songs
from stemsplit.training.synthesis.orchestra import HELD_OUT_SOUNDFONT
from stemsplit.training.synthesis.soundfont import SOUNDFONT, check_soundfont


def can_render() -> bool:
    try:
        for soundfont in (SOUNDFONT, HELD_OUT_SOUNDFONT):
            check_soundfont(soundfont)
    except StemsplitError:
        return False
    return True


@pytest.mark.slow
@pytest.mark.skipif(not can_render(), reason="needs fluidsynth and both soundfonts")
def test_ensembles_are_rendered_once_and_are_songs_of_single_instruments(tmp_path: Path) -> None:
    library = tmp_path / "library"
    library.mkdir()
    columns = [field.name for field in fields(Item)]
    row = ["hall.wav", "0", "0.5", "1", "rooms", "impulse_response", "", "", "", "", "train", "omni-35-10"]
    lines = (",".join(columns), ",".join([*row, "source", "CC0", "author"]))
    (library / "index.csv").write_text("\n".join(lines))
    soundfile.write(library / "hall.wav", np.eye(1, 22_050, 4000)[0], 44_100)
    folders, said = WorkFolder(library, tmp_path / "work"), list[str]()

    def prepare() -> None:
        prepare_ensembles(folders, n_songs=2, n_valid=1, seed=0, n_jobs=1, progress=said.append)

    prepare()
    assert len(said) == 4
    songs = load_songs(folders.songs)
    assert [(song.split, song.dataset) for song in songs] == [
        ("train", DATASET),
        ("train", DATASET),
        ("valid", UNSEEN_PLAYERS),
        ("valid", DATASET),
    ]
    for song in songs:
        assert 2 <= len(song.stems) <= 5 and set(song.stems) <= set(ORCHESTRA) and song.is_whole
        assert song.n_samples == 30 * 44_100 and min(song.levels_db) > -60
    assert "violin" in songs[0].stems and "viola" in songs[1].stems
    mixtures = [np.load(song.path).sum(0, dtype=np.int32) for song in songs]
    assert not np.array_equal(mixtures[0], mixtures[2])
    songs[0].path.with_suffix(".json").unlink()
    before = np.load(songs[0].path)
    prepare()
    assert len(said) == 5 and np.array_equal(np.load(songs[0].path), before)
