"""The arguments of the separation command, declared once: for the parser, for the help, for the code."""

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from stemsplit.cli.completion import (
    complete_bits,
    complete_device,
    complete_format,
    complete_models,
    complete_preset,
    complete_stems,
)
from stemsplit.errors import SettingsError
from stemsplit.jobs.name_template import DEFAULT_TEMPLATE, FIELDS
from stemsplit.separation.settings import MAX_THREADS

if TYPE_CHECKING:
    from stemsplit.audio.read_settings import ReadSettings
    from stemsplit.jobs.extras import ExtraSettings
    from stemsplit.jobs.request import SeparationRequest


class Panel(StrEnum):
    """The panels of the help, in order."""

    STEMS = "Stems"
    OUTPUT = "Output"
    SONGS = "Songs"
    MODELS = "Models"
    SPEED = "Speed"
    OTHER = "Other"


# what everybody needs: the short help has these and no others
MAIN_OPTIONS = ("stems", "karaoke", "output", "format", "recursive", "device")

ModelsFolder = Annotated[
    str | None,
    typer.Option(
        "--models-dir",
        metavar="DIR",
        help="Folder of your models. Default: STEMSPLIT_MODELS, or the system's folder for data.",
        rich_help_panel=Panel.MODELS,
    ),
]
Device = Annotated[
    str,
    typer.Option(
        "--device",
        "-d",
        metavar="DEVICE",
        help="auto, cpu, cuda, tensorrt, openvino, coreml, directml; cuda:1 is the second GPU.",
        autocompletion=complete_device,
        rich_help_panel=Panel.SPEED,
    ),
]
Threads = Annotated[
    int | None,
    typer.Option(
        "--threads",
        metavar="N",
        min=1,
        max=MAX_THREADS,
        help="Threads of the network on the CPU. Default: one per core.",
        rich_help_panel=Panel.SPEED,
    ),
]
Models = Annotated[
    list[str] | None,
    typer.Option(
        "--model",
        "-m",
        metavar="MODEL",
        help="Name of a model, or a file (.onnx, .toml), instead of the bundled ones; repeatable.",
        autocompletion=complete_models,
        rich_help_panel=Panel.MODELS,
    ),
]


@dataclass(frozen=True)
class Options:
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
    stems: Annotated[
        list[str] | None,
        typer.Option(
            "--stems",
            "-s",
            metavar="A,B",
            autocompletion=complete_stems,
            help="Stems, separated by commas. Default: all.",
            rich_help_panel=Panel.STEMS,
        ),
    ] = None
    karaoke: Annotated[
        str | None,
        typer.Option(
            "--karaoke",
            "--two-stems",
            metavar="STEM",
            autocompletion=complete_stems,
            help="Write STEM, and the song without it (no_STEM).",
            rich_help_panel=Panel.STEMS,
        ),
    ] = None
    instrumental: Annotated[
        bool,
        typer.Option(
            "--instrumental",
            help="Write the song without the vocals: --stems instrumental.",
            rich_help_panel=Panel.STEMS,
        ),
    ] = False
    residual: Annotated[
        bool,
        typer.Option(
            "--residual",
            help="Also write what --stems leaves over, so that all stems sum to the song.",
            rich_help_panel=Panel.STEMS,
        ),
    ] = False
    output: Annotated[
        str,
        typer.Option(
            "--output",
            "-o",
            metavar="DIR",
            help="Folder for the stems, or - for standard output.",
            rich_help_panel=Panel.OUTPUT,
        ),
    ] = "separated"
    format: Annotated[
        str,
        typer.Option(
            "--format",
            "-f",
            metavar="FORMAT",
            autocompletion=complete_format,
            help="wav, flac, aiff, alac, mp3, ogg, opus, m4a; of a video mp4, with its picture.",
            rich_help_panel=Panel.OUTPUT,
        ),
    ] = "wav"
    bits: Annotated[
        str | None,
        typer.Option(
            "--bits",
            "--subtype",
            metavar="DEPTH",
            autocompletion=complete_bits,
            help="16, 24 or 32f (float). Default: as the song has it, 16 for a lossy song.",
            rich_help_panel=Panel.OUTPUT,
        ),
    ] = None
    bitrate: Annotated[
        str | None,
        typer.Option(
            "--bitrate",
            metavar="RATE",
            help="Of mp3, ogg, opus, m4a or mp4, such as 192k. Default: near transparent.",
            rich_help_panel=Panel.OUTPUT,
        ),
    ] = None
    name: Annotated[
        str,
        typer.Option(
            "--name",
            metavar="TEMPLATE",
            help=f"Names below the folder. Fields: {' '.join(f'{{{field}}}' for field in FIELDS)}.",
            rich_help_panel=Panel.OUTPUT,
        ),
    ] = DEFAULT_TEMPLATE
    analyse: Annotated[
        bool,
        typer.Option(
            "--analyse",
            help="Find tempo, beats, key and chords: analysis.json, chords.lab, and tags of the stems.",
            rich_help_panel=Panel.OUTPUT,
        ),
    ] = False
    slices: Annotated[
        str | None,
        typer.Option(
            "--slices",
            metavar="KIND",
            help="Also cut each stem into pieces: beats, bars, onsets, or N parts.",
            rich_help_panel=Panel.OUTPUT,
        ),
    ] = None
    loop: Annotated[
        str | None,
        typer.Option(
            "--loop",
            metavar="BARS",
            help="Also cut the loop that the song repeats most closely, such as 8bars, from each stem.",
            rich_help_panel=Panel.OUTPUT,
        ),
    ] = None
    fade: Annotated[
        float,
        typer.Option(
            "--fade",
            metavar="MS",
            min=0,
            help="Fades at both ends of slices and loops, in milliseconds.",
            rich_help_panel=Panel.OUTPUT,
        ),
    ] = 0.0
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace files that exist.", rich_help_panel=Panel.OUTPUT)
    ] = False
    skip_existing: Annotated[
        bool,
        typer.Option(
            "--skip-existing",
            help="Leave files that exist alone, and make only the stems that are missing.",
            rich_help_panel=Panel.OUTPUT,
        ),
    ] = False
    resume: Annotated[
        bool,
        typer.Option(
            "--resume",
            help="Leave out songs that are done with the same settings and models; do the others again.",
            rich_help_panel=Panel.OUTPUT,
        ),
    ] = False
    recursive: Annotated[
        bool,
        typer.Option(
            "--recursive", "-r", help="Include the subfolders of a folder.", rich_help_panel=Panel.SONGS
        ),
    ] = False
    start: Annotated[
        str | None,
        typer.Option(
            "--start",
            metavar="TIME",
            help="Begin there: seconds or m:ss, such as 83.5 or 1:23.5.",
            rich_help_panel=Panel.SONGS,
        ),
    ] = None
    end: Annotated[
        str | None,
        typer.Option("--end", metavar="TIME", help="End there, counted from 0.", rich_help_panel=Panel.SONGS),
    ] = None
    duration: Annotated[
        str | None,
        typer.Option(
            "--duration",
            metavar="TIME",
            help="Length of the excerpt, instead of --end.",
            rich_help_panel=Panel.SONGS,
        ),
    ] = None
    track: Annotated[
        int | None,
        typer.Option(
            "--track",
            metavar="N",
            min=1,
            help="Audio track of a video, counted from 1. Default: the one that players choose.",
            rich_help_panel=Panel.SONGS,
        ),
    ] = None
    salvage: Annotated[
        bool,
        typer.Option(
            "--salvage",
            help="Separate what there is of a damaged song, and note what is missing.",
            rich_help_panel=Panel.SONGS,
        ),
    ] = False
    jobs: Annotated[
        int,
        typer.Option(
            "--jobs", "-j", metavar="N", min=1, help="Songs at a time.", rich_help_panel=Panel.SONGS
        ),
    ] = 1
    shard: Annotated[
        str,
        typer.Option(
            "--shard",
            metavar="I/N",
            help="Separate part I of N only, for N runs in parallel on any machines.",
            rich_help_panel=Panel.SONGS,
        ),
    ] = "1/1"
    cluster: Annotated[
        str | None,
        typer.Option(
            "--cluster",
            metavar="ADDRESS",
            help="Separate on a Ray cluster: local, auto or ray://HOST:PORT; needs the extra ray.",
            rich_help_panel=Panel.SPEED,
        ),
    ] = None
    cpus_per_worker: Annotated[
        int,
        typer.Option(
            "--cpus-per-worker",
            metavar="N",
            min=1,
            help="CPU cores of a worker of the cluster.",
            rich_help_panel=Panel.SPEED,
        ),
    ] = 1
    gpus_per_worker: Annotated[
        float,
        typer.Option(
            "--gpus-per-worker",
            metavar="N",
            min=0,
            help="GPUs of a worker of the cluster; a fraction shares one.",
            rich_help_panel=Panel.SPEED,
        ),
    ] = 0.0
    retries: Annotated[
        int,
        typer.Option(
            "--retries",
            metavar="N",
            min=0,
            help="How often a song is tried again whose worker in the cluster died.",
            rich_help_panel=Panel.SPEED,
        ),
    ] = 2
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run",
            help="Show what would be done: read headers only, write nothing.",
            rich_help_panel=Panel.SONGS,
        ),
    ] = False
    model: Models = None
    yes: Annotated[
        bool,
        typer.Option(
            "--yes",
            "-y",
            help="Fetch a model of the catalogue that is not installed, without asking.",
            rich_help_panel=Panel.MODELS,
        ),
    ] = False
    models_dir: ModelsFolder = None
    preset: Annotated[
        str | None,
        typer.Option(
            "--preset",
            metavar="NAME",
            autocompletion=complete_preset,
            help="fast, best, or one of your own; options on the command line override it.",
            rich_help_panel=Panel.MODELS,
        ),
    ] = None
    presets: Annotated[
        str | None,
        typer.Option(
            "--presets",
            metavar="TOML",
            help="File of your presets. Default: presets.toml in your settings folder.",
            rich_help_panel=Panel.MODELS,
        ),
    ] = None
    ensemble: Annotated[
        bool,
        typer.Option(
            "--ensemble",
            help="Average the models that offer the same stem, instead of taking the first.",
            rich_help_panel=Panel.MODELS,
        ),
    ] = False
    weights: Annotated[
        list[str] | None,
        typer.Option(
            "--weights",
            metavar="STEM=W,W",
            help="Weight of each model for a stem, in the order of --model; repeatable.",
            rich_help_panel=Panel.MODELS,
        ),
    ] = None
    wiener: Annotated[
        int,
        typer.Option(
            "--wiener",
            metavar="N",
            min=0,
            max=10,
            help="Iterations of a Wiener filter on the masks.",
            rich_help_panel=Panel.MODELS,
        ),
    ] = 0
    shifts: Annotated[
        int,
        typer.Option(
            "--shifts",
            metavar="N",
            min=1,
            max=16,
            help="Passes over the song, each a little later; the stems are their mean.",
            rich_help_panel=Panel.MODELS,
        ),
    ] = 1
    commercial_only: Annotated[
        bool,
        typer.Option(
            "--commercial-only",
            help="Refuse models whose licence does not allow commercial use or does not say.",
            rich_help_panel=Panel.MODELS,
        ),
    ] = False
    device: Device = "auto"
    half: Annotated[
        bool,
        typer.Option(
            "--half",
            help="Compute in half precision on a GPU (cuda, directml); needs the extra half.",
            rich_help_panel=Panel.SPEED,
        ),
    ] = False
    threads: Threads = None
    batch: Annotated[
        int | None,
        typer.Option(
            "--batch",
            metavar="N",
            min=1,
            help="Chunks per call of the network. Default: 1 on the CPU, 4 on a GPU.",
            rich_help_panel=Panel.SPEED,
        ),
    ] = None
    chunk: Annotated[
        float | None,
        typer.Option(
            "--chunk",
            metavar="S",
            help="Length of a chunk in seconds. Default: the model's.",
            rich_help_panel=Panel.SPEED,
        ),
    ] = None
    overlap: Annotated[
        float | None,
        typer.Option(
            "--overlap",
            metavar="S",
            help="Seconds of cross-fade between chunks. Default: 0.5.",
            rich_help_panel=Panel.SPEED,
        ),
    ] = None
    provider_option: Annotated[
        list[str] | None,
        typer.Option(
            "--provider-option",
            metavar="KEY=VALUE",
            help="Option of onnxruntime for the device, such as trt_fp16_enable=1; repeatable.",
            rich_help_panel=Panel.SPEED,
        ),
    ] = None
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
        if self.presets is not None and self.preset is None:
            raise SettingsError("--presets names a file of presets; choose one of them with --preset")
        if self.cluster is not None:
            self._check_cluster()
        if self.writes_stdout:
            self._check_stdout()

    @property
    def writes_stdout(self) -> bool:
        """Whether the stem goes to standard output."""
        return self.output == "-"

    def make_request(self) -> "SeparationRequest":
        """Return the request that the options make.

        Raises
        ------
        SettingsError
            If a list is malformed.
        """
        from stemsplit.jobs.request import SeparationRequest

        return SeparationRequest(
            stems=self._parse_stems(),
            residual=self.residual,
            karaoke=self.karaoke,
            wiener=self.wiener,
            models=tuple(self.model or ()),
            models_dir=self.models_dir,
            ensemble=self.ensemble,
            weights=self._parse_weights(),
            device=self.device,
            provider_options=self._parse_provider_options(),
            half=self.half,
            threads=self.threads,
            chunk_s=self.chunk,
            overlap_s=self.overlap,
            batch_size=self.batch,
            shifts=self.shifts,
            output_dir=self.output,
            name_template=self.name,
            format=self.format,
            bits=self.bits,
            bitrate_kbps=self._parse_bitrate(),
            overwrite=self.overwrite,
            skip_existing=self.skip_existing,
            resume=self.resume,
            extras=self._make_extras(),
            reading=self._make_read_settings(),
        )

    def _make_extras(self) -> "ExtraSettings":
        from stemsplit.jobs.extras import ExtraSettings, parse_loop

        if self.fade and self.slices is None and self.loop is None:
            raise SettingsError("--fade is for slices and loops; add --slices or --loop, or leave it out")
        loop_bars = None if self.loop is None else parse_loop(self.loop)
        return ExtraSettings(self.analyse, self.slices, loop_bars, self.fade)

    def _parse_bitrate(self) -> int | None:
        if self.bitrate is None:
            return None
        digits = self.bitrate.lower().removesuffix("k")
        if not digits.isdecimal():
            raise SettingsError(f"--bitrate {self.bitrate!r} is not a rate in kbit/s; write 192k")
        return int(digits)

    def _make_read_settings(self) -> "ReadSettings":
        from stemsplit.audio.read_settings import ReadSettings, parse_time

        return ReadSettings.choose(
            start_s=0.0 if self.start is None else parse_time(self.start),
            end_s=None if self.end is None else parse_time(self.end),
            duration_s=None if self.duration is None else parse_time(self.duration),
            track=self.track,
            salvage=self.salvage,
        )

    def _parse_stems(self) -> tuple[str, ...] | None:
        from stemsplit.jobs.request import parse_stems

        lists = [*(self.stems or ()), *(["instrumental"] if self.instrumental else [])]
        return parse_stems(",".join(lists)) if lists else None

    def _parse_provider_options(self) -> dict[str, str]:
        pairs = [text.partition("=") for text in self.provider_option or ()]
        for key, sign, value in pairs:
            if not key or not sign:
                raise SettingsError(
                    f"--provider-option {key + sign + value!r} must be written like key=value"
                )
        return {key: value for key, _, value in pairs}

    def _parse_weights(self) -> dict[str, tuple[float, ...]]:
        found: dict[str, tuple[float, ...]] = {}
        for text in self.weights or ():
            stem, _, numbers = text.partition("=")
            try:
                weights = tuple(float(number) for number in numbers.split(","))
            except ValueError as error:
                raise SettingsError(f"--weights {text!r} must be written like vocals=1,0.5") from error
            if stem in found:
                raise SettingsError(f"--weights names {stem!r} twice")
            found[stem] = weights
        return found

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
            "--jobs": self.jobs != 1,
        }
        given = [option for option, is_given in meaningless.items() if is_given]
        if given:
            raise SettingsError(f"{', '.join(given)} cannot be used with --output -, which writes a bare wav")
