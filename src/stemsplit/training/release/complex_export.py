"""Export of the network of complex masks, and the description that a model of such outputs needs."""

from pathlib import Path

import torch

from stemsplit.models.description import Description, GraphEntry
from stemsplit.training.networks.dann import DANN_RATE, DANN_SPEC, N_FRAMES, Dann
from stemsplit.training.release.described_file import check_suffix, write_described
from stemsplit.training.release.export import ModelFacts
from stemsplit.training.release.graph_parity import export_checked

_OUTPUT = "estimates"
OVERLAP = 0.25  # of a chunk


def export_complex(network: Dann, path: Path, facts: ModelFacts, *, weights: str = "fp16") -> None:
    """Write ``NAME.onnx``, and ``NAME.toml`` beside it, which describes the file and names it.

    The last target is described as the mixture less all others, so it also has the band above 4.4 kHz.

    Parameters
    ----------
    network : Dann
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
        The file's estimates differ from the network's.
    """
    check_suffix(path)
    network = network.to("cpu").eval()
    generator = torch.Generator().manual_seed(0)
    inputs = [torch.randn(n_batch, 2, DANN_SPEC.n_bins, N_FRAMES, generator=generator) for n_batch in (1, 2)]
    inputs[1][..., N_FRAMES // 2 :] = 0  # silence, in which powers are zero
    model, parity = export_checked(network, inputs, output=_OUTPUT)
    write_described(model, path, describe(network, path, facts), parity=parity, weights=weights)


def describe(network: Dann, path: Path, facts: ModelFacts) -> Description:
    """Return the description of the exported file."""
    *masked, remainder = network.targets
    return Description(
        **facts.describe(),
        output_kind="complex",
        features="complex",
        graphs=(GraphEntry(path.name, tuple(masked)),),
        sample_rate=DANN_RATE,
        n_channels=1,
        n_fft=DANN_SPEC.n_fft,
        hop_length=DANN_SPEC.hop_length,
        analysis_window=DANN_SPEC.analysis_window,
        synthesis_window=DANN_SPEC.synthesis_window,
        framing="centred",
        n_frames=N_FRAMES,
        layout="batch (channels parts) bins frames",
        output_layout="batch targets (channels parts) bins frames",
        overlap=OVERLAP,
        complement=remainder,
        remainder=remainder,
    )
