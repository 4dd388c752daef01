"""What can be judged: a run's averaged network, or a model file as the package itself runs it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from stemsplit.errors import ModelError, StemsplitError
from stemsplit.separation.recipe import RESIDUAL
from stemsplit.separation.separator import Separator
from stemsplit.training import SAMPLE_RATE, TARGETS
from stemsplit.training.data.songs import order_targets
from stemsplit.training.evaluation.validation import Separate, ValidationCase, network_estimates
from stemsplit.training.fit.checkpoint import load_average, load_state
from stemsplit.types import FloatArray


@dataclass(frozen=True)
class Candidate:
    """A way to separate a case, and what its training left out.

    Parameters
    ----------
    separate : callable
        Called with a case; returns estimates ``(targets, 2, samples)``.
    without : tuple of str
        Ingredients that were left out; empty where that is not known, as for a model file.
    targets : tuple of str
        What it separates.
    """

    separate: Separate
    without: tuple[str, ...] = ()
    targets: tuple[str, ...] = TARGETS


def open_candidate(
    path: Path, *, threads: int, wiener: int = 0, shifts: int = 1, others: Sequence[Path] = ()
) -> Candidate:
    """Open a run's folder, or an ``.onnx`` file.

    Parameters
    ----------
    path : Path
        The folder of a run or a model.
    threads : int
        Of the network on the CPU; a run's network uses those that torch was given.
    wiener, shifts : int
        Iterations of the Wiener filter, and passes over the song; only inference has them.
    others : sequence of Path
        Models whose estimates are averaged with those of the model.

    Raises
    ------
    StemsplitError
        There is no checkpoint, the model gives a part of the music only, or a run was to be filtered,
        shifted or averaged.
    """
    if path.suffix == ".onnx":
        return _open_models([path, *others], threads=threads, wiener=wiener, shifts=shifts)
    if wiener or shifts > 1 or others:
        raise StemsplitError(
            f"{path} is a run; only an .onnx model can be scored with --wiener or --shifts or --with"
        )
    checkpoint = path / "checkpoint.pt"
    without: Sequence[str] = load_state(checkpoint).get("without", ())
    network = load_average(checkpoint)
    return Candidate(network_estimates(network), tuple(without), network.targets)


def _open_models(paths: Sequence[Path], *, threads: int, wiener: int, shifts: int) -> Candidate:
    """Model files on the CPU, as a user gets them; several are an ensemble."""
    separator = Separator(
        models=paths, device="cpu", threads=threads, wiener=wiener, shifts=shifts, ensemble=len(paths) > 1
    )
    given = tuple(stem for stem in separator.stems if stem != RESIDUAL)
    targets = order_targets(given)
    if RESIDUAL in separator.stems and (set(given) < set(TARGETS) or len(given) == 1):
        raise ModelError(f"{paths[0]} gives {', '.join(given)} only; models of all the music can be judged")

    def separate(case: ValidationCase) -> FloatArray:
        stems = separator(case.mixture, SAMPLE_RATE)
        return np.stack([stems[target] for target in targets])

    return Candidate(separate, targets=targets)
