"""Commands that create training data: prepare, screen, add and fit-records."""

from pathlib import Path
from typing import Annotated

import typer

from stemsplit.errors import StemsplitError
from stemsplit.models.integrity import hash_file
from stemsplit.training.curation.activity import model_separator
from stemsplit.training.curation.prepare import WorkFolder
from stemsplit.training.curation.prepare import prepare as prepare_songs
from stemsplit.training.curation.screening import Screening, minutes_of_music, write_report
from stemsplit.training.data.dataset import PARTS, PATTERNS, UNSTATED, Dataset, add_songs
from stemsplit.training.data.songs import LIBRARY_SOURCE
from stemsplit.training.examples.record_statistics import BUNDLED, RecordDistribution
from stemsplit.training.fit.checkpoint import training_sources_of

WorkOption = Annotated[Path, typer.Option("--work", help="Folder of all files that training writes.")]
SeedOption = Annotated[
    int, typer.Option(min=0, max=2**32 - 1, help="Random seed of renders, examples and weights.")
]


def prepare(
    library: Annotated[Path, typer.Argument(help="Folder of the training library.")],
    work: WorkOption,
    songs: Annotated[int, typer.Option(min=1, help="Number of songs of 40 s to render.")] = 130,
    seed: SeedOption = 0,
    jobs: Annotated[int, typer.Option(min=1, help="Number of processes.")] = 2,
) -> None:
    """Decode the library and render the virtual band. May be interrupted and run again."""
    prepare_songs(WorkFolder(library, work), n_songs=songs, seed=seed, n_jobs=jobs, progress=say)


def screen(  # noqa: PLR0917 - the command line names them
    library: Annotated[Path, typer.Argument(help="Folder of the training library.")],
    work: WorkOption,
    model: Annotated[Path, typer.Option(help="The .onnx file that separates the recordings.")],
    voice_share: Annotated[
        float,
        typer.Option(min=0, max=1, help="Largest share of the time with vocals in backing for training."),
    ] = 0.2,
    transpositions: Annotated[
        int, typer.Option(min=1, max=5, help="Passes, each in another key, whose mean separates.")
    ] = 1,
    threads: Annotated[int, typer.Option(min=1, help="Threads of the CPU.")] = 2,
) -> None:
    """Screen the real recordings: exclude backing with vocals, find passages without drums or bass.

    Estimated stems above the confidence threshold are stored as pseudo-labels.

    Writes ``screen.csv`` into the work folder. May be interrupted and run again, also with another model.
    """
    separate = model_separator(model, threads=threads, transpositions=transpositions)
    name = f"{transpositions}x{hash_file(model)}" if transpositions > 1 else hash_file(model)
    source, songs = WorkFolder(library, work).open_library(), work / "songs"
    terms = "; ".join(terms for _, terms in training_sources_of(model) - {LIBRARY_SOURCE})
    screening = Screening(
        source, songs, work / "traces", separate, model=name, voice_share=voice_share, licence=terms
    )
    write_report(screening.run(say), work / "screen.csv")
    typer.echo(minutes_of_music(work / "songs"))


def add(  # noqa: PLR0917 - the command line names them
    folder: Annotated[Path, typer.Argument(help="Folder of songs with a file for each stem.")],
    work: WorkOption,
    name: Annotated[
        str, typer.Option(help="Name of the data set, under which its validation songs are reported.")
    ],
    split: Annotated[str, typer.Option(help="train, or valid: songs for validation only.")] = "train",
    stem: Annotated[
        list[str] | None,
        typer.Option(help="STEM=PATTERN of file names; may be repeated. Default: vocals=vocals.* and so on."),
    ] = None,
    parts: Annotated[
        str,
        typer.Option(
            help="Stems of .stem.mp4 files in the order of their streams after the mixture, comma-separated."
        ),
    ] = ",".join(PARTS),
    licence: Annotated[str, typer.Option(help="Licence of the songs.")] = UNSTATED,
) -> None:
    """Store songs of your own for training or validation. May be interrupted and run again.

    A song that cannot be read is left out and named; the command then exits with 1.
    """
    dataset = Dataset(
        folder,
        name,
        split=split,
        licence=licence,
        patterns=_read_patterns(stem) if stem else PATTERNS,
        parts=parts.split(","),
    )
    if n_failed := add_songs(dataset, work / "songs", say):
        raise StemsplitError(f"{n_failed} songs could not be added, see above")


def render_kits(  # noqa: PLR0917 - the command line names them
    library: Annotated[Path, typer.Argument(help="Folder of the training library.")],
    folder: Annotated[Path, typer.Argument(help="Folder for the songs, which `add` takes.")],
    work: WorkOption,
    songs: Annotated[int, typer.Option(min=1, help="Number of songs to render.")] = 200,
    seconds: Annotated[float, typer.Option(min=1, help="Length of each.")] = 20.0,
    split: Annotated[str, typer.Option(help="train, or valid: of hits that are held out.")] = "train",
    seed: SeedOption = 0,
) -> None:
    """Render drum kits with kick, snare and cymbals apart, for the model that takes drums apart.

    May be interrupted and run again.
    """
    # the dependencies of rendering need not be installed where networks are trained
    from stemsplit.training.synthesis.kit_songs import write_kit_songs

    source = WorkFolder(library, work).open_library()
    for song in write_kit_songs(source, folder, n_songs=songs, length_s=seconds, split=split, seed=seed):
        say(song.name)


def fit_records(
    statistics: Annotated[
        Path, typer.Argument(help="CSV with a row for each record and target: number, target, figures in dB.")
    ],
    out: Annotated[Path, typer.Argument(help="CSV file of the distribution to write.")] = BUNDLED,
) -> None:
    """Fit the distribution of record statistics toward which examples are moved.

    It consists of percentiles and correlations; nothing in it belongs to a single record.
    """
    RecordDistribution.fit(statistics).save(out)
    say(f"wrote {out}")


def _read_patterns(pairs: list[str]) -> dict[str, list[str]]:
    """Parse ``stem=pattern`` into patterns by stem.

    >>> _read_patterns(["viola=*_va_*", "strings=vn*", "strings=vc*"])
    {'viola': ['*_va_*'], 'strings': ['vn*', 'vc*']}
    """
    patterns: dict[str, list[str]] = {}
    for pair in pairs:
        stem, _, pattern = pair.partition("=")
        if not stem or not pattern:
            raise StemsplitError(f"{pair!r} is not of the form STEM=PATTERN")
        patterns.setdefault(stem, []).append(pattern)
    return patterns


def say(text: str) -> None:
    """Print a message that is not a result to stderr."""
    typer.echo(text, err=True)
