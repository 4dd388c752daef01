"""The examples of each kind of network: mixtures of excerpts, or the images of a power set."""

from collections.abc import Callable, Sequence
from pathlib import Path

from stemsplit.errors import StemsplitError
from stemsplit.training.data.songs import TrainingSong
from stemsplit.training.examples.accompaniment import make_remixer
from stemsplit.training.examples.settings import RemixSettings
from stemsplit.training.examples.source import ExampleSource
from stemsplit.training.fit.power_set import PowerSet, collect_images
from stemsplit.training.fit.presets import find_preset
from stemsplit.training.networks.base import SeparationNetwork
from stemsplit.training.networks.iyer import Iyer


def open_source(
    network: SeparationNetwork,
    songs: Sequence[TrainingSong],
    settings: RemixSettings,
    *,
    seed: int,
    folder: Path,
    progress: Callable[[str], None],
) -> ExampleSource:
    """Return what draws the examples of a network.

    Parameters
    ----------
    network : SeparationNetwork
        The network to train.
    songs : sequence of TrainingSong
        Songs for training.
    settings : RemixSettings
        Distribution of the examples.
    seed : int
        Seed of all examples.
    folder : Path
        Folder of the images of a power set, where the network needs them; those that are missing or outdated
        are written.
    progress : callable
        Called with a message for each song whose images are written.

    Raises
    ------
    StemsplitError
        No song has one of the targets, or the settings mean nothing to the network.
    """
    if not isinstance(network, Iyer):
        return make_remixer(songs, settings, seed=seed, targets=network.targets)
    if settings != find_preset(network.name).remix():
        raise StemsplitError(
            f"{network.name} trains on every mixture of the parts of a song, in images of 10 s: "
            f"use --preset {network.name}, without --remix, --without and --frames"
        )
    pieces = collect_images(songs, network.targets, folder, progress)
    return PowerSet(songs, pieces, settings, seed=seed, targets=network.targets)
