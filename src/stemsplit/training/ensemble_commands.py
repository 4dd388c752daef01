"""Commands for ensembles of acoustic instruments: ensembles, identity."""

from pathlib import Path
from typing import Annotated

import typer

from stemsplit.errors import StemsplitError
from stemsplit.training.curation.ensembles import prepare_ensembles
from stemsplit.training.curation.prepare import WorkFolder
from stemsplit.training.data.songs import load_songs, songs_with_targets
from stemsplit.training.data_commands import SeedOption, WorkOption, say
from stemsplit.training.evaluation.identity import format_errors, measure_errors
from stemsplit.training.fit.checkpoint import load_average
from stemsplit.training.fit.power_set import collect_images
from stemsplit.training.networks.iyer import Iyer


def ensembles(  # noqa: PLR0917 - the command line names them
    library: Annotated[Path, typer.Argument(help="Folder of the training library.")],
    work: WorkOption,
    songs: Annotated[int, typer.Option(min=1, help="Number of songs of 30 s to render for training.")] = 130,
    valid: Annotated[
        int, typer.Option(min=1, help="Validation songs by players of the training, and as many by others.")
    ] = 13,
    seed: SeedOption = 0,
    jobs: Annotated[int, typer.Option(min=1, help="Number of processes.")] = 2,
) -> None:
    """Render chamber ensembles of two to five of 13 instruments. May be interrupted and run again."""
    folders = WorkFolder(library, work)
    prepare_ensembles(folders, n_songs=songs, n_valid=valid, seed=seed, n_jobs=jobs, progress=say)


def identity(run: Annotated[Path, typer.Argument(help="Folder of the run.")], work: WorkOption) -> None:
    """Tabulate the squared error of a run of iyer beside that of doing nothing, for each instrument.

    The mixtures are all subsets of the parts of the validation songs, by data set.
    """
    network = load_average(run / "checkpoint.pt")
    if not isinstance(network, Iyer):
        raise StemsplitError(f"{run} holds {network.name}; only iyer is measured against doing nothing")
    valid = [song for song in load_songs(work / "songs") if song.split == "valid"]
    tables = []
    for dataset in dict.fromkeys(song.dataset for song in songs_with_targets(valid, network.targets)):
        songs = [song for song in valid if song.dataset == dataset]
        pieces = collect_images(songs, network.targets, work / "power-set", say)
        tables.append(f"{dataset}:\n\n{format_errors(measure_errors(network, pieces))}")
    typer.echo("\n\n".join(tables))
