"""Options of the files: folder, format, names, and what happens to existing ones."""

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Annotated, Final

import typer

from stemsplit.cli.completion import complete_bits, complete_format
from stemsplit.cli.options.panels import Panel
from stemsplit.errors import SettingsError
from stemsplit.jobs.name_template import DEFAULT_TEMPLATE, FIELDS

if TYPE_CHECKING:
    from stemsplit.jobs.extras import ExtraSettings

_option: Final = partial(typer.Option, rich_help_panel=Panel.OUTPUT)


@dataclass(frozen=True, kw_only=True)
class OutputOptions:
    """Options of the files, as they were given."""

    output: Annotated[
        str,
        _option("--output", "-o", metavar="DIR", help="Folder for the stems, or - for standard output."),
    ] = "separated"
    format: Annotated[
        str,
        _option(
            "--format",
            "-f",
            metavar="FORMAT",
            autocompletion=complete_format,
            help="wav, flac, aiff, alac, mp3, ogg, opus, m4a; of a video mp4; all in one: stem.mp4.",
        ),
    ] = "wav"
    bits: Annotated[
        str | None,
        _option(
            "--bits",
            "--subtype",
            metavar="DEPTH",
            autocompletion=complete_bits,
            help="16, 24 or 32f (float). Default: as the song has it, 16 for a lossy song; stem.mp4: AAC.",
        ),
    ] = None
    bitrate: Annotated[
        str | None,
        _option(
            "--bitrate",
            metavar="RATE",
            help="Of mp3, ogg, opus, m4a, mp4 or stem.mp4, such as 192k. Default: near transparent.",
        ),
    ] = None
    name: Annotated[
        str,
        _option(
            "--name",
            metavar="TEMPLATE",
            help=f"Names below the folder. Fields: {' '.join(f'{{{field}}}' for field in FIELDS)}.",
        ),
    ] = DEFAULT_TEMPLATE
    analyse: Annotated[
        bool,
        _option(
            "--analyse",
            help="Find tempo, beats, key and chords: analysis.json, chords.lab, and tags of the stems.",
        ),
    ] = False
    slices: Annotated[
        str | None,
        _option(
            "--slices",
            metavar="KIND",
            help="Also cut each stem into pieces: beats, bars, onsets, or N parts.",
        ),
    ] = None
    loop: Annotated[
        str | None,
        _option(
            "--loop",
            metavar="BARS",
            help="Also cut the loop that the song repeats most closely, such as 8bars, from each stem.",
        ),
    ] = None
    fade: Annotated[
        float,
        _option(
            "--fade", metavar="MS", min=0, help="Fades at both ends of slices and loops, in milliseconds."
        ),
    ] = 0.0
    midi: Annotated[
        str | None,
        _option("--midi", metavar="A,B", help="Also transcribe stems to MIDI files: vocals, drums, bass."),
    ] = None
    preview: Annotated[
        float | None,
        _option(
            "--preview",
            metavar="SECONDS",
            help="Also write so much of every stem, one after the other, to one file.",
        ),
    ] = None
    overwrite: Annotated[
        bool,
        _option("--overwrite", help="Replace files that exist."),
    ] = False
    skip_existing: Annotated[
        bool,
        _option(
            "--skip-existing", help="Leave files that exist alone, and make only the stems that are missing."
        ),
    ] = False
    resume: Annotated[
        bool,
        _option(
            "--resume",
            help="Leave out songs that are done with the same settings and models; do the others again.",
        ),
    ] = False

    @property
    def writes_stdout(self) -> bool:
        """Whether the stem goes to standard output."""
        return self.output == "-"

    def parse_bitrate(self) -> int | None:
        """Return the bit rate in kbit/s; None for the default."""
        if self.bitrate is None:
            return None
        digits = self.bitrate.lower().removesuffix("k")
        if not digits.isdecimal():
            raise SettingsError(f"--bitrate {self.bitrate!r} is not a rate in kbit/s; write 192k")
        return int(digits)

    def make_extras(self) -> "ExtraSettings":
        """Return the settings of what is made beside the stems: analysis, slices, loops, MIDI, a preview."""
        from stemsplit.jobs.extras import ExtraSettings, parse_loop
        from stemsplit.jobs.request import parse_stems

        if self.fade and self.slices is None and self.loop is None:
            raise SettingsError("--fade is for slices and loops; add --slices or --loop, or leave it out")
        loop_bars = None if self.loop is None else parse_loop(self.loop)
        midi = () if self.midi is None else parse_stems(self.midi, "--midi")
        return ExtraSettings(self.analyse, self.slices, loop_bars, self.fade, midi, self.preview)
