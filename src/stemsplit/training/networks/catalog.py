"""Networks that can be trained, by name."""

from typing import Any

from stemsplit.errors import ModelError, StemsplitError
from stemsplit.training.networks.autoencoder import ConvAutoEncoder, DenseAutoEncoder
from stemsplit.training.networks.bandsplit import BandSplit
from stemsplit.training.networks.base import SeparationNetwork
from stemsplit.training.networks.dann import Dann
from stemsplit.training.networks.iyer import Iyer
from stemsplit.training.networks.kit import KitMasks
from stemsplit.training.networks.lstm import RecurrentMasks
from stemsplit.training.networks.openunmix import OpenUnmix
from stemsplit.training.networks.presence import PresenceNetwork
from stemsplit.training.networks.unet import UNetMasks

__all__ = ["NETWORKS", "SeparationNetwork", "build"]

NETWORKS: dict[str, type[SeparationNetwork]] = {
    each.name: each
    for each in (
        BandSplit,
        ConvAutoEncoder,
        Dann,
        DenseAutoEncoder,
        Iyer,
        KitMasks,
        OpenUnmix,
        PresenceNetwork,
        RecurrentMasks,
        UNetMasks,
    )
}


def build(name: str, **options: Any) -> SeparationNetwork:
    """Build the network called `name` with random weights.

    Parameters
    ----------
    name : str
        One of ``NETWORKS``.
    **options
        Arguments of the network's constructor.

    Raises
    ------
    ModelError
        The network does not exist, or an option or its value is invalid.

    Examples
    --------
    >>> build("bandsplit", n_features=16, n_layers=1).options["n_features"]
    16
    """
    if name not in NETWORKS:
        raise ModelError(f"no network is called {name!r}; there are {', '.join(sorted(NETWORKS))}")
    try:
        return NETWORKS[name](**options)
    except (TypeError, ValueError, RuntimeError, StemsplitError) as error:
        raise ModelError(f"{name} cannot be built with {options}: {error}") from error
