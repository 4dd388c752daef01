"""``python -m benchmarks.before FOLDER``: what harmonic-percussive separation before the network changes.

FOLDER is a data set as ``stemsplit evaluate`` reads it. The ways in which the parts could be used are
compared with the network on the mixture, and with the percussive part itself as the drums.
"""

import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from benchmarks.machine import describe_machine, describe_models
from benchmarks.report import Row, save, show
from stemsplit.evaluation.dataset import find_songs
from stemsplit.evaluation.metrics import sdr
from stemsplit.evaluation.reference_song import SongAudio
from stemsplit.models.hpss import HARMONIC, PERCUSSIVE
from stemsplit.separation.separator import Separator
from stemsplit.types import FloatArray

STEMS = ("vocals", "drums", "bass", "other")
Estimates = Mapping[str, FloatArray]


def main(
    folder: Annotated[Path, typer.Argument(help="A data set with true stems.")],
    songs: Annotated[int, typer.Option(help="How many, evenly spread over the set.")] = 12,
    threads: Annotated[int, typer.Option()] = 1,
    json: Annotated[Path | None, typer.Option(help="Folder for the results as JSON.")] = None,
) -> None:
    """Judge the step."""
    found = find_songs(folder, "all")
    chosen = found[:: max(1, len(found) // songs)][:songs]
    scores: dict[str, list[Row]] = {}
    with (
        Separator(device="cpu", threads=threads) as plain,
        Separator(device="cpu", threads=threads, before="hpss") as stepped,
        Separator(device="cpu", models=["hpss"]) as splitter,
    ):
        for song in chosen:
            audio = song.read()
            for way, estimates in separate(audio, plain, stepped, splitter).items():
                row = {stem: sdr(audio.stems[stem], estimates[stem]) for stem in STEMS}
                scores.setdefault(way, []).append(row)
    rows = [{"before": way, **average(each)} for way, each in scores.items()]
    show("before", rows)
    if json is not None:
        facts = {"machine": describe_machine(), "models": describe_models(), "songs": len(chosen)}
        save("before", rows, facts, json)


def separate(
    audio: SongAudio, plain: Separator, stepped: Separator, splitter: Separator
) -> dict[str, Estimates]:
    """Return the stems of a song in every way that is compared."""
    mixture, rate = audio.mixture, audio.sample_rate
    parts = splitter(mixture, rate)
    whole = plain(mixture, rate)
    percussive, harmonic = plain(parts[PERCUSSIVE], rate), plain(parts[HARMONIC], rate)
    return {
        "nothing": whole,
        "--before hpss": stepped(mixture, rate),
        "hpss, the other stems from the harmonic part": complete(
            mixture, {**harmonic, "drums": percussive["drums"]}
        ),
        "hpss, every stem from both parts": {stem: harmonic[stem] + percussive[stem] for stem in STEMS},
        "no network for drums: the percussive part": complete(mixture, {**whole, "drums": parts[PERCUSSIVE]}),
    }


def complete(mixture: FloatArray, stems: Estimates) -> Estimates:
    """Return stems whose `other` is the mixture minus the rest, as stemsplit makes it."""
    kept = {stem: stems[stem] for stem in STEMS if stem != "other"}
    return {**kept, "other": mixture - np.sum(list(kept.values()), axis=0)}


def average(rows: list[Row]) -> Row:
    """Return the mean over the songs in which a stem sounds, and that over the stems."""
    means = {stem: float(np.nanmean([row[stem] for row in rows])) for stem in STEMS}
    means["average"] = float(np.mean(list(means.values())))
    return {name: round(value, 2) for name, value in means.items()}


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        typer.run(main)
