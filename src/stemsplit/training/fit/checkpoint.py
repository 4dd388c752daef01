"""Checkpoints: the complete state of a training run in one file."""

import copy
import io
import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from stemsplit.errors import StemsplitError
from stemsplit.files.atomic import whole_file
from stemsplit.registry.installed import read_spec
from stemsplit.training import OPEN_DATA, TARGETS
from stemsplit.training.data.songs import LIBRARY_SOURCE
from stemsplit.training.networks.bandsplit import BandSplit
from stemsplit.training.networks.base import SeparationNetwork
from stemsplit.training.networks.catalog import build
from stemsplit.training.networks.onnx_weights import read_weights


def save_state(state: dict[str, Any], checkpoint: Path) -> None:
    """Write a checkpoint atomically; raises `OSError` if it cannot be written."""
    # serialised first: torch raises several errors if the disk is full, a file only `OSError`
    serialised = io.BytesIO()
    torch.save(state, serialised)
    with whole_file(checkpoint) as file:
        file.write(serialised.getbuffer())


def load_state(checkpoint: Path) -> dict[str, Any]:
    """Read a checkpoint.

    Raises
    ------
    StemsplitError
        The file is missing or is not a checkpoint.
    """
    if not checkpoint.exists():
        raise StemsplitError(f"{checkpoint} does not exist; run `python -m stemsplit.training fit` first")
    try:
        state = torch.load(checkpoint, map_location="cpu", weights_only=True)
        _ = state["average"], state["network_options"], state["step_number"]
    except (RuntimeError, KeyError, TypeError, pickle.UnpicklingError, EOFError) as error:
        raise StemsplitError(f"{checkpoint} is not a checkpoint of this training: {error!r}") from error
    return dict(state)


def network_of(state: dict[str, Any]) -> SeparationNetwork:
    """Build a network with random weights of a checkpoint's architecture."""
    # early checkpoints did not name their network
    return build(state.get("network_name", "bandsplit"), **state["network_options"])


def optimiser_of(state: dict[str, Any]) -> str:
    """Return the optimiser of a checkpoint; early checkpoints used AdamW and did not name it."""
    return str(state["settings"].get("optimiser", "adamw"))


def precision_of(state: dict[str, Any]) -> str:
    """Return the precision of a checkpoint's training.

    Early checkpoints used bfloat16 and did not name it.
    """
    return str(state.get("precision", "bfloat16"))


def training_sources_of(path: Path) -> frozenset[tuple[str, str]]:
    """Return the sources that the weights of a file were trained on, each with its licence.

    Raises
    ------
    StemsplitError
        The file is missing, or is neither a checkpoint nor a model.
    """
    if path.suffix != ".onnx":
        return training_sources_in(load_state(path))
    spec = read_spec(path)
    if (spec.licence, spec.training_data_licence) == ("MIT", OPEN_DATA):
        return frozenset({LIBRARY_SOURCE})
    return frozenset({(f"model {spec.name}", f"{spec.licence}; trained on {spec.training_data_licence}")})


def training_sources_in(state: dict[str, Any]) -> frozenset[tuple[str, str]]:
    """Return the training sources of a loaded checkpoint; early checkpoints used the library only."""
    return frozenset((source, terms) for source, terms in state.get("heard", (LIBRARY_SOURCE,)))


def load_average(checkpoint: Path) -> SeparationNetwork:
    """Load the network of a checkpoint with its averaged weights, ready for use."""
    state = load_state(checkpoint)
    network = network_of(state)
    network.load_state_dict(state["average"])
    return network.eval()


def load_bandsplit(checkpoint: Path) -> BandSplit:
    """Load the averaged network of a run that can be exported and described in a card.

    Raises
    ------
    StemsplitError
        The checkpoint holds another kind of network.
    """
    network = load_average(checkpoint)
    if not isinstance(network, BandSplit):
        raise StemsplitError(
            f"{checkpoint} holds {network.name}; only {BandSplit.name} networks can be exported"
        )
    return network


def load_initial(network: SeparationNetwork, path: Path) -> None:
    """Load the averaged weights of a checkpoint, or those of an exported ``.onnx`` model, into a network.

    The network may be larger than that of the file, see `widening`: its outputs are initially the same. If
    it has other targets, the masks of those that the file lacks are initialised randomly.

    Raises
    ------
    StemsplitError
        The file is missing or is neither, or its weights belong to another architecture.
    """
    _fill(network, path, *_read(path, network))


def _read(path: Path, network: SeparationNetwork) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    """Read the averaged weights of a checkpoint, or those of an exported model, and their targets."""
    if path.suffix == ".onnx":
        return read_weights(path, network), read_spec(path).targets
    state = load_state(path)
    return state["average"], tuple(state["network_options"].get("targets", TARGETS))


def _fill(network: SeparationNetwork, path: Path, weights: dict[str, Tensor], targets: Sequence[str]) -> None:
    try:
        network.load_state_dict(network.adapt_weights(weights, targets))
    except RuntimeError as error:
        message = str(error).splitlines()
        first = (message[1:] or message)[0].strip()  # the first line of torch's message only announces errors
        raise StemsplitError(f"{path} does not fit {network.name} {network.options}: {first}") from error


def average_weights(network: SeparationNetwork, paths: Sequence[Path]) -> None:
    """Replace the weights of a network by the mean of them and those of checkpoints or exported models.

    If all were fine-tuned from one, the loss hardly rises between them, and the average often generalises
    better to out-of-distribution music (M. Wortsman et al., "Robust fine-tuning of zero-shot models", CVPR
    2022, and "Model soups", ICML 2022).

    Raises
    ------
    StemsplitError
        As `load_initial`, or a file has other targets.
    """
    for n_averaged, path in enumerate(paths, start=1):
        weights, found = _read(path, network)
        if found != network.targets:
            raise StemsplitError(
                f"{path} does not fit: it separates {', '.join(found)}, not {', '.join(network.targets)}"
            )
        other = copy.deepcopy(network)
        _fill(other, path, weights, found)
        pairs = zip(network.state_dict().values(), other.state_dict().values(), strict=True)
        for own, value in pairs:
            own.lerp_(value, 1 / (n_averaged + 1))
