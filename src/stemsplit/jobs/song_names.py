"""The names of the files that a song becomes: its stems, and what is written beside them."""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from stemsplit.audio.encoding import MULTITRACK_FORMATS, extension_of
from stemsplit.audio.stem_mp4 import ALL_STEMS
from stemsplit.audio.tags import read_tags
from stemsplit.files.names import clean_name
from stemsplit.jobs.extras import list_extras
from stemsplit.jobs.inputs import SongInput
from stemsplit.jobs.name_template import ANALYSIS_FIELDS, TAG_FIELDS, Value
from stemsplit.jobs.output_settings import OutputSettings

if TYPE_CHECKING:
    from stemsplit.music.analysis import SongAnalysis

# stands for a value of the analysis that a song does not have
_NONE: Final = "none"


class SongNames(NamedTuple):
    """The path of each stem and of what else is written; `name` is that of the song in the output folder.

    One file of all stems is listed as `ALL_STEMS`.
    """

    name: str
    outputs: Mapping[str, Path]
    extras: Mapping[str, Path]


def name_files(
    source: SongInput,
    stems: Iterable[str],
    output: OutputSettings,
    found: "SongAnalysis | None" = None,
    *,
    extension: str | None = None,
) -> SongNames:
    """Name the files of a song; fields of the analysis stay as they are until it is `found`.

    In the name of one file of all stems the name of the song has the place of that of the stem. `extension`
    is that of files of another kind than the stems are.
    """
    values = _describe(source, output) | _describe_analysis(found)
    folder = "".join(f"{clean_name(part)}/" for part in source.mirror.parts)

    def name(what: str, ending: str = extension or extension_of(output.format)) -> str:
        return folder + output.template.render_text({**values, "stem": what, "ext": ending})

    names = tuple(stems)
    shown = dict(zip(names, names, strict=True))
    if names and output.format in MULTITRACK_FORMATS:
        shown = {ALL_STEMS: source.track}
    return SongNames(
        name(""),
        {stem: output.output_dir / name(what) for stem, what in shown.items()},
        {
            # a folder has no ending
            extra.name: output.output_dir
            / name(extra.stem or extra.name, extra.ending or "x").removesuffix(".x")
            for extra in list_extras(output.extras, names, format=output.format)
        },
    )


def _describe_analysis(found: "SongAnalysis | None") -> dict[str, Value]:
    if found is None:
        return {name: f"{{{name}}}" for name in ANALYSIS_FIELDS}
    return {
        "bpm": round(found.beats.bpm, 2) if found.beats else _NONE,
        "key": found.key.name if found.key else _NONE,
        "camelot": found.key.camelot if found.key else _NONE,
    }


def _describe(source: SongInput, output: OutputSettings) -> dict[str, Value]:
    """Return the value of every template field that the song has; tags are read only if they are needed."""
    path, fields = source.path, output.template.fields
    values: dict[str, Value] = {"track": source.track}
    if "file" in fields:
        values["file"] = source.file_name
    if "folder" in fields:
        values["folder"] = source.folder_name
    if not fields & TAG_FIELDS:
        return values
    # only regular files are opened, since opening a named pipe would block; the reader reports all others
    tags = read_tags(path) if path and os.path.isfile(path) else None  # noqa: PTH113 - no error if forbidden
    number = "" if tags is None else str(tags.track_number or "").split("/")[0].strip()
    return values | {
        "title": (tags and tags.title) or source.track,
        "artist": (tags and tags.artist) or "Unknown artist",
        "album": (tags and tags.album) or "Unknown album",
        "number": int(number or 0) if number.isdecimal() or not number else number,
    }
