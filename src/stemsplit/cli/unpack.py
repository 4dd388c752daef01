"""The ``unpack`` command: the parts of stem files as files of their own."""

from typing import Annotated

import typer

from stemsplit.cli.completion import complete_bits, complete_format
from stemsplit.cli.exit import run_command
from stemsplit.cli.in_turn import run_in_turn
from stemsplit.cli.options.output import OutputOptions
from stemsplit.cli.options.shared import Overwrite, Recursive
from stemsplit.errors import SettingsError
from stemsplit.jobs.name_template import DEFAULT_TEMPLATE
from stemsplit.jobs.result import ExitStatus

EPILOG = (
    "A stem file holds a mixture and the stems of a song, as `--format stem.mp4` and programs of Native "
    "Instruments write them. Of a folder its .stem.mp4 and .stem.m4a files are unpacked."
)


def unpack(  # noqa: PLR0917 - as they are typed
    files: Annotated[
        list[str], typer.Argument(metavar="FILES", help="Stem files, or folders.", show_default=False)
    ],
    output: Annotated[
        str, typer.Option("--output", "-o", metavar="DIR", help="Folder for the parts.")
    ] = "separated",
    format: Annotated[
        str,
        typer.Option(
            "--format",
            "-f",
            metavar="FORMAT",
            autocompletion=complete_format,
            help="wav, flac, aiff, alac, mp3, ogg, opus or m4a.",
        ),
    ] = "wav",
    bits: Annotated[
        str | None,
        typer.Option(
            "--bits",
            metavar="DEPTH",
            autocompletion=complete_bits,
            help="16, 24 or 32f (float). Default: as the file has it, 16 for AAC.",
        ),
    ] = None,
    bitrate: Annotated[
        str | None,
        typer.Option("--bitrate", metavar="RATE", help="Of a lossy format, such as 192k."),
    ] = None,
    name: Annotated[
        str,
        typer.Option("--name", metavar="TEMPLATE", help="Names below the folder, as those of stems."),
    ] = DEFAULT_TEMPLATE,
    recursive: Recursive = False,
    overwrite: Overwrite = False,
    skip_existing: Annotated[
        bool, typer.Option("--skip-existing", help="Leave out files whose parts all exist.")
    ] = False,
    salvage: Annotated[
        bool, typer.Option("--salvage", help="Write what there is of a damaged file.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Write one line of JSON for each file.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Only results and failures.")] = False,
) -> None:
    """Write the mixture and the stems of stem files as files of their own."""

    def command() -> ExitStatus:
        from stemsplit.audio.read_settings import ReadSettings
        from stemsplit.jobs.cancellation import Cancellation
        from stemsplit.jobs.inputs import expand_inputs
        from stemsplit.jobs.output_folder import check_output_dir
        from stemsplit.jobs.request import SeparationRequest, make_output_settings
        from stemsplit.jobs.unpacking import STEM_FILES, Unpacker

        options = OutputOptions(format=format, bitrate=bitrate)
        settings = make_output_settings(
            SeparationRequest(
                output_dir=output,
                name_template=name,
                format=format,
                bits=bits,
                bitrate_kbps=options.parse_bitrate(),
                overwrite=overwrite,
                skip_existing=skip_existing,
            )
        )
        if settings.storage.is_remote or output == "-":
            raise SettingsError("unpack writes to a folder on a disk; choose one with --output")
        check_output_dir(settings.output_dir)
        sources = expand_inputs(files, recursive=recursive, output_dir=settings.output_dir, kind=STEM_FILES)
        cancellation = Cancellation()
        unpacker = Unpacker(settings, ReadSettings(salvage=salvage), cancellation)
        return run_in_turn(sources, unpacker.unpack, cancellation, as_json=as_json, quiet=quiet)

    run_command(command)
