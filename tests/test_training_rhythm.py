"""Drums and bass of the virtual band: patterns on their grid, cymbals that ring, lines locked to the kick."""

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("mido")
pytest.importorskip("pedalboard")

from stemsplit.training import SAMPLE_RATE
from stemsplit.training.library import Item, Library, to_int16
from stemsplit.training.studio.band import kick_times
from stemsplit.training.studio.bass import BassMaker, in_register, legato
from stemsplit.training.studio.bass_lines import HIGHEST, LINES, LOWEST, Chord, draw_line, harmony, locked
from stemsplit.training.studio.bass_player import Fingers, chains, glided, pitch_curve, play_bass
from stemsplit.training.studio.bass_synth import KINDS, control_line, synth_bass
from stemsplit.training.studio.drum_mix import mixed_drums, room_impulse
from stemsplit.training.studio.drum_synth import synthesised_hit
from stemsplit.training.studio.drums import DrumMaker, choked
from stemsplit.training.studio.effects import compressed, drum_bus, ducked, limited
from stemsplit.training.studio.groove_styles import CLOSED, KICK, OPEN, STYLES
from stemsplit.training.studio.grooves import draw_groove, filled, fitted_tempo, with_breaks
from stemsplit.training.studio.kits import PIECE_OF_PITCH, true_piece
from stemsplit.training.studio.ladder import swept
from stemsplit.training.studio.loops import pulse_s
from stemsplit.training.studio.midi import Note, Part
from stemsplit.training.studio.sampler import collect_instruments

_HEADER = "file,start_s,duration_s,channels,category,kind,instrument,piece,pitch,contains,split,name,source,"
_PIECES = ("kick", "snare", "crash", "hihat_open")


@pytest.fixture(scope="module")
def kit(tmp_path_factory: pytest.TempPathFactory) -> Library:
    """A library with one kit of four pieces and a loop, three seconds each, decoded already."""
    folder = tmp_path_factory.mktemp("kit")
    rows = [_HEADER + "licence,attribution"]
    for index, piece in enumerate((*_PIECES, "")):
        kind, name = ("hit", f"acoustic kit {piece}") if piece else ("loop", "beat")
        rows.append(f"d.wav,{3 * index},3,1,drums,{kind},{name},{piece},,drums,train,n{index},me,CC0-1.0,me")
    (folder / "index.csv").write_text("\n".join(rows))
    time_s = np.arange(3 * SAMPLE_RATE) / SAMPLE_RATE
    noise = np.random.default_rng(0).normal(size=time_s.size) * 0.2
    decays = [0.1, 0.1, 1.5, 1.5, 1.0]
    sound = np.concatenate([noise * np.exp(-time_s / decay) for decay in decays])[None]
    (folder / "cache").mkdir()
    np.save(folder / "cache" / "d.wav.npy", to_int16(sound.astype(np.float32)))
    return Library(folder, folder / "cache")


@pytest.fixture(autouse=True)
def _no_soundfont(monkeypatch: pytest.MonkeyPatch) -> None:
    """A soundfont of silence but for one click."""

    def click(_: object, *, length_s: float, **__: object) -> np.ndarray:
        out = np.zeros((2, round(length_s * SAMPLE_RATE)), np.float32)
        out[:, 1000:1100] = 0.5
        return out

    for module in ("drums", "bass"):
        monkeypatch.setattr(f"stemsplit.training.studio.{module}.render_soundfont", click)


@pytest.mark.parametrize("style", sorted(STYLES))
def test_grooves_stay_on_their_grid_and_in_their_range(style: str) -> None:
    for seed in range(3):
        part = draw_groove(np.random.default_rng(seed), tempo=120, length_s=30, style=style)
        starts = np.array([note.start_s for note in part.notes])
        assert part.is_drums and part.name == style and len(starts) > 10
        assert (np.diff(starts) >= 0).all() and starts.min() >= 0 and starts.max() < 30
        assert all(1 <= note.velocity <= 127 and note.pitch in PIECE_OF_PITCH for note in part.notes)
        sixteenth_s = 15 / fitted_tempo(120, STYLES[style].tempos)
        kicks = np.array([note.start_s for note in part.notes if note.pitch == KICK]) / sixteenth_s
        slack = 0.035 / sixteenth_s  # of a human hand
        late = (kicks + slack) % 1 - slack
        assert (late <= max(STYLES[style].swing) * STYLES[style].swung + slack).all()


def test_a_machine_plays_exactly_in_time() -> None:
    part = draw_groove(np.random.default_rng(1), tempo=140, length_s=20, style="trap")
    kicks = np.array([note.start_s for note in part.notes if note.pitch == KICK])
    places = kicks / (15 / 140)
    assert len(kicks) > 10 and np.abs(places - np.rint(places)).max() < 1e-6


@pytest.mark.parametrize("tempo", [30.0, 75.0, 260.0])
def test_a_tempo_is_brought_into_the_range_by_octaves(tempo: float) -> None:
    fitted = fitted_tempo(tempo, (70, 150))
    assert 70 <= fitted <= 150 and np.log2(fitted / tempo) == pytest.approx(round(np.log2(fitted / tempo)))


def test_a_fill_keeps_what_comes_before_it() -> None:
    bar = [(float(place), CLOSED, 80) for place in range(0, 16, 2)]
    for seed in range(20):
        out = filled(bar, np.random.default_rng(seed))
        start = min(place for place, pitch, _ in out if pitch != CLOSED)
        kept = [stroke for stroke in bar if stroke[0] < start]
        assert len(out) > len(kept) and all(stroke in out for stroke in kept)
        assert all(0 <= place < 16 for place, _, _ in out)


def test_drums_drop_out_for_whole_bars_and_come_back() -> None:
    part = Part(-1, tuple(Note(0.25 * i, 0.1, KICK, 100) for i in range(160)))
    broken = [with_breaks(part, np.random.default_rng(seed), bar_s=2.0) for seed in range(10)]
    longest = max(float(np.diff([n.start_s for n in each.notes]).max()) for each in broken)
    assert longest >= 2.0 and all(each.notes[0] == part.notes[0] for each in broken)
    assert with_breaks(Part(-1, ()), np.random.default_rng(0), bar_s=2.0).notes == ()


def test_an_open_hat_rings_through_open_ones_and_stops_at_a_closed_one() -> None:
    sound, note = np.ones((2, 2 * SAMPLE_RATE), np.float32), Note(0.0, 0.1, OPEN, 100)
    assert choked(sound, note, []).shape == sound.shape
    cut = choked(sound, note, [0.5])
    assert cut.shape[1] == pytest.approx(0.5 * SAMPLE_RATE, abs=1100) and abs(cut[0, -1]) < 1e-3


def test_cymbals_ring_past_the_next_hit(kit: Library) -> None:
    crash = Part(-1, (Note(0.0, 0.1, 49, 120),))
    then_kick = Part(-1, (*crash.notes, Note(0.5, 0.1, 36, 5), Note(0.75, 0.1, 49, 5)))
    maker = DrumMaker(kit, [item for item in kit.items if item.kind == "hit"], [])
    for part in (crash, then_kick):
        out = maker.render(part, length_s=3.0, rng=np.random.default_rng(3)).waveform
        late = out[:, round(1.2 * SAMPLE_RATE) : round(1.4 * SAMPLE_RATE)]
        assert np.abs(late).max() > 0.02 * np.abs(out).max()


def test_the_same_seed_plays_the_same_drums(kit: Library) -> None:
    maker = DrumMaker(kit, kit.items, [np.ones((1, 500), np.float32)])
    for seed in range(6):
        rngs = [np.random.default_rng(seed) for _ in range(2)]
        part = draw_groove(np.random.default_rng(seed), tempo=100, length_s=4)
        first, second = (maker.render(part, length_s=4.0, rng=rng).waveform for rng in rngs)
        assert first.shape == (2, 4 * SAMPLE_RATE) and np.array_equal(first, second)
        assert np.isfinite(first).all() and np.abs(first).max() > 0.01


@pytest.mark.parametrize("notes", [(), (Note(0.0, 0.1, 3, 127),), (Note(9.0, 0.1, 49, 1),)])
def test_odd_drum_parts_are_played_without_a_fault(kit: Library, notes: tuple[Note, ...]) -> None:
    for seed in range(8):
        for items in (kit.items, []):
            maker = DrumMaker(kit, items, [])
            out = maker.render(Part(-1, notes), length_s=1.0, rng=np.random.default_rng(seed)).waveform
            assert out.shape == (2, SAMPLE_RATE) and np.isfinite(out).all()


@pytest.mark.parametrize("piece", sorted({*PIECE_OF_PITCH.values(), "percussion"}))
def test_every_piece_can_be_synthesised(piece: str) -> None:
    sound = synthesised_hit(piece, np.random.default_rng(0))
    assert sound.shape[0] == 1 and np.abs(sound).max() == pytest.approx(1, abs=1e-3)
    early = np.abs(sound[0, : round(0.2 * SAMPLE_RATE)]).max()
    assert early > 0.9 and np.abs(sound[0, -100:]).max() < 0.2


def test_rooms_are_short_stereo_and_of_unit_energy() -> None:
    for seed in range(6):
        impulse = room_impulse(np.random.default_rng(seed), [np.ones((1, 9000), np.float32)])
        assert impulse.shape[0] == 2 and impulse.shape[1] < 1.5 * SAMPLE_RATE
        assert np.square(impulse).sum() == pytest.approx(2, rel=1e-2)


def test_a_silent_kit_is_mixed_to_silence() -> None:
    buses = {
        name: np.zeros((2, 4410), np.float32) for name in ("kick", "snare", "toms", "cymbals", "percussion")
    }
    assert not mixed_drums(np.random.default_rng(0), buses, [], []).any()


def test_ducking_follows_the_kick() -> None:
    out = ducked(np.ones((2, SAMPLE_RATE), np.float32), [0.5, 3.0], depth=0.8, release_s=0.1)
    assert out[0, round(0.5 * SAMPLE_RATE)] == pytest.approx(0.2, abs=0.01)
    assert out[0, round(0.45 * SAMPLE_RATE)] == 1 and out[0, round(0.95 * SAMPLE_RATE)] > 0.97


def test_compression_moves_nothing_in_the_image() -> None:
    time_s = np.arange(SAMPLE_RATE) / SAMPLE_RATE
    sound = np.stack([np.sin(600 * np.pi * time_s), 0.1 * np.sin(600 * np.pi * time_s)]).astype(np.float32)
    for seed in range(4):
        out = compressed(np.random.default_rng(seed), sound, heavy=True)
        assert np.abs(out[1] - 0.1 * out[0]).max() < 1e-3 * np.abs(out).max()
        loud = np.abs(out[0]).reshape(-1, 441).max(1)
        assert loud[0] > 1.5 * loud[-1]  # and yet it compresses


@pytest.mark.parametrize("threshold_db", [-12.0, -5.0])
def test_a_limiter_evens_out_without_clipping(threshold_db: float) -> None:
    time_s = np.arange(2 * SAMPLE_RATE) / SAMPLE_RATE
    tone = (np.sin(160 * np.pi * time_s) * np.where(time_s < 1, 0.7, 0.2)).astype(np.float32)
    out = limited(np.stack([tone, tone]), threshold_db)
    loud, quiet = (np.abs(out[0, round(t * SAMPLE_RATE) :][:20_000]).max() for t in (0.5, 1.5))
    assert loud < 0.9 and (quiet / loud > 0.5 or threshold_db > -6)
    spectrum = np.abs(np.fft.rfft(out[0, 22_050:44_100] * np.hanning(22_050)))
    assert np.square(spectrum[500:]).sum() < 1e-5 * np.square(spectrum).sum()  # above 1 kHz


def test_drums_are_mostly_narrow_and_not_all_bright() -> None:
    middle, side = np.random.default_rng(0).normal(0, 0.1, (2, SAMPLE_RATE))
    bright = np.stack([middle + 0.5 * side, middle - 0.5 * side]).astype(np.float32)  # sides 6 dB beneath
    sides_db, highs_db = [], []
    for seed in range(40):
        left, right = drum_bus(np.random.default_rng(seed), bright, [])
        sides_db.append(10 * np.log10(np.square(left - right).sum() / np.square(left + right).sum()))
        highs_db.append(10 * np.log10(1 - share_below((left + right)[None], 5000)))
    assert np.median(sides_db) < -7.5 and np.ptp(np.quantile(sides_db, [0.1, 0.9])) > 7
    assert np.median(highs_db) < -2 and np.ptp(np.quantile(highs_db, [0.1, 0.9])) > 3


def test_a_swept_filter_opens() -> None:
    noise = np.random.default_rng(0).normal(size=(2, SAMPLE_RATE)).astype(np.float32) * 0.1
    out = swept(noise, np.geomspace(100, 16_000, SAMPLE_RATE), resonance=0.1)
    assert np.std(out[:, -4000:]) > 5 * np.std(out[:, :4000])


def test_a_filter_opens_as_fast_as_its_envelope() -> None:
    noise = np.random.default_rng(0).normal(size=(2, SAMPLE_RATE)).astype(np.float32) * 0.1
    step = np.where(np.arange(SAMPLE_RATE) < SAMPLE_RATE // 2, 100.0, 8000.0)
    opened = swept(noise, step, resonance=0.2)[:, SAMPLE_RATE // 2 :]
    assert np.std(opened[:, 200:600]) > 0.8 * np.std(opened[:, -4000:])


@pytest.mark.parametrize("resonance", [0.0, 0.5, 0.9])
@pytest.mark.parametrize("cutoff_hz", [5.0, 300.0, 3000.0, 30_000.0])
def test_a_filter_is_what_its_cutoff_says(resonance: float, cutoff_hz: float) -> None:
    impulse = np.zeros((1, 30_000), np.float32)
    impulse[0, 0] = 1e-3
    out = swept(impulse, np.full(30_000, cutoff_hz), resonance=resonance)
    response_db = 20 * np.log10(np.abs(np.fft.rfft(out[0]) / 1e-3) + 1e-9)
    at_hz = np.fft.rfftfreq(30_000, 1 / SAMPLE_RATE)
    corner_hz = min(18_000.0, max(20.0, cutoff_hz))
    assert np.abs(response_db[at_hz < 0.2 * corner_hz]).max() < 5
    if corner_hz < 4000:
        assert response_db[at_hz > 4 * corner_hz].max() < -34
        peak_hz = at_hz[np.argmax(response_db)]
        assert resonance < 0.4 or peak_hz == pytest.approx(corner_hz, rel=0.25)


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
def test_hits_are_known_by_what_they_are(instrument: str, listed: str, expected: str, kit: Library) -> None:
    row = {key: str(value) for key, value in vars(kit.items[0]).items()}
    row |= {"pitch": "", "instrument": instrument, "piece": listed}
    assert true_piece(Item.from_row(row)) == expected


@pytest.fixture(scope="module")
def bass(tmp_path_factory: pytest.TempPathFactory) -> Library:
    """A library with one bass of five pitches that decay, decoded already."""
    folder = tmp_path_factory.mktemp("bass")
    rows = [_HEADER + "licence,attribution"]
    sounds = []
    time_s = np.arange(2 * SAMPLE_RATE) / SAMPLE_RATE
    for index in range(5):
        pitch = 28 + 4 * index
        rows.append(f"b.wav,{2 * index},2,1,bass,note,bass,,{pitch},bass,train,n{index},me,CC0-1.0,me")
        frequency_hz = 440 * 2 ** ((pitch - 69) / 12)
        sounds.append(0.5 * np.sin(2 * np.pi * frequency_hz * time_s) * np.exp(-time_s))
    (folder / "index.csv").write_text("\n".join(rows))
    (folder / "cache").mkdir()
    np.save(folder / "cache" / "b.wav.npy", to_int16(np.concatenate(sounds)[None].astype(np.float32)))
    return Library(folder, folder / "cache")


def pitch_of(waveform: np.ndarray) -> float:
    """Of the strongest partial, as MIDI number."""
    spectrum = np.abs(np.fft.rfft(waveform.mean(0) * np.hanning(waveform.shape[1]), 1 << 18))
    return float(69 + 12 * np.log2(np.argmax(spectrum) * SAMPLE_RATE / (1 << 18) / 440))


def test_harmony_finds_roots_and_goes_on_through_silence() -> None:
    a_minor = [Note(0.0, 1.0, pitch, 90) for pitch in (57, 60, 64)]
    f_major = [Note(1.0, 1.0, pitch, 90) for pitch in (53, 57, 60)]
    chords = harmony(
        [Part(0, (*a_minor, *f_major)), Part(-1, (Note(0, 1, 36, 100),))], beat_s=0.5, length_s=4
    )
    assert [(chord.root % 12, chord.third) for chord in chords] == [(9, 3), (5, 4), (5, 4), (5, 4)]
    assert harmony([], beat_s=0.5, length_s=1)


@pytest.mark.parametrize("style", ["", *sorted(STYLES)])
def test_lines_are_in_time_and_in_register(style: str) -> None:
    chords = [Chord(float(index), 1.0, 30 + index % 5, 3) for index in range(12)]
    kicks = [0.5 * index for index in range(24)]
    for seed in range(8):
        rng = np.random.default_rng(seed)
        part = draw_line(rng, chords, kicks, beat_s=0.5, style=style)
        starts = np.array([note.start_s for note in part.notes])
        assert part.name in LINES and len(starts) and (np.diff(starts) >= 0).all() and starts.max() < 12
        notes = in_register(part.notes, rng)
        assert all(LOWEST <= note.pitch <= HIGHEST for note in notes)
        assert 28 <= np.median([note.pitch for note in notes]) <= 48


def test_a_line_far_away_keeps_its_shape() -> None:
    rng = np.random.default_rng(0)
    notes = in_register([Note(0.0, 1, 72, 90), Note(1.0, 1, 74, 90), Note(2.0, 1, 67, 90)], rng)
    assert [note.pitch - notes[0].pitch for note in notes] == [0, 2, -5]


def test_basses_are_played_with_different_force_and_length() -> None:
    written = [Note(0.5 * i, 0.45, 33, 60 + 40 * (i % 2)) for i in range(32)]
    lines = [legato(written, np.random.default_rng(seed)) for seed in range(40)]
    accents = [np.diff([note.velocity for note in line])[::2].mean() for line in lines]
    assert np.ptp(np.quantile(accents, [0.1, 0.9])) > 15 and np.median(accents) > 8
    lengths_s = [np.mean([note.length_s for note in line]) for line in lines]
    assert min(lengths_s) < 0.3 and max(lengths_s) > 0.45


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_a_synthesiser_plays_softly_where_it_is_written(kind: str) -> None:
    loud, soft = Note(0.0, 0.5, 40, 110), Note(0.6, 0.5, 40, 35)
    out = synth_bass(np.random.default_rng(5), [loud, soft], length_s=1.2, kind=kind)
    halves = [np.square(half).sum() for half in np.array_split(out, 2, axis=1)]
    assert halves[1] < 0.7 * halves[0]


def test_some_basses_keep_their_dynamics(bass: Library) -> None:
    line = Part(33, tuple(Note(0.5 * i, 0.3, 33, 100) for i in range(12)), "held")
    spreads_db = []
    for seed in range(24):
        out = BassMaker(bass, bass.items).render(line, length_s=6.0, rng=np.random.default_rng(seed)).waveform
        power = np.square(out[:, : 60 * 4410]).mean(0).reshape(60, 4410).mean(1)
        spreads_db.append(10 * np.log10((np.quantile(power, 0.9) + 1e-9) / (np.quantile(power, 0.3) + 1e-9)))
    assert np.mean(np.array(spreads_db) > 3) > 0.5


def test_the_bass_is_locked_to_the_kick() -> None:
    drums = draw_groove(np.random.default_rng(2), tempo=110, length_s=20, style="rock")
    kicks = kick_times(drums)
    line = Part(33, tuple(Note(round(0.273 * i, 3), 0.27, 33, 90) for i in range(70)))
    out = locked(line, kicks, np.random.default_rng(0), added=1.0)
    distances = np.array([min(abs(note.start_s - kick) for kick in kicks) for note in out.notes])
    assert not ((distances > 0.02) & (distances < 0.069)).any()
    starts = np.array([note.start_s for note in out.notes])
    inside = [kick for kick in kicks if kick < 18]
    served = np.mean([np.abs(starts - kick).min() < 0.02 for kick in inside])
    assert served > 0.75 and len(out.notes) > len(line.notes)
    assert locked(line, [], np.random.default_rng(0), added=1.0) == line


def test_a_glide_is_continuous_in_pitch() -> None:
    chain = [Note(0.0, 0.5, 33, 100), Note(0.5, 0.5, 38, 100), Note(1.0, 0.5, 31, 100)]
    curve = pitch_curve(chain, np.random.default_rng(0), slides=1.0)
    assert len(curve) == round(1.5 * SAMPLE_RATE) and np.abs(np.diff(curve)).max() < 0.01
    middles = [curve[round(place * SAMPLE_RATE)] for place in (0.2, 0.8, 1.4)]
    assert middles == pytest.approx([0, 5, -2])
    time_s = np.arange(3 * SAMPLE_RATE) / SAMPLE_RATE
    sound = glided(np.sin(2 * np.pi * 55 * time_s)[None].astype(np.float32), curve)
    assert pitch_of(sound[:, round(0.7 * SAMPLE_RATE) : round(0.9 * SAMPLE_RATE)]) == pytest.approx(
        38, abs=0.2
    )


def test_slurs_join_touching_notes_only() -> None:
    touching = [Note(0.5 * i, 0.5, 33 + 2 * (i % 2), 100) for i in range(8)]
    apart = [Note(0.5 * i, 0.3, 33 + 2 * (i % 2), 100) for i in range(8)]
    fingers, rng = Fingers(slurred=1.0), np.random.default_rng(0)
    assert [len(chain) for chain in chains(touching, fingers, rng)] == [4, 4]
    assert all(len(chain) == 1 for chain in chains(apart, fingers, rng))


def test_notes_of_a_bass_are_about_as_loud_as_each_other(bass: Library) -> None:
    (instrument,) = collect_instruments(bass.items)
    notes = [Note(0.5 * i, 0.45, 28 + 3 * i, 104) for i in range(6)]
    rng = np.random.default_rng(0)
    out = play_bass(bass, instrument, notes, Fingers(slurred=0.0), length_s=3.0, rng=rng)
    levels = [
        np.std(out[:, round(t * SAMPLE_RATE) :][:, : round(0.3 * SAMPLE_RATE)]) for t in np.arange(6) / 2
    ]
    assert 20 * np.log10(max(levels) / min(levels)) < 5
    for index, note in enumerate(notes):
        piece = out[:, round((0.5 * index + 0.05) * SAMPLE_RATE) :][:, : round(0.35 * SAMPLE_RATE)]
        assert pitch_of(piece) == pytest.approx(note.pitch, abs=0.4)


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_a_synthesised_bass_plays_its_pitch_with_the_low_end_in_the_middle(kind: str) -> None:
    for seed in range(4):
        rng = np.random.default_rng(seed)
        out = synth_bass(rng, [Note(0.1, 1.3, 40, 100)], length_s=1.6, kind=kind)
        assert out.shape == (2, round(1.6 * SAMPLE_RATE)) and np.isfinite(out).all()
        held = out[:, round(0.3 * SAMPLE_RATE) : round(1.3 * SAMPLE_RATE)]
        partial = 2 ** ((pitch_of(held) - 40) / 12)
        assert min(abs(partial - times) for times in (0.5, *range(1, 9))) < 0.12  # a wobble has sidebands
        assert np.abs(out[:, : round(0.08 * SAMPLE_RATE)]).max() < 0.02 * np.abs(out).max()
        spectrum = np.abs(np.fft.rfft(out, axis=1))
        low = slice(0, round(70 * 1.6))
        assert np.abs(spectrum[0, low] - spectrum[1, low]).sum() < 0.1 * spectrum[:, low].sum()


def test_the_pitch_of_a_synthesiser_glides_without_a_jump() -> None:
    notes = [Note(0.0, 0.5, 30, 100), Note(0.5, 0.5, 42, 100)]
    line = control_line(notes, length_s=1.0, glide_s=0.1, release_s=0.05)
    assert np.abs(np.diff(line.pitch)).max() < 0.01 and line.pitch[-1] == pytest.approx(42)
    assert np.abs(np.diff(line.gate)).max() < 0.02


def share_below(waveform: np.ndarray, corner_hz: float) -> float:
    """Of the power of a sound."""
    power = np.square(np.abs(np.fft.rfft(waveform, axis=1))).sum(0)
    return float(power[np.fft.rfftfreq(waveform.shape[1], 1 / SAMPLE_RATE) < corner_hz].sum() / power.sum())


def test_a_growl_keeps_to_its_octave() -> None:
    for seed in range(12):
        out = synth_bass(np.random.default_rng(seed), [Note(0.0, 2.0, 40, 100)], length_s=2.0, kind="growl")
        assert share_below(out, 70) < 0.1  # the note has 82 Hz


def test_drums_and_basses_have_nothing_that_cannot_be_heard(
    kit: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    time_s = np.arange(3 * SAMPLE_RATE) / SAMPLE_RATE
    rumble = (0.5 * np.sin(28 * np.pi * time_s) + 0.2 * np.sin(500 * np.pi * time_s))[None].repeat(2, 0)
    maker, basses = DrumMaker(kit, kit.items, []), BassMaker(kit, [])
    monkeypatch.setattr("stemsplit.training.studio.drums.mixed_drums", lambda *_: rumble.astype(np.float32))
    monkeypatch.setattr(
        "stemsplit.training.studio.bass.synth_bass", lambda *_, **__: rumble.astype(np.float32)
    )
    for seed in range(4):
        part, rng = Part(33, (Note(0.0, 1.0, 36, 100),)), np.random.default_rng(seed)
        for each in (maker, basses):
            assert share_below(each.render(part, length_s=3.0, rng=rng).waveform, 20) < 0.5


def test_a_gate_is_closed_where_the_envelope_jumps() -> None:
    notes = [Note(0.1 + 0.2 * i, 0.3, 33, 104) for i in range(4)]  # held until the next
    line = control_line(notes, length_s=1.0, glide_s=0.004, release_s=0.1)
    jumps = np.flatnonzero(np.diff(line.decay(0.3)) > 0.01)
    assert len(jumps) == 4 and np.abs(line.gate[jumps + 1]).max() < 0.01
    assert line.gate[round(0.11 * SAMPLE_RATE)] > 0.99 and line.gate[round(0.29 * SAMPLE_RATE)] > 0.99


@pytest.mark.parametrize(
    "notes", [(), (Note(0.0, 0.02, 90, 1),), (Note(9.0, 3.0, 5, 127), Note(9.0, 1, 5, 1))]
)
@pytest.mark.parametrize("name", ["", "808", "walking"])
def test_odd_bass_parts_are_played_without_a_fault(bass: Library, notes: tuple[Note, ...], name: str) -> None:
    for seed in range(6):
        for items in (bass.items, []):
            rng = np.random.default_rng(seed)
            take = BassMaker(bass, items).render(
                Part(33, notes, name), length_s=1.0, rng=rng, kicks=[0.2, 0.7]
            )
            assert take.waveform.shape == (2, SAMPLE_RATE) and np.isfinite(take.waveform).all()


def test_the_same_seed_plays_the_same_line(bass: Library) -> None:
    chords = [Chord(float(index), 1.0, 30 + index % 5, 3) for index in range(4)]
    for seed, style in enumerate(sorted(STYLES)):
        takes = []
        for _ in range(2):
            rng = np.random.default_rng(seed)
            part = draw_line(rng, chords, [0.0, 1.0, 2.5], beat_s=0.5, style=style)
            takes.append(BassMaker(bass, bass.items).render(part, length_s=4.0, rng=rng, kicks=[0.0, 1.0]))
        assert np.array_equal(takes[0].waveform, takes[1].waveform)
        assert np.abs(takes[0].waveform).max() > 0.01


def test_a_loop_keeps_the_time_of_a_human_part_to_the_end() -> None:
    for seed in range(6):
        rng = np.random.default_rng(seed)
        starts = 0.26 * np.arange(150) + rng.normal(0, 0.008, 150)
        notes = (
            Note(max(0.0, float(start_s)), 0.1, 38 if index % 4 == 2 else 42, 100)
            for index, start_s in enumerate(starts)
        )
        assert pulse_s(Part(-1, tuple(notes))) == pytest.approx(1.04, rel=6e-4)
