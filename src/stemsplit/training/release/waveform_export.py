"""Export of auto-encoders of windows, and the description that a model of waveforms needs."""

from pathlib import Path

import torch

from stemsplit.models.description import Description, GraphEntry
from stemsplit.training import SAMPLE_RATE
from stemsplit.training.networks.autoencoder import AutoEncoder
from stemsplit.training.networks.windows import HOP_SAMPLES, WINDOW_SAMPLES
from stemsplit.training.release.described_file import check_suffix, write_described
from stemsplit.training.release.export import ModelFacts
from stemsplit.training.release.graph_parity import export_checked

_OUTPUT = "estimates"


def export_waveforms(network: AutoEncoder, path: Path, facts: ModelFacts, *, weights: str = "fp16") -> None:
    """Write ``NAME.onnx``, and ``NAME.toml`` beside it, which describes the file and names it.

    The windows of the described model overlap by half; what is not in its target is in the other one.

    Parameters
    ----------
    network : AutoEncoder
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
    inputs = [0.2 * torch.randn(n_batch, 1, WINDOW_SAMPLES, generator=generator) for n_batch in (1, 2)]
    model, parity = export_checked(network, inputs, output=_OUTPUT)
    write_described(model, path, describe(network, path, facts), parity=parity, weights=weights)


def describe(network: AutoEncoder, path: Path, facts: ModelFacts) -> Description:
    """Return the description of the exported file."""
    target, rest = network.targets
    return Description(
        **facts.describe(),
        output_kind="waveform",
        features="waveform",
        graphs=(GraphEntry(path.name, (target,)),),
        sample_rate=SAMPLE_RATE,
        n_channels=1,
        n_samples=WINDOW_SAMPLES,
        overlap=HOP_SAMPLES / WINDOW_SAMPLES,
        fade="triangle",
        complement=rest,
        remainder=rest,
    )
