"""Curves of a training: a CSV that grows, and a picture of it."""

import csv
import io
from pathlib import Path

from stemsplit.files.atomic import whole_file


class CurveLog:
    """A table of figures over time, one CSV row per report.

    A figure that appears later than the others gets its own column; the file is rewritten then.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows: list[dict[str, float]] = read_curves(path) if path.exists() else []

    @property
    def last_step(self) -> float:
        """Step of the last row; below zero without one."""
        return self.rows[-1]["step"] if self.rows else -1.0

    def forget_after(self, step: int) -> None:
        """Leave out what is later than a step, which comes again; the file follows with the next row."""
        self.rows = [row for row in self.rows if row.get("step", 0) <= step]

    def add(self, row: dict[str, float]) -> None:
        """Append one row and write the table anew; a row that could not be written comes with the next."""
        self.rows.append({key: round(value, 3) for key, value in row.items()})
        columns = list(dict.fromkeys(key for each in self.rows for key in each))
        with whole_file(self.path) as file, io.TextIOWrapper(file, "utf-8", newline="") as text:
            writer = csv.DictWriter(text, columns, restval="")
            writer.writeheader()
            writer.writerows(self.rows)


def read_curves(path: Path) -> list[dict[str, float]]:
    """Rows of a curve file; empty cells are left out."""
    with path.open(newline="", encoding="utf-8") as file:
        return [{key: float(value) for key, value in row.items() if value} for row in csv.DictReader(file)]


def draw_curves(path: Path, picture: Path) -> None:
    """Draw a curve file: the loss, and every column of the validation, over the minutes."""
    from matplotlib.figure import Figure

    rows = read_curves(path)
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.add_subplot()
    for column in [key for key in rows[-1] if key not in ("elapsed_s", "step", "waiting_s")]:
        points = [(row["elapsed_s"] / 60, row[column]) for row in rows if column in row]
        axes.plot(*zip(*points, strict=True), marker=".", label=column)
    axes.set(xlabel="minutes of training", ylabel="dB")
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small")
    figure.savefig(picture, dpi=110)
