"""The options of the separation, ``stemsplit INPUTS...``: all groups together."""

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from stemsplit.cli.options.models import ModelOptions
from stemsplit.cli.options.output import OutputOptions
from stemsplit.cli.options.panels import Panel
from stemsplit.cli.options.songs import SongOptions
from stemsplit.cli.options.speed import SpeedOptions
from stemsplit.cli.options.stems import StemOptions
from stemsplit.errors import SettingsError
from stemsplit.jobs.name_template import DEFAULT_TEMPLATE

if TYPE_CHECKING:
    from stemsplit.jobs.request import SeparationRequest


# dataclasses collect the fields of bases from the last to the first
@dataclass(frozen=True, kw_only=True)
class SeparationOptions(SpeedOptions, ModelOptions, SongOptions, OutputOptions, StemOptions):
    """The options of ``stemsplit INPUTS...``, as they were given.

    Raises
    ------
    SettingsError
        If two of them contradict each other.
    """

    inputs: Annotated[
        list[str],
        typer.Argument(
            metavar="INPUTS",
            help="Songs, folders, globs, lists (@FILE, @-); - reads a wav from standard input.",
            show_default=False,
        ),
    ]
    json: Annotated[
        bool, typer.Option("--json", help="Print one line of JSON per song.", rich_help_panel=Panel.OTHER)
    ] = False
    show_config: Annotated[
        bool,
        typer.Option(
            "--show-config",
            help="Show the value of every option and where it comes from, and exit.",
            rich_help_panel=Panel.OTHER,
        ),
    ] = False
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Show failures only.", rich_help_panel=Panel.OTHER)
    ] = False

    def __post_init__(self) -> None:
        if not self.output:
            raise SettingsError("--output is empty; name a folder, . for this one")
        if self.skip_existing and self.overwrite:
            raise SettingsError("--skip-existing and --overwrite exclude each other; choose one")
        if self.skip_existing and self.resume:
            raise SettingsError(
                "--skip-existing and --resume exclude each other; --resume also compares the settings"
            )
        if "-" in self.inputs and self.resume:
            raise SettingsError("standard input cannot be resumed; leave out --resume")
        if self.cluster is not None:
            self._check_cluster()
        if self.writes_stdout:
            self._check_stdout()

    def make_request(self) -> "SeparationRequest":
        """Return the request that the options make.

        Raises
        ------
        SettingsError
            If a list or a number is malformed.
        """
        from stemsplit.jobs.request import SeparationRequest

        parsed: dict[str, Any] = {
            "stems": self.parse_stems(),
            "models": tuple(self.model or ()),
            "weights": self.parse_weights(),
            "route": self.parse_route(),
            "styles": self.find_styles(),
            "provider_options": self.parse_provider_options(),
            "chunk_s": self.chunk,
            "overlap_s": self.overlap,
            "batch_size": self.batch,
            "output_dir": self.output,
            "name_template": self.name,
            "bitrate_kbps": self.parse_bitrate(),
            "extras": self.make_extras(),
            "reading": self.make_read_settings(),
        }
        # every other setting of the request is an option of the same name
        same = {
            field.name: getattr(self, field.name)
            for field in dataclasses.fields(SeparationRequest)
            if field.name not in parsed
        }
        return SeparationRequest(**same, **parsed)

    def _check_cluster(self) -> None:
        if "-" in self.inputs or self.writes_stdout:
            raise SettingsError("--cluster cannot use standard input or output: workers are other processes")
        if self.dry_run or self.jobs != 1:
            raise SettingsError("--dry-run and --jobs cannot be used with --cluster; leave them out")

    def _check_stdout(self) -> None:
        meaningless = {
            "--json": self.json,
            "--format": self.format != "wav",
            "--name": self.name != DEFAULT_TEMPLATE,
            "--overwrite": self.overwrite,
            "--skip-existing": self.skip_existing,
            "--resume": self.resume,
            "--analyse": self.analyse,
            "--slices": self.slices is not None,
            "--loop": self.loop is not None,
            "--midi": self.midi is not None,
            "--preview": self.preview is not None,
            "--jobs": self.jobs != 1,
        }
        given = [option for option, is_given in meaningless.items() if is_given]
        if given:
            raise SettingsError(f"{', '.join(given)} cannot be used with --output -, which writes a bare wav")
