"""The file names of stems: a template, filled in with properties of the song, valid on every file system.

A template is a relative path with ``/`` between folders and ``{fields}`` in braces. The value of a field,
tags included, becomes part of one name: it can neither leave its folder nor begin a new one.
"""

import string
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import PurePath

from stemsplit.errors import SettingsError
from stemsplit.files.names import (
    HASH_DIGITS,
    MAX_NAME_BYTES,
    clean_name,
    clean_value,
    is_illegal,
    shorten,
)

DEFAULT_TEMPLATE = "{track}/{stem}.{ext}"

FIELDS: dict[str, str] = {
    "track": "name of the song's file, without its extension",
    "file": "name of the song's file, with its extension",
    "folder": "name of the folder that holds the song",
    "title": "tag, or the track",
    "artist": "tag",
    "album": "tag",
    "number": "track number, two digits",
    "stem": "vocals, drums ...",
    "ext": "wav, flac ...",
}
TAG_FIELDS = frozenset({"title", "artist", "album", "number"})


@dataclass(frozen=True)
class NameTemplate:
    """A template of file names.

    Parameters
    ----------
    text : str
        For example ``"{artist}/{track} ({stem}).{ext}"``. Double braces stand for braces.

    Raises
    ------
    SettingsError
        If a field is unknown, the path is absolute or contains ``..``, a name contains a character that is
        illegal on some file system, or the template does not end in ``.{ext}``.

    Examples
    --------
    >>> NameTemplate("{track}/{stem}.{ext}").render({"track": "So?", "stem": "bass", "ext": "wav"})
    PurePosixPath('So_/bass.wav')
    """

    text: str = DEFAULT_TEMPLATE

    def __post_init__(self) -> None:
        if not self.text.endswith(".{ext}"):
            raise SettingsError(f"the name template {self.text!r} must end in '.{{ext}}'")
        for parts in self._components:
            self._check_component(parts)

    @cached_property
    def fields(self) -> frozenset[str]:
        """The names of the fields in the template."""
        return frozenset(name for parts in self._components for _, name in parts if name)

    @cached_property
    def _components(self) -> tuple[tuple[tuple[str, str | None], ...], ...]:
        """One entry per path component: pairs of literal text and the field after it."""
        return tuple(_parse_component(piece, self.text) for piece in self.text.split("/"))

    def _check_component(self, parts: tuple[tuple[str, str | None], ...]) -> None:
        literal = "".join(text for text, _ in parts)
        bad = sorted({char for char in literal if is_illegal(char)})
        if bad:
            raise SettingsError(
                f"the name template {self.text!r} holds {', '.join(map(repr, bad))}, which are "
                "illegal on some file systems; folders are separated by '/'"
            )
        if not any(name for _, name in parts) and clean_name(literal) != literal:
            raise SettingsError(
                f"the name template {self.text!r} has a folder called {literal!r}; "
                "it must be a relative path of plain names"
            )

    def render(self, values: Mapping[str, str]) -> PurePath:
        """Fill in the fields; every component of the result is a legal name of bounded length."""
        return PurePath(
            *(
                _render_component(parts, tuple(values[name] for _, name in parts if name))
                for parts in self._components
            )
        )


def _parse_component(piece: str, template: str) -> tuple[tuple[str, str | None], ...]:
    try:
        parsed = list(string.Formatter().parse(piece))
    except ValueError as error:
        raise SettingsError(f"the name template {template!r} cannot be read: {error}") from error
    for _, name, spec, conversion in parsed:
        if name is not None and (name not in FIELDS or spec or conversion):
            shown = name + (f"!{conversion}" if conversion else "") + (f":{spec}" if spec else "")
            raise SettingsError(
                f"the name template {template!r} has an unknown field {{{shown}}}; there are: "
                + ", ".join(f"{{{field}}}" for field in FIELDS)
            )
    return tuple((literal, name) for literal, name, _, _ in parsed)


# the folder of a song is the same for all its stems, and the file names are often those of all songs
@lru_cache(maxsize=1024)
def _render_component(parts: tuple[tuple[str, str | None], ...], values: tuple[str, ...]) -> str:
    """Return one name of the path; `values` are those of the fields in `parts`, in order."""
    fields = [name for _, name in parts if name]
    cleaned = {name: clean_value(value).strip() or "_" for name, value in zip(fields, values, strict=True)}

    def join(fill: Mapping[str, str]) -> str:
        return clean_name("".join(text + (fill[name] if name else "") for text, name in parts))

    while len(join(cleaned).encode()) > MAX_NAME_BYTES:
        excess = len(join(cleaned).encode()) - MAX_NAME_BYTES
        longest = max(cleaned, key=lambda name: len(cleaned[name].encode()), default=None)
        if longest is None or len(cleaned[longest].encode()) <= 2 * HASH_DIGITS:
            raise SettingsError(f"the name template makes a name too long for a disk: {join(cleaned)!r}")
        size = len(cleaned[longest].encode())
        cleaned[longest] = shorten(cleaned[longest], max(size - excess, 2 * HASH_DIGITS))
    return join(cleaned)
