"""Export of a run, whatever its network is."""

from dataclasses import replace
from pathlib import Path

from stemsplit.errors import StemsplitError
from stemsplit.training.networks.autoencoder import AutoEncoder
from stemsplit.training.networks.base import SeparationNetwork
from stemsplit.training.networks.dann import Dann
from stemsplit.training.networks.iyer import Iyer
from stemsplit.training.networks.mask_network import MaskNetwork
from stemsplit.training.networks.presence import PresenceNetwork
from stemsplit.training.release.complex_export import export_complex
from stemsplit.training.release.export import ModelFacts
from stemsplit.training.release.image_export import export_images
from stemsplit.training.release.mask_export import export_masks
from stemsplit.training.release.presence_export import export_presence
from stemsplit.training.release.waveform_export import export_waveforms


def export_any(network: SeparationNetwork, path: Path, facts: ModelFacts, *, weights: str) -> None:
    """Write a network other than the band-split one, with all of its targets.

    Raises
    ------
    StemsplitError
        There is no export of such networks.
    """
    if isinstance(network, MaskNetwork):
        export_masks(network, path, _described(facts, network.summary), weights=weights)
    elif isinstance(network, Dann):
        export_complex(network, path, _described(facts, network.summary), weights=weights)
    elif isinstance(network, Iyer):
        export_images(network, path, _described(facts, network.summary), weights=weights)
    elif isinstance(network, AutoEncoder):
        export_waveforms(network, path, _described(facts, network.summary), weights=weights)
    elif isinstance(network, PresenceNetwork):
        export_presence(network, path, facts, weights=weights)
    else:
        raise StemsplitError(f"networks called {network.name} cannot be exported")


def _described(facts: ModelFacts, summary: str) -> ModelFacts:
    return replace(
        facts,
        description=facts.description.replace("a band-split network", summary),
        attribution=f"sources and credits are in {facts.name}.md, the card beside the model",
    )
