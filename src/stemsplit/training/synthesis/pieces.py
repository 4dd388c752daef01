"""Pieces of chamber music from the corpus of music21: chorales of Bach, quartets of Haydn and Mozart.

The works are in the public domain. Their encodings come with music21 by permission of those who made them
and state no open licence; pitches and note values are all that is read of them, and nothing is stored with a
model.
Encodings that reserve rights (Palestrina, parts of Monteverdi and of the trecento) are not read.
"""

from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

from stemsplit.errors import StemsplitError
from stemsplit.training.synthesis.midi import MidiPart, Note, Pattern, is_held_out_midi

COMPOSERS = ("bach", "haydn", "mozart")
_VELOCITY = 80


def piece_names(*, split: str) -> list[str]:
    """List the pieces of one split, "train" or "valid", as paths within the corpus."""
    return [name for name in _pieces() if is_held_out_midi(name) == (split == "valid")]


def read_piece(name: str) -> Pattern:
    """Read the parts of a piece at 60 beats per minute, in the order of the score."""
    score = _music21().converter.parse(_pieces()[name])
    parts = [MidiPart(0, tuple(_notes(part.stripTies().flatten().notes))) for part in score.parts]
    return Pattern(name, tuple(part for part in parts if part.notes), 60.0)


def _notes(events: Iterable[Any]) -> Iterable[Note]:
    """Yield a note for each event: of a chord, the highest."""
    for event in events:
        if event.quarterLength > 0 and event.pitches:
            yield Note(
                float(event.offset), float(event.quarterLength), int(event.pitches[-1].midi), _VELOCITY
            )


@cache
def _pieces() -> dict[str, Path]:
    core = _music21().corpus.corpora.CoreCorpus()
    paths = [path for composer in COMPOSERS for path in core.getComposer(composer, fileExtensions=("mxl",))]
    return {"/".join(path.parts[path.parts.index("corpus") + 1 :]): path for path in sorted(paths)}


def _music21() -> Any:
    try:
        import music21
    except ImportError as error:
        raise StemsplitError("pieces are read by music21: pip install music21") from error
    return music21
