"""SDR, SIR and SAR as the field reports them: BSS Eval version 4, framewise, computed by museval.

F.-R. Stöter, A. Liutkus and N. Ito, "The 2018 Signal Separation Evaluation Campaign", LVA/ICA 2018.
An estimate is decomposed into the reference, spatial distortion, interference (the part that filters of 512
taps can produce from the other references) and artefacts (the rest). Frames are one second long and do not
overlap, the filters are fitted to the whole excerpt, and a figure is the median over the frames.
"""

import importlib.metadata
import importlib.util
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType

import numpy as np
from numpy.typing import NDArray

from stemsplit.errors import SettingsError, StemsplitError
from stemsplit.types import FloatArray


@dataclass(frozen=True)
class FramewiseMetrics:
    """Metrics of every source in every frame, in decibels.

    Parameters
    ----------
    sdr, isr, sir, sar : NDArray, shape (sources, frames)
        NaN in frames in which a reference or an estimate is silent, because these have no decomposition.
    """

    sdr: NDArray[np.float64]
    isr: NDArray[np.float64]
    sir: NDArray[np.float64]
    sar: NDArray[np.float64]

    @property
    def n_frames(self) -> int:
        """Number of frames."""
        n_frames: int = self.sdr.shape[1]
        return n_frames

    @property
    def n_counted(self) -> int:
        """Number of frames with a decomposition; these have values for all sources."""
        return int(np.isfinite(self.sdr).all(0).sum())

    def medians(self, source: int) -> tuple[float, float, float]:
        """Return SDR, SIR and SAR of a source: medians over the counted frames, NaN if there are none."""
        sdr, sir, sar = (self.median(name, source) for name in ("sdr", "sir", "sar"))
        return sdr, sir, sar

    def median(self, name: str, source: int) -> float:
        """Return the median of ``sdr``, ``isr``, ``sir`` or ``sar`` over the counted frames, else NaN."""
        return float(np.nanmedian(getattr(self, name)[source])) if self.n_counted else float("nan")


def compute_framewise(references: FloatArray, estimates: FloatArray, *, sample_rate: int) -> FramewiseMetrics:
    """Compute SDR, ISR, SIR and SAR in frames of one second.

    References are rounded to 16 bits, as the data sets of the field store them. A decoded lossy file has
    almost no energy above the band limit of its codec, where the filters that museval fits would be
    undefined.

    Parameters
    ----------
    references : FloatArray, shape (sources, channels, samples)
        All sources of the mixture; none of them may be silent throughout.
    estimates : FloatArray, shape (sources, channels, samples)
        Estimates in the same order.
    sample_rate : int
        Sample rate in Hz, which is also the number of samples of a frame.

    Raises
    ------
    StemsplitError
        A reference or an estimate is silent throughout, or museval is not installed.
    """
    for name, stems in (("reference", references), ("estimate", estimates)):
        for index, stem in enumerate(stems):
            if not has_sound(stem):
                raise StemsplitError(f"{name} {index} is silent throughout; leave it out of the comparison")
    rounded = np.round(references * 2**15) / 2**15
    sdr, isr, sir, sar, _ = _museval().bss_eval(
        *(stems.transpose(0, 2, 1).astype(np.float64) for stems in (rounded, estimates)),
        window=sample_rate,
        hop=sample_rate,
        compute_permutation=False,
        framewise_filters=False,
    )
    return FramewiseMetrics(sdr, isr, sir, sar)


def has_sound(stem: FloatArray) -> bool:
    """Tell whether museval regards a stem ``(channels, samples)`` as active; a pure side signal is not."""
    return bool(stem.sum(0).any())


def check_museval() -> None:
    """Raise a `SettingsError` if museval is not installed."""
    _find_museval()


def museval_version() -> str:
    """Return the version of museval."""
    return importlib.metadata.version("museval")


def _find_museval() -> Path:
    package = importlib.util.find_spec("museval")
    if package is None or not package.submodule_search_locations:
        raise SettingsError(
            "museval is not installed; run `pip install '.[evaluate]'` in your clone of stemsplit"
        )
    return Path(package.submodule_search_locations[0])


@cache
def _museval() -> ModuleType:
    """Import the metrics of museval alone; the package itself also needs ffmpeg, to read a data set."""
    path = _find_museval() / "metrics.py"
    spec = importlib.util.spec_from_file_location("museval_metrics", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
