"""Manifests: lists of songs in a file or on standard input, read line by line.

A line is the path or address of a song, or a JSON object with the key ``input`` and, if its stems are to have
another name, ``track``. Empty lines and lines that begin with ``#`` are ignored. A manifest may have any
length: it is never in memory as a whole.
"""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TextIO

import msgspec

from stemsplit.errors import SettingsError
from stemsplit.jobs.inputs import SongInput, expand_inputs, make_remote_input
from stemsplit.jobs.remote import is_url

_PREFIX = "@"


class _Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A line of JSON."""

    input: str
    track: str | None = None


def is_manifest(text: str) -> bool:
    """Return whether an input is a manifest: ``@`` and the path of a file, or ``@-`` for standard input.

    A file whose own name begins with ``@`` is an input of its own.
    """
    return text.startswith(_PREFIX) and len(text) > 1 and not Path(text).exists()


def check_manifests(inputs: Sequence[str]) -> None:
    """Check that the manifests among `inputs` exist.

    Raises
    ------
    SettingsError
        If one does not.
    """
    for text in filter(is_manifest, inputs):
        name = text.removeprefix(_PREFIX)
        if name != "-" and not Path(name).is_file():
            raise SettingsError(f"{name}: no such manifest; check the name behind {_PREFIX}")


def iterate_inputs(
    inputs: Sequence[str], *, recursive: bool = False, output_dir: Path | None = None
) -> Iterator[SongInput]:
    """Yield the songs of `inputs`, among which manifests are, in order.

    Raises
    ------
    SettingsError
        If a manifest cannot be read.
    """
    for text in inputs:
        if is_manifest(text):
            yield from read_manifest(text.removeprefix(_PREFIX))
        else:
            yield from expand_inputs([text], recursive=recursive, output_dir=output_dir)


def read_manifest(name: str) -> Iterator[SongInput]:
    """Yield the songs of the manifest `name`, ``-`` for standard input.

    Raises
    ------
    SettingsError
        If it cannot be read.
    """
    if name == "-":
        yield from _read_lines(sys.stdin, "standard input")
        return
    try:
        with Path(name).open(encoding="utf-8", errors="surrogateescape") as file:
            yield from _read_lines(file, name)
    except OSError as error:
        raise SettingsError(f"{name}: the manifest cannot be read: {error.strerror}") from error


def _read_lines(file: TextIO, name: str) -> Iterator[SongInput]:
    for number, line in enumerate(file, 1):
        text = line.strip()
        if text and not text.startswith("#"):
            yield _parse_line(text, f"{name}, line {number}")


def _parse_line(text: str, place: str) -> SongInput:
    """Return the song of a line; a line that is not valid is a song with a problem and stops no other."""
    if not text.startswith("{"):
        return _make_input(text)
    try:
        entry = msgspec.json.decode(text, type=_Entry)
    except msgspec.MsgspecError as error:
        return SongInput(
            text, None, problem=f'{place}: {error}; write it like {{"input": "song.wav", "track": "name"}}'
        )
    return _make_input(entry.input, entry.track)


def _make_input(text: str, track: str | None = None) -> SongInput:
    if is_url(text):
        return make_remote_input(text, named=track)
    return SongInput(text, Path(text), named=track)
