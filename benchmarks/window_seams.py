"""``python -m benchmarks.window_seams``: what the overlap of windows does to their seams.

A model of waveforms separates a song in windows, once for each overlap. Where one window ends and the next
begins, its stem may jump. The figure is the mean energy of the step from one sample to the next at these
borders, in dB beside that of all other steps: 0 where borders cannot be told from the rest.
"""

from pathlib import Path
from typing import Annotated

import numpy as np
import soundfile
import typer
from numpy.typing import NDArray

from benchmarks.machine import describe_machine, describe_models
from benchmarks.report import Row, save, show
from stemsplit.models.description import Description
from stemsplit.separation.separator import Separator
from stemsplit.types import FloatArray

OVERLAPS = (0.0, 0.25, 0.5, 0.75)  # of a window
_DRAWN = (0.0, 0.5)
_AROUND = 60  # samples on either side of a border in the picture


def main(
    song: Annotated[Path, typer.Argument(help="A song at the model's sample rate.")],
    model: Annotated[str, typer.Option(help="A model of waveforms.")] = "boulter-drums",
    seconds: Annotated[float, typer.Option(help="Of the beginning of the song.")] = 20.0,
    json: Annotated[Path | None, typer.Option(help="Folder for the results as JSON.")] = None,
    picture: Annotated[Path | None, typer.Option(help="PNG of the worst border of windows.")] = None,
) -> None:
    """Measure the seams of a model's windows."""
    waveform, sample_rate = soundfile.read(song, dtype="float32", always_2d=True)
    mixture = waveform[: round(seconds * sample_rate)].T
    with Separator(models=[model], device="cpu", threads=1) as separator:
        spec = separator.models[0].spec
    if not isinstance(spec, Description) or not spec.n_samples:
        raise typer.BadParameter(f"{model} is not a model of waveforms")
    stems: dict[float, FloatArray] = {}
    rows = []
    for overlap in OVERLAPS:
        n_shared = round(overlap * spec.n_samples)
        stems[overlap] = _separate(mixture, sample_rate, model, n_shared)
        rows.append(_make_row(stems[overlap], spec.n_samples - n_shared, overlap))
    show("window_seams", rows)
    if json is not None:
        facts = {"machine": describe_machine(), "models": describe_models(), "model": model}
        save("window_seams", rows, {**facts, "song": song.name, "seconds": seconds}, json)
    if picture is not None:
        _draw(stems, spec.n_samples, picture, sample_rate)


def _separate(mixture: FloatArray, sample_rate: int, model: str, n_shared: int) -> FloatArray:
    """Return the first stem of a model, with windows that share so many samples."""
    overlap_s = n_shared / sample_rate
    with Separator(models=[model], device="cpu", threads=1, overlap_s=overlap_s) as separator:
        return separator(mixture, sample_rate)[separator.stems[0]]


def _make_row(stem: FloatArray, step: int, overlap: float) -> Row:
    energy, is_border = _steps(stem), _borders(stem.shape[-1], step)
    ratio = energy[:, is_border].mean() / energy[:, ~is_border].mean()
    return {"overlap": overlap, "n_borders": int(is_border.sum()), "seam_db": round(10 * np.log10(ratio), 1)}


def _steps(stem: FloatArray) -> NDArray[np.float64]:
    return np.diff(stem.astype(np.float64), axis=-1) ** 2


def _borders(n_samples: int, step: int) -> NDArray[np.bool_]:
    """Return at which steps from one sample to the next a window begins."""
    is_border = np.zeros(n_samples - 1, dtype=np.bool_)
    is_border[step - 1 :: step] = True
    return is_border


def _draw(stems: dict[float, FloatArray], length: int, picture: Path, sample_rate: int) -> None:
    """Draw the border with the largest step without overlap, and the same place with overlap."""
    from matplotlib.figure import Figure

    energy = _steps(stems[0.0])[0] * _borders(stems[0.0].shape[-1], length)
    border = int(energy.argmax()) + 1
    place = slice(max(0, border - _AROUND), border + _AROUND)
    time_ms = (np.arange(place.start, place.stop) - border) * 1000 / sample_rate
    figure = Figure(figsize=(8, 4), layout="constrained")
    axes = figure.add_subplot()
    for overlap in _DRAWN:
        axes.plot(time_ms, stems[overlap][0, place], label=f"overlap {overlap:g}")
    axes.axvline(0, color="grey", linewidth=0.8, linestyle=":")
    axes.set(xlabel="ms from the border of two windows", ylabel="drums")
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(picture, dpi=110)


if __name__ == "__main__":
    typer.run(main)
