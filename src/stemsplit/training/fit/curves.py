"""Training curves: a CSV file to which rows are added, and a plot of it."""

import csv
import io
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from stemsplit.errors import StemsplitError
from stemsplit.files.atomic import whole_file
from stemsplit.training.networks.base import ADVERSARIAL_FIGURES

Points = list[tuple[float, float]]
AXES = {"minutes": ("elapsed_s", 60.0), "steps": ("step", 1.0)}  # column and unit
MAX_LINES = 20  # of a panel
LEGEND_ROWS = 8
# words in names of figures that are not in decibels, and the labels of their panels
OWN_FIGURES = {"accuracy": "accuracy in percent", "mse": "mean squared error"}


class CurveLog:
    """A CSV file of figures over time, with one row per validation.

    A figure that first appears in a later row gets a column of its own.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows: list[dict[str, float]] = read_curves(path) if path.exists() else []

    @property
    def last_step(self) -> float:
        """Step of the last row; -1 if there are no rows."""
        return self.rows[-1]["step"] if self.rows else -1.0

    def forget_after(self, step: int) -> None:
        """Drop the rows after a step, which will be repeated; the file is written with the next row."""
        self.rows = [row for row in self.rows if row.get("step", 0) <= step]

    def add(self, row: dict[str, float]) -> None:
        """Add a row and rewrite the file; a row that could not be written is written with the next one."""
        # digits rather than decimals: some losses are far below one
        self.rows.append({key: float(f"{value:.7g}") for key, value in row.items()})
        columns = list(dict.fromkeys(key for each in self.rows for key in each))
        with whole_file(self.path) as file, io.TextIOWrapper(file, "utf-8", newline="") as text:
            writer = csv.DictWriter(text, columns, restval="")
            writer.writeheader()
            writer.writerows(self.rows)


def read_curves(path: Path) -> list[dict[str, float]]:
    """Read the rows of a curve file, without empty cells."""
    with path.open(newline="", encoding="utf-8") as file:
        return [{key: float(value) for key, value in row.items() if value} for row in csv.DictReader(file)]


def draw_curves(path: Path, picture: Path) -> None:
    """Plot a curve file: the loss and the validation scores over the minutes of training.

    The losses and scores of a discriminator, which are not decibels, have a panel of their own. Of too many
    lines only those over all sources of songs are drawn.
    """
    rows = read_curves(path)
    columns = [key for key in rows[-1] if key not in ("elapsed_s", "step", "waiting_s")]
    adversarial = [key for key in columns if key in ADVERSARIAL_FIGURES and key != "energy_db"]
    own = {label: [key for key in columns if word in key.split()] for word, label in OWN_FIGURES.items()}
    others = {*adversarial, *(key for keys in own.values() for key in keys)}
    decibels = [key for key in columns if key not in others]
    if len(decibels) > MAX_LINES:
        decibels = [key for key in decibels if " " not in key]  # the others begin with their source
    panels = {"dB": decibels, "adversary": adversarial} | own
    drawn = {label: {key: _points(rows, key) for key in keys} for label, keys in panels.items() if keys}
    _draw(picture, drawn, over="minutes")


def draw_comparison(
    curves: Mapping[str, Path], picture: Path, *, columns: Sequence[str], over: str = "minutes"
) -> None:
    """Plot columns of several curve files, given by name: a panel each.

    Parameters
    ----------
    curves : mapping of str to Path
        Curve files by the name of their line.
    picture : Path
        The PNG file.
    columns : sequence of str
        Columns of the curve files.
    over : str
        One of `AXES`: "minutes" of training, or "steps", for runs of which a machine made unlike many in a
        minute.

    Raises
    ------
    StemsplitError
        A file cannot be read or does not have a column, or there is no such axis.
    """
    if over not in AXES:
        raise StemsplitError(f"curves are drawn over {' or '.join(AXES)}, not {over!r}")
    panels: dict[str, dict[str, Points]] = {column: {} for column in columns}
    for name, path in curves.items():
        try:
            rows = read_curves(path)
            found = {column: _points(rows, column, over) for column in columns}
        except (OSError, KeyError, ValueError) as error:
            raise StemsplitError(f"{path} is not the curve of a run ({error!r}); train it first") from error
        for column, points in found.items():
            if not points:
                raise StemsplitError(f"{path} does not have the column {column!r}")
            panels[column][name] = points
    _draw(picture, panels, over=over)


def _points(rows: Sequence[Mapping[str, float]], column: str, over: str = "minutes") -> Points:
    key, unit = AXES[over]
    return [(row[key] / unit, row[column]) for row in rows if column in row]


def _draw(picture: Path, panels: Mapping[str, Mapping[str, Points]], *, over: str) -> None:
    """Draw panels, by the label of their vertical axis, one below the other; each has lines by name."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 2.3 + 2.2 * len(panels)), layout="constrained")
    below = figure.subplots(len(panels), sharex=True, squeeze=False)[:, 0]
    for axes, (label, lines) in zip(below, panels.items(), strict=True):
        for name, points in lines.items():
            axes.plot(*zip(*points, strict=True), marker=".", label=name)
        axes.set_ylabel(label)
        axes.grid(alpha=0.3)
        axes.legend(fontsize="small", ncols=math.ceil(len(lines) / LEGEND_ROWS))
    below[-1].set_xlabel(f"{over} of training")
    figure.savefig(picture, dpi=110)


def draw_sweep(
    points: Mapping[float, Mapping[str, float]], picture: Path, *, option: str, columns: Sequence[str]
) -> None:
    """Plot columns of rows of curves over the value of an option, by which the rows are given.

    Raises
    ------
    StemsplitError
        A row does not have a column.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.add_subplot()
    for column in columns:
        if lacking := [value for value, row in points.items() if column not in row]:
            raise StemsplitError(f"the run with {option} {lacking[0]:g} does not have the column {column!r}")
        values = sorted(points)
        axes.plot(values, [points[value][column] for value in values], marker=".", label=column)
    axes.set(xlabel=option, xscale="log")
    axes.set_ylim(bottom=0)
    axes.set_xticks(sorted(points), [f"{value:.3g}" for value in sorted(points)])
    axes.minorticks_off()
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small")
    figure.savefig(picture, dpi=110)
