"""The networks that can be trained, by name.

Every network maps the STFT of a mixture to one mask per target, frames last:
``(batch, features, bins, frames) -> (batch, targets, channels, bins, frames)``.
"""

from collections.abc import Callable
from typing import Any

from torch import nn

from stemsplit.errors import ModelError
from stemsplit.training.bandsplit import BandSplit
from stemsplit.training.openunmix import OpenUnmix

NETWORKS: dict[str, Callable[..., nn.Module]] = {"bandsplit": BandSplit, "openunmix": OpenUnmix}


def build(name: str, **options: Any) -> nn.Module:
    """Make the network called `name`, with random weights.

    Parameters
    ----------
    name : str
        One of ``NETWORKS``.
    **options
        Arguments of the network's constructor.

    Raises
    ------
    ModelError
        No such network.

    Examples
    --------
    >>> build("bandsplit", n_features=16, n_layers=1).n_targets
    4
    """
    if name not in NETWORKS:
        raise ModelError(f"no network is called {name!r}; there are {', '.join(sorted(NETWORKS))}")
    return NETWORKS[name](**options)
