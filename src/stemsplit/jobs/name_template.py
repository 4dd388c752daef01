"""The file names of stems: a template, filled in with properties of the song, valid on every file system.

A template is a relative path with ``/`` between folders and ``{fields}`` in braces. The value of a field,
tags included, becomes part of one name: it can neither leave its folder nor begin a new one. A field may have
a format, such as ``{number:03d}`` or ``{bpm:.1f}``.
"""

import string
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import PurePath
from typing import Final, NamedTuple

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
    "bpm": "tempo, rounded; with --analyse",
    "key": "key in words, such as A minor; with --analyse",
    "camelot": "code of the key, such as 8A; with --analyse",
    "stem": "vocals, drums ...",
    "ext": "wav, flac ...",
}
TAG_FIELDS = frozenset({"title", "artist", "album", "number"})
ANALYSIS_FIELDS = frozenset({"bpm", "key", "camelot"})

Value = str | int | float
# what a field with a format is formatted as, by example; all others are text
_NUMBERS: Final[Mapping[str, Value]] = {"number": 7, "bpm": 120.5}
# how a number is written that has no format
_USUAL_FORMATS: Final = {"number": "02d", "bpm": ".0f"}


class _Piece(NamedTuple):
    """Literal text, and the field after it, if there is one, with its format."""

    text: str
    field: str | None
    format: str


@dataclass(frozen=True, eq=False)
class _Component:
    """One name of the path; compared by identity, which is quick."""

    pieces: tuple[_Piece, ...]

    @cached_property
    def fields(self) -> tuple[_Piece, ...]:
        """The pieces that have a field."""
        return tuple(piece for piece in self.pieces if piece.field)


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
        for component in self._components:
            self._check_component(component)

    @cached_property
    def fields(self) -> frozenset[str]:
        """The names of the fields in the template."""
        return frozenset(piece.field for part in self._components for piece in part.fields if piece.field)

    @cached_property
    def _components(self) -> tuple[_Component, ...]:
        """The components of the path."""
        return tuple(_parse_component(part, self.text) for part in self.text.split("/"))

    def _check_component(self, component: _Component) -> None:
        literal = "".join(piece.text for piece in component.pieces)
        bad = sorted({char for char in literal if is_illegal(char)})
        if bad:
            raise SettingsError(
                f"the name template {self.text!r} holds {', '.join(map(repr, bad))}, which are "
                "illegal on some file systems; folders are separated by '/'"
            )
        if not component.fields and clean_name(literal) != literal:
            raise SettingsError(
                f"the name template {self.text!r} has a folder called {literal!r}; "
                "it must be a relative path of plain names"
            )

    def render(self, values: Mapping[str, Value]) -> PurePath:
        """Fill in the fields; every component of the result is a legal name of bounded length.

        A number that is not known is a text, which no format changes.
        """
        return PurePath(self.render_text(values))

    def render_text(self, values: Mapping[str, Value]) -> str:
        """Return the same as text, with ``/`` between folders."""
        return "/".join(
            _render_component(component, tuple([_format(piece, values) for piece in component.fields]))
            for component in self._components
        )


def _parse_component(text: str, template: str) -> _Component:
    try:
        parsed = list(string.Formatter().parse(text))
    except ValueError as error:
        raise SettingsError(f"the name template {template!r} cannot be read: {error}") from error
    for _, name, spec, conversion in parsed:
        if name is not None and (name not in FIELDS or conversion):
            shown = name + (f"!{conversion}" if conversion else "") + (f":{spec}" if spec else "")
            raise SettingsError(
                f"the name template {template!r} has an unknown field {{{shown}}}; there are: "
                + ", ".join(f"{{{field}}}" for field in FIELDS)
            )
    pieces = tuple(_Piece(literal, name, spec or "") for literal, name, spec, _ in parsed)
    for piece in pieces:
        _check_format(piece, template)
    return _Component(pieces)


def _check_format(piece: _Piece, template: str) -> None:
    if not piece.format or piece.field is None:
        return
    example = _NUMBERS.get(piece.field, "text")
    try:
        format(example, piece.format)
    except ValueError as error:
        usual = _USUAL_FORMATS.get(piece.field, ".20")
        raise SettingsError(
            f"the name template {template!r} has the format {piece.format!r}, which is invalid for "
            f"{{{piece.field}}}; write it like {{{piece.field}:{usual}}}"
        ) from error


def _format(piece: _Piece, values: Mapping[str, Value]) -> str:
    """Return the value of the field of a piece as text."""
    assert piece.field is not None
    value = values[piece.field]
    if isinstance(value, str) and (not piece.format or piece.field in _NUMBERS):
        return value
    return format(value, piece.format or _USUAL_FORMATS.get(piece.field, ""))


# the folder of a song is the same for all its stems, and the file names are often those of all songs
@lru_cache(maxsize=1024)
def _render_component(component: _Component, values: tuple[str, ...]) -> str:
    """Return one name of the path; `values` are those of its fields, in order."""
    fields = zip(component.fields, values, strict=True)
    cleaned = {piece: clean_value(value).strip() or "_" for piece, value in fields}

    def join(fill: Mapping[_Piece, str]) -> str:
        return clean_name("".join(piece.text + fill.get(piece, "") for piece in component.pieces))

    while (excess := len((name := join(cleaned)).encode()) - MAX_NAME_BYTES) > 0:
        longest = max(cleaned, key=lambda piece: len(cleaned[piece].encode()), default=None)
        if longest is None or len(cleaned[longest].encode()) <= 2 * HASH_DIGITS:
            raise SettingsError(f"the name template makes a name too long for a disk: {name!r}")
        size = len(cleaned[longest].encode())
        cleaned[longest] = shorten(cleaned[longest], max(size - excess, 2 * HASH_DIGITS))
    return name
