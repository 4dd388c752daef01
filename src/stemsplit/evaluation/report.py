"""The report of an evaluation: scores of all songs, their medians, as CSV, JSON and a table."""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from stemsplit.evaluation.song_scores import MEASURES, StemScore
from stemsplit.files.atomic import whole_file, write_json


@dataclass(frozen=True)
class SongScores:
    """The scores of one song."""

    song: str
    split: str
    stems: tuple[StemScore, ...]

    @property
    def label(self) -> str:
        """The song's name with its split, as two splits may have songs of one name."""
        return make_label(self.song, self.split)


def make_label(name: str, split: str) -> str:
    """Return the name of a song in a data set.

    >>> make_label("Song", "test"), make_label("Song", "")
    ('test/Song', 'Song')
    """
    return f"{split}/{name}" if split else name


@dataclass(frozen=True)
class EvaluationReport:
    """The scores of a model on a data set.

    Parameters
    ----------
    models : sequence of mapping
        Name, version and hash of each model.
    settings : mapping
        How they were run, and on what.
    songs : sequence of SongScores
        The songs that were scored.
    failed : mapping of str to str
        Why others were not, by name.
    """

    models: Sequence[Mapping[str, Any]]
    settings: Mapping[str, Any]
    songs: Sequence[SongScores]
    failed: Mapping[str, str] = field(default_factory=dict)

    @property
    def stems(self) -> tuple[str, ...]:
        """The stems that were scored, in their order."""
        return tuple(dict.fromkeys(score.stem for song in self.songs for score in song.stems))

    def values(self, stem: str, measure: str) -> dict[str, float | None]:
        """Return one of `MEASURES` of a stem in every song that has it."""
        return {
            song.label: getattr(score, measure)
            for song in self.songs
            for score in song.stems
            if score.stem == stem
        }

    def median(self, stem: str, measure: str) -> float | None:
        """Return the median of a measure over the songs in which it has a meaning; None if there is none."""
        known = [value for value in self.values(stem, measure).values() if value is not None]
        return float(np.median(known)) if known else None

    def to_dict(self) -> dict[str, Any]:
        """Return the report for JSON."""
        medians = {stem: {m: self.median(stem, m) for m in MEASURES} for stem in self.stems}
        return {
            "models": list(self.models),
            "settings": dict(self.settings),
            "medians": medians,
            "songs": [asdict(song) for song in self.songs],
            "failed": dict(self.failed),
        }

    def to_csv(self) -> str:
        """Return a line for each song and stem."""
        text = io.StringIO()
        columns = ["song", "split", *StemScore.__dataclass_fields__]
        writer = csv.DictWriter(text, columns, lineterminator="\n")
        writer.writeheader()
        for song in self.songs:
            for score in song.stems:
                writer.writerow({"song": song.song, "split": song.split, **asdict(score)})
        return text.getvalue()

    def to_table(self) -> str:
        """Return the medians as a table of plain text."""
        rows = [["STEM", "SDR", "ISR", "SIR", "SAR", "uSDR", "SONGS"]]
        for stem in self.stems:
            figures = [self.median(stem, measure) for measure in MEASURES]
            n_songs = sum(value is not None for value in self.values(stem, "usdr_db").values())
            rows.append([stem, *("-" if f is None else f"{f:.2f}" for f in figures), str(n_songs)])
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        return "\n".join(
            "  ".join(
                cell.rjust(width) if index else cell.ljust(width)
                for index, (cell, width) in enumerate(zip(row, widths, strict=True))
            )
            for row in rows
        )

    def write(self, folder: Path) -> list[Path]:
        """Write ``scores.csv`` and ``scores.json`` into a folder; return their paths."""
        paths = [folder / "scores.csv", folder / "scores.json"]
        with whole_file(paths[0]) as file:
            file.write(self.to_csv().encode())
        write_json(paths[1], self.to_dict())
        return paths
