"""Weights of one network, as those of another that has more room or other targets: what they know is kept.

More layers add nothing to their input at first. A network that is so many times as wide holds every feature
so many times; what reads the copies shares its weights out among them unevenly, so that training tells them
apart (T. Chen, I. Goodfellow and J. Shlens, "Net2Net: Accelerating learning via knowledge transfer", ICLR
2016). Norms over the features see the same mean and variance.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

Weights = dict[str, Tensor]
# Features side by side in an axis, where they are more than one time the width: the gates of an LSTM, the
# value and the gate of a convolution and its three taps, the two directions of an LSTM.
_WRITTEN = {"lstm": 4, "gate": 2}
_READ = {"time.gate": 3, "band.out": 2}


def deepen(weights: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> Weights:
    """Add what `own` has in more layers; the last step of each, ``out``, is zero.

    Parameters
    ----------
    weights : mapping of str to Tensor
        Of the smaller network.
    own : mapping of str to Tensor
        Those that the larger one has now.
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
    """Repeat features until `own` is reached, where that is a whole number of times as wide.

    What is no such multiple is left as it is, so it will not fit. The same weights are widened alike each
    time: a training's mean with what it began as stays on the way between the two.
    """
    return {
        name: _repeated(value, own[name].shape, name)
        if name in own and own[name].ndim == value.ndim
        else value
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
        As of `deepen`. What the last layers write is ``width * targets * channels``.
    held, wanted : sequence of str
        Targets of the one and of the other network.
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


def _repeated(value: Tensor, shape: torch.Size, name: str) -> Tensor:
    """Repeat what a weight writes, then what it reads; ``(bands, read, written)`` or ``(written, read)``."""
    layer = ".".join(part for part in name.split(".")[:-1] if not part.isdigit())
    written = 2 if value.ndim == 3 else 0
    if n_copies := _multiple(shape[written], value.shape[written]):
        value = _stacked(value, written, _WRITTEN.get(layer.rpartition(".")[2], 1), n_copies).flatten(
            written, written + 2
        )
    if value.ndim > 1 and (n_copies := _multiple(shape[1], value.shape[1])):
        copies = _stacked(value, 1, _READ.get(layer, 1), n_copies)
        shares = 0.5 + torch.rand(copies.shape, generator=torch.Generator().manual_seed(0))
        value = (copies * (shares / shares.sum(2, keepdim=True)).to(value)).flatten(1, 3)
    return value


def _multiple(wanted: int, held: int) -> int:
    return wanted // held if wanted % held == 0 and wanted > held else 0


def _stacked(value: Tensor, axis: int, n_runs: int, n_copies: int) -> Tensor:
    """Copies of each run of features in an axis: three axes in its place, ``(runs, copies, features)``."""
    return torch.unflatten(value, axis, (n_runs, 1, -1)).repeat_interleave(n_copies, axis + 1)
