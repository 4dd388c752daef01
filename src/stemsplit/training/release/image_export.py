"""Export of the networks of single instruments: a graph from magnitudes to masks and activity timelines."""

from pathlib import Path

import torch
from torch import Tensor, nn

from stemsplit.models.activity import ACTIVITY
from stemsplit.models.description import Description, GraphEntry
from stemsplit.training import SAMPLE_RATE
from stemsplit.training.networks.iyer import IYER_SPEC, N_FRAMES, Iyer
from stemsplit.training.release.described_file import check_suffix, write_described
from stemsplit.training.release.export import ModelFacts
from stemsplit.training.release.graph_parity import export_checked

_OUTPUT = "mask"
OVERLAP = 0.25  # of a chunk
# of a mask, by weights of 16 bits: 46 dB below the mixture, where a mask of this network is off by far more
FP16_TOLERANCE = 5e-3


class _MasksAndActivity(nn.Module):
    def __init__(self, network: Iyer) -> None:
        super().__init__()
        self.network = network

    def forward(self, mixture: Tensor) -> tuple[Tensor, Tensor]:
        """Map ``(batch, 1, bins, frames)`` to ``(batch, targets, 1, bins, frames)`` and timelines."""
        masks, activity = self.network.masks(mixture[:, 0])
        return masks.unsqueeze(2), activity


def export_images(network: Iyer, path: Path, facts: ModelFacts, *, weights: str = "fp16") -> None:
    """Write ``NAME.onnx``, and ``NAME.toml`` beside it, which describes the file and names it.

    Parameters
    ----------
    network : Iyer
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
        The file's masks differ from the network's.
    """
    check_suffix(path)
    network = network.to("cpu").eval()
    generator = torch.Generator().manual_seed(0)
    shape = (1, IYER_SPEC.n_bins, N_FRAMES)
    inputs = [10 * torch.rand((n_batch, *shape), generator=generator).square() for n_batch in (1, 2)]
    model, parity = export_checked(_MasksAndActivity(network), inputs, output=_OUTPUT, others=(ACTIVITY,))
    write_described(
        model,
        path,
        describe(network, path, facts),
        parity=parity,
        weights=weights,
        tolerance=FP16_TOLERANCE,
    )


def describe(network: Iyer, path: Path, facts: ModelFacts) -> Description:
    """Return the description of the exported file."""
    return Description(
        **facts.describe(),
        output_kind="mask",
        features="magnitude",
        graphs=(GraphEntry(path.name, network.targets),),
        sample_rate=SAMPLE_RATE,
        n_channels=1,
        n_fft=IYER_SPEC.n_fft,
        hop_length=IYER_SPEC.hop_length,
        analysis_window=IYER_SPEC.analysis_window,
        synthesis_window=IYER_SPEC.synthesis_window,
        framing=IYER_SPEC.framing,
        n_frames=N_FRAMES,
        layout="batch channels bins frames",
        output_layout="batch targets channels bins frames",
        overlap=OVERLAP,
    )
