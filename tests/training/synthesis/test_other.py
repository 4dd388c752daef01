"""The accompaniment of the virtual band: figures, sections, amplifiers, layers."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from scipy.signal import hilbert

pytest.importorskip("mido")
pytest.importorskip("pedalboard")

from stemsplit.training import SAMPLE_RATE
from stemsplit.training.data.library import Library
from stemsplit.training.synthesis.amplifier import (
    Amplifier,
    amplify,
    apply_cabinet,
    cabinet_response,
    draw_amplifier,
    draw_cabinet,
)
from stemsplit.training.synthesis.arrangement import Section, draw_sections, notes_in_sections
from stemsplit.training.synthesis.bus import apply_accompaniment_bus
from stemsplit.training.synthesis.figures import (
    LOWEST,
    arpeggio,
    held_chords,
    melody_line,
    power_chords,
    strums,
)
from stemsplit.training.synthesis.harmony import Chord, Pulse, find_chords, find_pulse
from stemsplit.training.synthesis.layers import ACCOMPANIMENT_STYLES, draw_layers, read_score
from stemsplit.training.synthesis.midi import MidiPart, Note
from stemsplit.training.synthesis.modulation import bend_notes
from stemsplit.training.synthesis.other import OtherRenderer, normalise_loudness
from stemsplit.training.synthesis.plucked import PluckedString, draw_string, pluck
from stemsplit.types import FloatArray

PULSE = Pulse(0.5)
CHORDS = tuple(Chord(2.0 * bar, 2.0, tones) for bar, tones in enumerate([(0, 4, 7), (9, 0, 4), (5, 9, 0)]))


def tone(frequency_hz: float, length_s: float = 1.0) -> FloatArray:
    time = np.arange(round(length_s * SAMPLE_RATE)) / SAMPLE_RATE
    return np.sin(2 * np.pi * frequency_hz * time)[None].astype(np.float32) * 0.5


def power_between(waveform: FloatArray, low_hz: float, high_hz: float) -> float:
    spectrum = np.square(np.abs(np.fft.rfft(waveform, axis=1))).sum(0)
    frequency_hz = np.fft.rfftfreq(waveform.shape[1], 1 / SAMPLE_RATE)
    return float(spectrum[(frequency_hz >= low_hz) & (frequency_hz < high_hz)].sum())


def test_beat_and_chords_are_read_off_the_notes() -> None:
    notes = [Note(0.1 + 0.45 * beat, 0.4, 60 + up, 90) for beat in range(16) for up in (0, 4, 7)]
    notes += [Note(0.1 + 0.1125 * step, 0.1, 72, 60) for step in range(60)]
    pulse = find_pulse([MidiPart(0, tuple(notes))])
    assert pulse.beat_s == pytest.approx(0.45, abs=0.01) and pulse.offset_s % 0.1125 == pytest.approx(
        0.1, abs=0.02
    )
    assert {chord.tones for chord in find_chords([MidiPart(0, tuple(notes))], pulse, length_s=6)} == {
        (0, 4, 7)
    }


@pytest.mark.parametrize("beat_s", [0.3819, 0.4567, 0.5223, 0.6011, 0.7071])
def test_a_beat_is_found_to_the_end_of_a_song(beat_s: float) -> None:
    """The tempo is exact within 0.1 %, so that the grid fits for 40 s; bars start where chords do."""
    rng = np.random.default_rng(0)
    notes = [
        Note(0.13 + 0.5 * beat_s * i, 0.1, 60, 90) for i in range(round(70 / beat_s)) if rng.random() < 0.8
    ]
    chords = [Note(0.13 + beat_s * (1 + 4 * i), 4 * beat_s, 48, 90) for i in range(round(9 / beat_s))]
    pulse = find_pulse([MidiPart(0, tuple(notes)), MidiPart(0, tuple(chords))])
    assert pulse.beat_s == pytest.approx(beat_s, rel=1e-3)
    away = (pulse.offset_s - 0.13 - beat_s) / (4 * beat_s)
    assert away == pytest.approx(round(away), abs=0.02)


def test_nothing_to_read_is_a_steady_beat_in_c() -> None:
    assert find_pulse([]) == Pulse(0.5)
    assert {chord.root for chord in find_chords([], Pulse(0.5), length_s=4)} == {0}


def test_strings_of_a_strum_follow_each_other_down_and_up() -> None:
    orders = set()
    for seed in range(8):
        notes = strums(CHORDS[:1], PULSE, np.random.default_rng(seed))
        for first, second in pairwise(notes):
            lag_s = second.start_s - first.start_s
            if 0 < lag_s < 0.03:
                orders.add(second.pitch > first.pitch)
        starts = np.array([note.start_s for note in notes])
        stroke = starts[starts < starts[0] + 0.06]
        assert 0.0079 <= stroke.max() - stroke.min() <= 0.0251
    assert orders == {True, False}


@pytest.mark.parametrize("figure", [strums, power_chords])
def test_guitars_stay_above_the_bass(figure) -> None:
    for seed in range(10):
        assert min(note.pitch for note in figure(CHORDS, PULSE, np.random.default_rng(seed))) >= LOWEST


def test_figures_stay_in_the_chords() -> None:
    for seed in range(5):
        rng = np.random.default_rng(seed)
        for chord in CHORDS:
            for notes in (held_chords([chord], rng), arpeggio([chord], PULSE, rng, lowest=60)):
                assert {note.pitch % 12 for note in notes} <= set(chord.tones)


def test_held_chords_have_a_left_hand_now_and_then() -> None:
    deepest = [
        min(note.pitch for note in held_chords(CHORDS, np.random.default_rng(seed))) for seed in range(60)
    ]
    assert min(deepest) >= 28 and 0.1 < np.mean(np.array(deepest) < LOWEST) < 0.4


def test_a_line_has_one_voice() -> None:
    notes = melody_line(CHORDS, PULSE, np.random.default_rng(1), lowest=60)
    assert len(notes) > 4
    assert all(a.start_s + a.length_s <= b.start_s + 1e-6 for a, b in pairwise(notes))


def test_sections_fill_the_song_and_silence_layers() -> None:
    sections = draw_sections(np.random.default_rng(0), PULSE, 40.0)
    assert sections[0].start_s == 0 and sections[-1].end_s == 40.0
    assert all(a.end_s == b.start_s for a, b in pairwise(sections))
    for seed in range(20):
        assert max(each.density for each in draw_sections(np.random.default_rng(seed), PULSE, 4.0)) >= 0.8
    thin, full = Section(0, 4, 0.2), Section(4, 8, 0.9)
    notes = [Note(start, 2.0, 60, 90) for start in (0.0, 3.0, 5.0, 7.0)]
    assert [note.start_s for note in notes_in_sections(notes, [thin, full], 0.5)] == [5.0, 7.0]
    assert len(notes_in_sections(notes, [thin, full], 0.1)) == 4


def test_every_style_draws_layers_that_sometimes_sound_like_a_voice() -> None:
    for style in ACCOMPANIMENT_STYLES.values():
        drawn = [draw_layers(style, np.random.default_rng(seed)) for seed in range(40)]
        assert all(2 <= len(layers) <= 7 for layers in drawn)
        assert any(kind in ("solo", "lead", "synth lead") for layers in drawn for kind, _ in layers)


def test_a_note_ends_with_its_layer() -> None:
    full, thin = Section(0, 4, 0.9), Section(4, 8, 0.2)
    (note,) = notes_in_sections([Note(3.0, 5.0, 60, 90)], [full, thin], 0.5)
    assert note.start_s + note.length_s == pytest.approx(4.0)


def test_an_overdriven_amplifier_adds_even_and_odd_harmonics() -> None:
    clean = tone(220)
    driven = amplify(Amplifier((24.0, 8.0), bias=0.2), clean)
    assert driven.shape == clean.shape
    for harmonic in (2, 3):
        around = (220 * harmonic - 5, 220 * harmonic + 5)
        assert power_between(clean, *around) < 1e-4 * power_between(clean, 215, 225)
        assert power_between(driven, *around) > 1e-4 * power_between(driven, 215, 225)


def test_high_gain_does_not_fold_back() -> None:
    driven = amplify(Amplifier((30.0,), bias=0.0, sag=0.0), tone(5000))
    spectrum = np.square(np.abs(np.fft.rfft(driven[0] * np.hanning(driven.shape[1]))))
    frequency_hz = np.fft.rfftfreq(driven.shape[1], 1 / SAMPLE_RATE)
    near = np.abs(frequency_hz / 5000 - np.round(frequency_hz / 5000)) < 0.01
    assert spectrum[~near].sum() < 1e-3 * spectrum[near].sum()


def test_a_cabinet_falls_above_six_kilohertz_and_below_its_resonance() -> None:
    for seed in range(8):
        rng = np.random.default_rng(seed)
        response = np.abs(np.fft.rfft(cabinet_response(draw_cabinet(rng), rng), 4096))
        level_db = 20 * np.log10(response + 1e-9)
        at = np.fft.rfftfreq(4096, 1 / SAMPLE_RATE)
        middle_db = level_db[(at > 1500) & (at < 4000)].mean()
        assert level_db[(at > 9000) & (at < 14000)].mean() < middle_db - 18
        assert level_db[(at > 10) & (at < 35)].mean() < middle_db - 12


def test_two_microphone_positions_sound_different() -> None:
    rng = np.random.default_rng(0)
    cabinet = draw_cabinet(rng)
    left, right = cabinet_response(cabinet, rng), cabinet_response(cabinet, rng)
    assert np.abs(left - right).max() > 0.05 * np.abs(left).max()


@pytest.mark.parametrize("kind", ["clean", "crunch", "high gain"])
def test_amplifiers_are_finite_even_on_silence(kind: str) -> None:
    for seed in range(3):
        rng = np.random.default_rng(seed)
        for dry in (tone(110, 0.3), np.zeros((1, 4000), np.float32)):
            response = cabinet_response(draw_cabinet(rng), rng)
            out = apply_cabinet(amplify(draw_amplifier(rng, kind), dry), response)
            assert out.shape == dry.shape and np.isfinite(out).all()


@pytest.mark.parametrize("pitch", [40, 57, 76])
def test_a_plucked_string_is_in_tune_and_dies_away(pitch: int) -> None:
    sound = pluck(PluckedString(position=0.2), pitch, length_s=2.0, rng=np.random.default_rng(0))
    frequency_hz = 440 * 2 ** ((pitch - 69) / 12)
    spectrum = np.abs(np.fft.rfft(sound[0], 1 << 18))
    near = slice(*(int(frequency_hz * factor * (1 << 18) / SAMPLE_RATE) for factor in (0.94, 1.06)))
    found_hz = (near.start + np.argmax(spectrum[near])) * SAMPLE_RATE / (1 << 18)
    assert found_hz == pytest.approx(frequency_hz, rel=0.004)
    half = sound.shape[1] // 2
    assert np.square(sound[:, half:]).sum() < 0.5 * np.square(sound[:, :half]).sum()


@pytest.mark.parametrize("kind", ["electric", "steel", "nylon", "muted"])
def test_every_kind_of_string_is_finite(kind: str) -> None:
    rng = np.random.default_rng(0)
    for pitch in (20, 60, 120):
        assert np.isfinite(pluck(draw_string(rng, kind), pitch, length_s=0.2, rng=rng)).all()


@pytest.mark.slow
def test_the_bus_mostly_cuts_the_lows() -> None:
    mixture, shares = (tone(45) + tone(1000)).repeat(2, 0), []
    for seed in range(60):
        out = apply_accompaniment_bus(np.random.default_rng(seed), mixture, [])
        assert out.shape == mixture.shape and np.isfinite(out).all()
        shares.append(power_between(out, 40, 50) / power_between(out, 950, 1050))
    # Not always: models also have to separate accompaniments that keep their lows.
    assert np.mean(np.array(shares) < 0.25) > 0.35 and 0.15 < np.mean(np.array(shares) > 0.5) < 0.5


@pytest.mark.slow
def test_buses_are_narrow_and_wide() -> None:
    """Otherwise a model could learn that vocals are centred and that the sides are accompaniment."""
    rng = np.random.default_rng(0)
    middle, side = rng.normal(0, 0.1, (2, SAMPLE_RATE)).astype(np.float32) * [[1], [0.5]]
    mixture = np.stack([middle + side, middle - side]).astype(np.float32)
    sides_db = []
    for seed in range(40):
        out = apply_accompaniment_bus(np.random.default_rng(seed), mixture, [])
        power = [np.square(out[0] + sign * out[1]).mean() for sign in (1, -1)]
        sides_db.append(10 * np.log10(power[1] / power[0]))
    assert np.mean(np.array(sides_db) < -11) > 0.1 and np.mean(np.array(sides_db) > -4) > 0.1


@pytest.mark.slow
@pytest.mark.parametrize("wide_db", [6.0, 30.0])
def test_a_bus_is_never_against_the_phase(wide_db: float) -> None:
    middle, side = np.random.default_rng(1).normal(0, 0.1, (2, SAMPLE_RATE))
    side *= 10 ** (wide_db / 20)
    mixture = np.stack([middle + side, middle - side]).astype(np.float32)
    for seed in range(20):
        left, right = apply_accompaniment_bus(np.random.default_rng(seed), mixture, [])
        assert np.vdot(left, right) > -1e-3 * np.vdot(left, left)


def test_loudness_is_that_of_what_sounds() -> None:
    waveform = np.concatenate([tone(500), np.zeros((1, 3 * SAMPLE_RATE), np.float32)], axis=1).repeat(2, 0)
    out = normalise_loudness(waveform, -20)
    assert np.sqrt(np.square(out[:, :SAMPLE_RATE]).mean()) == pytest.approx(0.1, rel=0.05)
    assert not normalise_loudness(np.zeros((2, 5000), np.float32), -20).any()


@pytest.fixture
def renderer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> OtherRenderer:
    """A renderer whose soundfont consists of sines and whose library is empty."""
    header = (
        "file,start_s,duration_s,channels,category,kind,instrument,piece,pitch,contains,split,name,source,"
    )
    row = "x.wav,0,1,1,other,note,thing,,60,other,train,n,me,CC0-1.0,me"
    (tmp_path / "index.csv").write_text(f"{header}licence,attribution\n{row}")

    def sines(parts: list[MidiPart], *, length_s: float, pans: list[int]) -> FloatArray:
        out = np.zeros((2, round(length_s * SAMPLE_RATE)), np.float32)
        for note in (note for part in parts for note in part.notes):
            start = round(note.start_s * SAMPLE_RATE)
            sound = tone(440 * 2 ** ((note.pitch - 69) / 12), note.length_s)[:, : out.shape[1] - start]
            out[:, start : start + sound.shape[1]] += sound
        return out

    for module in ("ensemble", "guitars"):
        monkeypatch.setattr(f"stemsplit.training.synthesis.{module}.render_soundfont", sines)
    return OtherRenderer(Library(tmp_path, tmp_path), [], [])


def song(lowest: int = 48, n_notes: int = 16) -> list[MidiPart]:
    return [MidiPart(0, tuple(Note(0.25 * i, 0.24, lowest + (i * 4) % 12, 90) for i in range(n_notes)))]


@pytest.mark.slow
def test_the_same_seed_plays_the_same_accompaniment(renderer: OtherRenderer) -> None:
    for seed in range(6):
        first, second = (
            renderer.render(song(), PULSE, length_s=4.0, rng=np.random.default_rng(seed)) for _ in range(2)
        )
        assert first.waveform.shape == (2, 4 * SAMPLE_RATE) and first.waveform.dtype == np.float32
        assert np.array_equal(first.waveform, second.waveform) and first.ingredients == second.ingredients


@pytest.mark.slow
def test_lows_are_left_to_the_bass(renderer: OtherRenderer) -> None:
    shares = []
    for seed in range(8):
        stem = renderer.render(song(lowest=28), PULSE, length_s=4.0, rng=np.random.default_rng(seed))
        shares.append(power_between(stem.waveform, 0, 60) / power_between(stem.waveform, 60, 20000))
    assert np.median(shares) < 0.01


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "tags"), [("power", ("distortion",)), ("clean", ()), ("organ", ()), ("skank", ())]
)
def test_distortion_is_named_where_it_is(
    renderer: OtherRenderer, monkeypatch: pytest.MonkeyPatch, kind: str, tags: tuple[str, ...]
) -> None:
    monkeypatch.setattr(
        "stemsplit.training.synthesis.other.ACCOMPANIMENT_STYLES",
        {name: {kind: 1.0} for name in ACCOMPANIMENT_STYLES},
    )
    monkeypatch.setattr("stemsplit.training.synthesis.layers._VOICE_LIKE", ("solo",))
    stem = renderer.render(song(), PULSE, length_s=4.0, rng=np.random.default_rng(0))
    assert stem.ingredients == tags and np.abs(stem.waveform).max() > 0.01


@pytest.mark.slow
@pytest.mark.parametrize(
    "parts",
    [
        [],
        [MidiPart(0, ())],
        [MidiPart(30, (Note(0.0, 0.03, 20, 1),))],
        [MidiPart(0, (Note(39.0, 30.0, 127, 127),))],
    ],
)
def test_unusual_parts_are_finite(renderer: OtherRenderer, parts: list[MidiPart]) -> None:
    for seed in range(4):
        for length_s in (0.3, 3.0):
            waveform = renderer.render(
                parts, PULSE, length_s=length_s, rng=np.random.default_rng(seed)
            ).waveform
            assert waveform.shape == (2, round(length_s * SAMPLE_RATE)) and np.isfinite(waveform).all()


@pytest.mark.parametrize("program", [47, 112, 115, 116, 117, 118, 127])
def test_pitched_drums_are_not_part_of_the_accompaniment(program: int) -> None:
    drum, piano = MidiPart(program, (Note(0.0, 0.1, 50, 90),)), MidiPart(0, (Note(0.0, 2.0, 60, 90),))
    for parts, programs in (([drum, piano], [0]), ([drum], [])):
        score = read_score(parts, PULSE, 4.0, np.random.default_rng(0))
        assert [part.program for part in score.parts] == programs


@pytest.mark.slow
def test_a_bent_note_is_in_tune_afterwards_and_the_next_one_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    still = "stemsplit.training.synthesis.modulation.vibrato_curve"
    monkeypatch.setattr(still, lambda _, n_samples, *__, **___: np.zeros(n_samples))
    first, second = Note(0.5, 1.3, 69, 90), Note(2.0, 0.5, 69, 90)
    dry = np.zeros((1, 3 * SAMPLE_RATE), np.float32)
    for note in (first, second):
        start = round(note.start_s * SAMPLE_RATE)
        dry[:, start : start + round(note.length_s * SAMPLE_RATE)] += tone(440, note.length_s)
    bends = [bend_notes(dry, [first, second], np.random.default_rng(seed)) for seed in range(12)]
    assert any(np.abs(out[:, : 2 * SAMPLE_RATE] - dry[:, : 2 * SAMPLE_RATE]).max() > 0.1 for out in bends)
    for out in bends:
        after = np.angle(hilbert(out[0])[round(0.9 * SAMPLE_RATE) : round(1.7 * SAMPLE_RATE)])
        found_hz = np.median(np.diff(np.unwrap(after))) * SAMPLE_RATE / (2 * np.pi)
        assert abs(1200 * np.log2(found_hz / 440)) < 3
        onset = 2 * SAMPLE_RATE
        assert not out[:, onset - 50 : onset].any() and np.abs(out[:, onset : onset + 40]).max() > 0.3
