"""The virtual band: MIDI, instruments, effects; the same seed plays the same song."""

import zipfile
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
from stemsplit.training.library import Item, Library, to_int16
from stemsplit.training.studio.bass import HIGHEST, LOWEST, BassMaker, legato
from stemsplit.training.studio.drums import looped
from stemsplit.training.studio.effects import (
    bass_amplifier,
    drum_bus,
    instrument_bus,
    levelled,
    panned,
)
from stemsplit.training.studio.midi import Note, Part, is_held_out_midi, pattern_names, read_pattern
from stemsplit.training.studio.sampler import collect_instruments, play
from stemsplit.training.studio.soundfont import check_soundfont
from stemsplit.training.studio.synth import SHAPES, Voice, play_voice
from stemsplit.training.studio.vocal_bus import vocal_chain
from stemsplit.training.studio.vocals import detected_pitch


def tone(frequency_hz: float, length_s: float = 1.0) -> np.ndarray:
    time = np.arange(round(length_s * SAMPLE_RATE)) / SAMPLE_RATE
    return np.sin(2 * np.pi * frequency_hz * time)[None].astype(np.float32) * 0.5


def strongest_hz(waveform: np.ndarray) -> float:
    spectrum = np.abs(np.fft.rfft(waveform.mean(0), 1 << 17))
    return float(np.argmax(spectrum)) * SAMPLE_RATE / (1 << 17)


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


def test_midi_files_are_split_by_name_without_overlap(archive: Path) -> None:
    train, valid = pattern_names(archive, split="train"), pattern_names(archive, split="valid")
    assert not set(train) & set(valid) and len(train) + len(valid) == 40
    assert all(is_held_out_midi(name) for name in valid)


def test_a_missing_archive_is_named(tmp_path: Path) -> None:
    with pytest.raises(StemsplitError, match=r"lost\.zip"):
        pattern_names(tmp_path / "lost.zip", split="train")


def test_windows_and_changes_move_notes(archive: Path) -> None:
    pattern = read_pattern(archive, "0.mid").window(0.4, 1.0).changed(semitones=2, stretch=2)
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


@pytest.mark.parametrize("shape", SHAPES)
def test_a_synthesiser_plays_the_pitch_asked_for(shape: str) -> None:
    rng = np.random.default_rng(0)
    out = play_voice(Voice(shape), [Note(0.0, 0.9, 57, 100)], length_s=1.0, rng=rng)
    ratio = strongest_hz(out) / 220
    assert out.shape == (2, SAMPLE_RATE)
    assert ratio == pytest.approx(round(ratio), abs=0.02) and ratio >= 0.98


def test_bass_lines_have_one_note_at_a_time_in_their_register() -> None:
    rng = np.random.default_rng(0)
    chords = [Note(0.3 * beat, 1.0, pitch, 90) for beat in range(8) for pitch in (36, 60, 76)]
    notes = legato(chords, rng)
    assert len(notes) == 8
    assert all(LOWEST <= note.pitch <= HIGHEST for note in notes)
    assert all(a.start_s + a.length_s <= b.start_s + 1e-6 for a, b in pairwise(notes))


def test_the_same_seed_plays_the_same_bass(sampled: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "stemsplit.training.studio.bass.render_soundfont", lambda _, **__: tone(100, 2.0).repeat(2, 0)
    )
    maker = BassMaker(sampled, sampled.items)
    part = Part(33, tuple(Note(0.25 * i, 0.2, 36 + i, 90) for i in range(8)))
    for seed in range(4):
        first, second = (maker.render(part, length_s=2.0, rng=np.random.default_rng(seed)) for _ in range(2))
        assert first.waveform.shape == (2, 2 * SAMPLE_RATE)
        assert np.array_equal(first.waveform, second.waveform) and np.isfinite(first.waveform).all()


@pytest.mark.parametrize(
    "chain",
    [
        bass_amplifier,
        lambda rng, x: drum_bus(rng, x, [tone(300, 0.1)]),
        lambda rng, x: instrument_bus(rng, x, [tone(300, 0.1)]),
        lambda rng, x: vocal_chain(rng, x, [tone(300, 0.1)]),
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
        assert np.square(panned(mono, pan)).sum() == pytest.approx(2 * np.square(mono).sum(), rel=1e-4)
    assert np.abs(panned(mono, -1.0)[1]).max() < 1e-6


def test_silence_stays_silent() -> None:
    assert not levelled(np.zeros((2, 100), np.float32)).any()


@pytest.mark.parametrize("pitch", [45, 57, 69, 76])
def test_the_pitch_of_a_voice_is_detected(pitch: int) -> None:
    time = np.arange(22050) / SAMPLE_RATE
    frequency_hz = 440 * 2 ** ((pitch - 69) / 12)
    voice = sum(np.sin(2 * np.pi * frequency_hz * k * time) / k for k in range(1, 6))
    assert detected_pitch(voice[None].astype(np.float32)) == pytest.approx(pitch, abs=0.3)


def test_noise_has_no_pitch() -> None:
    assert detected_pitch(np.random.default_rng(0).normal(size=(1, 22050)).astype(np.float32)) is None


def test_a_short_drum_part_is_repeated() -> None:
    part = Part(-1, (Note(0.0, 0.1, 36, 90), Note(0.75, 0.1, 38, 90)))
    starts = [note.start_s for note in looped(part, 4.0).notes]
    assert starts == pytest.approx([0, 0.75, 1, 1.75, 2, 2.75, 3, 3.75])


def test_a_missing_soundfont_is_an_error_with_the_fix(tmp_path: Path) -> None:
    with pytest.raises(StemsplitError, match="apt install"):
        check_soundfont(tmp_path / "none.sf2")


def test_pitch_of_an_item_may_be_missing(sampled: Library) -> None:
    row = {key: str(value) for key, value in vars(sampled.items[0]).items()} | {"pitch": ""}
    assert Item.from_row(row).pitch is None
