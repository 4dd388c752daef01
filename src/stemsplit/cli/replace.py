"""The ``replace`` command: the drums of songs, played anew with the samples of a kit."""

from typing import Annotated

import typer

from stemsplit.cli.completion import complete_bits, complete_format
from stemsplit.cli.exit import run_command
from stemsplit.cli.options.shared import (
    Device,
    Jobs,
    Models,
    ModelsFolder,
    Overwrite,
    Recursive,
    Resume,
    Songs,
    Threads,
)
from stemsplit.errors import SettingsError
from stemsplit.jobs.name_template import DEFAULT_TEMPLATE
from stemsplit.jobs.result import ExitStatus

EPILOG = (
    "Beside the drums stem are written drums_replaced, as long and with the rate and channels of the song, "
    "and its MIDI file. A song without drums has neither, and the result says so."
)


def replace(  # noqa: PLR0917 - as they are typed
    songs: Songs,
    kit: Annotated[
        str | None,
        typer.Option(
            "--kit",
            metavar="KIT",
            help="Folder of samples named after drums, or an SFZ file. Default: the kit of the package.",
        ),
    ] = None,
    blend: Annotated[
        float,
        typer.Option("--blend", metavar="0..1", min=0, max=1, help="Share of the new drums."),
    ] = 1.0,
    mixture: Annotated[
        bool, typer.Option("--mixture", help="Also write the song with the new drums, and without drums.")
    ] = False,
    output: Annotated[
        str, typer.Option("--output", "-o", metavar="DIR", help="Folder for the files.")
    ] = "separated",
    name: Annotated[
        str, typer.Option("--name", metavar="TEMPLATE", help="Names below the folder.")
    ] = DEFAULT_TEMPLATE,
    format: Annotated[
        str,
        typer.Option(
            "--format", "-f", metavar="FORMAT", help="wav, flac or aiff.", autocompletion=complete_format
        ),
    ] = "wav",
    bits: Annotated[
        str | None,
        typer.Option(
            "--bits",
            metavar="DEPTH",
            help="16, 24 or 32f. Default: as the song has it.",
            autocompletion=complete_bits,
        ),
    ] = None,
    overwrite: Overwrite = False,
    resume: Resume = False,
    recursive: Recursive = False,
    jobs: Jobs = 1,
    as_json: Annotated[bool, typer.Option("--json", help="Print one line of JSON for each song.")] = False,
    device: Device = "auto",
    model: Models = None,
    models_dir: ModelsFolder = None,
    threads: Threads = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Show failures only.")] = False,
) -> None:
    """Play the hits of the drums stem with clean samples, at their times and as strong as they are."""

    def command() -> ExitStatus:
        from stemsplit.cli.options.replacement import ReplacementOptions
        from stemsplit.cli.separate import separate

        if output == "-":
            raise SettingsError("the new drums are several files; name a folder with --output")
        options = ReplacementOptions(
            kit=kit,
            blend=blend,
            mixture=mixture,
            inputs=songs,
            stems=None if mixture else ["drums"],
            karaoke="drums" if mixture else None,
            output=output,
            name=name,
            format=format,
            bits=bits,
            overwrite=overwrite,
            resume=resume,
            recursive=recursive,
            jobs=jobs,
            json=as_json,
            device=device,
            model=model,
            models_dir=models_dir,
            threads=threads,
            quiet=quiet,
        )
        return separate(options)

    run_command(command)
