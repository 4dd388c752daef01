"""Songs with a known tempo, key, chords and notes: POP909 (Wang 2020, MIT), rendered with a soundfont.

POP909 is for piano, so the rest is added: drums on the annotated beats in one of three patterns with hi-hats
on eighths, and a bass with the roots of the annotated chords on every beat.
"""

import io
import subprocess
import tempfile
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mido
import numpy as np
import soundfile
from numpy.typing import NDArray

SAMPLE_RATE = 44100
KICK, SNARE, HAT = 36, 38, 42
_TICKS_PER_S = 960
_GAINS = {"drums": 0.8, "bass": 0.9, "other": 1.0}
_TONICS = ("C", "Db", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B")
_SPELLED = {
    **{"C#": "Db", "D#": "Eb", "Gb": "F#", "G#": "Ab", "A#": "Bb"},
    **{"Cb": "B", "Fb": "E", "E#": "F", "B#": "C"},
}


@dataclass(frozen=True)
class Note:
    """A note: from when to when in seconds, and its MIDI pitch."""

    start_s: float
    stop_s: float
    pitch: int


@dataclass(frozen=True)
class RenderedSong:
    """A song and what is true of it.

    Attributes
    ----------
    stems
        float32 ``(channels, samples)`` of drums, bass and other.
    beats_s, downbeats_s
        Times of beats, and of those that begin a bar.
    key
        Such as ``A minor``.
    chords
        Start, stop and label (Harte 2005).
    notes
        Of each stem.
    """

    name: str
    stems: Mapping[str, NDArray[np.float32]]
    beats_s: NDArray[np.float64]
    downbeats_s: NDArray[np.float64]
    key: str
    chords: Sequence[tuple[float, float, str]]
    notes: Mapping[str, Sequence[Note]]

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        n_samples: int = self.mixture.shape[1]
        return n_samples / SAMPLE_RATE

    @property
    def mixture(self) -> NDArray[np.float32]:
        """The sum of the stems."""
        return np.asarray(np.sum(list(self.stems.values()), axis=0))

    @property
    def bpm(self) -> float:
        """The median tempo."""
        return 60 / float(np.median(np.diff(self.beats_s)).item())


class Pop909:
    """The songs of the data set.

    Parameters
    ----------
    archive
        ``pop909.zip``.
    soundfont
        A General MIDI soundfont (.sf2), which fluidsynth plays.
    """

    def __init__(self, archive: Path, soundfont: Path) -> None:
        self._archive = zipfile.ZipFile(archive)
        self._soundfont = soundfont

    def choose(self, n_songs: int) -> list[int]:
        """Return the numbers of so many songs whose key is annotated, evenly spread over the set."""
        names = self._archive.namelist()
        numbers = sorted(int(name.split("/")[1]) for name in names if name.endswith("key_audio.txt"))
        return numbers[:: max(1, len(numbers) // n_songs)][:n_songs]

    def render(self, number: int, duration_s: float) -> RenderedSong:
        """Render the first seconds of a song."""
        rng = np.random.default_rng(number)
        beats = [[float(word) for word in line[:2]] for line in self._lines(number, "beat_midi.txt")]
        chords = [(float(a), float(b), label) for a, b, label in self._lines(number, "chord_midi.txt")]
        beats_s = np.array([beat[0] for beat in beats])
        is_down = np.array([beat[1] == 1.0 for beat in beats])
        notes = {
            "other": list(self._read_notes(number)),
            "bass": list(_play_roots(chords, beats_s)),
            "drums": list(_play_drums(beats_s, np.flatnonzero(is_down), rng)),
        }
        programs = {"other": int(rng.choice([0, 4, 24, 25])), "bass": int(rng.choice([32, 33, 34, 38]))}
        n_samples = round(min(duration_s, beats_s[-1]) * SAMPLE_RATE)
        stems = {
            stem: _GAINS[stem] * self._play(played, programs.get(stem), n_samples)
            for stem, played in notes.items()
        }
        inside = beats_s < n_samples / SAMPLE_RATE
        return RenderedSong(
            f"{number:03d}",
            stems,
            beats_s[inside],
            beats_s[inside & is_down],
            _parse_key(self._lines(number, "key_audio.txt")[0][2]),
            chords,
            notes,
        )

    def _lines(self, number: int, name: str) -> list[list[str]]:
        text = self._archive.read(f"POP909/{number:03d}/{name}").decode()
        return [line.split() for line in text.strip().splitlines()]

    def _read_notes(self, number: int) -> Iterator[Note]:
        song = mido.MidiFile(file=io.BytesIO(self._archive.read(f"POP909/{number:03d}/{number:03d}.mid")))
        now_s = 0.0
        begun: dict[tuple[int, int], float] = {}
        for message in song:
            now_s += message.time
            if message.type not in ("note_on", "note_off"):
                continue
            key = (message.channel, message.note)
            if key in begun:
                yield Note(begun.pop(key), now_s, message.note)
            if message.type == "note_on" and message.velocity:
                begun[key] = now_s

    def _play(self, notes: Sequence[Note], program: int | None, n_samples: int) -> NDArray[np.float32]:
        with tempfile.TemporaryDirectory() as folder:
            midi, wav = Path(folder, "song.mid"), Path(folder, "song.wav")
            _make_midi(notes, program).save(midi)
            command: list[Any] = [
                "fluidsynth",
                "-ni",
                "-q",
                "-F",
                wav,
                "-r",
                SAMPLE_RATE,
                "-g",
                0.6,
                "-T",
                "wav",
            ]
            command += [self._soundfont, midi]
            subprocess.run([str(word) for word in command], check=True, capture_output=True)
            played, _ = soundfile.read(wav, n_samples, dtype="float32", always_2d=True, fill_value=0)
        return np.asarray(played.T)


def _make_midi(notes: Sequence[Note], program: int | None) -> Any:
    """Return a file of one track; without a program on the channel of drums."""
    channel = 9 if program is None else 0
    events = [(note.start_s, "note_on", note.pitch) for note in notes]
    events += [(note.stop_s, "note_off", note.pitch) for note in notes]
    track = mido.MidiTrack([mido.Message("program_change", channel=channel, program=program or 0)])
    last = 0
    for time_s, kind, pitch in sorted(events):
        tick = round(time_s * _TICKS_PER_S)
        track.append(mido.Message(kind, channel=channel, note=pitch, velocity=90, time=tick - last))
        last = tick
    return mido.MidiFile(ticks_per_beat=_TICKS_PER_S // 2, tracks=[track])


def _play_roots(chords: Sequence[tuple[float, float, str]], beats_s: NDArray[np.float64]) -> Iterator[Note]:
    for start_s, stop_s, label in chords:
        if label == "N":
            continue
        tonic = _TONICS.index(_spell(label.split(":")[0].split("/")[0]))
        for time_s in beats_s[(beats_s > start_s - 0.02) & (beats_s < stop_s - 0.05)]:
            yield Note(float(time_s), float(time_s) + 0.3, tonic + (36 if tonic < 5 else 24))


def _play_drums(
    beats_s: NDArray[np.float64], downbeats: NDArray[np.intp], rng: np.random.Generator
) -> Iterator[Note]:
    pattern = rng.integers(3)
    for number, time_s in enumerate(beats_s):
        before = downbeats[downbeats <= number]
        place = int(number - (before[-1] if len(before) else downbeats[0] if len(downbeats) else 0)) % 4
        is_snare = {0: place % 2 == 1, 1: place % 2 == 1, 2: place == 2}[int(pattern)]
        is_kick = {0: place % 2 == 0, 1: True, 2: place == 0}[int(pattern)]
        next_s = beats_s[min(number + 1, len(beats_s) - 1)]
        hits = [(KICK, time_s)] * is_kick + [(SNARE, time_s)] * is_snare
        for pitch, at_s in [*hits, (HAT, time_s), (HAT, (time_s + next_s) / 2)]:
            played_s = max(0.0, float(at_s + rng.normal(0, 0.004)))
            yield Note(played_s, played_s + 0.1, pitch)


def _spell(tonic: str) -> str:
    return _SPELLED.get(tonic, tonic)


def _parse_key(text: str) -> str:
    tonic, _, mode = text.partition(":")
    return f"{_spell(tonic)} {'minor' if mode.startswith('min') else 'major'}"
