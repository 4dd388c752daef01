"""The virtual band: MIDI, instruments, effects; the same seed plays the same song."""

import zipfile
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("mido")
pytest.importorskip("pedalboard")

import mido

from stemsplit.errors import StemsplitError
from stemsplit.training import SAMPLE_RATE
from stemsplit.training.data.library import Item, Library, to_int16
from stemsplit.training.data.rendered_stem import RenderedStem
from stemsplit.training.synthesis import band as band_module
from stemsplit.training.synthesis.band import Band
from stemsplit.training.synthesis.bass import HIGHEST, LOWEST, BassRenderer, articulate
from stemsplit.training.synthesis.bass_player import Fingers, play_bass
from stemsplit.training.synthesis.clock import conform_tempo
from stemsplit.training.synthesis.effects import (
    apply_bass_amplifier,
    apply_drum_bus,
    apply_instrument_bus,
    normalise_peak,
    place_in_stereo,
)
from stemsplit.training.synthesis.grooves import loop_part
from stemsplit.training.synthesis.midi import (
    MidiPart,
    Note,
    Pattern,
    is_held_out_midi,
    pattern_names,
    read_pattern,
)
from stemsplit.training.synthesis.sampler import collect_instruments, play
from stemsplit.training.synthesis.soundfont import check_soundfont
from stemsplit.training.synthesis.synth import SHAPES, SynthVoice, play_synth
from stemsplit.training.synthesis.vocal_bus import apply_vocal_chain
from stemsplit.training.synthesis.vocals import detect_pitch


def tone(frequency_hz: float, length_s: float = 1.0) -> np.ndarray:
    time = np.arange(round(length_s * SAMPLE_RATE)) / SAMPLE_RATE
    return np.sin(2 * np.pi * frequency_hz * time)[None].astype(np.float32) * 0.5


def strongest_hz(waveform: np.ndarray) -> float:
    spectrum = np.abs(np.fft.rfft(waveform.mean(0), 1 << 20))
    return float(np.argmax(spectrum)) * SAMPLE_RATE / (1 << 20)


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """Forty MIDI files: two beats at 120 and two at 60 beats a minute, piano and drums."""
    track = mido.MidiTrack([mido.MetaMessage("set_tempo", tempo=500_000, time=0)])
    track.append(mido.Message("program_change", channel=0, program=5, time=0))
    for beat in range(4):
        if beat == 2:
            track.append(mido.MetaMessage("set_tempo", tempo=1_000_000, time=0))
        track.append(mido.Message("note_on", channel=0, note=60 + beat, velocity=80, time=0))
        track.append(mido.Message("note_on", channel=9, note=36, velocity=90, time=0))
        track.append(mido.Message("note_off", channel=0, note=60 + beat, time=100))
        track.append(mido.Message("note_off", channel=9, note=36, time=0))
    path = tmp_path / "midi.zip"
    mido.MidiFile(ticks_per_beat=100, tracks=[track]).save(tmp_path / "a.mid")
    with zipfile.ZipFile(path, "w") as file:
        for number in range(40):
            file.write(tmp_path / "a.mid", f"{number}.mid")
    return path


def test_midi_is_read_in_seconds_through_changes_of_tempo(archive: Path) -> None:
    pattern = read_pattern(archive, "0.mid")
    drums, piano = sorted(pattern.parts, key=lambda part: part.program)
    assert drums.is_drums and piano.program == 5
    assert [note.start_s for note in piano.notes] == pytest.approx([0, 0.5, 1, 2])
    assert piano.notes[-1].length_s == pytest.approx(1)
    assert pattern.tempo == pytest.approx(120)


def test_a_tempo_that_is_set_at_the_beginning_counts(tmp_path: Path) -> None:
    track = mido.MidiTrack([mido.MetaMessage("set_tempo", tempo=600_000, time=0)])
    for _ in range(3):
        track.append(mido.Message("note_on", channel=0, note=60, velocity=80, time=0))
        track.append(mido.Message("note_off", channel=0, note=60, time=100))
    mido.MidiFile(ticks_per_beat=100, tracks=[track]).save(tmp_path / "a.mid")
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        file.write(tmp_path / "a.mid", "a.mid")
    pattern = read_pattern(tmp_path / "a.zip", "a.mid")
    assert pattern.tempo == pytest.approx(100)
    assert [note.start_s for note in pattern.parts[0].notes] == pytest.approx([0, 0.6, 1.2])
    assert pattern.beats_s[:3] == pytest.approx((0, 0.6, 1.2))


def test_midi_files_are_split_by_name_without_overlap(archive: Path) -> None:
    train, valid = pattern_names(archive, split="train"), pattern_names(archive, split="valid")
    assert not set(train) & set(valid) and len(train) + len(valid) == 40
    assert all(is_held_out_midi(name) for name in valid)


def test_a_missing_archive_is_named(tmp_path: Path) -> None:
    with pytest.raises(StemsplitError, match=r"lost\.zip"):
        pattern_names(tmp_path / "lost.zip", split="train")


def test_windows_and_changes_move_notes(archive: Path) -> None:
    pattern = read_pattern(archive, "0.mid").window(0.4, 1.0).transform(semitones=2, stretch=2)
    piano = max(pattern.parts, key=lambda part: part.program)
    assert [note.pitch for note in piano.notes] == [63, 64]
    assert [note.start_s for note in piano.notes] == pytest.approx([0.2, 1.2])
    drums = min(pattern.parts, key=lambda part: part.program)
    assert {note.pitch for note in drums.notes} == {36}


@pytest.fixture
def sampled(tmp_path: Path) -> Library:
    """A library with one bass of five pitches, decoded already."""
    rows = [
        "file,start_s,duration_s,channels,category,kind,instrument,piece,pitch,contains,split,name,source,"
    ]
    rows[0] += "licence,attribution"
    for index in range(5):
        rows.append(f"b.wav,{index},1,1,bass,note,bass,,{33 + 3 * index},bass,train,n{index},me,CC0-1.0,me")
    (tmp_path / "index.csv").write_text("\n".join(rows))
    sound = np.concatenate([tone(440 * 2 ** ((33 + 3 * i - 69) / 12)) for i in range(5)], axis=1)
    (tmp_path / "cache").mkdir()
    np.save(tmp_path / "cache" / "b.wav.npy", to_int16(sound))
    return Library(tmp_path, tmp_path / "cache")


def test_an_instrument_plays_the_pitch_asked_for(sampled: Library) -> None:
    (instrument,) = collect_instruments(sampled.items)
    note = Note(0.1, 0.5, 40, 100)
    out = play(sampled, instrument, [note], length_s=1.0, rng=np.random.default_rng(0))
    assert out.shape == (2, SAMPLE_RATE)
    assert not out[:, : round(0.09 * SAMPLE_RATE)].any() and not out[:, round(0.7 * SAMPLE_RATE) :].any()
    assert strongest_hz(out) == pytest.approx(440 * 2 ** ((40 - 69) / 12), rel=0.02)


@pytest.mark.parametrize(("instrument", "sharp"), [("thing", 0.0), ("6-string banjo", 0.396)])
@pytest.mark.parametrize("listed", [40.0, 40.45, 39.6])
def test_samples_are_in_tune_to_the_cent(
    tmp_path: Path, sampled: Library, instrument: str, sharp: float, listed: float
) -> None:
    """Fractions of a listed pitch count, and instruments known to be sharp are corrected."""
    sound = tone(440 * 2 ** ((listed + sharp - 69) / 12), 2.0)
    np.save(tmp_path / "cache" / "x.wav.npy", to_int16(sound))
    item = replace(
        sampled.items[0], file="x.wav", start_s=0, duration_s=2, instrument=instrument, pitch=listed
    )
    (found,) = collect_instruments([item], min_pitches=1)
    notes = [Note(0.0, 1.5, 40, 100)]
    rng = np.random.default_rng(0)
    plain = play(sampled, found, notes, length_s=1.5, rng=rng)
    fingered = play_bass(sampled, found, notes, Fingers(sustain=0.0), length_s=1.5, rng=rng)
    for out in (plain, fingered):
        cents = 1200 * np.log2(strongest_hz(out * np.hanning(out.shape[1])) / 440) - 100 * (40 - 69)
        assert abs(cents) < 4


@pytest.mark.parametrize("shape", SHAPES)
def test_a_synthesiser_plays_the_pitch_asked_for(shape: str) -> None:
    rng = np.random.default_rng(0)
    out = play_synth(SynthVoice(shape), [Note(0.0, 0.9, 57, 100)], length_s=1.0, rng=rng)
    ratio = strongest_hz(out) / 220
    assert out.shape == (2, SAMPLE_RATE)
    assert ratio == pytest.approx(round(ratio), abs=0.02) and ratio >= 0.98


def test_bass_lines_have_one_note_at_a_time_in_their_register() -> None:
    rng = np.random.default_rng(0)
    chords = [Note(0.3 * beat, 1.0, pitch, 90) for beat in range(8) for pitch in (36, 60, 76)]
    notes = articulate(chords, rng)
    assert len(notes) == 8
    assert all(LOWEST <= note.pitch <= HIGHEST for note in notes)
    assert all(a.start_s + a.length_s <= b.start_s + 1e-6 for a, b in pairwise(notes))


def test_the_same_seed_plays_the_same_bass(sampled: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "stemsplit.training.synthesis.bass.render_soundfont", lambda _, **__: tone(100, 2.0).repeat(2, 0)
    )
    renderer = BassRenderer(sampled, sampled.items)
    part = MidiPart(33, tuple(Note(0.25 * i, 0.2, 36 + i, 90) for i in range(8)))
    for seed in range(4):
        first, second = (
            renderer.render(part, length_s=2.0, rng=np.random.default_rng(seed)) for _ in range(2)
        )
        assert first.waveform.shape == (2, 2 * SAMPLE_RATE)
        assert np.array_equal(first.waveform, second.waveform) and np.isfinite(first.waveform).all()


@pytest.mark.parametrize(
    "chain",
    [
        apply_bass_amplifier,
        lambda rng, x: apply_drum_bus(rng, x, [tone(300, 0.1)]),
        lambda rng, x: apply_instrument_bus(rng, x, [tone(300, 0.1)]),
        lambda rng, x: apply_vocal_chain(rng, x, [tone(300, 0.1)]),
    ],
)
def test_effects_keep_shape_and_are_finite(chain) -> None:
    for seed in range(6):
        waveform = np.repeat(tone(220, 0.5), 2, axis=0)
        out = chain(np.random.default_rng(seed), waveform)
        assert out.shape == waveform.shape and out.dtype == np.float32
        assert np.isfinite(out).all() and np.abs(out).max() > 0.01


def test_panning_keeps_power() -> None:
    mono = tone(500)
    for pan in (-1.0, -0.3, 0.0, 1.0):
        assert np.square(place_in_stereo(mono, pan)).sum() == pytest.approx(
            2 * np.square(mono).sum(), rel=1e-4
        )
    assert np.abs(place_in_stereo(mono, -1.0)[1]).max() < 1e-6


def test_silence_stays_silent() -> None:
    assert not normalise_peak(np.zeros((2, 100), np.float32)).any()


@pytest.mark.parametrize("pitch", [45, 57, 69, 76])
def test_the_pitch_of_a_voice_is_detected(pitch: int) -> None:
    time = np.arange(22050) / SAMPLE_RATE
    frequency_hz = 440 * 2 ** ((pitch - 69) / 12)
    voice = sum(np.sin(2 * np.pi * frequency_hz * k * time) / k for k in range(1, 6))
    assert detect_pitch(voice[None].astype(np.float32)) == pytest.approx(pitch, abs=0.3)


def test_noise_has_no_pitch() -> None:
    assert detect_pitch(np.random.default_rng(0).normal(size=(1, 22050)).astype(np.float32)) is None


def test_a_short_drum_part_is_repeated_in_whole_bars() -> None:
    part = MidiPart(-1, (Note(0.0, 0.1, 36, 90), Note(0.75, 0.1, 38, 90)))
    starts = [note.start_s for note in loop_part(part, 4.0, bar_s=1.0).notes]
    assert starts == pytest.approx([0, 0.75, 1, 1.75, 2, 2.75, 3, 3.75])
    ending_on_a_bar = MidiPart(-1, (*part.notes, Note(2.01, 0.1, 49, 90)))
    starts = [note.start_s for note in loop_part(ending_on_a_bar, 4.0, bar_s=1.0).notes]
    assert starts == pytest.approx([0, 0.75, 2, 2.75])


def placed(parts: Sequence[MidiPart], step_s: float) -> complex:
    """Return the mean phase of the notes in a step: near 1 if they lie on a grid that starts at zero."""
    starts = np.array([note.start_s for part in parts for note in part.notes])
    return complex(np.exp(2j * np.pi * starts / step_s).mean())


def piece(beat_s: float, late_s: float, *, beats_s: Sequence[float] = ()) -> Pattern:
    """Return eighths over 200 beats, with a chord on every fourth beat."""
    rng = np.random.default_rng(0)
    eighths = [Note(late_s + beat_s * i / 2, 0.1, 72, 90) for i in range(400) if rng.random() < 0.8]
    chords = [Note(late_s + beat_s * i, 4 * beat_s, 48, 90) for i in range(0, 200, 4)]
    return Pattern(
        "p", (MidiPart(0, tuple(eighths)), MidiPart(48, tuple(chords))), 60 / beat_s, tuple(beats_s)
    )


@pytest.mark.parametrize("late_s", [0.0, 0.21])
def test_a_piece_begins_with_a_bar_at_an_even_tempo(late_s: float) -> None:
    """Sequenced pieces follow their written beat, others the beat of their notes."""
    for beats_s in (0.53 * np.arange(201), [2.0 * i for i in range(60)], []):
        pattern, pulse = conform_tempo(piece(0.53, late_s, beats_s=list(beats_s)).window(31.3, 60), 40.0)
        assert pulse.beat_s == pytest.approx(0.53, rel=1e-3) and pulse.offset_s == 0
        assert placed(pattern.parts, pulse.beat_s / 2).real > 0.9
        assert placed(pattern.parts[1:], 4 * pulse.beat_s).real > 0.9
        assert 38 < pattern.length_s < 40


def test_changes_of_tempo_are_evened_out() -> None:
    track = np.cumsum([0.0] + [0.5 if 8 <= i < 120 else 0.8 for i in range(200)])
    even = piece(1.0, 0.0)
    parts = tuple(
        MidiPart(
            part.program,
            tuple(Note(float(np.interp(n.start_s, range(201), track)), 0.2, n.pitch, 90) for n in part.notes),
        )
        for part in even.parts
    )
    pattern, pulse = conform_tempo(Pattern("p", parts, 120, tuple(track.tolist())).window(20, 70), 40.0)
    assert pulse.beat_s == pytest.approx(0.5, rel=1e-6) and placed(pattern.parts, 0.25).real > 0.99


@pytest.fixture
def musicians(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Band:
    """A band whose renderers play a click per note; its pieces begin off the beat."""
    clip = mido.MidiTrack([mido.MetaMessage("set_tempo", tempo=571_000, time=0)])
    clip.append(mido.Message("program_change", channel=0, program=5, time=37))
    for step in range(600):
        clip.append(mido.Message("note_on", channel=0, note=60 + step % 7, velocity=80, time=0))
        clip.append(mido.Message("note_off", channel=0, note=60 + step % 7, time=24))
    mido.MidiFile(ticks_per_beat=96, tracks=[clip]).save(tmp_path / "a.mid")
    (tmp_path / "midi").mkdir()
    for name in ("freedoom", "tannerhelland", "pop909", "groove"):
        with zipfile.ZipFile(tmp_path / "midi" / f"{name}.zip", "w") as file:
            for number in range(20):
                file.write(tmp_path / "a.mid", f"{number}_105_beat_4-4.mid")
    (tmp_path / "index.csv").write_text(
        ",".join(Item.__dataclass_fields__) + "\nx.wav,0,1,1,other,note,thing,,60,other,train,n,me,CC0-1.0,me"
    )

    class Clicks:
        def __init__(self, *_: object) -> None: ...

        def render(
            self, parts: MidiPart | Sequence[MidiPart], *_: object, length_s: float, **__: object
        ) -> RenderedStem:
            out = np.zeros((2, round(length_s * SAMPLE_RATE)), np.float32)
            for note in (
                n for part in ([parts] if isinstance(parts, MidiPart) else parts) for n in part.notes
            ):
                out[:, round(note.start_s * SAMPLE_RATE) : round(note.start_s * SAMPLE_RATE) + 1] = 1
            return RenderedStem(out)

    monkeypatch.setattr(band_module, "check_soundfont", lambda _: None)
    for name in ("DrumRenderer", "BassRenderer", "OtherRenderer", "VocalRenderer"):
        monkeypatch.setattr(band_module, name, Clicks)
    return Band(Library(tmp_path, tmp_path), split="train", seed=0, length_s=20.0)


@pytest.mark.slow
def test_all_parts_of_a_song_share_one_beat(musicians: Band, monkeypatch: pytest.MonkeyPatch) -> None:
    tempos: list[float] = []

    def groove(rng: np.random.Generator, *, tempo: float, length_s: float) -> MidiPart:
        tempos.append(tempo)
        return MidiPart(
            -1, tuple(Note(60 / tempo * i, 0.1, 36, 90) for i in range(int(length_s * tempo / 60)))
        )

    monkeypatch.setattr(band_module, "draw_groove", groove)
    for number in range(12):
        stems, count = musicians.song(number), len(tempos)
        if not count:
            continue
        step_s = 15 / tempos.pop()
        for name in ("drums", "vocals", "other"):
            starts = np.flatnonzero(stems[name].waveform[0]) / SAMPLE_RATE
            assert np.exp(2j * np.pi * starts / step_s).mean().real > 0.99, (number, name)
        starts = np.flatnonzero(stems["bass"].waveform[0]) / SAMPLE_RATE
        assert np.exp(2j * np.pi * starts / step_s).mean().real > 0.9


def test_a_missing_soundfont_is_an_error_with_the_fix(tmp_path: Path) -> None:
    with pytest.raises(StemsplitError, match="apt install"):
        check_soundfont(tmp_path / "none.sf2")


def test_pitch_of_an_item_may_be_missing(sampled: Library) -> None:
    row = {key: str(value) for key, value in vars(sampled.items[0]).items()} | {"pitch": ""}
    assert Item.from_row(row).pitch is None
