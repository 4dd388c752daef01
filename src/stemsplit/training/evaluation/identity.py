"""The measure of Iyer's work: the squared error of magnitudes, beside that of doing nothing, and of silence.

The examples are those of the power sets of validation songs: every mixture that contains an instrument.
Errors are relative to the level of the mixture, as in training.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from stemsplit.training.fit.power_set import PieceImages, read_example
from stemsplit.training.networks.iyer import Iyer, normalise

# from the work: mean squared error of the network and of the identity; of the others nothing is known to us
PUBLISHED = {"violin": (0.3879, 0.8873), "double_bass": (0.1554, 0.5702)}


@dataclass(frozen=True)
class Errors:
    """Mean squared errors of one instrument over a number of mixtures."""

    network: float
    identity: float
    silence: float
    n_mixtures: int


@torch.inference_mode()
def measure_errors(network: Iyer, pieces: Sequence[PieceImages]) -> dict[str, Errors]:
    """Measure the errors of every instrument, over all mixtures of all pieces that contain it."""
    found: dict[str, list[tuple[float, ...]]] = defaultdict(list)
    for piece in pieces:
        for images in piece.open():
            examples = [read_example(piece, images, subset, network.targets) for subset in piece.subsets]
            stems = torch.from_numpy(np.stack([example.stems for example in examples]))
            known = torch.from_numpy(np.stack([example.known for example in examples]))
            mixture, level = normalise(stems[:, -1])
            references = stems[:, :-1] / level.unsqueeze(1)
            estimates = network(mixture)[0]
            errors = (estimates - references).square().mean((2, 3))
            undone = (mixture.unsqueeze(1) - references).square().mean((2, 3))
            silent = references.square().mean((2, 3))
            for example, place in known.nonzero().tolist():
                each = tuple(float(error[example, place]) for error in (errors, undone, silent))
                found[network.targets[place]].append(each)
    return {target: _average(found[target]) for target in network.targets if target in found}


def _average(errors: Sequence[tuple[float, ...]]) -> Errors:
    network, identity, silence = np.mean(errors, axis=0).tolist()
    return Errors(network, identity, silence, n_mixtures=len(errors))


def format_errors(errors: dict[str, Errors]) -> str:
    """Return a Markdown table of all instruments, with the published pairs."""
    rows = []
    for target, found in errors.items():
        published = PUBLISHED.get(target)
        theirs = f"{published[0]:.4f} | {published[1]:.4f}" if published else " | "
        share = found.network / found.identity
        rows.append(
            f"| {target.replace('_', ' ')} | {theirs} | {found.network:.4f} | {found.identity:.4f} "
            f"| {share:.2f} | {found.silence:.4f} | {found.n_mixtures} |"
        )
    return "\n".join(
        [
            "| | the work | its identity | network | identity | ratio | silence | mixtures |",
            "|---|---|---|---|---|---|---|---|",
            *rows,
        ]
    )
