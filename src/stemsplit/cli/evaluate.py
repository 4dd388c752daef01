"""The ``evaluate`` command: SDR, SIR and SAR of models on a data set."""

from pathlib import Path
from typing import Annotated, Any

import typer

from stemsplit.cli.console import show, warn
from stemsplit.cli.exit import run_command
from stemsplit.cli.options.shared import Device, Models, ModelsFolder, Threads
from stemsplit.jobs.result import ExitStatus

EPILOG = (
    "FOLDER is a data set as it is on disk: MUSDB18 (.stem.mp4), MUSDB18-HQ (a folder a song) or DSD100 "
    "(Mixtures, Sources), or a folder of songs. Figures are those of BSS Eval version 4, by museval."
)


def evaluate(  # noqa: PLR0917 - as they are typed
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="Folder of the data set.", show_default=False)
    ],
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            metavar="DIR",
            help="Folder of scores and plots.",
        ),
    ] = Path("evaluation"),
    split: Annotated[
        str,
        typer.Option(
            "--split",
            metavar="SPLIT",
            help="train, test or all. Default: test, if there is one.",
        ),
    ] = "",
    duration: Annotated[
        float | None,
        typer.Option(
            "--duration", metavar="S", min=1, help="Only the middle of each song, of so many seconds."
        ),
    ] = None,
    jobs: Annotated[int, typer.Option("--jobs", "-j", metavar="N", min=1, help="Songs at a time.")] = 1,
    plots: Annotated[bool, typer.Option("--plots/--no-plots", help="Draw a plot for each stem.")] = True,
    as_json: Annotated[bool, typer.Option("--json", help="Write JSON.")] = False,
    device: Device = "auto",
    model: Models = None,
    models_dir: ModelsFolder = None,
    wiener: Annotated[
        int,
        typer.Option(
            "--wiener", metavar="N", min=0, max=10, help="Iterations of a Wiener filter on the masks."
        ),
    ] = 0,
    shifts: Annotated[
        int, typer.Option("--shifts", metavar="N", min=1, max=16, help="Passes over each song.")
    ] = 1,
    transpositions: Annotated[
        int, typer.Option("--transpositions", metavar="N", min=1, max=5, help="Passes, each in another key.")
    ] = 1,
    before: Annotated[
        str | None,
        typer.Option("--before", metavar="STEP", help="A step before the networks: hpss."),
    ] = None,
    threads: Threads = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Only results and failures.")] = False,
) -> None:
    """Score models on a data set with true stems: SDR, SIR and SAR of every song, and their medians."""

    def command() -> ExitStatus:
        from stemsplit.evaluation.bss_eval import check_museval
        from stemsplit.evaluation.dataset import find_songs
        from stemsplit.evaluation.plots import check_plots
        from stemsplit.jobs.request import SeparationRequest, open_separator

        check_museval()
        if plots:
            check_plots()
        songs = find_songs(folder, split)
        request = SeparationRequest(
            device=device,
            models=tuple(model or ()),
            models_dir=models_dir,
            threads=threads,
            wiener=wiener,
            shifts=shifts,
            transpositions=transpositions,
            before=before,
        )
        with open_separator(request) as separator:
            return _evaluate(
                separator, songs, output, duration, jobs=jobs, plots=plots, as_json=as_json, quiet=quiet
            )

    run_command(command)


def _evaluate(
    separator: Any,
    songs: Any,
    output: Path,
    duration_s: float | None,
    *,
    jobs: int,
    plots: bool,
    as_json: bool,
    quiet: bool,
) -> ExitStatus:
    """Score the songs and write the report; a song that fails stops no other."""
    from stemsplit.evaluation.plots import plot_report
    from stemsplit.files.atomic import explaining
    from stemsplit.jobs.cancellation import Cancellation, catch_signals
    from stemsplit.jobs.evaluation import Evaluation, ScoredSong

    cancellation = Cancellation()
    n_done = 0

    def print_song(done: ScoredSong) -> None:
        nonlocal n_done
        n_done += 1
        if done.failure:
            warn(f"failed: {done.song.name}: {done.failure}")
        elif not quiet:
            warn(f"[{n_done}/{len(songs)}] {describe(done)}")

    with catch_signals(cancellation):
        report = Evaluation(separator, output, duration_s, cancellation).run(
            songs, n_jobs=jobs, on_song=print_song
        )
    if cancellation.requested:
        warn("interrupted; the scores so far are kept, the same command goes on")
        return cancellation.status
    with explaining(output):
        written = report.write(output) + (plot_report(report, output) if plots else [])
    import json

    show(json.dumps(report.to_dict()) if as_json else report.to_table())
    if not quiet:
        warn(f"wrote {', '.join(map(str, written))}")
    return ExitStatus.FAILED if report.failed else ExitStatus.OK


def describe(done: Any) -> str:
    """Return the scores of a song in one line."""
    figures = ", ".join(
        f"{score.stem} {'silent' if score.sdr_db is None else f'{score.sdr_db:.1f} dB'}"
        for score in done.scores.stems
    )
    return f"{done.song.name}: {figures}{' (kept)' if done.is_kept else ''}"
