"""Options that choose the stems."""

from dataclasses import dataclass
from functools import partial
from typing import Annotated, Final

import typer

from stemsplit.cli.completion import complete_stems
from stemsplit.cli.options.panels import Panel

_option: Final = partial(typer.Option, rich_help_panel=Panel.STEMS)


@dataclass(frozen=True, kw_only=True)
class StemOptions:
    """Options that choose the stems, as they were given."""

    stems: Annotated[
        list[str] | None,
        _option(
            "--stems",
            "-s",
            metavar="A,B",
            autocompletion=complete_stems,
            help="Stems, separated by commas. Default: all.",
        ),
    ] = None
    karaoke: Annotated[
        str | None,
        _option(
            "--karaoke",
            "--two-stems",
            metavar="STEM",
            autocompletion=complete_stems,
            help="Write STEM, and the song without it (no_STEM).",
        ),
    ] = None
    instrumental: Annotated[
        bool,
        _option("--instrumental", help="Write the song without the vocals: --stems instrumental."),
    ] = False
    residual: Annotated[
        bool,
        _option("--residual", help="Also write what --stems leaves over, so that all stems sum to the song."),
    ] = False

    drums: Annotated[
        str,
        _option(
            "--drums",
            metavar="stem|kit",
            help="kit: kick, snare (with toms) and cymbals in place of the drums, which they sum to.",
        ),
    ] = "stem"

    def parse_stems(self) -> tuple[str, ...] | None:
        """Return the names of the stems, each once; None for all stems."""
        from stemsplit.jobs.request import parse_stems

        lists = [*(self.stems or ()), *(["instrumental"] if self.instrumental else [])]
        return parse_stems(",".join(lists)) if lists else None
