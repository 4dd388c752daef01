"""``python -m benchmarks.transcription``: MIDI of bass and drums against songs whose notes are known.

Notes count within 50 ms of their beginning, those of the bass with their pitch (mir_eval). The stems are the
true ones, and those that the bundled model makes of the mixture.
"""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import mir_eval
import numpy as np
import soundfile
import typer

from benchmarks.machine import describe_machine, describe_models
from benchmarks.pop909 import HAT, KICK, SAMPLE_RATE, SNARE, Pop909, RenderedSong
from benchmarks.report import Row, save, show
from stemsplit.music.midi import transcribe
from stemsplit.separation.separator import Separator

_DRUMS = {"kick": KICK, "snare": SNARE, "hi-hat": HAT}


def main(  # noqa: PLR0917 - as they are typed
    archive: Annotated[Path, typer.Argument(help="pop909.zip")],
    soundfont: Annotated[Path, typer.Argument(help="A General MIDI soundfont, .sf2.")],
    songs: Annotated[int, typer.Option(help="How many, evenly spread over the set.")] = 8,
    seconds: Annotated[float, typer.Option(help="Of the beginning of each song.")] = 40.0,
    threads: Annotated[int, typer.Option()] = 1,
    json: Annotated[Path | None, typer.Option(help="Folder for the results as JSON.")] = None,
) -> None:
    """Judge the transcription."""
    data = Pop909(archive, soundfont)
    chosen = data.choose(songs)
    counts: dict[tuple[str, str], list[tuple[int, int, int]]] = {}
    with Separator(device="cpu", threads=threads) as separator:
        for number in chosen:
            song = data.render(number, seconds)
            separated = separator(song.mixture, SAMPLE_RATE)
            for kind, stems in (("true stems", song.stems), ("separated stems", separated)):
                for stem in ("bass", "drums"):
                    for what, count in _compare(song, stem, stems[stem]).items():
                        counts.setdefault((what, kind), []).append(count)
            typer.echo(f"{number}", err=True)
    rows = [_make_row(what, kind, each) for (what, kind), each in sorted(counts.items())]
    show("transcription", rows)
    if json is not None:
        facts = {"machine": describe_machine(), "models": describe_models(), "seconds": seconds}
        save("transcription", rows, {**facts, "songs": len(chosen)}, json)


def _compare(song: RenderedSong, stem: str, waveform: object) -> dict[str, tuple[int, int, int]]:
    """Return for each kind of note how many there are, how many are found, and how many are right."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "stem.wav")
        soundfile.write(path, np.asarray(waveform).T, SAMPLE_RATE, subtype="FLOAT")
        found = [(note.start_s, note.pitch) for note in transcribe(path, stem)]
    true = [(note.start_s, note.pitch) for note in song.notes[stem] if note.start_s < song.duration_s - 0.1]
    if stem == "bass":
        return {"bass": _match(true, found)}
    return {
        kind: _match(
            [each for each in true if each[1] == pitch], [each for each in found if each[1] == pitch]
        )
        for kind, pitch in _DRUMS.items()
    }


def _match(true: Sequence[tuple[float, int]], found: Sequence[tuple[float, int]]) -> tuple[int, int, int]:
    if not true or not found:
        return len(true), len(found), 0
    sides = [
        (np.array([(time_s, time_s + 0.1) for time_s, _ in notes]), 440 * 2 ** (np.array(notes)[:, 1] / 12))
        for notes in (true, found)
    ]
    (true_s, true_hz), (found_s, found_hz) = sides
    pairs = mir_eval.transcription.match_notes(true_s, true_hz, found_s, found_hz, offset_ratio=None)
    return len(true), len(found), len(pairs)


def _make_row(what: str, kind: str, counts: Sequence[tuple[int, int, int]]) -> Row:
    n_true, n_found, n_right = (sum(column) for column in zip(*counts, strict=True))
    precision, recall = n_right / max(1, n_found), n_right / max(1, n_true)
    f = 2 * precision * recall / max(1e-9, precision + recall)
    rounded = {
        name: round(value, 2) for name, value in (("precision", precision), ("recall", recall), ("f", f))
    }
    return {"notes": what, "analysed": kind, "n_true": n_true, **rounded}


if __name__ == "__main__":
    typer.run(main)
