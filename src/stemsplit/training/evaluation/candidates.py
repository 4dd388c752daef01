"""Candidates of an evaluation: the averaged network of a run, or a model file run by the package itself."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from stemsplit.errors import ModelError, StemsplitError
from stemsplit.separation.keywords import SeparatorKeywords
from stemsplit.separation.recipe import RESIDUAL
from stemsplit.separation.separator import Separator
from stemsplit.training import SAMPLE_RATE, TARGETS
from stemsplit.training.data.songs import order_targets
from stemsplit.training.evaluation.validation import Separate, ValidationCase, network_estimates
from stemsplit.training.fit.checkpoint import load_average, load_state
from stemsplit.types import FloatArray


@dataclass(frozen=True)
class Candidate:
    """A network or model to evaluate.

    Parameters
    ----------
    separate : callable
        Function that separates a case; it returns estimates ``(targets, 2, samples)``.
    without : tuple of str
        Ingredients that its training left out; empty where that is not known, as for a model file.
    targets : tuple of str
        Targets in the order of the estimates.
    """

    separate: Separate
    without: tuple[str, ...] = ()
    targets: tuple[str, ...] = TARGETS


def open_candidate(
    path: Path,
    *,
    threads: int,
    wiener: int = 0,
    shifts: int = 1,
    transpositions: int = 1,
    others: Sequence[Path] = (),
) -> Candidate:
    """Open a run's folder, or an ``.onnx`` file.

    Parameters
    ----------
    path : Path
        The folder of a run or a model.
    threads : int
        Threads of a model file on the CPU; the network of a run uses the threads set in torch.
    wiener, shifts, transpositions : int
        Iterations of the Wiener filter, and shifted and transposed passes over the song; for model files
        only.
    others : sequence of Path
        Model files whose estimates are averaged with those of `path`.

    Raises
    ------
    StemsplitError
        There is no checkpoint, the stems of the model do not cover the mixture, or a run is evaluated with
        an option that is for model files only.
    """
    if path.suffix == ".onnx":
        keywords = SeparatorKeywords(
            models=[path, *others],
            ensemble=bool(others),
            device="cpu",
            threads=threads,
            wiener=wiener,
            shifts=shifts,
            transpositions=transpositions,
        )
        return _open_models(path, keywords)
    if wiener or max(shifts, transpositions) > 1 or others:
        raise StemsplitError(
            f"{path} is a run; --wiener, --shifts, --transpositions and --with are for .onnx models only"
        )
    checkpoint = path / "checkpoint.pt"
    without: Sequence[str] = load_state(checkpoint).get("without", ())
    network = load_average(checkpoint)
    return Candidate(network_estimates(network), tuple(without), network.targets)


def _open_models(path: Path, keywords: SeparatorKeywords) -> Candidate:
    """Open model files with the package's own inference; several are an ensemble."""
    separator = Separator(**keywords)
    given = tuple(stem for stem in separator.stems if stem != RESIDUAL)
    targets = order_targets(given)
    if RESIDUAL in separator.stems and (set(given) < set(TARGETS) or len(given) == 1):
        raise ModelError(
            f"{path} separates {', '.join(given)} only; its stems must cover the mixture to be evaluated"
        )

    def separate(case: ValidationCase) -> FloatArray:
        stems = separator(case.mixture, SAMPLE_RATE)
        return np.stack([stems[target] for target in targets])

    return Candidate(separate, targets=targets)
