"""General MIDI instruments rendered by fluidsynth, for instruments that are rare in the library.

Needs the program ``fluidsynth`` and a soundfont such as FluidR3 (MIT, Debian's fluid-soundfont-gm).
"""

import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

import mido
import numpy as np
import soundfile

from stemsplit.errors import StemsplitError
from stemsplit.training import SAMPLE_RATE
from stemsplit.training.synthesis.midi import DRUM_CHANNEL, MidiPart
from stemsplit.types import FloatArray

SOUNDFONT = Path("/usr/share/sounds/sf2/FluidR3_GM.sf2")
TICKS_PER_S = 960


def check_soundfont(soundfont: Path) -> None:
    """Raise `StemsplitError` if fluidsynth or the soundfont is missing."""
    if shutil.which("fluidsynth") is None or not soundfont.exists():
        raise StemsplitError(
            f"rendering needs the program fluidsynth and the soundfont {soundfont} "
            "(Debian: apt install fluidsynth fluid-soundfont-gm)"
        )


def render_soundfont(
    parts: Sequence[MidiPart],
    *,
    length_s: float,
    pans: Sequence[int],
    drum_kit: int = 0,
    soundfont: Path = SOUNDFONT,
) -> FloatArray:
    """Render parts together, dry.

    Parameters
    ----------
    parts : sequence of MidiPart
        At most 15 pitched parts, and drums.
    length_s : float
        Length in seconds; longer decays are cut.
    pans : sequence of int
        MIDI pan per part, 64 in the middle.
    drum_kit : int
        General MIDI program of the drum channel.
    soundfont : Path
        The soundfont file.

    Returns
    -------
    FloatArray, shape (2, samples)
    """
    with tempfile.TemporaryDirectory() as folder:
        midi, wave = Path(folder) / "parts.mid", Path(folder) / "parts.wav"
        _midi_file(parts, pans, drum_kit).save(midi)
        command = ["fluidsynth", "-ni", "-q", "-g", "0.5", "-R", "0", "-C", "0", "-r", str(SAMPLE_RATE)]
        command += ["-O", "float", "-F", str(wave), str(soundfont), str(midi)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode or not wave.exists():
            raise StemsplitError(f"fluidsynth failed: {done.stderr.strip() or done.returncode}")
        samples = soundfile.read(wave, dtype="float32", always_2d=True)[0].T
    n_samples = round(length_s * SAMPLE_RATE)
    return np.pad(samples[:, :n_samples], ((0, 0), (0, max(0, n_samples - samples.shape[1]))))


def _midi_file(parts: Sequence[MidiPart], pans: Sequence[int], drum_kit: int) -> mido.MidiFile:
    channels = iter([channel for channel in range(16) if channel != DRUM_CHANNEL])
    events: list[tuple[float, int, mido.Message]] = []
    for part, pan in zip(parts, pans, strict=True):
        channel = DRUM_CHANNEL if part.is_drums else next(channels)
        program = drum_kit if part.is_drums else part.program
        events.append((0, 0, mido.Message("program_change", channel=channel, program=program)))
        events.append((0, 0, mido.Message("control_change", channel=channel, control=10, value=pan)))
        for note in part.notes:
            pitch = min(127, max(0, note.pitch))
            on = mido.Message("note_on", channel=channel, note=pitch, velocity=note.velocity)
            off = mido.Message("note_off", channel=channel, note=pitch)
            events += [(note.start_s, 2, on), (note.start_s + note.length_s, 1, off)]
    track = mido.MidiTrack()
    now = 0
    for time_s, _, event in sorted(events, key=lambda each: each[:2]):
        tick = round(max(0.0, time_s) * TICKS_PER_S)
        track.append(event.copy(time=tick - now))
        now = tick
    # 480 ticks per beat at 120 beats per minute
    return mido.MidiFile(ticks_per_beat=TICKS_PER_S // 2, tracks=[track])
