"""The thirteen instruments of chamber ensembles: their ranges, and who plays them.

A player is a program of a General MIDI soundfont or the notes of one instrument of the library. Some players
are held out for validation: those of another soundfont, and some instruments of the library.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.random import Generator

from stemsplit.training import ORCHESTRA
from stemsplit.training.data.library import Item, Library
from stemsplit.training.synthesis.midi import MidiPart, Note
from stemsplit.training.synthesis.modulation import bend_to_curve, vibrato_curve
from stemsplit.training.synthesis.sampler import Instrument, collect_instruments, play
from stemsplit.training.synthesis.soundfont import SOUNDFONT, check_soundfont, render_soundfont
from stemsplit.types import FloatArray

# GPL-2, which no training reads: Debian's timgm6mb-soundfont
HELD_OUT_SOUNDFONT = Path("/usr/share/sounds/sf2/TimGM6mb.sf2")
_RELEASE_S = 0.12


@dataclass(frozen=True)
class OrchestraInstrument:
    """An instrument.

    Parameters
    ----------
    target : str
        Name of its stem.
    low, high : int
        Comfortable range in MIDI pitches.
    programs : tuple of int
        General MIDI programs.
    sampled, held_out : tuple of (str, str)
        Instruments of the library, as source and name, for training and for validation.
    """

    target: str
    low: int
    high: int
    programs: tuple[int, ...]
    sampled: tuple[tuple[str, str], ...] = ()
    held_out: tuple[tuple[str, str], ...] = ()

    @property
    def centre(self) -> float:
        """Middle of the range."""
        return (self.low + self.high) / 2

    def fit(self, notes: Sequence[Note]) -> tuple[Note, ...]:
        """Transpose a part by octaves so that most of its notes lie in the range; the others move alone."""
        middle = float(np.median([note.pitch for note in notes]))
        shift = 12 * round((self.centre - middle) / 12)
        return tuple(replace(note, pitch=self._into_range(note.pitch + shift)) for note in notes)

    def _into_range(self, pitch: int) -> int:
        while pitch > self.high:
            pitch -= 12
        while pitch < self.low:
            pitch += 12
        return pitch


_DISCORD, _KARORYFER = "sfzinstruments/dsmolken.double-bass", "sfzinstruments/karoryfer"
_WINER = "sfzinstruments/EthanWiner.Soundfonts"
INSTRUMENTS = (
    OrchestraInstrument("violin", 55, 93, (40,)),
    OrchestraInstrument("viola", 48, 81, (41,)),
    OrchestraInstrument("cello", 36, 69, (42,), held_out=((_WINER, "cello solo"),)),
    OrchestraInstrument(
        "double_bass",
        28,
        55,
        (43,),
        sampled=(
            (_DISCORD, "upright bass arco"),
            (f"{_KARORYFER}.ergo", "electric upright bass (Ergo) arco"),
        ),
        held_out=((f"{_KARORYFER}.meatbass", "upright bass arco"),),
    ),
    OrchestraInstrument("flute", 60, 93, (73,), held_out=(("sfzinstruments/Ixox.Flute", "flute"),)),
    OrchestraInstrument("oboe", 58, 89, (68,)),
    OrchestraInstrument("clarinet", 50, 86, (71,)),
    OrchestraInstrument(
        "saxophone",
        49,
        80,
        (64, 65, 66),
        sampled=((f"{_KARORYFER}.weresax", "alto sax"),),
        held_out=((f"{_KARORYFER}.bear-sax", "baritone/low sax short"),),
    ),
    OrchestraInstrument("bassoon", 34, 67, (70,), held_out=((_WINER, "bassoon"),)),
    OrchestraInstrument("trumpet", 54, 82, (56,)),
    OrchestraInstrument("horn", 41, 74, (60,)),
    OrchestraInstrument("trombone", 40, 70, (57,)),
    OrchestraInstrument("tuba", 28, 58, (58,)),
)
assert tuple(instrument.target for instrument in INSTRUMENTS) == ORCHESTRA


class Players:
    """The players of all instruments.

    Parameters
    ----------
    library : Library
        Source of sampled notes.
    held_out : bool
        Whether the players are those of validation.

    Raises
    ------
    StemsplitError
        fluidsynth or a soundfont is missing.
    """

    def __init__(self, library: Library, *, held_out: bool) -> None:
        self._library, self._held_out = library, held_out
        self._soundfont = HELD_OUT_SOUNDFONT if held_out else SOUNDFONT
        check_soundfont(self._soundfont)
        notes = library.select(split="train", kinds=("note",))
        self._sampled = {each.target: self._collect(each, notes) for each in INSTRUMENTS}

    def _collect(self, instrument: OrchestraInstrument, notes: Sequence[Item]) -> list[Instrument]:
        wanted = instrument.held_out if self._held_out else instrument.sampled
        return collect_instruments([item for item in notes if (item.source, item.instrument) in wanted])

    def play(
        self, instrument: OrchestraInstrument, notes: Sequence[Note], *, length_s: float, rng: Generator
    ) -> FloatArray:
        """Play notes, dry, with vibrato: ``(1, samples)``, silent where nothing is played."""
        sampled = self._sampled[instrument.target]
        if sampled and rng.random() < 0.6:
            chosen = sampled[int(rng.integers(len(sampled)))]
            dry = play(self._library, chosen, notes, length_s=length_s, rng=rng, release_s=_RELEASE_S)
        else:
            part = MidiPart(int(rng.choice(instrument.programs)), tuple(notes))
            dry = render_soundfont([part], length_s=length_s, pans=[64], soundfont=self._soundfont)
        mono = np.asarray(dry.mean(0, keepdims=True), np.float32)
        if rng.random() < 0.5:
            depth = float(rng.uniform(0.05, 0.3))
            mono = bend_to_curve(mono, vibrato_curve(notes, mono.shape[1], rng, depth=depth), notes)
        return mono
