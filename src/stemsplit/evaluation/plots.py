"""Plots of an evaluation: SDR, SIR and SAR of one stem, with the songs along the horizontal axis."""

import importlib.util
from pathlib import Path
from typing import Final

import numpy as np

from stemsplit.errors import SettingsError
from stemsplit.evaluation.report import EvaluationReport
from stemsplit.files.atomic import whole_file

_MEASURES: Final = {"sdr_db": "SDR", "sir_db": "SIR", "sar_db": "SAR"}


def check_plots() -> None:
    """Raise a `SettingsError` if matplotlib is not installed."""
    if importlib.util.find_spec("matplotlib") is None:
        raise SettingsError(
            "matplotlib is not installed; run `pip install '.[evaluate]'` in your clone of stemsplit, "
            "or leave the plots out with --no-plots"
        )


def plot_report(report: EvaluationReport, folder: Path) -> list[Path]:
    """Draw one picture for each stem, ``STEM.png`` in `folder`; return their paths."""
    return [_plot_stem(report, stem, folder / f"{stem}.png") for stem in report.stems]


def _plot_stem(report: EvaluationReport, stem: str, path: Path) -> Path:
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(10, 4), layout="constrained")
    axes = figure.subplots()
    for measure, name in _MEASURES.items():
        values = report.values(stem, measure)
        figures = [np.nan if value is None else value for value in values.values()]
        median = report.median(stem, measure)
        label = name if median is None else f"{name}, median {median:.1f} dB"
        axes.plot(range(1, len(figures) + 1), figures, marker="o", markersize=3, linewidth=1, label=label)
    axes.set(
        title=f"{stem}: {', '.join(model['name'] for model in report.models)}", xlabel="song", ylabel="dB"
    )
    axes.grid(alpha=0.3)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(loc="upper left", bbox_to_anchor=(1, 1))
    with whole_file(path) as file:
        figure.savefig(file, format="png", dpi=100)
    return path
