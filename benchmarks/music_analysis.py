"""``python -m benchmarks.music_analysis``: tempo, beats, key and chords against songs where they are known.

Each song is analysed on the stems that the bundled model makes of its mixture, on its true stems, and on the
mixture alone; librosa's beat tracker gets the mixture.
"""

import contextlib
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import librosa
import mir_eval
import numpy as np
import typer

from benchmarks.machine import describe_machine, describe_models
from benchmarks.pop909 import SAMPLE_RATE, Pop909, RenderedSong
from benchmarks.report import Row, save, show
from stemsplit.music.analysis import Analyser, SongAnalysis
from stemsplit.separation.separator import Separator
from stemsplit.types import FloatArray

_TOLERANCE = 0.04
_OCTAVES = (0.5, 2.0, 1 / 3, 3.0, 2 / 3, 1.5)


def main(  # noqa: PLR0917 - as they are typed
    archive: Annotated[Path, typer.Argument(help="pop909.zip")],
    soundfont: Annotated[Path, typer.Argument(help="A General MIDI soundfont, .sf2.")],
    songs: Annotated[int, typer.Option(help="How many, evenly spread over the set.")] = 20,
    seconds: Annotated[float, typer.Option(help="Of the beginning of each song.")] = 60.0,
    threads: Annotated[int, typer.Option()] = 1,
    json: Annotated[Path | None, typer.Option(help="Folder for the results as JSON.")] = None,
) -> None:
    """Judge the analysis."""
    data = Pop909(archive, soundfont)
    chosen = data.choose(songs)
    scores: dict[str, list[Row]] = {}
    with Separator(device="cpu", threads=threads) as separator:
        for number in chosen:
            song = data.render(number, seconds)
            for program, analyse in make_programs(separator).items():
                scores.setdefault(program, []).append(analyse(song))
            typer.echo(f"{number}: {[rows[-1] for rows in scores.values()]}", err=True)
    rows = [{"analysed": program, "songs": len(chosen), **_mean(each)} for program, each in scores.items()]
    show("music_analysis", rows)
    if json is not None:
        facts = {"machine": describe_machine(), "models": describe_models(), "seconds": seconds}
        save("music_analysis", rows, facts, json)


def make_programs(separator: Separator) -> dict[str, Callable[[RenderedSong], Row]]:
    """Return what is compared, each a function from a song to its scores."""
    return {
        "separated stems": lambda song: score(song, analyse(song, separator(song.mixture, SAMPLE_RATE))),
        "true stems": lambda song: score(song, analyse(song, song.stems)),
        "the mixture": lambda song: score(song, analyse(song, {})),
        "the mixture, by librosa": _score_librosa,
    }


def analyse(song: RenderedSong, stems: Mapping[str, FloatArray]) -> SongAnalysis:
    """Analyse a song by given stems."""
    analyser = Analyser(sample_rate=SAMPLE_RATE, n_channels=2)
    analyser.process(song.mixture, stems)
    return analyser.finish()


def score(song: RenderedSong, found: SongAnalysis) -> Row:
    """Compare an analysis with what is true."""
    beats = found.beats
    row = _score_beats(song, None if beats is None else beats.bpm, [] if beats is None else beats.times_s)
    row["downbeat_f"] = _f_measure(song.downbeats_s, [] if beats is None else beats.downbeats_s)
    row |= _score_key(song.key, None if found.key is None else found.key.name)
    row["chord_overlap"] = _score_chords(song, found)
    return row


def _score_librosa(song: RenderedSong) -> Row:
    mono = librosa.resample(song.mixture.mean(axis=0), orig_sr=SAMPLE_RATE, target_sr=22050)
    bpm, beats_s = librosa.beat.beat_track(y=mono, sr=22050, units="time")
    return _score_beats(song, float(np.atleast_1d(bpm)[0]), beats_s)


def _score_beats(song: RenderedSong, bpm: float | None, beats_s: Any) -> Row:
    ratio = 0.0 if bpm is None else bpm / song.bpm
    return {
        "tempo": abs(ratio - 1) < _TOLERANCE,
        "octave": any(abs(ratio / octave - 1) < _TOLERANCE for octave in _OCTAVES),
        "beat_f": _f_measure(song.beats_s, beats_s),
    }


def _f_measure(true_s: Any, found_s: Any) -> float:
    return float(mir_eval.beat.f_measure(np.asarray(true_s), np.asarray(found_s))) if len(found_s) else 0.0


def _score_key(true: str, found: str | None) -> Row:
    weighted = 0.0 if found is None else mir_eval.key.weighted_score(true, found)
    return {"key": weighted == 1.0, "key_relative": weighted == 0.3, "key_weighted": weighted}


def _score_chords(song: RenderedSong, found: SongAnalysis) -> float:
    true = _fit([chord[:2] for chord in song.chords], [chord[2] for chord in song.chords], song.duration_s)
    made = _fit(
        [(chord.start_s, chord.stop_s) for chord in found.chords],
        [chord.name for chord in found.chords],
        song.duration_s,
    )
    intervals, true_labels, labels = mir_eval.util.merge_labeled_intervals(*true, *made)
    durations = mir_eval.util.intervals_to_durations(intervals)
    return float(mir_eval.chord.weighted_accuracy(mir_eval.chord.majmin(true_labels, labels), durations))


def _fit(intervals: Sequence[tuple[float, float]], labels: Sequence[str], duration_s: float) -> Any:
    if not intervals:
        intervals, labels = [(0.0, duration_s)], ["N"]
    return mir_eval.util.adjust_intervals(np.array(intervals), list(labels), 0.0, duration_s, "N", "N")


def _mean(rows: Sequence[Row]) -> Row:
    return {name: round(float(np.mean([row[name] for row in rows])), 2) for name in rows[0]}


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        typer.run(main)
