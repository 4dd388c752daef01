"""The ``analyse`` command: tempo, beats, key, chords and loudness of songs."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from stemsplit.cli.console import show, warn
from stemsplit.cli.exit import run_command
from stemsplit.cli.options import Device, Models, ModelsFolder, Threads
from stemsplit.errors import SettingsError, StemsplitError
from stemsplit.jobs.result import ExitStatus

ABOUT = "Find the tempo, beats, key, chords and loudness of songs, and where each stem sounds."
EPILOG = (
    "The songs are separated for it; no stem is written. What is not there, such as a beat in a song without "
    "one, is said to be none."
)


def analyse(  # noqa: PLR0917 - as they are typed
    songs: Annotated[
        list[str],
        typer.Argument(metavar="SONGS", help="Songs, folders or globs.", show_default=False),
    ],
    output: Annotated[
        str | None,
        typer.Option(
            "--output",
            "-o",
            metavar="DIR",
            help="Write SONG/analysis.json and SONG/chords.lab below this folder.",
        ),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace files that exist.")] = False,
    recursive: Annotated[bool, typer.Option("--recursive", "-r", help="Search folders of folders.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Write one line of JSON for each song.")] = False,
    device: Device = "auto",
    model: Models = None,
    models_dir: ModelsFolder = None,
    threads: Threads = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Only results and failures.")] = False,
) -> None:
    """Analyse songs."""

    def command() -> ExitStatus:
        from stemsplit.jobs.inputs import expand_inputs
        from stemsplit.jobs.request import SeparationRequest, open_separator

        if "-" in songs:
            raise SettingsError("an analysis reads files; save standard input to a file first")
        request = SeparationRequest(
            device=device, models=tuple(model or ()), models_dir=models_dir, threads=threads
        )
        sources = expand_inputs(
            songs, recursive=recursive, output_dir=None if output is None else Path(output)
        )
        with open_separator(request) as separator:
            return _analyse_all(
                separator,
                sources,
                None if output is None else Path(output),
                overwrite=overwrite,
                as_json=as_json,
                quiet=quiet,
            )

    run_command(command)


def _analyse_all(
    separator: Any,
    sources: Sequence[Any],
    output_dir: Path | None,
    *,
    overwrite: bool,
    as_json: bool,
    quiet: bool,
) -> ExitStatus:
    """Analyse one song after the other; one that fails stops no other."""
    from stemsplit.jobs.analysis import analyse_file, write_analysis
    from stemsplit.jobs.cancellation import Cancellation, Cancelled, catch_signals

    cancellation = Cancellation()
    failed = False
    with catch_signals(cancellation):
        for source in sources:
            try:
                if source.problem:
                    raise StemsplitError(source.problem)
                found = analyse_file(separator, source.path, cancellation=cancellation)
                paths: list[Path] = []
                if output_dir is not None:
                    folder = output_dir / source.mirror / source.track
                    paths = write_analysis(found, folder, overwrite=overwrite)
            except Cancelled:
                return cancellation.status
            except StemsplitError as error:
                failed = True
                warn(f"failed: {error}")
                continue
            if as_json:
                show(json.dumps({"input": source.label, **found.to_dict()}))
            elif paths:
                show(*map(str, paths))
            if not quiet and not as_json:
                warn(f"{source.label}: {describe(found.to_dict())}")
    return ExitStatus.FAILED if failed else ExitStatus.OK


def describe(found: dict[str, Any]) -> str:
    """Return an analysis in one line.

    >>> describe({"bpm": 120.04, "key": "A minor", "camelot": "8A", "loudness_lufs": -9.2, "chords": []})
    '120.0 bpm, A minor (8A), -9.2 LUFS'
    >>> describe({"bpm": None, "key": None, "camelot": None, "loudness_lufs": None, "chords": []})
    'no beat, no key, silent'
    """
    tempo = "no beat" if found["bpm"] is None else f"{found['bpm']:.1f} bpm"
    key = "no key" if found["key"] is None else f"{found['key']} ({found['camelot']})"
    loudness = "silent" if found["loudness_lufs"] is None else f"{found['loudness_lufs']:.1f} LUFS"
    return f"{tempo}, {key}, {loudness}"
