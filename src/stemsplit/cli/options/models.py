"""Options of the models: which are used, and how their estimates are combined."""

from dataclasses import dataclass
from functools import partial
from typing import Annotated, Final

import typer

from stemsplit.cli.completion import complete_before, complete_preset
from stemsplit.cli.options.panels import Panel
from stemsplit.cli.options.shared import Models, ModelsFolder
from stemsplit.errors import SettingsError

_option: Final = partial(typer.Option, rich_help_panel=Panel.MODELS)


@dataclass(frozen=True, kw_only=True)
class ModelOptions:
    """Options of the models, as they were given."""

    model: Models = None
    yes: Annotated[
        bool,
        _option("--yes", "-y", help="Fetch a model of the catalogue that is not installed, without asking."),
    ] = False
    models_dir: ModelsFolder = None
    preset: Annotated[
        str | None,
        _option(
            "--preset",
            metavar="NAME",
            autocompletion=complete_preset,
            help="fast, best, finest, or one of your own; options on the command line override it.",
        ),
    ] = None
    presets: Annotated[
        str | None,
        _option(
            "--presets",
            metavar="TOML",
            help="File of your presets. Default: presets.toml in your settings folder.",
        ),
    ] = None
    ensemble: Annotated[
        bool,
        _option(
            "--ensemble", help="Average the models that offer the same stem, instead of taking the first."
        ),
    ] = False
    weights: Annotated[
        list[str] | None,
        _option(
            "--weights",
            metavar="STEM=W,W",
            help="Weight of each model for a stem, in the order of --model; repeatable.",
        ),
    ] = None
    wiener: Annotated[
        int,
        _option("--wiener", metavar="N", min=0, max=10, help="Iterations of a Wiener filter on the masks."),
    ] = 0
    shifts: Annotated[
        int,
        _option(
            "--shifts",
            metavar="N",
            min=1,
            max=16,
            help="Passes over the song, each a little later; the stems are their mean.",
        ),
    ] = 1
    transpositions: Annotated[
        int,
        _option(
            "--transpositions",
            metavar="N",
            min=1,
            max=5,
            help="Passes over the song, each in another key; the stems are their mean, for N times the time.",
        ),
    ] = 1
    before: Annotated[
        str | None,
        _option(
            "--before",
            metavar="STEP",
            autocompletion=complete_before,
            help="A step before the networks. hpss: drums come from the percussive part of the song.",
        ),
    ] = None
    route: Annotated[
        str | None,
        _option(
            "--route",
            metavar="A,B",
            help="Models or presets, of which each song gets the one with the surest masks.",
        ),
    ] = None
    commercial_only: Annotated[
        bool,
        _option(
            "--commercial-only",
            help="Refuse models whose licence does not allow commercial use or does not say.",
        ),
    ] = False

    def parse_route(self) -> tuple[str, ...]:
        """Return the models or presets of which each song gets one; none for no choice."""
        from stemsplit.jobs.request import parse_stems

        if self.route is None:
            return ()
        if self.model or self.ensemble or self.weights:
            raise SettingsError("--route names the models; leave --model, --ensemble and --weights out")
        return parse_stems(self.route, "--route")

    def find_styles(self) -> dict[str, str]:
        """Return the models or presets for kinds of music in the settings files, unless models are named."""
        from stemsplit.cli.settings_files import read_routes

        if self.model or self.preset:
            return {}
        return {style: setting.value for style, setting in read_routes().items()}

    def check_presets(self) -> None:
        """Raise a `SettingsError` if a file of presets is named, but none of them can be used."""
        if self.presets is not None and not (self.preset or self.route or self.find_styles()):
            raise SettingsError(
                "--presets names a file of presets; choose one of them with --preset, or several with --route"
            )

    def parse_weights(self) -> dict[str, tuple[float, ...]]:
        """Return the weights of the models by stem."""
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
