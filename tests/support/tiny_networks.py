"""Small torch networks, as training makes them."""

import torch

from stemsplit.training.networks.bandsplit import BandSplit

torch.set_num_threads(1)  # such small networks only lose by more


def make_bandsplit(*, n_layers: int, factor: float) -> BandSplit:
    """A network whose weights are `factor` times those of a fresh one, so that its masks are not flat."""
    torch.manual_seed(0)
    network = BandSplit(n_features=8, n_layers=n_layers).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.mul_(factor)
    return network
