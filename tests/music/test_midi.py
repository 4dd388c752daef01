"""MIDI of stems: notes and hits that are known are found, written and read again."""

from pathlib import Path

import mido
import numpy as np
import pytest
import soundfile

from stemsplit.errors import SettingsError
from stemsplit.music.drum_hits import find_hits
from stemsplit.music.midi import as_note, transcribe, write_midi
from stemsplit.music.notes import Note, PitchTrack, cut_notes, transcribe_line
from stemsplit.types import FloatArray
from tests.music.test_analysis import SAMPLE_RATE, hit
from tests.music.test_slices import BPM, know


def play(
    notes: list[tuple[float, float, int]], duration_s: float, *, sample_rate: int = SAMPLE_RATE
) -> FloatArray:
    """Plucked notes: start, stop and pitch; six partials that decay."""
    out = np.zeros(round(duration_s * sample_rate))
    for start_s, stop_s, pitch in notes:
        time_s = np.arange(round((stop_s - start_s) * sample_rate)) / sample_rate
        hz = 440 * 2 ** ((pitch - 69) / 12)
        tone = np.sum([np.sin(2 * np.pi * hz * k * time_s) / k for k in range(1, 7)], axis=0)
        fade = np.minimum(1, (stop_s - start_s - time_s) / 0.01)
        start = round(start_s * sample_rate)
        out[start : start + len(tone)] += 0.2 * fade * np.exp(-time_s / 0.4) * tone
    return np.asarray([out, out], np.float32)


def write(path: Path, waveform: FloatArray, sample_rate: int = SAMPLE_RATE) -> Path:
    soundfile.write(path, waveform.T, sample_rate)
    return path


def check_line(tmp_path: Path, played: list[tuple[float, float, int]], sample_rate: int) -> None:
    """Transcribe what is played, which must be found again."""
    length_s = round(played[-1][1]) + 1
    path = write(tmp_path / "bass.wav", play(played, length_s, sample_rate=sample_rate), sample_rate)
    notes = transcribe_line(path, "bass")
    assert [note.pitch for note in notes] == [pitch for _, _, pitch in played]
    assert [note.start_s for note in notes] == pytest.approx([start for start, _, _ in played], abs=0.05)
    assert all(
        note.stop_s == pytest.approx(stop, abs=0.15) for note, (_, stop, _) in zip(notes, played, strict=True)
    )


def test_a_bass_line_is_transcribed(tmp_path: Path) -> None:
    check_line(tmp_path, [(0.5, 0.9, 36), (1.0, 1.4, 43), (1.5, 1.9, 40)], 44_100)


@pytest.mark.slow
@pytest.mark.parametrize("sample_rate", [44_100, 48_000])
def test_a_bass_line_of_several_chunks_is_transcribed(tmp_path: Path, sample_rate: int) -> None:
    # the third is plucked again at the same pitch; 10 s is where pYIN goes on with the next chunk
    played = [(0.5, 0.9, 36), (1.0, 1.4, 43), (1.5, 1.9, 40), (1.9, 2.4, 40), (9.8, 10.4, 33)]
    check_line(tmp_path, [*played, (11.0, 11.5, 45)], sample_rate)


def test_notes_are_cut_where_the_pitch_moves_and_not_by_vibrato() -> None:
    time = np.arange(86)  # a second each
    vibrato = 60 + 0.4 * np.sin(2 * np.pi * 5.5 * time / 86)
    gap = np.full(86, np.nan)
    pitch = np.concatenate([vibrato, np.full(86, 62.1), gap, np.full(3, 50.0), gap])
    notes = cut_notes(PitchTrack(pitch, np.full(len(pitch), -20.0)))
    assert [note.pitch for note in notes] == [60, 62]
    assert notes[0].stop_s == pytest.approx(1, abs=0.05) and notes[1].stop_s == pytest.approx(2, abs=0.05)


def test_softer_notes_have_lower_velocities_and_the_softest_are_none() -> None:
    pitch = np.tile(np.concatenate([np.full(40, 60.0), np.full(20, np.nan)]), 3)
    level_db = np.repeat([-10.0, -28.0, -60.0], 60)
    loud, soft = cut_notes(PitchTrack(pitch, level_db))
    assert loud.velocity > 100 > soft.velocity + 20


def strike(tones_hz: list[float], *, noise: float = 0.0) -> FloatArray:
    """A drum: decaying tones, and decaying noise that is softer the higher it is."""
    time_s = np.arange(round(0.2 * SAMPLE_RATE)) / SAMPLE_RATE
    tone = np.mean([np.sin(2 * np.pi * hz * time_s) for hz in tones_hz], axis=0)
    rattle = np.convolve(np.random.default_rng(1).standard_normal(len(time_s)), np.ones(8) / 8, mode="same")
    return np.asarray((tone + noise * rattle) * np.exp(-time_s / 0.05), np.float32)


def make_drums(hits: list[tuple[float, str]], duration_s: float) -> FloatArray:
    out = np.zeros(round(duration_s * SAMPLE_RATE), np.float32)
    drums = {
        "kick": 0.5 * strike([50, 65, 95, 150]),
        "snare": 0.4 * strike([190, 280, 550, 800], noise=0.3),
        "tom": 0.4 * strike([130, 150, 260, 450]),
        "hat": 0.06 * np.diff(hit(9000, 0.2, noise=1, seed=3), prepend=0),
    }
    for time_s, kind in hits:
        start = round(time_s * SAMPLE_RATE)
        out[start : start + len(drums[kind])] += drums[kind]
    return np.stack([out, out])


def test_drums_are_found_and_classed(tmp_path: Path) -> None:
    struck = [
        *[(0.5 + bar, "kick") for bar in range(4)],
        *[(1.0 + bar, "snare") for bar in range(4)],
        *[(0.25 + 0.5 * number, "hat") for number in range(8)],
        *[(0.5 + bar, "hat") for bar in range(4)],
        (4.6, "tom"),
        (4.9, "tom"),
    ]
    found = find_hits(write(tmp_path / "drums.wav", make_drums(struck, 5.5)))
    for kind in ("kick", "snare", "tom", "hat"):
        times_s = [each.time_s for each in found if each.kind == kind]
        expected = sorted(time_s for time_s, each in struck if each == kind)
        assert times_s == pytest.approx(expected, abs=0.015), kind


def test_what_has_no_notes_has_no_midi(tmp_path: Path) -> None:
    silence = write(tmp_path / "silence.wav", np.zeros((2, SAMPLE_RATE), np.float32))
    noise = 0.1 * np.random.default_rng(0).standard_normal((2, 2 * SAMPLE_RATE)).astype(np.float32)
    for stem in ("bass", "vocals", "drums"):
        assert transcribe(silence, stem) == []
    assert transcribe(write(tmp_path / "noise.wav", noise), "bass") == []
    short = write(tmp_path / "short.wav", noise[:, :100])
    assert transcribe(short, "drums") == [] and transcribe(short, "vocals") == []


def test_notes_are_written_and_read_again(tmp_path: Path) -> None:
    notes = [Note(0.5, 1.0, 40, 90), Note(1.0, 1.25, 40, 64), Note(2.0, 2.0001, 45, 127)]
    write_midi(tmp_path / "bass.mid", notes, "bass", know(9))
    song = mido.MidiFile(tmp_path / "bass.mid")
    read, now_s, begun = [], 0.0, {}
    for message in song:
        now_s += message.time
        if message.type == "note_on":
            begun[message.note] = (now_s, message.velocity)
        elif message.type == "note_off":
            start_s, velocity = begun.pop(message.note)
            read.append((start_s, now_s, message.note, velocity))
    assert begun == {}
    expected = [(note.start_s, note.stop_s, note.pitch, note.velocity) for note in notes]
    assert np.array(read) == pytest.approx(np.array(expected), abs=60 / BPM / 480)
    (tempo,) = [message.tempo for message in song if message.type == "set_tempo"]
    assert mido.tempo2bpm(tempo) == pytest.approx(BPM)


def test_drums_have_the_channel_of_drums(tmp_path: Path) -> None:
    found = find_hits(write(tmp_path / "drums.wav", make_drums([(0.5, "kick"), (1.0, "snare")], 2)))
    write_midi(tmp_path / "drums.mid", [as_note(each) for each in found], "drums")
    played = [message for message in mido.MidiFile(tmp_path / "drums.mid") if message.type == "note_on"]
    assert [(message.channel, message.note) for message in played] == [(9, 36), (9, 38)]


def test_chords_are_refused_with_the_reason(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="numpy 2"):
        transcribe(tmp_path / "none.wav", "other")
