"""MIDI files of notes and drum hits, in General MIDI."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from stemsplit.errors import SettingsError
from stemsplit.music.analysis import SongAnalysis
from stemsplit.music.drum_hits import Hit, find_hits
from stemsplit.music.notes import Note, transcribe_line

# stems that can be transcribed, with the General MIDI programs that play them; drums have a channel
PROGRAMS: Final = {"bass": 33, "vocals": 53, "drums": None}
DRUM_PITCHES: Final = {"kick": 36, "snare": 38, "tom": 45, "hat": 42}
_DRUM_CHANNEL: Final = 9
_HIT_S: Final = 0.1
_TICKS_PER_BEAT: Final = 480
_USUAL_BPM: Final = 120.0


def check_stem(stem: str) -> None:
    """Check that a stem can be transcribed.

    Raises
    ------
    SettingsError
        If it plays several notes at a time: basic-pitch, the library for it, needs TensorFlow below 2.15.1,
        which does not install beside numpy 2.
    """
    if stem not in PROGRAMS:
        raise SettingsError(
            f"there is no MIDI of {stem!r}, but of {', '.join(PROGRAMS)}: for several notes at a time there "
            "is no library that installs beside numpy 2"
        )


def transcribe(path: Path, stem: str) -> list[Note]:
    """Return the notes of the stem in a file; drum hits have the pitches of General MIDI.

    Raises
    ------
    SettingsError
        As `check_stem`.
    """
    check_stem(stem)
    if stem == "drums":
        return [as_note(hit) for hit in find_hits(path)]
    return transcribe_line(path, stem)


def as_note(hit: Hit) -> Note:
    """Return a drum hit as a note of the channel of drums."""
    return Note(hit.time_s, hit.time_s + _HIT_S, DRUM_PITCHES[hit.kind], hit.velocity)


def write_midi(path: Path, notes: Sequence[Note], stem: str, found: SongAnalysis | None = None) -> None:
    """Write notes to a MIDI file; in a sequencer they lie where they sound in the song.

    Parameters
    ----------
    path
        The file.
    notes
        In any order.
    stem
        Its name is that of the track, and decides the program.
    found
        Whose tempo, which is constant, is that of the file; 120 bpm without one.
    """
    import mido

    bpm = _USUAL_BPM if found is None or found.beats is None else found.beats.bpm
    channel = _DRUM_CHANNEL if stem == "drums" else 0
    tempo = mido.bpm2tempo(bpm)
    track = mido.MidiTrack(
        [
            mido.MetaMessage("track_name", name=stem),
            mido.MetaMessage("set_tempo", tempo=tempo),
            mido.Message("program_change", channel=channel, program=PROGRAMS.get(stem) or 0),
        ]
    )
    track += _make_messages(notes, channel, 1e6 * _TICKS_PER_BEAT / tempo)
    mido.MidiFile(type=0, ticks_per_beat=_TICKS_PER_BEAT, tracks=[track]).save(path)


def _make_messages(notes: Sequence[Note], channel: int, ticks_per_s: float) -> list[Any]:
    """Return the messages of notes, each with its distance from the one before in ticks."""
    import mido

    # of one tick, notes end before others begin
    events = [(round(note.start_s * ticks_per_s), 1, note.pitch, note.velocity) for note in notes]
    events += [
        (max(round(note.stop_s * ticks_per_s), round(note.start_s * ticks_per_s) + 1), 0, note.pitch, 0)
        for note in notes
    ]
    messages, last = [], 0
    for tick, is_on, pitch, velocity in sorted(events):
        kind = "note_on" if is_on else "note_off"
        messages.append(mido.Message(kind, channel=channel, note=pitch, velocity=velocity, time=tick - last))
        last = tick
    return messages
