"""SDR, SIR and SAR as the field reports them: BSS Eval version 4, frame by frame, by museval.

F.-R. Stöter, A. Liutkus and N. Ito, "The 2018 Signal Separation Evaluation Campaign", LVA/ICA 2018.
An estimate is decomposed into the reference, spatial distortion, interference (what filters of 512 taps
can make of the other references) and artefacts (the rest). Frames are one second long and do not overlap,
the filters are those of the whole excerpt, and a figure is the median over the frames.
"""

import importlib.util
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType

import numpy as np
from numpy.typing import NDArray

from stemsplit.errors import StemsplitError
from stemsplit.training import SAMPLE_RATE
from stemsplit.types import FloatArray

FRAME_SAMPLES = SAMPLE_RATE


@dataclass(frozen=True)
class Framewise:
    """Figures of every source in every frame, in decibels.

    Parameters
    ----------
    sdr, sir, sar : NDArray, shape (sources, frames)
        NaN in frames where a reference or an estimate is silent: there is no decomposition.
    """

    sdr: NDArray[np.float64]
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
        if not self.n_counted:
            return float("nan"), float("nan"), float("nan")
        sdr, sir, sar = (float(np.nanmedian(each[source])) for each in (self.sdr, self.sir, self.sar))
        return sdr, sir, sar


def take_apart(references: FloatArray, estimates: FloatArray) -> Framewise:
    """Decompose estimates, one-second frame by frame.

    Parameters
    ----------
    references : FloatArray, shape (sources, 2, samples)
        None of them wholly silent; all that the mixture is made of.
    estimates : FloatArray, shape (sources, 2, samples)
        In the same order.

    Raises
    ------
    StemsplitError
        A reference or estimate has no sound at all, or museval is not installed.
    """
    for name, stems in (("reference", references), ("estimate", estimates)):
        for index, stem in enumerate(stems):
            if not has_sound(stem):
                raise StemsplitError(f"{name} {index} is silent throughout; leave it out of the comparison")
    sdr, _, sir, sar, _ = _museval().bss_eval(
        *(stems.transpose(0, 2, 1).astype(np.float64) for stems in (references, estimates)),
        window=FRAME_SAMPLES,
        hop=FRAME_SAMPLES,
        compute_permutation=False,
        framewise_filters=False,
    )
    return Framewise(sdr, sir, sar)


def has_sound(stem: FloatArray) -> bool:
    """Return whether museval regards a stem ``(2, samples)`` as active: pure side signals are not."""
    return bool(stem.sum(0).any())


@cache
def _museval() -> ModuleType:
    """Only the metrics of museval: the package itself also wants ffmpeg, to read a data set."""
    package = importlib.util.find_spec("museval")
    if package is None or not package.submodule_search_locations:
        raise StemsplitError(
            "museval is not installed; run `pip install '.[train]'` in your clone of stemsplit"
        )
    path = Path(package.submodule_search_locations[0]) / "metrics.py"
    spec = importlib.util.spec_from_file_location("museval_metrics", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
