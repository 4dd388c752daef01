"""``python -m benchmarks.drum_parts``: kick, snare and cymbals of drums whose parts are known.

The kits are of hits of the library that no training uses, and of a General MIDI soundfont, of which the
training knows nothing. The SDR is the usual one: energy of the part against that of the error, over the song.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from benchmarks.machine import describe_machine
from benchmarks.report import Row, save, show
from stemsplit.registry.installed import kit_model
from stemsplit.separation.separator import Separator
from stemsplit.training import SAMPLE_RATE
from stemsplit.training.data.library import Library
from stemsplit.training.synthesis.drums import piece_of
from stemsplit.training.synthesis.grooves import draw_groove
from stemsplit.training.synthesis.kit_songs import PARTS, KitRenderer
from stemsplit.training.synthesis.soundfont import render_soundfont
from stemsplit.types import FloatArray

_PART_OF_PIECE = {"kick": "kick", "snare": "snare", "rim": "snare", "clap": "snare", "tom": "snare"}
_PART_OF_PIECE |= dict.fromkeys(("hihat_closed", "hihat_open", "crash", "ride", "ride_bell"), "cymbals")
_KITS = (0, 8, 16, 24, 25, 32, 40)
_LEAST_ENERGY = 1e-6


def main(
    library: Annotated[Path, typer.Argument(help="Folder of the training library.")],
    work: Annotated[Path, typer.Option(help="Folder with its decoded audio.")],
    songs: Annotated[int, typer.Option(help="Of each set.")] = 20,
    seconds: Annotated[float, typer.Option(help="Of each song.")] = 20.0,
    json: Annotated[Path | None, typer.Option(help="Folder for the results as JSON.")] = None,
) -> None:
    """Judge the parts of drums."""
    renderer = KitRenderer(Library(library, work / "decoded"), split="valid")
    sets = {
        "held-out kits": (
            renderer.render(np.random.default_rng((99, number)), length_s=seconds) for number in range(songs)
        ),
        "General MIDI kits": (_render_midi(number, seconds) for number in range(songs)),
    }
    with Separator(models=[kit_model()], device="cpu", threads=1) as separator:
        model = separator.models[0]
        rows = [
            row
            for name, each in sets.items()
            for row in _summarise(name, [_score(separator, parts) for parts in each])
        ]
    show("drum_parts", rows)
    if json is not None:
        made = {"name": model.name, "version": model.version, "sha256": model.sha256}
        save(
            "drum_parts",
            rows,
            {"machine": describe_machine(), "models": [made], "songs": songs, "seconds": seconds},
            json,
        )


def _render_midi(number: int, seconds: float) -> dict[str, FloatArray]:
    rng = np.random.default_rng((77, number))
    groove = draw_groove(rng, tempo=float(rng.uniform(70, 170)), length_s=seconds)
    kit = int(rng.choice(_KITS))
    apart = {}
    for part in PARTS:
        notes = tuple(note for note in groove.notes if _PART_OF_PIECE.get(piece_of(note.pitch)) == part)
        apart[part] = render_soundfont(
            [replace(groove, notes=notes)], length_s=seconds, pans=[64], drum_kit=kit
        )
    return apart


def _score(separator: Separator, parts: Mapping[str, FloatArray]) -> dict[str, tuple[float, float]]:
    """Return the SDR of each part that sounds, and that of an equal share of the drums."""
    drums = np.sum(list(parts.values()), axis=0)
    found = separator(drums, SAMPLE_RATE)
    return {
        name: (_sdr_db(part, found[name]), _sdr_db(part, drums / len(parts)))
        for name, part in parts.items()
        if np.square(part).mean() > _LEAST_ENERGY
    }


def _sdr_db(reference: FloatArray, estimate: FloatArray) -> float:
    error = np.square(reference - estimate, dtype=np.float64).sum()
    return float(10 * np.log10(np.square(reference, dtype=np.float64).sum() / max(error, 1e-12)))


def _summarise(kits: str, scores: list[dict[str, tuple[float, float]]]) -> Iterator[Row]:
    for part in PARTS:
        found = np.array([each[part] for each in scores if part in each])
        row: dict[str, Any] = {"kits": kits, "part": part, "n_songs": len(found)}
        row |= {"sdr": round(float(found[:, 0].mean()), 2), "share_sdr": round(float(found[:, 1].mean()), 2)}
        yield row | {"improvement": round(float((found[:, 0] - found[:, 1]).mean()), 2)}


if __name__ == "__main__":
    typer.run(main)
