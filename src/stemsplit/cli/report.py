"""The ``report`` command: one page about a song that opens anywhere."""

from pathlib import Path
from typing import Annotated

import typer

from stemsplit.cli.console import warn
from stemsplit.cli.exit import run_command
from stemsplit.cli.in_turn import run_in_turn
from stemsplit.cli.options.shared import Device, Models, ModelsFolder, Overwrite, Recursive, Songs, Threads
from stemsplit.errors import SettingsError
from stemsplit.jobs.name_template import DEFAULT_TEMPLATE
from stemsplit.jobs.result import ExitStatus

EPILOG = (
    "The page is one HTML file, with its pictures and excerpts inside: it opens without a network, and can "
    "be sent as it is. Stems are separated into a temporary folder, in 32-bit float, and removed."
)


def report(  # noqa: PLR0917 - as they are typed
    songs: Songs,
    output: Annotated[
        str, typer.Option("--output", "-o", metavar="DIR", help="Folder for the pages.")
    ] = "separated",
    name: Annotated[
        str, typer.Option("--name", metavar="TEMPLATE", help="Names below the folder; {stem} is report.")
    ] = DEFAULT_TEMPLATE,
    excerpt: Annotated[
        float,
        typer.Option("--excerpt", metavar="SECONDS", help="Length of the audio of each stem; 0 for none."),
    ] = 20.0,
    recursive: Recursive = False,
    overwrite: Overwrite = False,
    as_json: Annotated[bool, typer.Option("--json", help="Write one line of JSON for each song.")] = False,
    device: Device = "auto",
    model: Models = None,
    models_dir: ModelsFolder = None,
    threads: Threads = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Only results and failures.")] = False,
) -> None:
    """Make a page about each song: spectrograms, levels, beats, key, chords, and excerpts of its stems."""

    def command() -> ExitStatus:
        from stemsplit.jobs.cancellation import Cancellation
        from stemsplit.jobs.inputs import expand_inputs
        from stemsplit.jobs.output_folder import check_output_dir
        from stemsplit.jobs.reporting import Reporter
        from stemsplit.jobs.request import SeparationRequest, make_output_settings, open_separator

        request = SeparationRequest(
            device=device,
            models=tuple(model or ()),
            models_dir=models_dir,
            threads=threads,
            output_dir=output,
            name_template=name,
            overwrite=overwrite,
        )
        settings = make_output_settings(request)
        if settings.storage.is_remote or output == "-":
            raise SettingsError("report writes to a folder on a disk; choose one with --output")
        check_output_dir(settings.output_dir)
        sources = expand_inputs(songs, recursive=recursive, output_dir=Path(output))
        cancellation = Cancellation()
        with open_separator(request) as separator:
            if device == "auto" and not quiet:
                warn(f"device: {separator.device}")
            reporter = Reporter(separator, settings, excerpt, cancellation=cancellation)
            return run_in_turn(sources, reporter.report, cancellation, as_json=as_json, quiet=quiet)

    run_command(command)
