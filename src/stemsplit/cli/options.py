"""The arguments of the separation command, declared once: for the parser, for the help, for the code."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from stemsplit.errors import SettingsError
from stemsplit.jobs.name_template import DEFAULT_TEMPLATE, FIELDS
from stemsplit.separation.settings import MAX_THREADS

if TYPE_CHECKING:
    from stemsplit.jobs.request import SeparationRequest

ModelsFolder = Annotated[
    str | None,
    typer.Option(
        "--models-dir",
        metavar="DIR",
        help="Folder of your models. Default: STEMSPLIT_MODELS, or one of the system's.",
    ),
]


def complete_models(incomplete: str) -> list[str]:
    """Offer the names of all models."""
    from stemsplit.registry.catalog import bundled_models, read_spec

    names = [*complete_registered(""), *(read_spec(path).name for path in bundled_models())]
    return [name for name in names if name.startswith(incomplete)]


def complete_registered(incomplete: str) -> list[str]:
    """Offer the names of the user's models."""
    from stemsplit.registry.store import Registry

    return [name for name in Registry().names() if name.startswith(incomplete)]


def complete_stems(incomplete: str) -> list[str]:
    """Offer stem names after the last comma."""
    from stemsplit.registry.catalog import bundled_models, read_spec

    head, comma, tail = incomplete.rpartition(",")
    chosen = set(head.split(","))
    targets = [target for path in bundled_models() for target in read_spec(path).targets]
    names = dict.fromkeys(targets)
    return [head + comma + name for name in names if name.startswith(tail) and name not in chosen]


Device = Annotated[
    str,
    typer.Option(
        "--device",
        "-d",
        metavar="DEVICE",
        help="auto, cpu, cuda, tensorrt, openvino, coreml or directml; with a number as in cuda:1.",
    ),
]
Threads = Annotated[
    int | None,
    typer.Option(
        "--threads",
        metavar="N",
        min=1,
        max=MAX_THREADS,
        help="Threads of the network. Default: one a core.",
    ),
]
Models = Annotated[
    list[str] | None,
    typer.Option(
        "--model",
        "-m",
        metavar="MODEL",
        help="Name of a model, or a file (.onnx, .toml), in place of the bundled ones; repeatable.",
        autocompletion=complete_models,
    ),
]


@dataclass(frozen=True)
class Options:
    """The options of ``stemsplit SONG...``, as they were typed.

    Raises
    ------
    SettingsError
        If two of them contradict each other.
    """

    inputs: Annotated[
        list[str],
        typer.Argument(
            metavar="INPUTS",
            help="Songs, folders, globs; - reads a wav from standard input.",
            show_default=False,
        ),
    ]
    stems: Annotated[
        str | None,
        typer.Option(
            "--stems",
            "-s",
            metavar="A,B",
            help="Stems to write, separated by commas. Default: all that the models know.",
            autocompletion=complete_stems,
        ),
    ] = None
    residual: Annotated[
        bool,
        typer.Option("--residual", help="Also write what --stems leaves over, so that all sum to the song."),
    ] = False
    karaoke: Annotated[
        str | None,
        typer.Option(
            "--karaoke",
            metavar="STEM",
            help="Write STEM and the song without it (no_STEM).",
            autocompletion=complete_stems,
        ),
    ] = None
    wiener: Annotated[
        int,
        typer.Option("--wiener", metavar="N", min=0, max=10, help="Refine with N steps of a Wiener filter."),
    ] = 0
    output: Annotated[
        str,
        typer.Option(
            "--output",
            "-o",
            metavar="DIR",
            help="Folder for the stems; - writes one stem to standard output.",
        ),
    ] = "separated"
    name: Annotated[
        str,
        typer.Option(
            "--name",
            metavar="TEMPLATE",
            help=f"Names below the folder. Fields: {' '.join(f'{{{field}}}' for field in FIELDS)}.",
        ),
    ] = DEFAULT_TEMPLATE
    format: Annotated[
        str, typer.Option("--format", "-f", metavar="FORMAT", help="wav, flac, mp3, ogg or opus.")
    ] = "wav"
    bits: Annotated[
        str | None,
        typer.Option(
            "--bits",
            "--subtype",
            metavar="DEPTH",
            help="16, 24 or 32f (float). Default: as the song has it, 16 for a lossy song.",
        ),
    ] = None
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace files that exist.")] = False
    skip_existing: Annotated[
        bool, typer.Option("--skip-existing", help="Leave out songs whose stems all exist.")
    ] = False
    resume: Annotated[
        bool,
        typer.Option(
            "--resume",
            help="Leave out songs that are done with the same settings and models; do the others again.",
        ),
    ] = False
    recursive: Annotated[bool, typer.Option("--recursive", "-r", help="Go into the folders of a folder.")] = (
        False
    )
    device: Device = "auto"
    provider_option: Annotated[
        list[str] | None,
        typer.Option(
            "--provider-option",
            metavar="KEY=VALUE",
            help="Option of onnxruntime for the device, such as trt_fp16_enable=1; repeatable.",
        ),
    ] = None
    half: Annotated[
        bool,
        typer.Option(
            "--half", help="Compute in half precision, on a GPU: cuda or directml; needs the extra half."
        ),
    ] = False
    jobs: Annotated[int, typer.Option("--jobs", "-j", metavar="N", min=1, help="Songs at a time.")] = 1
    threads: Threads = None
    model: Models = None
    models_dir: ModelsFolder = None
    ensemble: Annotated[
        bool,
        typer.Option(
            "--ensemble", help="Average the models that offer the same stem, instead of taking the first."
        ),
    ] = False
    weights: Annotated[
        list[str] | None,
        typer.Option(
            "--weights",
            metavar="STEM=W,W",
            help="Weights of the models for a stem, in their order; repeatable.",
        ),
    ] = None
    preset: Annotated[
        str | None,
        typer.Option(
            "--preset",
            metavar="NAME",
            help="fast, best, or settings of your list; what is typed as well wins.",
        ),
    ] = None
    presets: Annotated[
        str | None,
        typer.Option(
            "--presets", metavar="TOML", help="The list. Default: presets.toml among your settings."
        ),
    ] = None
    commercial_only: Annotated[
        bool,
        typer.Option(
            "--commercial-only", help="Refuse models that do not allow commercial use, or do not say so."
        ),
    ] = False
    chunk: Annotated[
        float | None,
        typer.Option("--chunk", metavar="S", help="Seconds the network hears at once. Default: the model's."),
    ] = None
    overlap: Annotated[
        float | None,
        typer.Option("--overlap", metavar="S", help="Seconds of cross-fade between chunks. Default: 0.5."),
    ] = None
    shifts: Annotated[
        int,
        typer.Option(
            "--shifts",
            metavar="N",
            min=1,
            max=16,
            help="Passes over the song, each with its frames a little later; their mean is a little better.",
        ),
    ] = 1
    batch: Annotated[
        int | None,
        typer.Option(
            "--batch", metavar="N", min=1, help="Chunks at once. Default: 1 on the CPU, 4 on a GPU."
        ),
    ] = None
    json: Annotated[bool, typer.Option("--json", help="Write one line of JSON for each song.")] = False
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be done; read headers only, write nothing.")
    ] = False
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress, only failures.")] = False

    def __post_init__(self) -> None:
        if not self.output:
            raise SettingsError("--output is empty; name a folder, . for this one")
        if self.skip_existing and self.resume:
            raise SettingsError("--skip-existing and --resume exclude each other; --resume looks closer")
        if "-" in self.inputs and self.resume:
            raise SettingsError("standard input cannot be resumed; leave out --resume")
        if self.presets is not None and self.preset is None:
            raise SettingsError("--presets names a list; say with --preset which one of it")
        if self.writes_stdout:
            self._check_stdout()

    @property
    def writes_stdout(self) -> bool:
        """Whether the stem goes to standard output."""
        return self.output == "-"

    def make_request(self) -> "SeparationRequest":
        """Return what is asked of the separation itself.

        Raises
        ------
        SettingsError
            If a list is not written as it must be.
        """
        from stemsplit.jobs.request import SeparationRequest, parse_stems

        return SeparationRequest(
            stems=None if self.stems is None else parse_stems(self.stems),
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
            overwrite=self.overwrite,
            skip_existing=self.skip_existing,
            resume=self.resume,
        )

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

    def _check_stdout(self) -> None:
        senseless = {
            "--json": self.json,
            "--format": self.format != "wav",
            "--name": self.name != DEFAULT_TEMPLATE,
            "--overwrite": self.overwrite,
            "--skip-existing": self.skip_existing,
            "--resume": self.resume,
            "--jobs": self.jobs != 1,
        }
        given = [option for option, is_given in senseless.items() if is_given]
        if given:
            raise SettingsError(f"{', '.join(given)} cannot be used with --output -, which writes a bare wav")
