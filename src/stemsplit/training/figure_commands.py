"""Commands that tabulate and draw the figures of runs: figures, curves, sweep."""

from pathlib import Path
from typing import Annotated

import torch
import typer

from stemsplit.errors import StemsplitError
from stemsplit.training.data.songs import load_songs
from stemsplit.training.data_commands import WorkOption, say
from stemsplit.training.evaluation.cases import cases_of_targets
from stemsplit.training.evaluation.records import load_records
from stemsplit.training.evaluation.report import table_of_figures
from stemsplit.training.evaluation.validation import own_figures
from stemsplit.training.fit.checkpoint import load_average, load_state
from stemsplit.training.fit.curves import draw_comparison, draw_sweep, read_curves
from stemsplit.training.release_commands import RecordsOption

RunsArgument = Annotated[list[Path], typer.Argument(help="Folders of runs.")]
PictureArgument = Annotated[Path, typer.Argument(help="The PNG file to write.")]


def figures(  # noqa: PLR0917 - the command line names them
    runs: RunsArgument,
    work: WorkOption,
    excerpt_s: Annotated[float, typer.Option(help="Largest length of an excerpt in seconds.")] = 20.0,
    excerpts: Annotated[int, typer.Option(min=1, help="Excerpts per song.")] = 10,
    records: RecordsOption = None,
    threads: Annotated[int, typer.Option(min=1, help="Threads of the CPU.")] = 2,
) -> None:
    """Tabulate the figures of the kind of network of runs, such as accuracies, over the validation songs."""
    torch.set_num_threads(threads)
    songs, known = load_songs(work / "songs"), load_records(records)
    rows = {}
    for run in runs:
        network = load_average(run / "checkpoint.pt")
        cases = cases_of_targets(
            songs, excerpt_s=excerpt_s, n_excerpts=excerpts, targets=network.targets, records=known
        )
        rows[run.name] = own_figures(network, cases)
        if not rows[run.name]:
            raise StemsplitError(
                f"{run} holds {network.name}, which has no figures beside those of `evaluate`"
            )
    typer.echo(table_of_figures(rows))


def curves(
    picture: PictureArgument,
    runs: RunsArgument,
    column: Annotated[
        list[str] | None, typer.Option(help="Column of curve.csv; may be repeated. Default: loss.")
    ] = None,
    over: Annotated[str, typer.Option(help="minutes or steps.")] = "minutes",
) -> None:
    """Draw columns of the curves of several runs over the training, one below the other."""
    files = {run.name: run / "curve.csv" for run in runs}
    draw_comparison(files, picture, columns=column or ("loss",), over=over)
    say(f"wrote {picture}")


def sweep(
    picture: PictureArgument,
    runs: RunsArgument,
    option: Annotated[str, typer.Option(help="Option of the networks, a number.")],
    column: Annotated[
        list[str] | None, typer.Option(help="Column of curve.csv; may be repeated. Default: loss.")
    ] = None,
) -> None:
    """Draw the last values of columns of the curves of several runs over an option of their networks."""
    points = {_option_of(run, option): _last_row(run) for run in runs}
    draw_sweep(points, picture, option=option, columns=column or ["loss"])
    say(f"wrote {picture}")


def _option_of(run: Path, option: str) -> float:
    options = load_state(run / "checkpoint.pt")["network_options"]
    try:
        return float(options[option])
    except (KeyError, TypeError, ValueError) as error:
        raise StemsplitError(f"the network of {run} has no number {option!r}; it has {options}") from error


def _last_row(run: Path) -> dict[str, float]:
    try:
        return read_curves(run / "curve.csv")[-1]
    except (OSError, ValueError, IndexError) as error:
        raise StemsplitError(
            f"{run / 'curve.csv'} has no rows ({error!r}); train the run to its end"
        ) from error
