"""Options of the songs: which are read, which part of them, and how many at a time."""

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Annotated, Final

import typer

from stemsplit.cli.options.panels import Panel

if TYPE_CHECKING:
    from stemsplit.audio.read_settings import ReadSettings

_option: Final = partial(typer.Option, rich_help_panel=Panel.SONGS)


@dataclass(frozen=True, kw_only=True)
class SongOptions:
    """Options of the songs, as they were given."""

    recursive: Annotated[
        bool,
        _option("--recursive", "-r", help="Include the subfolders of a folder."),
    ] = False
    start: Annotated[
        str | None,
        _option("--start", metavar="TIME", help="Begin there: seconds or m:ss, such as 83.5 or 1:23.5."),
    ] = None
    end: Annotated[
        str | None,
        _option("--end", metavar="TIME", help="End there, counted from 0."),
    ] = None
    duration: Annotated[
        str | None,
        _option("--duration", metavar="TIME", help="Length of the excerpt, instead of --end."),
    ] = None
    track: Annotated[
        int | None,
        _option(
            "--track",
            metavar="N",
            min=1,
            help="Audio track of a video, counted from 1. Default: the one that players choose.",
        ),
    ] = None
    salvage: Annotated[
        bool,
        _option("--salvage", help="Separate what there is of a damaged song, and note what is missing."),
    ] = False
    jobs: Annotated[
        int,
        _option("--jobs", "-j", metavar="N", min=1, help="Songs at a time."),
    ] = 1
    shard: Annotated[
        str,
        _option(
            "--shard",
            metavar="I/N",
            help="Separate part I of N only, for N runs in parallel on any machines.",
        ),
    ] = "1/1"
    dry_run: Annotated[
        bool,
        _option("--dry-run", help="Show what would be done: read headers only, write nothing."),
    ] = False

    def make_read_settings(self) -> "ReadSettings":
        """Return which part of the songs is read, which track, and whether damaged songs are salvaged."""
        from stemsplit.audio.read_settings import ReadSettings, parse_time

        return ReadSettings.choose(
            start_s=0.0 if self.start is None else parse_time(self.start),
            end_s=None if self.end is None else parse_time(self.end),
            duration_s=None if self.duration is None else parse_time(self.duration),
            track=self.track,
            salvage=self.salvage,
        )
