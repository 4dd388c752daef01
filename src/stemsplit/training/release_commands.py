"""Commands that release a run: export, card; and the one that makes the network of styles."""

from pathlib import Path
from typing import Annotated

import typer

from stemsplit.errors import StemsplitError
from stemsplit.training import TARGETS
from stemsplit.training.curation.prepare import WorkFolder
from stemsplit.training.data.songs import are_bundled
from stemsplit.training.data.styles import list_pieces
from stemsplit.training.data_commands import WorkOption, say
from stemsplit.training.evaluation.records import add_record_scores, load_records
from stemsplit.training.fit.checkpoint import average_weights, load_average, training_sources_of
from stemsplit.training.fit.styles import cut_windows, fit_styles, measure_makers
from stemsplit.training.networks.bandsplit import BandSplit
from stemsplit.training.release.export import ModelFacts, choose_targets, export_network
from stemsplit.training.release.export_any import export_any
from stemsplit.training.release.int8_form import write_int8_form
from stemsplit.training.release.model_card import write_card
from stemsplit.training.release.reproduction import ExportOptions
from stemsplit.training.release.style_export import export_style, make_card
from stemsplit.training.release.work_card import write_work_card

RecordsOption = Annotated[
    Path | None,
    typer.Option(help="Folder of records with their stems, used for validation only."),
]
RunArgument = Annotated[Path, typer.Argument(help="Folder of the run.")]


def export(  # noqa: PLR0917 - the command line names them
    run: RunArgument,
    model: Annotated[Path, typer.Argument(help="The .onnx file to write.")],
    version: Annotated[str, typer.Option(help="Version of the model.")] = "0.1.0",
    targets: Annotated[str, typer.Option(help="Targets to export, comma-separated. Default: all.")] = "",
    licence: Annotated[
        str,
        typer.Option(help="Licence of the weights. Default: MIT, if all training data is openly licensed."),
    ] = "",
    weights: Annotated[str, typer.Option(help="Storage of the weights: fp16 or fp32.")] = "fp16",
    mean_with: Annotated[
        list[Path] | None,
        typer.Option(help="Checkpoint or .onnx file to average weights with; may be repeated."),
    ] = None,
    attenuation_db: Annotated[
        float | None,
        typer.Option(min=0, max=60, help="Attenuation of the model's input in dB. Default: as in training."),
    ] = None,
) -> None:
    """Export the averaged network of a run as ONNX, and check it against torch."""
    trained = load_average(run / "checkpoint.pt")
    if not isinstance(trained, BandSplit):
        _check_unused(trained.name, targets=targets, mean_with=mean_with, attenuation_db=attenuation_db)
        sources = training_sources_of(run / "checkpoint.pt")
        facts = ModelFacts.of(
            model.stem, trained.targets, training_sources=sources, licence=licence, version=version
        )
        export_any(trained, model, facts, weights=weights)
        _say_written(model)
        return
    network = trained
    average_weights(network, mean_with or ())
    if attenuation_db is not None:
        network = network.with_attenuation(attenuation_db)
    chosen = choose_targets(network, tuple(filter(None, targets.split(","))))
    training_sources = training_sources_of(run / "checkpoint.pt").union(
        *map(training_sources_of, mean_with or ())
    )
    facts = ModelFacts.of(
        model.stem, chosen, training_sources=training_sources, licence=licence, version=version
    )
    export_network(network, model, facts, targets=chosen, weights=weights)
    _say_written(model)


def _say_written(model: Path) -> None:
    say(f"wrote {model}, {model.stat().st_size / 1e6:.1f} MB")


def quantise(
    model: Annotated[Path, typer.Argument(help="The .onnx file.")],
    form: Annotated[Path, typer.Argument(help="The .onnx file to write: int8/NAME.onnx beside the model.")],
) -> None:
    """Write the 8-bit form of a model, which the CPU runs with --int8."""
    write_int8_form(model, form)
    _say_written(form)


def fit_style(  # noqa: PLR0917 - the command line names them
    library: Annotated[Path, typer.Argument(help="Folder of the training library.")],
    model: Annotated[Path, typer.Argument(help="The .onnx file to write; its card is written beside it.")],
    work: WorkOption,
    steps: Annotated[int, typer.Option(min=1, help="Steps of every network.")] = 200,
    folds: Annotated[int, typer.Option(min=2, help="Networks that prove it on makers they do not know.")] = 4,
    version: Annotated[str, typer.Option(help="Version of the model.")] = "0.1.0",
) -> None:
    """Train, prove and export the network that names the kind of music."""
    source = WorkFolder(library, work).open_library()
    data = cut_windows(list_pieces(source), source)
    say(f"{len(data)} pieces, {sum(len(each.windows) for each in data)} windows")
    found = measure_makers(data, n_folds=folds, n_steps=steps)
    export_style(fit_styles(data, n_steps=steps), model, version=version)
    card = make_card(model, found, n_steps=steps, n_folds=folds)
    model.with_suffix(".md").write_text(card, encoding="utf-8")
    say(f"wrote {model}, {model.stat().st_size / 1e6:.2f} MB")


def card(  # noqa: PLR0917 - the command line names them
    run: RunArgument,
    work: WorkOption,
    model: Annotated[Path, typer.Option(help="The .onnx file; the card is written beside it.")],
    hardware: Annotated[str, typer.Option(help="Hardware of the training, as a phrase.")],
    library: Annotated[
        Path | None, typer.Option(help="Folder of the training library, if its songs were used.")
    ] = None,
    note: Annotated[str, typer.Option(help="Additional note on the training.")] = "",
    scores: Annotated[
        Path | None, typer.Option(help="Scores written by `evaluate`. Default: scores.json of the run.")
    ] = None,
    records: RecordsOption = None,
    mean_with: Annotated[
        list[Path] | None, typer.Option(help="The values given to `export`, if any; may be repeated.")
    ] = None,
    attenuation_db: Annotated[float, typer.Option(help="The value given to `export`, if any.")] = 0.0,
) -> None:
    """Write the model card and the training curve from the run, its scores, its songs and the library.

    With --records, the model is first scored on these records, unless it has been before.
    The card of another network than the band-split one, or of one for other targets, has the figures of the
    run's last validation instead, and takes --hardware and --note only.
    """
    network = load_average(run / "checkpoint.pt")
    if not isinstance(network, BandSplit) or not are_bundled(network.targets):
        _check_unused(
            f"{network.name} of {', '.join(network.targets)}",
            only_for=f"band-split networks of {', '.join(TARGETS)}",
            library=library,
            scores=scores,
            records=records,
            mean_with=mean_with,
            attenuation_db=attenuation_db,
        )
        write_work_card(run, model, hardware=hardware, note=note)
        say(f"wrote {model.with_suffix('.md')}")
        return
    songs, opened = work / "songs", WorkFolder(library, work).open_library() if library else None
    scored = scores or run / "scores.json"
    if records:
        add_record_scores(scored, model, load_records(records), kept=work / "reference-records.json")
    exported = ExportOptions(tuple(mean_with or ()), attenuation_db)
    write_card(run, opened, songs, model, scores=scored, hardware=hardware, note=note, exported=exported)
    say(f"wrote {model.with_suffix('.md')}")


def _check_unused(network: str, *, only_for: str = "band-split networks", **options: object) -> None:
    """Raise a `StemsplitError` if an option of some networks is given for another."""
    for name, value in options.items():
        if value:
            option = "--" + name.replace("_", "-")
            raise StemsplitError(f"{option} is for {only_for}; this run has {network}")
