"""Bass of the virtual band: lines locked to the kick, sampled and synthesised basses that play them."""

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("mido")
pytest.importorskip("pedalboard")

from stemsplit.training import SAMPLE_RATE
from stemsplit.training.data.library import Library
from stemsplit.training.synthesis.band import kick_times
from stemsplit.training.synthesis.bass import BassRenderer, articulate, move_to_register
from stemsplit.training.synthesis.bass_lines import (
    HIGHEST,
    LINES,
    LOWEST,
    BassChord,
    draw_line,
    find_bass_chords,
    lock_to_kicks,
)
from stemsplit.training.synthesis.bass_player import (
    Fingers,
    group_slurs,
    play_bass,
    resample_along,
    slide_curve,
)
from stemsplit.training.synthesis.bass_synth import KINDS, control_line, synth_bass
from stemsplit.training.synthesis.groove_styles import GROOVE_STYLES
from stemsplit.training.synthesis.grooves import draw_groove
from stemsplit.training.synthesis.midi import MidiPart, Note
from stemsplit.training.synthesis.sampler import collect_instruments
from tests.support.synthesis import click, share_below, write_library


@pytest.fixture(scope="module")
def bass(tmp_path_factory: pytest.TempPathFactory) -> Library:
    """A library with one bass of five pitches that decay, decoded already."""
    rows, sounds = [], []
    time_s = np.arange(2 * SAMPLE_RATE) / SAMPLE_RATE
    for index in range(5):
        pitch = 28 + 4 * index
        rows.append(f"b.wav,{2 * index},2,1,bass,note,bass,,{pitch},bass,train,n{index},me,CC0-1.0,me")
        frequency_hz = 440 * 2 ** ((pitch - 69) / 12)
        sounds.append(0.5 * np.sin(2 * np.pi * frequency_hz * time_s) * np.exp(-time_s))
    return write_library(tmp_path_factory.mktemp("bass"), "b.wav", rows, np.concatenate(sounds)[None])


@pytest.fixture(autouse=True)
def _no_soundfont(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stemsplit.training.synthesis.bass.render_soundfont", click)


def pitch_of(waveform: np.ndarray) -> float:
    """Return the MIDI pitch of the strongest partial."""
    spectrum = np.abs(np.fft.rfft(waveform.mean(0) * np.hanning(waveform.shape[1]), 1 << 18))
    return float(69 + 12 * np.log2(np.argmax(spectrum) * SAMPLE_RATE / (1 << 18) / 440))


def test_harmony_finds_roots_and_goes_on_through_silence() -> None:
    a_minor = [Note(0.0, 1.0, pitch, 90) for pitch in (57, 60, 64)]
    f_major = [Note(1.0, 1.0, pitch, 90) for pitch in (53, 57, 60)]
    chords = find_bass_chords(
        [MidiPart(0, (*a_minor, *f_major)), MidiPart(-1, (Note(0, 1, 36, 100),))], beat_s=0.5, length_s=4
    )
    assert [(chord.root % 12, chord.third) for chord in chords] == [(9, 3), (5, 4), (5, 4), (5, 4)]
    assert find_bass_chords([], beat_s=0.5, length_s=1)


@pytest.mark.parametrize("style", ["", *sorted(GROOVE_STYLES)])
def test_lines_are_in_time_and_in_register(style: str) -> None:
    chords = [BassChord(float(index), 1.0, 30 + index % 5, 3) for index in range(12)]
    kicks = [0.5 * index for index in range(24)]
    for seed in range(8):
        rng = np.random.default_rng(seed)
        part = draw_line(rng, chords, kicks, beat_s=0.5, style=style)
        starts = np.array([note.start_s for note in part.notes])
        assert part.name in LINES and len(starts) and (np.diff(starts) >= 0).all() and starts.max() < 12
        notes = move_to_register(part.notes, rng)
        assert all(LOWEST <= note.pitch <= HIGHEST for note in notes)
        assert 28 <= np.median([note.pitch for note in notes]) <= 48


def test_a_line_far_away_keeps_its_shape() -> None:
    rng = np.random.default_rng(0)
    notes = move_to_register([Note(0.0, 1, 72, 90), Note(1.0, 1, 74, 90), Note(2.0, 1, 67, 90)], rng)
    assert [note.pitch - notes[0].pitch for note in notes] == [0, 2, -5]


def test_basses_are_played_with_different_force_and_length() -> None:
    written = [Note(0.5 * i, 0.45, 33, 60 + 40 * (i % 2)) for i in range(32)]
    lines = [articulate(written, np.random.default_rng(seed)) for seed in range(40)]
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


@pytest.mark.slow
def test_some_basses_keep_their_dynamics(bass: Library) -> None:
    line = MidiPart(33, tuple(Note(0.5 * i, 0.3, 33, 100) for i in range(12)), "held")
    spreads_db = []
    for seed in range(24):
        out = (
            BassRenderer(bass, bass.items)
            .render(line, length_s=6.0, rng=np.random.default_rng(seed))
            .waveform
        )
        power = np.square(out[:, : 60 * 4410]).mean(0).reshape(60, 4410).mean(1)
        spreads_db.append(10 * np.log10((np.quantile(power, 0.9) + 1e-9) / (np.quantile(power, 0.3) + 1e-9)))
    assert np.mean(np.array(spreads_db) > 3) > 0.5


def test_the_bass_is_locked_to_the_kick() -> None:
    drums = draw_groove(np.random.default_rng(2), tempo=110, length_s=20, style="rock")
    kicks = kick_times(drums)
    line = MidiPart(33, tuple(Note(round(0.273 * i, 3), 0.27, 33, 90) for i in range(70)))
    out = lock_to_kicks(line, kicks, np.random.default_rng(0), added=1.0)
    distances = np.array([min(abs(note.start_s - kick) for kick in kicks) for note in out.notes])
    assert not ((distances > 0.02) & (distances < 0.069)).any()
    starts = np.array([note.start_s for note in out.notes])
    inside = [kick for kick in kicks if kick < 18]
    served = np.mean([np.abs(starts - kick).min() < 0.02 for kick in inside])
    assert served > 0.75 and len(out.notes) > len(line.notes)
    assert lock_to_kicks(line, [], np.random.default_rng(0), added=1.0) == line


def test_a_glide_is_continuous_in_pitch() -> None:
    chain = [Note(0.0, 0.5, 33, 100), Note(0.5, 0.5, 38, 100), Note(1.0, 0.5, 31, 100)]
    curve = slide_curve(chain, np.random.default_rng(0), slides=1.0)
    assert len(curve) == round(1.5 * SAMPLE_RATE) and np.abs(np.diff(curve)).max() < 0.01
    middles = [curve[round(place * SAMPLE_RATE)] for place in (0.2, 0.8, 1.4)]
    assert middles == pytest.approx([0, 5, -2])
    time_s = np.arange(3 * SAMPLE_RATE) / SAMPLE_RATE
    sound = resample_along(np.sin(2 * np.pi * 55 * time_s)[None].astype(np.float32), curve)
    assert pitch_of(sound[:, round(0.7 * SAMPLE_RATE) : round(0.9 * SAMPLE_RATE)]) == pytest.approx(
        38, abs=0.2
    )


def test_slurs_join_touching_notes_only() -> None:
    touching = [Note(0.5 * i, 0.5, 33 + 2 * (i % 2), 100) for i in range(8)]
    apart = [Note(0.5 * i, 0.3, 33 + 2 * (i % 2), 100) for i in range(8)]
    fingers, rng = Fingers(slurred=1.0), np.random.default_rng(0)
    assert [len(chain) for chain in group_slurs(touching, fingers, rng)] == [4, 4]
    assert all(len(chain) == 1 for chain in group_slurs(apart, fingers, rng))


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


def test_a_growl_keeps_to_its_octave() -> None:
    for seed in range(12):
        out = synth_bass(np.random.default_rng(seed), [Note(0.0, 2.0, 40, 100)], length_s=2.0, kind="growl")
        assert share_below(out, 70) < 0.1  # the note has 82 Hz


def test_a_gate_is_closed_where_the_envelope_jumps() -> None:
    notes = [Note(0.1 + 0.2 * i, 0.3, 33, 104) for i in range(4)]  # held until the next
    line = control_line(notes, length_s=1.0, glide_s=0.004, release_s=0.1)
    jumps = np.flatnonzero(np.diff(line.decay(0.3)) > 0.01)
    assert len(jumps) == 4 and np.abs(line.gate[jumps + 1]).max() < 0.01
    assert line.gate[round(0.11 * SAMPLE_RATE)] > 0.99 and line.gate[round(0.29 * SAMPLE_RATE)] > 0.99


@pytest.mark.parametrize(
    "notes",
    [
        (),
        (Note(0.0, 0.02, 90, 1),),
        pytest.param((Note(9.0, 3.0, 5, 127), Note(9.0, 1, 5, 1)), marks=pytest.mark.slow),
    ],
)
@pytest.mark.parametrize("name", ["", "808", "walking"])
def test_unusual_bass_parts_are_rendered(bass: Library, notes: tuple[Note, ...], name: str) -> None:
    for seed in range(6):
        for items in (bass.items, []):
            rng = np.random.default_rng(seed)
            stem = BassRenderer(bass, items).render(
                MidiPart(33, notes, name), length_s=1.0, rng=rng, kicks=[0.2, 0.7]
            )
            assert stem.waveform.shape == (2, SAMPLE_RATE) and np.isfinite(stem.waveform).all()


@pytest.mark.slow
def test_the_same_seed_plays_the_same_line(bass: Library) -> None:
    chords = [BassChord(float(index), 1.0, 30 + index % 5, 3) for index in range(4)]
    for seed, style in enumerate(sorted(GROOVE_STYLES)):
        stems = []
        for _ in range(2):
            rng = np.random.default_rng(seed)
            part = draw_line(rng, chords, [0.0, 1.0, 2.5], beat_s=0.5, style=style)
            stems.append(BassRenderer(bass, bass.items).render(part, length_s=4.0, rng=rng, kicks=[0.0, 1.0]))
        assert np.array_equal(stems[0].waveform, stems[1].waveform)
        assert np.abs(stems[0].waveform).max() > 0.01
