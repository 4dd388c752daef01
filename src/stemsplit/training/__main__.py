"""``python -m stemsplit.training``: commands that lead from a library of sounds to a model and its card."""

import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import torch
import typer

from stemsplit.errors import StemsplitError
from stemsplit.training import TARGETS
from stemsplit.training.data.songs import load_songs
from stemsplit.training.data_commands import (
    SeedOption,
    WorkOption,
    add,
    fit_records,
    prepare,
    render_kits,
    say,
    screen,
)
from stemsplit.training.ensemble_commands import ensembles, identity
from stemsplit.training.evaluation.ablation import Budget, Comparison
from stemsplit.training.evaluation.ablation_rows import find_rows
from stemsplit.training.evaluation.ablation_table import write_tables
from stemsplit.training.evaluation.baseline import reference_scores
from stemsplit.training.evaluation.candidates import open_candidate
from stemsplit.training.evaluation.cases import cases_of_targets
from stemsplit.training.evaluation.records import load_records
from stemsplit.training.evaluation.report import Evaluation
from stemsplit.training.evaluation.scores import save_scores
from stemsplit.training.evaluation.spectrogram_plots import draw_case
from stemsplit.training.evaluation.validation import framewise_names, score_cases, validate_network
from stemsplit.training.examples.accompaniment import song_targets
from stemsplit.training.figure_commands import curves, figures, sweep
from stemsplit.training.fit.allocator import keep_freed_memory
from stemsplit.training.fit.curves import draw_curves
from stemsplit.training.fit.example_sources import open_source
from stemsplit.training.fit.interrupt import INTERRUPTED, on_interrupt
from stemsplit.training.fit.presets import PRESETS, find_preset, read_options
from stemsplit.training.fit.settings import ADVERSARY_WEIGHT
from stemsplit.training.fit.trainer import Trainer
from stemsplit.training.release_commands import RecordsOption, RunArgument, card, export, fit_style, quantise

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Train stemsplit's models.")
for command in (prepare, ensembles, screen, add, render_kits, fit_records):
    app.command()(command)

DeviceOption = Annotated[str, typer.Option(help="cpu or cuda.")]


@app.command()
def fit(  # noqa: PLR0917 - the command line names them
    run: RunArgument,
    work: WorkOption,
    minutes: Annotated[
        float | None, typer.Option(min=0.01, help="Total training time in minutes, resumptions included.")
    ] = None,
    steps: Annotated[
        int | None,
        typer.Option(min=1, help="Number of steps, in place of --minutes."),
    ] = None,
    preset: Annotated[str, typer.Option(help=f"One of {', '.join(PRESETS)}.")] = "cpu",
    network: Annotated[str, typer.Option(help="Name of a network. Default: the preset's.")] = "",
    option: Annotated[
        list[str] | None,
        typer.Option(help="Option KEY=VALUE of the network, with VALUE in JSON; may be repeated."),
    ] = None,
    targets: Annotated[
        str, typer.Option(help="Targets, comma-separated. Default: vocals,drums,bass,other.")
    ] = "",
    target: Annotated[
        str, typer.Option(help="The only target whose loss counts. Default: all targets.")
    ] = "",
    init: Annotated[
        Path | None, typer.Option(help="Checkpoint or .onnx file with the initial weights.")
    ] = None,
    without: Annotated[
        list[str] | None, typer.Option(help="Ingredient to leave out; may be repeated.")
    ] = None,
    remix: Annotated[
        list[str] | None,
        typer.Option(help="Probability NAME=VALUE of the examples, such as silence=0.6; may be repeated."),
    ] = None,
    frames: Annotated[
        int | None, typer.Option(min=1, help="Length of an example in frames. Default: the preset's.")
    ] = None,
    batch: Annotated[
        int | None, typer.Option(min=1, help="Examples per step. Default: the preset's.")
    ] = None,
    optimiser: Annotated[str, typer.Option(help="muon, adamw or sgd. Default: the preset's.")] = "",
    learning_rate: Annotated[
        float | None,
        typer.Option(
            min=1e-7, max=1, help="Peak learning rate; lower it for trained weights. Default: the preset's."
        ),
    ] = None,
    adversary: Annotated[
        bool,
        typer.Option("--adversary", help="Train against a discriminator; begin with --init SUPERVISED."),
    ] = False,
    adversary_weight: Annotated[
        float | None,
        typer.Option(min=1e-6, help=f"Weight of the adversarial loss. Default: {ADVERSARY_WEIGHT:g}."),
    ] = None,
    records: RecordsOption = None,
    seed: SeedOption = 0,
    device: DeviceOption = "cpu",
    threads: Annotated[int, typer.Option(min=1, help="Threads of the CPU.")] = 2,
    workers: Annotated[
        int | None, typer.Option(min=0, help="Processes that load examples. Default: the preset's.")
    ] = None,
    validate_minutes: Annotated[float, typer.Option(help="Minutes between validations.")] = 8.0,
    clock: Annotated[
        str, typer.Option(help="Clock of the minutes: wall, or processor, which busy machines do not slow.")
    ] = "wall",
) -> None:
    """Train a network. A run with a checkpoint is resumed; Ctrl-C saves a checkpoint before it exits."""
    _check_device(device)
    keep_freed_memory()
    torch.set_num_threads(threads)
    torch.set_float32_matmul_precision("high" if device == "cuda" else "highest")
    torch.manual_seed(seed)
    chosen = find_preset(preset).with_examples(n_frames=frames, batch_size=batch)
    net = chosen.build(network, **_join_options(option or (), target, targets))
    drawn = chosen.remix(without=without or (), chances=_read_chances(remix or (), net.targets))
    settings = chosen.settings(
        minutes=_minutes(minutes, steps), validate_minutes=validate_minutes, seed=seed, device=device
    )
    settings = replace(
        settings,
        n_workers=settings.n_workers if workers is None else workers,
        optimiser=optimiser or settings.optimiser,
        learning_rate=learning_rate or settings.learning_rate,
        adversary=_weight(adversary, adversary_weight),
        clock=clock,
        n_steps=steps or 0,
    )
    songs = load_songs(work / "songs")
    cases = cases_of_targets(
        songs, excerpt_s=15, n_excerpts=1, targets=net.targets, records=load_records(records)
    )
    trainer = Trainer(
        net,
        open_source(
            net,
            [song for song in songs if song.split == "train"],
            drawn,
            seed=seed,
            folder=work / "power-set",
            progress=say,
        ),
        settings,
        run,
        lambda net: validate_network(net, cases, device),
        initial=init,
        warn=say,
    )
    _finish(trainer)


def _minutes(minutes: float | None, steps: int | None) -> float:
    """Return the minutes of the budget; with steps, they are only a scale for the warm-up."""
    if (minutes is None) == (steps is None):
        raise StemsplitError("give --minutes or --steps, one of both")
    return 1.0 if minutes is None else minutes


def _weight(adversary: bool, weight: float | None) -> float:
    """Return the weight of the adversarial loss; 0 without an adversary."""
    if weight and not adversary:
        raise StemsplitError("--adversary-weight is for trainings with --adversary")
    return (weight or ADVERSARY_WEIGHT) if adversary else 0.0


def _join_options(pairs: Sequence[str], target: str, targets: str) -> dict[str, Any]:
    """Return the options of a network: those of the pairs, and the targets that have options of their own."""
    options = read_options(pairs)
    options |= {"target": target} if target else {}
    options |= {"targets": targets.split(",")} if targets else {}
    return options


def _read_chances(pairs: Sequence[str], targets: Sequence[str]) -> dict[str, Any]:
    """Return the probabilities of the examples, all of which mean something to the targets."""
    chances = read_options(pairs)
    if chances.get("matched") and not set(song_targets(targets)) <= set(TARGETS):
        raise StemsplitError(
            f"--remix matched moves {', '.join(TARGETS)} toward those of records; "
            f"leave it out for {', '.join(targets)}"
        )
    return chances


def _finish(trainer: Trainer) -> None:
    """Train to the end of the budget and draw the curves; Ctrl-C ends the command with a checkpoint."""
    with on_interrupt(trainer.stop):
        is_done = trainer.fit()
    if not is_done:
        say(
            f"interrupted after {trainer.step_number} steps and saved a checkpoint; "
            "run the same command to resume"
        )
        raise typer.Exit(INTERRUPTED)
    draw_curves(trainer.folder / "curve.csv", trainer.folder / "curve.png")
    say(f"trained {trainer.step_number} steps in {trainer.elapsed_s:.0f} s")


@app.command()
def evaluate(  # noqa: PLR0917 - the command line names them
    candidate: Annotated[Path, typer.Argument(help="Folder of a run, or an .onnx model.")],
    work: WorkOption,
    excerpt_s: Annotated[float, typer.Option(help="Largest length of an excerpt in seconds.")] = 20.0,
    excerpts: Annotated[int, typer.Option(min=1, help="Excerpts per song.")] = 3,
    museval: Annotated[
        bool, typer.Option("--museval", help="Also compute framewise SDR, SIR and SAR; slow.")
    ] = False,
    wiener: Annotated[
        int, typer.Option(min=0, max=10, help="Iterations of the Wiener filter, for .onnx models.")
    ] = 0,
    shifts: Annotated[
        int, typer.Option(min=1, max=16, help="Shifted passes over a song, for .onnx models.")
    ] = 1,
    transpositions: Annotated[
        int, typer.Option(min=1, max=5, help="Transposed passes over a song, for .onnx models.")
    ] = 1,
    records: RecordsOption = None,
    others: Annotated[
        list[Path] | None,
        typer.Option("--with", help="Model to average estimates with; may be repeated."),
    ] = None,
    threads: Annotated[int, typer.Option(min=1, help="Threads of the CPU.")] = 2,
) -> None:
    """Score a run or a model, the baseline without a model, and the oracle mask.

    Writes ``scores.json`` into the run, or ``scores-<model>.json`` into the work folder. The scores of
    baseline and oracle do not depend on the candidate and are cached in the work folder.
    """
    torch.set_num_threads(threads)
    opened = open_candidate(
        candidate,
        threads=threads,
        wiener=wiener,
        shifts=shifts,
        transpositions=transpositions,
        others=others or (),
    )
    songs = load_songs(work / "songs")
    cases = cases_of_targets(
        songs,
        excerpt_s=excerpt_s,
        n_excerpts=excerpts,
        without=opened.without,
        targets=opened.targets,
        records=load_records(records),
    )
    slow = framewise_names(cases) if museval else frozenset()
    kept = work / f"reference-{excerpt_s:g}-{excerpts}-{len(cases)}.json"
    scores = reference_scores(cases, kept, framewise=slow)
    scores["model"] = score_cases(cases, opened.separate, framewise=slow)
    used = (f"-wiener{wiener}" if wiener else "") + (f"-shifts{shifts}" if shifts > 1 else "")
    used += f"-transpositions{transpositions}" if transpositions > 1 else ""
    used += "".join(f"-with-{other.stem}" for other in others or ())
    is_run = candidate.suffix != ".onnx"
    save_scores(scores, candidate / "scores.json" if is_run else work / f"scores-{candidate.stem}{used}.json")
    evaluation = Evaluation(scores)
    typer.echo("\n\n".join(filter(None, (evaluation.table(), evaluation.framewise_table()))))


@app.command()
def compare(  # noqa: PLR0917 - the command line names them
    out: Annotated[Path, typer.Argument(help="Folder of the comparison.")],
    work: WorkOption,
    minutes: Annotated[float, typer.Option(min=0.001, help="Training time of each row in minutes.")] = 10.0,
    rows: Annotated[str, typer.Option(help="Rows to train, comma-separated. Default: all.")] = "",
    seed: SeedOption = 0,
    threads: Annotated[int, typer.Option(min=1, help="Threads of the CPU.")] = 1,
    records: RecordsOption = None,
    publish: Annotated[
        Path | None, typer.Option(help="Folder for a copy of the CSV and Markdown files, named like OUT.")
    ] = None,
) -> None:
    """Train networks, or one network without some ingredients, for equal time each, and score them all.

    Writes ``comparison.csv`` and ``comparison.md`` with all finished rows. May be interrupted and run again,
    or run for one row at a time; finished rows are not trained again.
    """
    keep_freed_memory()
    torch.set_num_threads(threads)
    budget = Budget(minutes=minutes, seed=seed, threads=threads)
    comparison = Comparison(out, load_songs(work / "songs"), budget, records=load_records(records))
    for row in find_rows(rows):
        say(f"row {row.name}: {comparison.run(row).training}")
        results = comparison.results()
        write_tables(results, budget, out)
        if publish:
            write_tables(results, budget, publish, name=out.name)
    typer.echo((out / "comparison.md").read_text(encoding="utf-8"))


@app.command()
def draw(  # noqa: PLR0917 - the command line names them
    candidate: Annotated[Path, typer.Argument(help="Folder of a run, or an .onnx model.")],
    out: Annotated[Path, typer.Argument(help="Folder of the pictures.")],
    work: WorkOption,
    excerpt_s: Annotated[float, typer.Option(help="Largest length of an excerpt in seconds.")] = 12.0,
    cases: Annotated[int, typer.Option(min=1, help="Largest number of pictures per source.")] = 3,
    threads: Annotated[int, typer.Option(min=1, help="Threads of the CPU.")] = 2,
) -> None:
    """Draw spectrograms of mixtures, references and estimates: one PNG for each case."""
    torch.set_num_threads(threads)
    opened = open_candidate(candidate, threads=threads)
    songs = load_songs(work / "songs")
    out.mkdir(parents=True, exist_ok=True)
    drawn: Counter[str] = Counter()
    for case in cases_of_targets(songs, excerpt_s=excerpt_s, n_excerpts=1, targets=opened.targets):
        drawn[case.source] += 1
        if drawn[case.source] <= cases:
            picture = out / f"{case.source}-{case.name.replace(' ', '-')}.png"
            draw_case(case, opened.separate(case), picture)
            say(f"wrote {picture}")


# the help lists commands in the order of their work
app.command()(figures)
app.command()(curves)
app.command()(sweep)
app.command()(identity)
app.command()(export)
app.command()(quantise)
app.command()(card)
app.command()(fit_style)


def _check_device(device: str) -> None:
    if device not in ("cpu", "cuda"):
        raise StemsplitError(f"the device is cpu or cuda, not {device!r}")
    if device == "cuda" and not torch.cuda.is_available():
        raise StemsplitError(
            "this torch finds no CUDA device; use --device cpu or install a CUDA build of torch"
        )


def main() -> None:
    """Run a command; an expected error is one line on stderr and exit code 1."""
    try:
        app()
    except (StemsplitError, OSError) as error:
        say(f"error: {error}")
        sys.exit(1)


if __name__ == "__main__":
    main()
