"""Chamber ensembles: pieces, players, rooms."""

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("pedalboard")

from stemsplit.training import ORCHESTRA
from stemsplit.training.synthesis.chamber import (
    ROOMS,
    draw_breath,
    draw_cast,
    draw_places,
    humanise,
    place_in_room,
)
from stemsplit.training.synthesis.midi import Note
from stemsplit.training.synthesis.orchestra import INSTRUMENTS

NOTES = tuple(Note(0.5 * beat, 0.5, 60 + beat % 12, 80) for beat in range(20))


def test_every_instrument_plays_within_its_range() -> None:
    assert tuple(each.target for each in INSTRUMENTS) == ORCHESTRA
    for instrument in INSTRUMENTS:
        for octave in (-24, 0, 24):
            notes = [Note(n.start_s, n.length_s, n.pitch + octave, n.velocity) for n in NOTES]
            played = instrument.fit(notes)
            assert all(instrument.low <= note.pitch <= instrument.high for note in played)
            assert {(a.pitch - b.pitch) % 12 for a, b in zip(played, notes, strict=True)} == {0}


def test_held_out_players_are_not_those_of_the_training() -> None:
    for instrument in INSTRUMENTS:
        assert not set(instrument.sampled) & set(instrument.held_out)
    assert not set(ROOMS["train"]) & set(ROOMS["valid"])


def test_an_ensemble_has_its_leader_and_no_instrument_twice() -> None:
    rng = np.random.default_rng(0)
    for size in range(2, 6):
        for leader in INSTRUMENTS:
            cast = draw_cast(rng, leader, size)
            assert len({each.target for each in cast}) == size and leader in cast
            assert sorted(cast, key=lambda each: -each.centre) == cast


def test_four_parts_are_played_by_any_number_of_instruments() -> None:
    rng = np.random.default_rng(0)
    for size in range(2, 6):
        places = draw_places(rng, size)
        assert len(places) == size and places == sorted(places) and set(places) <= set(range(4))
        assert len(set(places)) == min(size, 4)


def test_notes_are_moved_a_little_and_stay_in_order() -> None:
    rng = np.random.default_rng(0)
    played = humanise(rng, NOTES, draw_breath(rng, 10.0))
    starts = np.array([note.start_s for note in played])
    moved = starts - [note.start_s for note in NOTES]
    assert 0 < np.abs(moved).max() < 0.4 and (np.diff(starts) > 0).all()
    assert len({note.velocity for note in played}) > 5
    assert all(25 <= note.velocity <= 127 and note.length_s <= 0.5 for note in played)


def test_a_room_adds_reverberation_behind_the_direct_sound() -> None:
    dry = np.zeros((1, 20_000), np.float32)
    dry[0, 1000] = 0.5
    room = np.zeros((2, 8000), np.float32)
    room[:, 6000] = 0.1
    wet = place_in_room(np.random.default_rng(0), dry, room)
    assert wet.shape == (2, 20_000) and np.isfinite(wet).all()
    assert np.abs(wet[:, :900]).max() < 1e-6 and np.abs(wet[:, 6990:7100]).max() > 1e-3


@pytest.mark.slow
def test_pieces_of_both_splits_are_of_four_parts_and_apart() -> None:
    pytest.importorskip("music21")
    from stemsplit.training.synthesis.pieces import piece_names, read_piece

    train, valid = (piece_names(split=split) for split in ("train", "valid"))
    assert len(train) > 300 and len(valid) > 20 and not set(train) & set(valid)
    assert all(Path(name).parts[0] in ("bach", "haydn", "mozart") for name in (*train, *valid))
    piece = read_piece("bach/bwv104.6.mxl")
    assert [part.notes[0].pitch for part in piece.parts] == [69, 64, 61, 45]
    assert piece.tempo == 60 and piece.parts[0].notes[1].start_s == 0.5
