"""SDR, SIR and SAR as the field reports them: BSS Eval version 4, frame by frame, by museval.

F.-R. Stöter, A. Liutkus and N. Ito, "The 2018 Signal Separation Evaluation Campaign", LVA/ICA 2018.
An estimate is decomposed into the reference, spatial distortion, interference (what filters of 512 taps
can make of the other references) and artefacts (the rest). Frames are one second long and do not overlap,
the filters are those of the whole excerpt, and a figure is the median over the frames.
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
class Framewise:
    """Figures of every source in every frame, in decibels.

    Parameters
    ----------
    sdr, isr, sir, sar : NDArray, shape (sources, frames)
        NaN in frames where a reference or an estimate is silent: there is no decomposition.
    """

    sdr: NDArray[np.float64]
    isr: NDArray[np.float64]
    sir: NDArray[np.float64]
    sar: NDArray[np.float64]

    @property
    def n_frames(self) -> int:
        """Frames that there are."""
        n_frames: int = self.sdr.shape[1]
        return n_frames

    @property
    def n_counted(self) -> int:
        """Frames that have figures; they have them for all sources or for none."""
        return int(np.isfinite(self.sdr).all(0).sum())

    def medians(self, source: int) -> tuple[float, float, float]:
        """SDR, SIR and SAR of a source: medians over the frames that count, NaN if none does."""
        sdr, sir, sar = (self.median(name, source) for name in ("sdr", "sir", "sar"))
        return sdr, sir, sar

    def median(self, name: str, source: int) -> float:
        """Return the median of ``sdr``, ``isr``, ``sir`` or ``sar`` over the frames that count."""
        return float(np.nanmedian(getattr(self, name)[source])) if self.n_counted else float("nan")


def take_apart(references: FloatArray, estimates: FloatArray, *, sample_rate: int) -> Framewise:
    """Decompose estimates, one-second frame by frame.

    References are rounded to 16 bits, as the data sets of the field store them. The decoders of lossy files
    give next to nothing above the band of the codec, and the filters that museval fits there are undefined.

    Parameters
    ----------
    references : FloatArray, shape (sources, channels, samples)
        None of them wholly silent; all that the mixture is made of.
    estimates : FloatArray, shape (sources, channels, samples)
        In the same order.
    sample_rate : int
        Samples of a frame.

    Raises
    ------
    StemsplitError
        A reference or estimate has no sound at all, or museval is not installed.
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
    return Framewise(sdr, isr, sir, sar)


def has_sound(stem: FloatArray) -> bool:
    """Return whether museval regards a stem ``(channels, samples)`` as active: pure side signals are not."""
    return bool(stem.sum(0).any())


def check_museval() -> None:
    """Raise a `SettingsError` if museval is not installed."""
    _find_museval()


def museval_version() -> str:
    """Return the version of museval, whose figures these are."""
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
    """Only the metrics of museval: the package itself also wants ffmpeg, to read a data set."""
    path = _find_museval() / "metrics.py"
    spec = importlib.util.spec_from_file_location("museval_metrics", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
