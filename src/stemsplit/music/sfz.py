"""SFZ instruments, the part of them that a drum kit needs.

Regions with a sample, a key, velocities and a place in a round robin, in groups that hand their settings
down. Whatever else a file says would change how it sounds, so that it is an error.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from stemsplit.errors import SettingsError

_HEADERS: Final = ("control", "global", "group", "region")
_OPCODES: Final = (
    "sample",
    "default_path",
    "key",
    "lovel",
    "hivel",
    "seq_length",
    "seq_position",
    "loop_mode",
)
_PIECE: Final = re.compile(
    r"<(?P<header>\w+)>|(?P<name>[\w$]+)=(?P<value>.*?)(?=\s+[\w$]+=|\s*<|\s*$)|(?P<rest>\S+)"
)
_NOTES: Final = {"c": 0, "d": 2, "e": 4, "f": 5, "g": 7, "a": 9, "b": 11}


@dataclass(frozen=True)
class Region:
    """A sample and when it is played: MIDI key, velocities from `lovel` to `hivel`, turn of a round robin."""

    sample: Path
    key: int
    lovel: int
    hivel: int
    position: int


def read_sfz(path: Path) -> list[Region]:
    """Return the regions of an SFZ file.

    Raises
    ------
    SettingsError
        If it cannot be read, says something that is not understood, or a region has no sample or key.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} cannot be read: {error}") from error
    return [_make_region(settings, path) for settings in _read_regions(text, path)]


def _read_regions(text: str, path: Path) -> Iterator[Mapping[str, str]]:
    """Yield the settings of each region, with those that it inherits."""
    levels: dict[str, dict[str, str]] = {header: {} for header in _HEADERS}
    header = None
    for number, line in enumerate(_remove_comments(text).splitlines(), 1):
        for piece in _PIECE.finditer(line):
            if piece["header"]:
                if header == "region":
                    yield _inherit(levels)
                header = _check_known(piece["header"], _HEADERS, f"<{piece['header']}>", path, number)
                for below in _HEADERS[_HEADERS.index(header) :]:
                    levels[below] = {}
            elif piece["rest"] or header is None:
                raise SettingsError(f"{path}, line {number}: {piece[0]!r} is not understood")
            else:
                _check_known(piece["name"], _OPCODES, piece["name"], path, number)
                levels[header][piece["name"]] = piece["value"].strip()
    if header == "region":
        yield _inherit(levels)


def _remove_comments(text: str) -> str:
    without = re.sub(r"/\*.*?\*/", lambda match: "\n" * match[0].count("\n"), text, flags=re.DOTALL)
    return re.sub(r"//.*", "", without)


def _inherit(levels: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    return {name: value for level in levels.values() for name, value in level.items()}


def _check_known(name: str, known: tuple[str, ...], shown: str, path: Path, line: int) -> str:
    if name not in known:
        raise SettingsError(f"{path}, line {line}: {shown} is not understood; there are {', '.join(known)}")
    return name


def _make_region(settings: Mapping[str, str], path: Path) -> Region:
    if missing := [name for name in ("sample", "key") if name not in settings]:
        raise SettingsError(f"{path}: a region has no {missing[0]}")
    mode = settings.get("loop_mode", "one_shot")
    if mode != "one_shot":
        raise SettingsError(f"{path}: loop_mode={mode} is not understood; drums are one_shot")
    written = settings.get("default_path", "") + settings["sample"]
    return Region(
        path.parent / written.replace("\\", "/"),
        _read_key(settings["key"], path),
        _read_number(settings, "lovel", 1, path),
        _read_number(settings, "hivel", 127, path),
        _read_number(settings, "seq_position", 1, path),
    )


def _read_number(settings: Mapping[str, str], name: str, usual: int, path: Path) -> int:
    text = settings.get(name, str(usual))
    if not text.isdecimal() or int(text) > 127:
        raise SettingsError(f"{path}: {name}={text} is not a number from 0 to 127")
    return int(text)


def _read_key(text: str, path: Path) -> int:
    """Return the MIDI key of a number, or of a name such as ``c2``, which is 36."""
    match = re.fullmatch(r"([a-g])([#b]?)(-?\d)", text.lower())
    if match is None:
        return _read_number({"key": text}, "key", 0, path)
    return 12 * (int(match[3]) + 1) + _NOTES[match[1]] + {"#": 1, "b": -1, "": 0}[match[2]]
