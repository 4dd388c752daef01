"""Drums of the virtual band: patterns on their grid, cymbals that ring, rooms, loops in time."""

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("mido")
pytest.importorskip("pedalboard")

from stemsplit.training import SAMPLE_RATE
from stemsplit.training.data.library import Item, Library
from stemsplit.training.synthesis.bass import BassRenderer
from stemsplit.training.synthesis.drum_mix import draw_room_impulse, mix_drums
from stemsplit.training.synthesis.drum_synth import synthesise_hit
from stemsplit.training.synthesis.drums import DrumRenderer, choke
from stemsplit.training.synthesis.groove_styles import CLOSED, GROOVE_STYLES, KICK, OPEN
from stemsplit.training.synthesis.grooves import add_breaks, add_fill, draw_groove, fit_tempo
from stemsplit.training.synthesis.kits import PIECE_OF_PITCH, classify_piece
from stemsplit.training.synthesis.loops import half_bar_s
from stemsplit.training.synthesis.midi import MidiPart, Note
from tests.support.synthesis import click, share_below, write_library

_PIECES = ("kick", "snare", "crash", "hihat_open")


@pytest.fixture(scope="module")
def kit(tmp_path_factory: pytest.TempPathFactory) -> Library:
    """A library with one kit of four pieces and a loop, three seconds each, decoded already."""
    rows = []
    for index, piece in enumerate((*_PIECES, "")):
        kind, name = ("hit", f"acoustic kit {piece}") if piece else ("loop", "beat")
        rows.append(f"d.wav,{3 * index},3,1,drums,{kind},{name},{piece},,drums,train,n{index},me,CC0-1.0,me")
    time_s = np.arange(3 * SAMPLE_RATE) / SAMPLE_RATE
    noise = np.random.default_rng(0).normal(size=time_s.size) * 0.2
    decays = [0.1, 0.1, 1.5, 1.5, 1.0]
    sound = np.concatenate([noise * np.exp(-time_s / decay) for decay in decays])[None]
    return write_library(tmp_path_factory.mktemp("kit"), "d.wav", rows, sound)


@pytest.fixture(autouse=True)
def _no_soundfont(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stemsplit.training.synthesis.drums.render_soundfont", click)


@pytest.mark.parametrize("style", sorted(GROOVE_STYLES))
def test_grooves_stay_on_their_grid_and_in_their_range(style: str) -> None:
    for seed in range(3):
        part = draw_groove(np.random.default_rng(seed), tempo=120, length_s=30, style=style)
        starts = np.array([note.start_s for note in part.notes])
        assert part.is_drums and part.name == style and len(starts) > 10
        assert (np.diff(starts) >= 0).all() and starts.min() >= 0 and starts.max() < 30
        assert all(1 <= note.velocity <= 127 and note.pitch in PIECE_OF_PITCH for note in part.notes)
        sixteenth_s = 15 / fit_tempo(120, GROOVE_STYLES[style].tempos)
        kicks = np.array([note.start_s for note in part.notes if note.pitch == KICK]) / sixteenth_s
        slack = 0.035 / sixteenth_s  # of a human hand
        late = (kicks + slack) % 1 - slack
        assert (late <= max(GROOVE_STYLES[style].swing) * GROOVE_STYLES[style].swung + slack).all()


def test_a_machine_plays_exactly_in_time() -> None:
    part = draw_groove(np.random.default_rng(1), tempo=140, length_s=20, style="trap")
    kicks = np.array([note.start_s for note in part.notes if note.pitch == KICK])
    places = kicks / (15 / 140)
    assert len(kicks) > 10 and np.abs(places - np.rint(places)).max() < 1e-6


@pytest.mark.parametrize("tempo", [30.0, 75.0, 260.0])
def test_a_tempo_is_brought_into_the_range_by_octaves(tempo: float) -> None:
    fitted = fit_tempo(tempo, (70, 150))
    assert 70 <= fitted <= 150 and np.log2(fitted / tempo) == pytest.approx(round(np.log2(fitted / tempo)))


def test_a_fill_keeps_what_comes_before_it() -> None:
    bar = [(float(place), CLOSED, 80) for place in range(0, 16, 2)]
    for seed in range(20):
        out = add_fill(bar, np.random.default_rng(seed))
        start = min(place for place, pitch, _ in out if pitch != CLOSED)
        kept = [stroke for stroke in bar if stroke[0] < start]
        assert len(out) > len(kept) and all(stroke in out for stroke in kept)
        assert all(0 <= place < 16 for place, _, _ in out)


def test_drums_drop_out_for_whole_bars_and_come_back() -> None:
    part = MidiPart(-1, tuple(Note(0.25 * i, 0.1, KICK, 100) for i in range(160)))
    broken = [add_breaks(part, np.random.default_rng(seed), bar_s=2.0) for seed in range(10)]
    longest = max(float(np.diff([n.start_s for n in each.notes]).max()) for each in broken)
    assert longest >= 2.0 and all(each.notes[0] == part.notes[0] for each in broken)
    assert add_breaks(MidiPart(-1, ()), np.random.default_rng(0), bar_s=2.0).notes == ()


def test_an_open_hat_rings_through_open_ones_and_stops_at_a_closed_one() -> None:
    sound, note = np.ones((2, 2 * SAMPLE_RATE), np.float32), Note(0.0, 0.1, OPEN, 100)
    assert choke(sound, note, []).shape == sound.shape
    cut = choke(sound, note, [0.5])
    assert cut.shape[1] == pytest.approx(0.5 * SAMPLE_RATE, abs=1100) and abs(cut[0, -1]) < 1e-3


def test_cymbals_ring_past_the_next_hit(kit: Library) -> None:
    crash = MidiPart(-1, (Note(0.0, 0.1, 49, 120),))
    then_kick = MidiPart(-1, (*crash.notes, Note(0.5, 0.1, 36, 5), Note(0.75, 0.1, 49, 5)))
    renderer = DrumRenderer(kit, [item for item in kit.items if item.kind == "hit"], [])
    for part in (crash, then_kick):
        out = renderer.render(part, length_s=3.0, rng=np.random.default_rng(3)).waveform
        late = out[:, round(1.2 * SAMPLE_RATE) : round(1.4 * SAMPLE_RATE)]
        assert np.abs(late).max() > 0.02 * np.abs(out).max()


@pytest.mark.slow
def test_the_same_seed_plays_the_same_drums(kit: Library) -> None:
    renderer = DrumRenderer(kit, kit.items, [np.ones((1, 500), np.float32)])
    for seed in range(6):
        rngs = [np.random.default_rng(seed) for _ in range(2)]
        part = draw_groove(np.random.default_rng(seed), tempo=100, length_s=4)
        first, second = (renderer.render(part, length_s=4.0, rng=rng).waveform for rng in rngs)
        assert first.shape == (2, 4 * SAMPLE_RATE) and np.array_equal(first, second)
        assert np.isfinite(first).all() and np.abs(first).max() > 0.01


@pytest.mark.slow
@pytest.mark.parametrize("notes", [(), (Note(0.0, 0.1, 3, 127),), (Note(9.0, 0.1, 49, 1),)])
def test_unusual_drum_parts_are_rendered(kit: Library, notes: tuple[Note, ...]) -> None:
    for seed in range(8):
        for items in (kit.items, []):
            renderer = DrumRenderer(kit, items, [])
            out = renderer.render(MidiPart(-1, notes), length_s=1.0, rng=np.random.default_rng(seed)).waveform
            assert out.shape == (2, SAMPLE_RATE) and np.isfinite(out).all()


@pytest.mark.parametrize("piece", sorted({*PIECE_OF_PITCH.values(), "percussion"}))
def test_every_piece_can_be_synthesised(piece: str) -> None:
    sound = synthesise_hit(piece, np.random.default_rng(0))
    assert sound.shape[0] == 1 and np.abs(sound).max() == pytest.approx(1, abs=1e-3)
    early = np.abs(sound[0, : round(0.2 * SAMPLE_RATE)]).max()
    assert early > 0.9 and np.abs(sound[0, -100:]).max() < 0.2


def test_rooms_are_short_stereo_and_of_unit_energy() -> None:
    for seed in range(6):
        impulse = draw_room_impulse(np.random.default_rng(seed), [np.ones((1, 9000), np.float32)])
        assert impulse.shape[0] == 2 and impulse.shape[1] < 1.5 * SAMPLE_RATE
        assert np.square(impulse).sum() == pytest.approx(2, rel=1e-2)


def test_a_silent_kit_is_mixed_to_silence() -> None:
    buses = {
        name: np.zeros((2, 4410), np.float32) for name in ("kick", "snare", "toms", "cymbals", "percussion")
    }
    assert not mix_drums(np.random.default_rng(0), buses, [], []).any()


@pytest.mark.parametrize(
    ("instrument", "listed", "expected"),
    [
        ("acoustic kit CL SH Hat 3", "percussion", "hihat_closed"),
        ("acoustic kit OP SH Hat 1", "percussion", "hihat_open"),
        ("acoustic kit PL BELL ride 1", "ride", "ride_bell"),
        ("acoustic kit RideLBell (mix_close)", "ride", "ride_bell"),
        ("acoustic kit RideL (mix_close)", "ride", "ride"),
        ("drum machine CR-78 conga-l", "crash", "conga"),
        ("drum machine TR-808 cymbal/cy0000", "percussion", "crash"),
        ("acoustic kit snare-01", "snare", "snare"),
        ("drum machine CR-78 hihat-metal", "hihat_closed", "hihat_closed"),
    ],
)
def test_hits_are_classified_by_their_name(instrument: str, listed: str, expected: str, kit: Library) -> None:
    row = {key: str(value) for key, value in vars(kit.items[0]).items()}
    row |= {"pitch": "", "instrument": instrument, "piece": listed}
    assert classify_piece(Item.from_row(row)) == expected


def test_drums_and_basses_have_no_infrasound(kit: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    time_s = np.arange(3 * SAMPLE_RATE) / SAMPLE_RATE
    rumble = (0.5 * np.sin(28 * np.pi * time_s) + 0.2 * np.sin(500 * np.pi * time_s))[None].repeat(2, 0)
    renderer, basses = DrumRenderer(kit, kit.items, []), BassRenderer(kit, [])
    monkeypatch.setattr("stemsplit.training.synthesis.drums.mix_drums", lambda *_: rumble.astype(np.float32))
    monkeypatch.setattr(
        "stemsplit.training.synthesis.bass.synth_bass", lambda *_, **__: rumble.astype(np.float32)
    )
    for seed in range(4):
        part, rng = MidiPart(33, (Note(0.0, 1.0, 36, 100),)), np.random.default_rng(seed)
        for each in (renderer, basses):
            assert share_below(each.render(part, length_s=3.0, rng=rng).waveform, 20) < 0.5


def test_a_loop_keeps_the_time_of_a_human_part_to_the_end() -> None:
    for seed in range(6):
        rng = np.random.default_rng(seed)
        starts = 0.26 * np.arange(150) + rng.normal(0, 0.008, 150)
        notes = (
            Note(max(0.0, float(start_s)), 0.1, 38 if index % 4 == 2 else 42, 100)
            for index, start_s in enumerate(starts)
        )
        assert half_bar_s(MidiPart(-1, tuple(notes))) == pytest.approx(1.04, rel=6e-4)
