"""Export of networks of magnitude masks: a model file of this project, for one channel."""

from dataclasses import asdict
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import ModelProto, helper
from torch import Tensor, nn

from stemsplit.files.atomic import whole_file
from stemsplit.models.spec import ModelSpec
from stemsplit.training import SAMPLE_RATE
from stemsplit.training.networks.mask_network import MaskNetwork
from stemsplit.training.release.export import ModelFacts
from stemsplit.training.release.graph_parity import GraphParity
from stemsplit.training.release.onnx_graph import count_macs
from stemsplit.training.release.parity import convert_to_fp16
from stemsplit.training.release.torch_graph import export_graph

_OUTPUT = "mask"


class _Masks(nn.Module):
    """The network without its loss: magnitudes to masks."""

    def __init__(self, network: MaskNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, mixture: Tensor) -> Tensor:
        """Map ``(batch, 1, bins, frames)`` to ``(batch, targets, 1, rows, frames)``."""
        return self.network.masks(mixture)


def export_masks(network: MaskNetwork, path: Path, facts: ModelFacts, *, weights: str = "fp16") -> None:
    """Write a network of masks as ONNX, with the metadata that inference reads.

    Parameters
    ----------
    network : MaskNetwork
        A trained network.
    path : Path
        File to write; it is written only if the masks are those of torch.
    facts : ModelFacts
        Name, licences and the like.
    weights : str
        Storage of the weights, "fp16" or "fp32".

    Raises
    ------
    ModelError
        The file's masks differ from the network's.
    """
    network = network.to("cpu").eval()
    generator = torch.Generator().manual_seed(0)
    shapes = ((1, 1, network.n_bins, 23), (2, 1, network.n_bins, 40))
    inputs = [10 * torch.rand(shape, generator=generator).square() for shape in shapes]
    parity = GraphParity.of(network.masks, inputs, _OUTPUT)
    model = _export_graph(_Masks(network), inputs[1])
    parity.check(model)
    if weights == "fp16":
        model = convert_to_fp16(model, parity)
    helper.set_model_props(model, _spec(network, facts, model).to_metadata())
    onnx.checker.check_model(model)
    with whole_file(path) as file:
        file.write(model.SerializeToString())


def _export_graph(masks: _Masks, example: Tensor) -> ModelProto:
    model = export_graph(masks, example, output=_OUTPUT, axes={0: "batch", 3: "frames"})
    # an LSTM is exported for any length, but torch takes that of its output for fixed
    shape = model.graph.output[0].type.tensor_type.shape
    shape.dim[0].dim_param, shape.dim[4].dim_param = "batch", "frames"
    return model


def _spec(network: MaskNetwork, facts: ModelFacts, model: ModelProto) -> ModelSpec:
    stft, n_frames = network.spec, 8  # the cost is proportional to the frames
    macs = count_macs(model, np.zeros((1, 1, network.n_bins, n_frames), np.float32))
    return ModelSpec(
        **asdict(facts),
        targets=network.targets,
        sample_rate=SAMPLE_RATE,
        n_channels=1,
        n_fft=stft.n_fft,
        hop_length=stft.hop_length,
        win_length=stft.win_length or stft.n_fft,
        analysis_window=stft.analysis_window,
        synthesis_window=stft.synthesis_window,
        features="magnitude",
        output_kind="mask",
        mask_widths=tuple(int(width) for width in network.layout.widths()),
        complete=network.is_complete,
        remainder=network.targets[-1] if network.is_complete else "",
        context_s=network.context_s,
        band_limit_hz=SAMPLE_RATE / 2,
        cost_macs_per_s=round(macs / n_frames * SAMPLE_RATE / stft.hop_length),
    )
