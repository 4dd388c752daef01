"""Export of a trained network to ONNX, with the metadata that inference needs."""

import copy
import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import onnx
import torch
from onnx import ModelProto
from torch import Tensor, nn

from stemsplit.errors import ModelError, SettingsError
from stemsplit.files.atomic import whole_file
from stemsplit.models.mask_stream import INPUTS, OUTPUTS
from stemsplit.models.spec import PREFIX, ModelSpec
from stemsplit.training import OPEN_DATA, SAMPLE_RATE, SPEC
from stemsplit.training.data.songs import are_bundled
from stemsplit.training.networks.bandsplit import BandLinear, BandSplit
from stemsplit.training.release.onnx_graph import count_macs, fold_recurrences, keep_targets
from stemsplit.training.release.parity import TOLERANCE, ParityReference, convert_to_fp16
from stemsplit.training.release.torch_graph import export_inputs

WEIGHTS = ("fp16", "fp32")


@dataclass(frozen=True)
class ModelFacts:
    """Metadata of a model file other than its numbers."""

    name: str
    version: str
    licence: str
    training_data_licence: str
    attribution: str
    description: str
    chunk_s: float = 6.0  # longer chunks use more memory without being faster (benchmarks, `chunks`)

    @classmethod
    def of(
        cls,
        name: str,
        targets: Sequence[str],
        *,
        training_sources: Iterable[tuple[str, str]],
        licence: str = "",
        version: str = "0.1.0",
    ) -> "ModelFacts":
        """Return the metadata of a model with some `targets`; its card has the details.

        Parameters
        ----------
        name, version : str
            Name and version of the model.
        targets : sequence of str
            Targets of the model.
        training_sources : iterable of (str, str)
            Sources of the training data, each with its licence.
        licence : str, optional
            Licence of the weights; by default MIT if all training data is openly licensed.

        Raises
        ------
        SettingsError
            Some training data is not openly licensed and no licence is given.
        """
        sources = sorted(set(training_sources))
        closed = [f"{source}: {terms}" for source, terms in sources if terms != OPEN_DATA]
        if closed and not licence:
            raise SettingsError(
                f"the weights were trained on data beyond the library ({'; '.join(closed)}): "
                "give their licence with --licence"
            )
        opened = [OPEN_DATA] * (len(closed) < len(sources))
        listed = " and ".join([", ".join(targets[:-1]), targets[-1]]) if targets[1:] else targets[0]
        return cls(
            name=name,
            version=version,
            licence=licence or "MIT",
            training_data_licence="; ".join([*opened, *closed]),
            attribution=f"sources and credits are listed in models/{name}.md"
            if are_bundled(targets)
            else f"sources and credits are in {name}.md, the card beside the model",
            description=f"{listed.capitalize()} in one pass, by a band-split network",
        )

    def to_metadata(self) -> dict[str, str]:
        """Return the metadata of a file that does not separate, which has no `ModelSpec`."""
        named = ("name", "version", "licence", "training_data_licence")
        return {f"{PREFIX}{name}": getattr(self, name) for name in named}

    def describe(self) -> dict[str, Any]:
        """Return the fields of a `Description` that are the same whatever the graph computes."""
        return {
            "name": self.name,
            "version": self.version,
            "licence": self.licence,
            "commercial": self.licence == "MIT",
            "attribution": self.attribution,
            "training_data": self.training_data_licence,
            "description": self.description,
        }


def export_network(
    network: BandSplit,
    path: Path,
    facts: ModelFacts,
    *,
    targets: Sequence[str] = (),
    weights: str = "fp16",
) -> None:
    """Write the masks as ONNX, in a graph that hands on a state, after checking it against torch.

    Parameters
    ----------
    network : BandSplit
        A trained network.
    path : Path
        File to write; it is written only if the check succeeds.
    facts : ModelFacts
        Metadata: name, licences and the like.
    targets : sequence of str, optional
        Targets of the file; by default all that the network was trained for. With sigmoid masks,
        the outputs of other targets are removed from the last layer. A softmax needs all of its targets, so
        a selection saves copying masks but no multiply-adds.
    weights : str, default "fp16"
        Storage of weights: "fp16" halves the file and keeps those weights in float32 whose rounding would
        fail the check. The network computes in float32 in both cases.

    Raises
    ------
    SettingsError
        An unknown target or storage of weights.
    ModelError
        The file's masks differ from the network's by more than `parity.TOLERANCE`.
    """
    if weights not in WEIGHTS:
        raise SettingsError(f"weights can be stored as {' or '.join(WEIGHTS)}, not {weights!r}")
    network = network.to("cpu").eval()
    chosen = choose_targets(network, targets)
    places = [network.targets.index(target) for target in chosen]
    reference = ParityReference.of(
        lambda mixture: network.masks(network.powers(mixture))[:, places],
        network.layout,
        delay_frames=network.reach_frames,
    )
    if _is_softmax(network):
        model = keep_targets(_export_graph(network), places)
    else:
        model = _export_graph(prune(network, places))
    if weights == "fp16":
        model = convert_to_fp16(model, reference)
    error = reference.error(model)
    if not error <= TOLERANCE:  # NaN fails too
        raise ModelError(f"the exported masks differ from the network's by {error:.2g}")
    spec = _spec(network, facts, chosen)
    spec = replace(spec, cost_macs_per_s=_count_cost(model, network))
    onnx.helper.set_model_props(model, spec.to_metadata())
    onnx.checker.check_model(model)
    with whole_file(path) as file:
        file.write(model.SerializeToString())


class _StreamedMasks(nn.Module):
    """The network without its last step: inference expands the rows of the mask to bins itself."""

    def __init__(self, network: BandSplit) -> None:
        super().__init__()
        self.network = network

    def forward(self, mixture: Tensor, present: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Call `BandSplit.stream`."""
        return self.network.stream(mixture, present, state)


def choose_targets(network: BandSplit, targets: Sequence[str]) -> tuple[str, ...]:
    """Return the requested targets in the network's order, or all that it was trained for."""
    trained = network.options.get("target")
    known = (trained,) if trained else network.targets
    unknown = [target for target in targets if target not in known]
    if unknown:
        raise SettingsError(f"the network has no target {unknown[0]!r}; choose from {', '.join(known)}")
    return tuple(target for target in known if target in targets) or known


def prune(network: BandSplit, places: Sequence[int]) -> BandSplit:
    """Return a copy of a network of sigmoid masks without the outputs for other targets."""
    pruned = copy.deepcopy(network)
    pruned.n_targets = len(places)
    for layer in pruned.decode:
        assert isinstance(layer, BandLinear)
        for parameter in (layer.weight, layer.bias):
            # (bands, n_in, width * targets * channels), see `BandSplit._decode`
            rows = torch.unflatten(parameter.detach(), -1, (-1, network.n_targets, network.n_channels))
            parameter.data = rows[..., list(places), :].flatten(-3)
    return pruned


def _is_softmax(network: BandSplit) -> bool:
    return bool(network.options.get("mask", "softmax") == "softmax")


def _export_graph(network: BandSplit) -> ModelProto:
    batch, frames = torch.export.Dim("batch"), torch.export.Dim("frames")
    examples = _make_inputs(network, n_batch=2, n_frames=2 * network.reach_frames + 5)
    axes = ({0: batch, 3: frames}, {0: batch, 1: frames + network.reach_frames}, {0: batch})
    model = export_inputs(
        _StreamedMasks(network),
        dict(zip(INPUTS, examples, strict=True)),
        outputs=OUTPUTS,
        axes=dict(zip(INPUTS, axes, strict=True)),
    )
    return fold_recurrences(model, *(each.numpy() for each in examples))


def _make_inputs(network: BandSplit, *, n_batch: int, n_frames: int) -> tuple[Tensor, ...]:
    """Return noise at the beginning of a song."""
    layout, reach = network.layout, network.reach_frames
    mixture = torch.randn(n_batch, 4, layout.n_bins, n_frames)
    state = torch.zeros(n_batch, layout.n_bands, 3 * reach, network.options["n_features"])
    return mixture, torch.ones(n_batch, reach + n_frames), state


def _spec(network: BandSplit, facts: ModelFacts, targets: tuple[str, ...]) -> ModelSpec:
    is_whole = targets == network.targets and _is_softmax(network)
    return ModelSpec(
        **asdict(facts),
        targets=targets,
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
        complete=is_whole,
        remainder=("other" if "other" in targets else targets[-1]) if is_whole else "",
        context_s=math.ceil(1000 * network.reach_frames * SPEC.hop_length / SAMPLE_RATE) / 1000,
        band_limit_hz=SAMPLE_RATE / 2,
        mid_side=network.is_mid_side,
        delay_frames=network.reach_frames,
    )


def _count_cost(model: ModelProto, network: BandSplit) -> int:
    """Return the multiply-adds per second of audio."""
    n_frames = 8  # the cost is proportional to the frames
    inputs = (each.numpy() for each in _make_inputs(network, n_batch=1, n_frames=n_frames))
    return round(count_macs(model, *inputs) / n_frames * SAMPLE_RATE / SPEC.hop_length)
