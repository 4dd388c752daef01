"""Export of the classifier of windows, which the analysis of songs runs."""

from pathlib import Path

import onnx
import torch
from torch import Tensor, nn

from stemsplit.files.atomic import whole_file
from stemsplit.training.networks.presence import PresenceNetwork
from stemsplit.training.release.described_file import check_suffix
from stemsplit.training.release.export import ModelFacts
from stemsplit.training.release.graph_parity import export_checked
from stemsplit.training.release.parity import convert_to_fp16

_OUTPUT = "probability"


class _Probability(nn.Module):
    """The network without the transform in front of it, which is faster elsewhere."""

    def __init__(self, network: PresenceNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, mixture: Tensor) -> Tensor:
        """Map values ``(batch, values)`` to probabilities ``(batch, 1)``."""
        return torch.sigmoid(self.network.logits_of(mixture))


def export_presence(network: PresenceNetwork, path: Path, facts: ModelFacts, *, weights: str) -> None:
    """Write the graph from the values of windows to the probability of the target.

    `stemsplit.music.drum_presence` computes the values of ``binned-spectrum``.

    Parameters
    ----------
    network : PresenceNetwork
        A trained network.
    path : Path
        The ``.onnx`` file.
    facts : ModelFacts
        Name, licences and the like.
    weights : str
        Storage of the weights, "fp16" or "fp32".

    Raises
    ------
    SettingsError
        The file has another suffix.
    ModelError
        The file's probabilities differ from the network's.
    """
    check_suffix(path)
    network = network.to("cpu").eval()
    generator = torch.Generator().manual_seed(0)
    noise = [
        torch.randn(n_batch, len(network.input_mean), generator=generator) / network.input_scale
        for n_batch in (1, 16)
    ]
    inputs = [network.input_mean + each for each in noise]
    model, parity = export_checked(_Probability(network), inputs, output=_OUTPUT)
    if weights == "fp16":
        model = convert_to_fp16(model, parity)
    onnx.helper.set_model_props(model, facts.to_metadata())
    onnx.checker.check_model(model)
    with whole_file(path) as file:
        file.write(model.SerializeToString())
