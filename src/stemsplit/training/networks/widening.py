"""Conversion of weights to networks that are deeper or wider, or have other targets.

Added layers initially add nothing to their input. A network that is n times as wide contains every feature n
times; layers that read the copies divide their weights unevenly among them, so that training can separate
them (T. Chen, I. Goodfellow and J. Shlens, "Net2Net: Accelerating learning via knowledge transfer", ICLR
2016). Norms over the features have the same mean and variance.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

Weights = dict[str, Tensor]
# Runs of features in one axis of a weight, where there are several: the gates of an LSTM, value and gate of
# a convolution and its three taps, the two directions of an LSTM.
_WRITTEN = {"lstm": 4, "gate": 2}
_READ = {"time.gate": 3, "band.out": 2}


def deepen(weights: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> Weights:
    """Add the layers that only `own` has; the last step of each, ``out``, is set to zero.

    Parameters
    ----------
    weights : mapping of str to Tensor
        Weights of the smaller network.
    own : mapping of str to Tensor
        Initial weights of the larger network.
    """
    held = {tuple(name.split(".")[:2]) for name in weights}
    n_held = {kind: len([each for each in held if each[0] == kind]) for kind in ("time", "band")}
    more = {}
    for name, value in own.items():
        kind, *place = name.split(".")
        if 0 < n_held.get(kind, 0) <= int(place[0]):
            more[name] = torch.zeros_like(value) if "out" in place else value
    return dict(weights) | more


def widen(weights: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> Weights:
    """Repeat features until the width of `own` is reached, if it is a multiple.

    Other weights are left unchanged and will not fit. The conversion is deterministic: the average of a
    training's weights with its initial ones stays between the two.
    """
    return {
        name: _repeat(value, own[name].shape, name) if name in own and own[name].ndim == value.ndim else value
        for name, value in weights.items()
    }


def retarget(
    weights: Mapping[str, Tensor],
    own: Mapping[str, Tensor],
    held: Sequence[str],
    wanted: Sequence[str],
) -> Weights:
    """Keep the masks of the targets that both networks have, and those of `own` for the others.

    Parameters
    ----------
    weights, own : mapping of str to Tensor
        As in `deepen`. The last layers have ``width * targets * channels`` outputs.
    held, wanted : sequence of str
        Targets of the former and of the latter network.
    """
    kept = dict(weights)
    for name, value in weights.items():
        if name.startswith("decode.") and name in own:
            theirs = torch.unflatten(value, -1, (-1, len(held), 2))
            rows = torch.unflatten(own[name].to(value), -1, (-1, len(wanted), 2)).unbind(-2)
            rows = tuple(
                theirs[..., held.index(target), :] if target in held else row
                for target, row in zip(wanted, rows, strict=True)
            )
            kept[name] = torch.stack(rows, -2).flatten(-3)
    return kept


def _repeat(value: Tensor, shape: torch.Size, name: str) -> Tensor:
    """Repeat a weight's outputs, then its inputs; it has the axes ``(bands, in, out)`` or ``(out, in)``."""
    layer = ".".join(part for part in name.split(".")[:-1] if not part.isdigit())
    written = 2 if value.ndim == 3 else 0
    if n_copies := _count_copies(shape[written], value.shape[written]):
        value = _stack_copies(value, written, _WRITTEN.get(layer.rpartition(".")[2], 1), n_copies).flatten(
            written, written + 2
        )
    if value.ndim > 1 and (n_copies := _count_copies(shape[1], value.shape[1])):
        copies = _stack_copies(value, 1, _READ.get(layer, 1), n_copies)
        shares = 0.5 + torch.rand(copies.shape, generator=torch.Generator().manual_seed(0))
        value = (copies * (shares / shares.sum(2, keepdim=True)).to(value)).flatten(1, 3)
    return value


def _count_copies(wanted: int, held: int) -> int:
    return wanted // held if wanted % held == 0 and wanted > held else 0


def _stack_copies(value: Tensor, axis: int, n_runs: int, n_copies: int) -> Tensor:
    """Replace an axis by three, ``(runs, copies, features)``, that repeat each run of features."""
    return torch.unflatten(value, axis, (n_runs, 1, -1)).repeat_interleave(n_copies, axis + 1)
