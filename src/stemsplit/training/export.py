"""Export of a trained network to ONNX, with everything that inference needs in its metadata."""

import math
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from torch import Tensor, nn

from stemsplit.errors import ModelError
from stemsplit.spec import ModelSpec
from stemsplit.training import SAMPLE_RATE, SPEC, TARGETS
from stemsplit.training.bandsplit import BandSplit

OPSET = 18
MASK_TOLERANCE = 1e-3


@dataclass(frozen=True)
class ModelFacts:
    """What a model file says about itself beside its numbers."""

    name: str
    version: str
    licence: str
    training_data_licence: str
    attribution: str
    description: str
    chunk_s: float = 12.0  # where speed stops growing and memory does not (benchmarks, `chunks`)

    @classmethod
    def bundled(cls, name: str) -> "ModelFacts":
        """Facts of a model that comes with the package; its card says the rest."""
        return cls(
            name=name,
            version="0.1.0",
            licence="MIT",
            training_data_licence="open only: CC0, public domain, CC-BY, MIT, BSD, Apache, free voicebanks",
            attribution=f"sources and credits are listed in models/{name}.md",
            description="Vocals, drums, bass and other in one pass, by a band-split network",
        )


def export_network(network: BandSplit, path: Path, facts: ModelFacts) -> None:
    """Write ``mixture -> mask`` as ONNX and check it against torch.

    Parameters
    ----------
    network : BandSplit
        A trained network.
    path : Path
        The file to write; it appears only once it has passed the check.
    facts : ModelFacts
        Name, licences and the like.

    Raises
    ------
    ModelError
        The file's masks differ from the network's by more than `MASK_TOLERANCE`.
    """
    part = path.with_name(f".{path.name}.part")
    network = network.to("cpu").eval()
    example = torch.randn(2, 4, network.layout.n_bins, 2 * network.reach_frames + 5)
    frames, batch = torch.export.Dim("frames"), torch.export.Dim("batch")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about torch's own deprecations
        torch.onnx.export(
            _CompactMasks(network),
            (example,),
            part,
            opset_version=OPSET,
            dynamo=True,
            external_data=False,
            verbose=False,
            input_names=["mixture"],
            output_names=["mask"],
            dynamic_shapes={"mixture": {0: batch, 3: frames}},
        )
    _write_metadata(part, _spec(network, facts).to_metadata())
    _check(network, part)
    part.replace(path)


class _CompactMasks(nn.Module):
    """The network without its last step: inference spreads each row of the mask over its bins itself."""

    def __init__(self, network: BandSplit) -> None:
        super().__init__()
        self.network = network

    def forward(self, mixture: Tensor) -> Tensor:
        """``(batch, 4, bins, frames) -> (batch, targets, 2, rows, frames)``."""
        return self.network.masks(self.network.powers(mixture))


def _spec(network: BandSplit, facts: ModelFacts) -> ModelSpec:
    return ModelSpec(
        name=facts.name,
        version=facts.version,
        targets=TARGETS,
        sample_rate=SAMPLE_RATE,
        n_channels=network.n_channels,
        n_fft=SPEC.n_fft,
        hop_length=SPEC.hop_length,
        win_length=SPEC.win_length or SPEC.n_fft,
        analysis_window=SPEC.analysis_window,
        synthesis_window=SPEC.synthesis_window,
        features="complex",
        output_kind="mask",
        mask_widths=tuple(int(width) for width in network.layout.widths()),
        complete=True,
        remainder="other",
        chunk_s=facts.chunk_s,
        context_s=math.ceil(1000 * network.reach_frames * SPEC.hop_length / SAMPLE_RATE) / 1000,
        band_limit_hz=SAMPLE_RATE / 2,
        licence=facts.licence,
        training_data_licence=facts.training_data_licence,
        attribution=facts.attribution,
        description=facts.description,
    )


def _write_metadata(path: Path, metadata: dict[str, str]) -> None:
    model = onnx.load(path)
    onnx.helper.set_model_props(model, metadata)
    onnx.checker.check_model(model)
    onnx.save(model, path)


def _check(network: BandSplit, path: Path) -> None:
    """Compare with torch, at another batch size and length than the export saw."""
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    generator = torch.Generator().manual_seed(0)
    for n_batch, n_frames in ((1, 3), (3, 31)):
        scale = 10 ** torch.linspace(-3, 3, n_frames)
        mixture: Tensor = scale * torch.randn(
            n_batch, 4, network.layout.n_bins, n_frames, generator=generator
        )
        with torch.inference_mode():
            expected = _CompactMasks(network)(mixture).numpy()
        (mask,) = session.run(["mask"], {"mixture": mixture.numpy()})
        difference = float(np.abs(mask - expected).max())
        if mask.shape != expected.shape or difference > MASK_TOLERANCE:
            raise ModelError(f"the exported masks differ from the network's by {difference:.2g}")
