"""Spectrograms of a case: mixture, references and estimates, side by side at one scale."""

from pathlib import Path

import numpy as np

from stemsplit.evaluation.metrics import is_silent, leakage_db, sdr
from stemsplit.training import SAMPLE_RATE
from stemsplit.training.evaluation.validation import ValidationCase
from stemsplit.types import FloatArray

WIDTH, HEIGHT, DPI = 1600, 1800, 100  # pixels
N_FFT, HOP_LENGTH = 8192, 1024
LOWEST_HZ, HIGHEST_HZ, ROWS_PER_OCTAVE = 30.0, 18000.0, 36
MAX_ROWS = 6
RANGE_DB = 75.0
TICKS_HZ = (50, 100, 200, 500, 1000, 2000, 5000, 10000)


def log_spectrogram(waveform: FloatArray) -> FloatArray:
    """Compute a spectrogram with a logarithmic frequency axis.

    Parameters
    ----------
    waveform : FloatArray, shape (2, samples)
        The power of both channels is added.

    Returns
    -------
    FloatArray, shape (rows, frames)
        Level in decibels; a row holds the maximum of the bins it covers, with `ROWS_PER_OCTAVE` rows per
        octave from `LOWEST_HZ` on.
    """
    import librosa

    power = np.square(np.abs(librosa.stft(waveform, n_fft=N_FFT, hop_length=HOP_LENGTH))).sum(0)
    n_rows = int(np.log2(HIGHEST_HZ / LOWEST_HZ) * ROWS_PER_OCTAVE)
    edges_hz = LOWEST_HZ * 2 ** (np.arange(n_rows + 1) / ROWS_PER_OCTAVE)
    edges = edges_hz * N_FFT / SAMPLE_RATE
    first, last = np.floor(edges[:-1] + 0.5).astype(int), np.floor(edges[1:] + 0.5).astype(int)
    rows = [power[low : max(high, low + 1)].max(0) for low, high in zip(first, last, strict=True)]
    return np.asarray(10 * np.log10(np.stack(rows) + 1e-10), np.float32)


def draw_case(case: ValidationCase, estimates: FloatArray, picture: Path) -> None:
    """Write a PNG of `WIDTH` x `HEIGHT` pixels: the mixture above, then a row for each target.

    Of more than `MAX_ROWS` targets those are drawn that sound.

    Parameters
    ----------
    case : ValidationCase
        Its references are drawn on the left; unseparated music is drawn in the place of its last target.
    estimates : FloatArray, shape (targets, 2, samples)
        Estimates, drawn on the right.
    picture : Path
        The PNG file.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH / DPI, HEIGHT / DPI), dpi=DPI, layout="constrained")
    drawn = [
        place
        for place in range(len(case.targets))
        if len(case.targets) <= MAX_ROWS or not is_silent(case.stems[place])
    ]
    grid = figure.subplots(len(drawn) + 1, 2, sharex=True, sharey=True)
    mixture = log_spectrogram(case.mixture)
    top = float(mixture.max())
    panels = [("mixture", mixture), ("mixture minus all estimates", case.mixture - estimates.sum(0))]
    for place in drawn:
        target, reference, estimate = case.targets[place], case.stems[place], estimates[place]
        panels.append((f"{target}, reference" + _unknown(case, target), reference))
        panels.append((f"{target}, estimate: " + _figure(case, reference, estimate, target), estimate))
    for axes, (title, content) in zip(grid.flat, panels, strict=True):
        levels = content if title == "mixture" else log_spectrogram(content)
        image = axes.imshow(
            levels,
            origin="lower",
            aspect="auto",
            cmap="magma",
            vmin=top - RANGE_DB,
            vmax=top,
            extent=(0, case.mixture.shape[1] / SAMPLE_RATE, 0, levels.shape[0]),
        )
        axes.set_title(title, fontsize=11)
        axes.set_yticks(
            [ROWS_PER_OCTAVE * np.log2(hz / LOWEST_HZ) for hz in TICKS_HZ],
            [f"{hz / 1000:g}k" if hz >= 1000 else str(hz) for hz in TICKS_HZ],
        )
    for axes in grid[-1]:
        axes.set_xlabel("seconds")
    figure.colorbar(image, ax=grid, label="dB", fraction=0.015)
    figure.suptitle(f"{case.name} ({case.source})")
    figure.savefig(picture)


def _unknown(case: ValidationCase, target: str) -> str:
    return "" if target in case.known else " (contains other targets)"


def _figure(case: ValidationCase, reference: FloatArray, estimate: FloatArray, target: str) -> str:
    if target not in case.known:
        return "not scored"
    if is_silent(reference):
        return f"{leakage_db(estimate, case.mixture):.1f} dB of leakage"
    return f"{sdr(reference, estimate):.1f} dB uSDR"
