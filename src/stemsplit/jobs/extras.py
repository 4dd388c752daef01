"""What is written beside the stems of a song: its analysis, slices, loops, MIDI, a preview, new drums.

What makes them is imported when it is asked for: most songs are only separated.
"""

import json
import os
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from stemsplit.audio.encoding import extension_of
from stemsplit.errors import SettingsError
from stemsplit.jobs.replacement import NewDrums, ReplacementSettings

if TYPE_CHECKING:
    from stemsplit.music.analysis import SongAnalysis

_MAX_BARS = 64
_MAX_FADE_MS = 1000.0
_MAX_PREVIEW_S = 600.0


@dataclass(frozen=True)
class ExtraSettings:
    """What is written beside the stems.

    Parameters
    ----------
    analyse
        ``analysis.json``, ``chords.lab``, and tags of the stems.
    slices
        Each stem in pieces: ``beats``, ``bars``, ``onsets``, or the number of parts.
    loop_bars
        The loop of so many bars that the song repeats most closely, from each stem.
    fade_ms
        Length of the fades at both ends of slices and loops, in milliseconds.
    midi
        Stems that are transcribed to MIDI files.
    preview_s
        Length of the excerpts of all stems, in seconds, that follow each other in one file.
    replacement
        Drums that take the place of the song's; None to leave them.

    Raises
    ------
    SettingsError
        If one is out of its range.
    """

    analyse: bool = False
    slices: str | None = None
    loop_bars: int | None = None
    fade_ms: float = 0.0
    midi: tuple[str, ...] = ()
    preview_s: float | None = None
    replacement: ReplacementSettings | None = None

    def __post_init__(self) -> None:
        if self.slices is not None:
            from stemsplit.music.cuts import check_kind

            check_kind(self.slices)
        if self.loop_bars is not None and not 1 <= self.loop_bars <= _MAX_BARS:
            raise SettingsError(f"a loop has 1 to {_MAX_BARS} bars, not {self.loop_bars}")
        if not 0 <= self.fade_ms <= _MAX_FADE_MS:
            raise SettingsError(f"a fade has 0 to {_MAX_FADE_MS:.0f} ms, not {self.fade_ms:g}")

        if self.preview_s is not None and not 1 <= self.preview_s <= _MAX_PREVIEW_S:
            raise SettingsError(
                f"a preview has 1 to {_MAX_PREVIEW_S:.0f} seconds of each stem, not {self.preview_s:g}"
            )
        for stem in self.midi:
            from stemsplit.music.midi import check_stem

            check_stem(stem)

    @property
    def need_analysis(self) -> bool:
        """Whether a song must be analysed for them."""
        return self.analyse or self.need_stems

    @property
    def need_stems(self) -> bool:
        """Whether they are made from the files of the stems."""
        return bool(self.slices or self.loop_bars or self.midi or self.preview_s or self.replacement)


def parse_loop(text: str) -> int:
    """Return the number of bars in a text like ``8bars`` or ``8``.

    Raises
    ------
    SettingsError
        If it is another text.

    >>> parse_loop("8bars"), parse_loop("1 bar"), parse_loop("4")
    (8, 1, 4)
    """
    match = re.fullmatch(r"(\d{1,3})\s*(bars?)?", text.strip().lower())
    if match is None:
        raise SettingsError(f"a loop cannot be {text!r}; write it like 8bars")
    return int(match[1])


class Material(NamedTuple):
    """From what extras are made: the file of each stem, and what is known of the song."""

    stems: Mapping[str, Path]
    found: "SongAnalysis"


class Extra(NamedTuple):
    """Something that is written beside the stems.

    Attributes
    ----------
    name
        That no other has.
    ending
        Of the name of its file; empty for a folder.
    write
        Writes it to a path; returns whether the song has it.
    stem
        What has the place of a stem's name in that of the file; None for `name`.
    describe
        Says what is worth knowing of it once it is written; None if nothing is.
    is_own
        Of a folder: tells from the name of a file in it whether it was written with it. None for a file.
    """

    name: str
    ending: str
    write: Callable[[Path, Material], bool]
    stem: str | None = None
    describe: Callable[[Material], str] | None = None
    is_own: Callable[[str], bool] | None = None


def list_extras(settings: ExtraSettings, stems: Iterable[str], *, format: str) -> list[Extra]:
    """Return what is written beside `stems`, which are files of a `format`.

    Raises
    ------
    SettingsError
        If it needs a stem that is not among them.
    """
    names = tuple(stems)
    extras = []
    if settings.analyse:
        extras += [Extra("analysis", "json", _write_analysis), Extra("chords", "lab", _write_chords)]
    if settings.slices is not None:
        extras += list(_list_slices(settings.slices, settings.fade_ms, names))
    if settings.loop_bars is not None:
        extras += list(_list_loops(settings.loop_bars, settings.fade_ms, names))
    extras += list(_list_midi(settings.midi, names))
    if settings.preview_s is not None:
        extras.append(_list_preview(settings.preview_s, names))
    if settings.replacement is not None:
        extras += list(_list_new_drums(settings.replacement, names, extension_of(format)))
    return extras


def _write_analysis(path: Path, material: Material) -> bool:
    return _write_text(path, json.dumps(material.found.to_dict(), indent=1) + "\n")


def _write_chords(path: Path, material: Material) -> bool:
    from stemsplit.music.chords import format_lab

    return _write_text(path, format_lab(material.found.chords))


def _write_text(path: Path, text: str) -> bool:
    with path.open("wb") as file:
        file.write(text.encode())
        file.flush()
        os.fsync(file.fileno())
    return True


def _list_slices(kind: str, fade_ms: float, stems: Iterable[str]) -> Iterator[Extra]:
    def make(stem: str) -> Callable[[Path, Material], bool]:
        def write(path: Path, material: Material) -> bool:
            from stemsplit.music.slices import write_slices

            return bool(write_slices(material.stems[stem], path, material.found, kind, fade_ms=fade_ms))

        return write

    for stem in stems:
        name = f"{stem} {kind if not kind.isdecimal() else f'{kind} parts'}"
        yield Extra(name, "", make(stem), is_own=_is_slice_name)


def _is_slice_name(name: str) -> bool:
    from stemsplit.music.cuts import is_slice_name

    return is_slice_name(name)


def _list_loops(n_bars: int, fade_ms: float, stems: Iterable[str]) -> Iterator[Extra]:
    def make(stem: str) -> Callable[[Path, Material], bool]:
        def write(path: Path, material: Material) -> bool:
            from stemsplit.music.slices import write_loop

            return write_loop(material.stems[stem], path, material.found, n_bars, fade_ms=fade_ms)

        return write

    for stem in stems:
        yield Extra(f"{stem} loop of {n_bars} bars", "wav", make(stem))


def _list_preview(length_s: float, stems: Sequence[str]) -> Extra:
    def write(path: Path, material: Material) -> bool:
        from stemsplit.music.preview import write_preview

        return write_preview(path, {stem: material.stems[stem] for stem in stems}, material.found, length_s)

    return Extra("preview", "wav", write)


def _list_midi(wanted: Iterable[str], stems: Collection[str]) -> Iterator[Extra]:
    def make(stem: str) -> Callable[[Path, Material], bool]:
        def write(path: Path, material: Material) -> bool:
            from stemsplit.music.midi import transcribe, write_midi

            notes = transcribe(material.stems[stem], stem)
            if notes:
                write_midi(path, notes, stem, material.found)
            return bool(notes)

        return write

    for stem in wanted:
        if stem not in stems:
            raise SettingsError(f"the MIDI of {stem!r} is made from its stem; add it to --stems")
        yield Extra(f"{stem} midi", "mid", make(stem), stem)


def _list_new_drums(settings: ReplacementSettings, stems: Collection[str], ending: str) -> Iterator[Extra]:
    for stem in settings.stems:
        if stem not in stems:
            raise SettingsError(f"drums are replaced by means of the stem {stem!r}; make it as well")
    new = NewDrums(settings)

    def describe(material: Material) -> str:
        return new.describe(material.stems)

    yield Extra("drums_replaced", ending, _from_material(new.write), describe=describe)
    yield Extra("drums_replaced midi", "mid", _from_material(new.write_midi), "drums_replaced")
    if settings.mixture:
        yield Extra("mixture_replaced", ending, _from_material(new.write_mixture))


def _from_material(
    write: Callable[[Path, Mapping[str, Path], "SongAnalysis"], bool],
) -> Callable[[Path, Material], bool]:
    return lambda path, material: write(path, material.stems, material.found)
